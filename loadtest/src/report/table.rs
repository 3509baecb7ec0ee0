//! A run as text for a terminal.

use std::fmt::Write;

use crate::measure::{Distribution, Report};

use super::figures::{self, SHOWN, Standing, percentile, share};
use super::grid::{Grid, printable};
use super::words;

/// Violations of one claim that are printed; the rest is counted.
const VIOLATIONS_MAX: usize = 5;

/// Prints a run: why it is void, what was run, what came of it, how long it took, and what the oracle says.
pub fn table(report: &Report) -> String {
    let parts = [
        void(report),
        headline(report),
        outcomes(report),
        times(report),
        groups(report),
        answers(report),
        around(report),
        oracle(report),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

fn void(report: &Report) -> String {
    report
        .void
        .iter()
        .map(|reason| format!("VOID, do not use these figures: {}\n", printable(reason)))
        .collect()
}

fn headline(report: &Report) -> String {
    let about = &report.about;
    let machine = &about.machine;
    let mut grid = Grid::new(2);
    grid.row([&about.scenario, &about.about]);
    grid.row(["load", &format!("{}, seed {}", about.load, about.seed)]);
    grid.row(["target", &about.target]);
    grid.row(["run", &format!("{}, lasted {}", about.started, words::time_us(about.lasted_s * 1e6))]);
    let commit = if about.commit.is_empty() { "unknown" } else { &about.commit };
    grid.row(["program", &format!("{}, commit {commit}", about.version)]);
    grid.row([
        "machine",
        &format!(
            "{}, {}, kernel {}, load average {:.2}",
            machine.processor,
            words::plural(machine.cores.into(), "core"),
            machine.kernel,
            machine.load_average
        ),
    ]);
    grid.lines(0)
}

fn outcomes(report: &Report) -> String {
    let totals = &report.totals;
    let mut grid = Grid::new(1);
    grid.row(["outcome", "requests", "share", "rate"]);
    for (name, number) in [("sent", totals.sent)].into_iter().chain(figures::outcomes(totals)) {
        grid.row([
            name.to_owned(),
            words::count(number),
            words::maybe_share(share(number, totals.sent)),
            words::maybe_rate(figures::per_second(number, report)),
        ]);
    }
    let mut text = grid.lines(0);
    let _ = writeln!(
        text,
        "{}, {} received",
        words::plural(totals.connections, "connection"),
        words::bytes(totals.bytes_in)
    );
    text
}

fn times(report: &Report) -> String {
    let totals = &report.totals;
    let from = if report.about.load == "closed" { "from sending" } else { "from due time" };
    let mut grid = Grid::new(2);
    let percentiles = SHOWN.map(|percent| format!("p{}", words::percent(percent)));
    grid.row(
        ["time", "", "count"].map(str::to_owned).into_iter().chain(percentiles).chain(["max".to_owned()]),
    );
    let mut add = |name: &str, what: &str, of: &Distribution| {
        let values = SHOWN.map(|percent| words::maybe_time(percentile(of, percent)));
        let max = words::maybe_time(percentile(of, 100.0));
        grid.row(
            [name.to_owned(), what.to_owned(), words::count(of.count)].into_iter().chain(values).chain([max]),
        );
    };
    add("latency", from, &totals.latency);
    add("service time", "from sending", &totals.service);
    if totals.first_token.count > 0 || totals.stream.count > 0 {
        add("first token", from, &totals.first_token);
        add("token gap", "one to the next", &totals.token_gap);
        add("stream", from, &totals.stream);
    }
    if let Some(lateness) = &report.lateness {
        add("lateness", "due to sending", lateness);
    }
    grid.lines(0)
}

fn groups(report: &Report) -> String {
    let mut grid = Grid::new(1);
    grid.row([
        "group", "callers", "sent", "ok", "refused", "rejected", "failed", "left", "p50", "p99", "max",
    ]);
    for group in &report.groups {
        let totals = &group.totals;
        let counts = [totals.sent, totals.ok, totals.refused, totals.rejected, totals.failed, totals.left];
        let times =
            [50.0, 99.0, 100.0].map(|percent| words::maybe_time(percentile(&totals.latency, percent)));
        let callers = words::count(group.callers.into());
        grid.row([group.name.clone(), callers].into_iter().chain(counts.map(words::count)).chain(times));
    }
    if report.groups.is_empty() { String::new() } else { grid.lines(0) }
}

fn answers(report: &Report) -> String {
    let totals = &report.totals;
    let mut text = String::new();
    if !totals.statuses.is_empty() {
        let statuses = totals.statuses.iter().map(|(status, number)| match status {
            0 => format!("none {}", words::count(*number)),
            status => format!("{status} {}", words::count(*number)),
        });
        let _ = writeln!(text, "answers by status: {}", statuses.collect::<Vec<_>>().join(", "));
    }
    for (why, number) in &totals.failures {
        let _ = writeln!(text, "failed {}: {}", words::count(*number), printable(why));
    }
    text
}

/// What the mock counted, and what became of policies: in a line each.
fn around(report: &Report) -> String {
    let upstream = report.upstream.as_ref().map(|upstream| counts("upstream", figures::upstream(upstream)));
    let reloads =
        report.reloads.as_ref().map(|reloads| counts("policies written", figures::reloads(reloads)));
    [upstream, reloads].into_iter().flatten().collect()
}

fn counts<const N: usize>(of: &str, counts: [(&str, u64); N]) -> String {
    format!("{of}: {}\n", counts.map(|(name, number)| format!("{name} {}", words::count(number))).join(", "))
}

fn oracle(report: &Report) -> String {
    let Some(verdict) = &report.oracle else { return "oracle: not asked\n".to_owned() };
    let mut text = format!("oracle: {}\n", figures::verdict_line(verdict));
    for check in figures::broken_first(verdict) {
        let word = match figures::standing(check) {
            Standing::Held => "held",
            Standing::Broken => "BROKEN",
            Standing::NotShown => "not shown",
        };
        let tightest = check.tightest.map_or_else(String::new, |share| {
            format!(", at most {} of the bound used", words::maybe_share(Some(share)))
        });
        let _ = writeln!(
            text,
            "  {word:9}  {} ({} looked at{tightest})",
            printable(&check.claim),
            words::count(check.evidence)
        );
        for violation in check.violations.iter().take(VIOLATIONS_MAX) {
            let _ = writeln!(text, "             {}", printable(violation));
        }
        if check.violations.len() > VIOLATIONS_MAX {
            let _ = writeln!(text, "             and {} more", check.violations.len() - VIOLATIONS_MAX);
        }
    }
    text
}
