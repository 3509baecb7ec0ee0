//! The tables of the page: what changed, groups, answers, where the run comes from.

use crate::measure::Report;
use crate::report::changes::{self, Change};
use crate::report::figures::{self, SHOWN, percentile, share};
use crate::report::words;

use super::text::{escaped, table};

/// What changed from the baseline to this run.
pub fn changed(old: &Report, new: &Report) -> String {
    let warnings = changes::incomparable(old, new);
    let warnings =
        warnings.iter().map(|why| format!("<li><strong>Not comparable:</strong> {}</li>", escaped(why)));
    let warnings: String = warnings.collect();
    let warnings =
        if warnings.is_empty() { warnings } else { format!("<ul class=\"warning\">{warnings}</ul>") };
    let claims = changes::claims_changed(old, new);
    let claims: String =
        claims.iter().map(|change| format!("<li>Oracle: {}</li>", escaped(change))).collect();
    let claims = if claims.is_empty() { claims } else { format!("<ul class=\"moved\">{claims}</ul>") };
    let (ties, moved): (Vec<_>, Vec<_>) =
        changes::figures_changed(old, new).into_iter().partition(|change| change.word().is_empty());
    let moved = match moved.is_empty() {
        true => "<p>No figure differs from the baseline's by more than 10 %.</p>".to_owned(),
        false => changes_table("What changed", moved),
    };
    format!(
        "<section class=\"changed\"><h2>What changed</h2>{warnings}{claims}{moved}\
         <details><summary>{} figures within 10 % of the baseline's</summary>{}</details>\
         <p class=\"quiet small\">Baseline: {}</p></section>\n",
        ties.len(),
        changes_table("What did not change", ties),
        escaped(&changes::origin(old)),
    )
}

fn changes_table(name: &str, changes: Vec<Change>) -> String {
    let rows = changes.into_iter().map(|change| {
        let (ratio, word) = (words::maybe_ratio(change.ratio()), change.word().to_owned());
        vec![change.what, change.old_text, change.new_text, ratio, word]
    });
    table(name, &["figure", "baseline", "this run", "ratio", "verdict"], rows)
}

/// One row for each group.
pub fn groups(report: &Report) -> String {
    let percentiles = SHOWN.map(|percent| format!("p{}", words::percent(percent)));
    let mut head =
        vec!["group", "callers", "sent", "ok", "refused", "refused %", "rejected", "failed", "left"];
    head.extend(percentiles.iter().map(String::as_str));
    head.push("max");
    let all = ("everybody", report.groups.iter().map(|group| group.callers).sum::<u32>(), &report.totals);
    let each = report.groups.iter().map(|group| (group.name.as_str(), group.callers, &group.totals));
    let rows = each.chain([all]).map(|(name, callers, totals)| {
        let counts = [totals.sent, totals.ok, totals.refused].map(words::count);
        let refused = words::maybe_share(share(totals.refused, totals.sent));
        let others = [totals.rejected, totals.failed, totals.left].map(words::count);
        let times = SHOWN
            .iter()
            .chain([&100.0])
            .map(|percent| words::maybe_time(percentile(&totals.latency, *percent)));
        let cells = [name.to_owned(), words::count(callers.into())].into_iter().chain(counts);
        cells.chain([refused]).chain(others).chain(times).collect()
    });
    format!(
        "<section><h2>Groups</h2><p class=\"quiet\">Times are latencies of answers that ended well.</p>{}</section>\n",
        table("Groups", &head, rows)
    )
}

/// Answers by status, and why requests failed.
pub fn answers(report: &Report) -> String {
    let totals = &report.totals;
    let statuses = totals.statuses.iter().map(|(status, number)| {
        let status = if *status == 0 { "none".to_owned() } else { status.to_string() };
        vec![status, words::count(*number), words::maybe_share(share(*number, totals.sent))]
    });
    let failures = totals.failures.iter().map(|(why, number)| vec![why.clone(), words::count(*number)]);
    let mut html = String::from("<section><h2>Answers</h2><div class=\"pair\">");
    html += &table("Answers by status", &["status", "answers", "share"], statuses);
    if !totals.failures.is_empty() {
        html += &table("Why requests failed", &["failure", "requests"], failures);
    }
    html + "</div></section>\n"
}

/// What the mock behind the gateway counted, and what became of the policies written meanwhile; as far as it is known.
pub fn around(report: &Report) -> String {
    let upstream = report.upstream.as_ref();
    let upstream = upstream.map(|upstream| counts("What the mock counted", &figures::upstream(upstream)));
    let reloads = report.reloads.as_ref();
    let reloads = reloads.map(|reloads| counts("Policies written meanwhile", &figures::reloads(reloads)));
    let tables: String = [upstream, reloads].into_iter().flatten().collect();
    if tables.is_empty() {
        return tables;
    }
    format!(
        "<section id=\"around\"><h2>Around the gateway</h2><div class=\"pair\">{tables}</div></section>\n"
    )
}

fn counts(name: &str, counts: &[(&str, u64)]) -> String {
    let rows = counts.iter().map(|(what, number)| vec![(*what).to_owned(), words::count(*number)]);
    table(name, &[name, "count"], rows)
}

/// Where the run comes from: all that is needed to repeat it.
pub fn origin(report: &Report) -> String {
    let about = &report.about;
    let machine = &about.machine;
    let lateness = report.lateness.as_ref().map(|late| {
        let times = [50.0, 99.0, 100.0].map(|percent| words::maybe_time(percentile(late, percent)));
        format!("p50 {}, p99 {}, max {}", times[0], times[1], times[2])
    });
    let facts = [
        ("command", about.command.clone()),
        ("target", about.target.clone()),
        ("load", format!("{}, seed {}", about.load, about.seed)),
        ("started", about.started.clone()),
        ("lasted", words::time_us(about.lasted_s * 1e6)),
        ("lateness of sending", lateness.unwrap_or_else(|| words::NONE.to_owned())),
        ("connections", words::count(report.totals.connections)),
        ("received", words::bytes(report.totals.bytes_in)),
        ("program", about.version.clone()),
        ("commit", if about.commit.is_empty() { "unknown".to_owned() } else { about.commit.clone() }),
        ("machine", format!("{}, {}", machine.processor, words::plural(machine.cores.into(), "core"))),
        ("kernel", machine.kernel.clone()),
        ("load average", format!("{:.2} at the start", machine.load_average)),
    ];
    let facts =
        facts.iter().map(|(name, value)| format!("<div><dt>{name}</dt><dd>{}</dd></div>", escaped(value)));
    format!("<section><h2>Where it comes from</h2><dl>{}</dl></section>\n", facts.collect::<String>())
}
