//! Golden files of every text form, and runs at the edge: nothing sent, one second, hostile names.
//!
//! `UPDATE_GOLDEN=1` writes the files anew; read the difference before committing it.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use super::*;
use crate::measure::{Distribution, Report};

/// The baseline of the golden files: another commit, a faster target, a claim that did not hold.
fn before() -> Report {
    let mut report = fixture::run(7, 1.6);
    report.about.started = "2026-03-01T18:00:00Z".to_owned();
    report.about.commit = "b81e0c44d2f1".to_owned();
    let violation = "1.2 s to 3.2 s: 312 admitted, at most 300";
    claims(&mut report)[2] = fixture::check(NOISY, 7_485, Some(1.04), &[violation]);
    report
}

const NOISY: &str = "tenant noisy: limit rpm admits at most 100 + 100/s * t";

fn claims(report: &mut Report) -> &mut Vec<crate::measure::Check> {
    &mut report.oracle.as_mut().expect("the fixture has a verdict").checks
}

/// Runs at the edge of what there can be.
fn odd_runs() -> Vec<(&'static str, Report)> {
    let run = || fixture::run(7, 1.0);
    let one_second = Report { seconds: run().seconds[..1].to_vec(), ..run() };
    let mut silent = run();
    silent.seconds.iter_mut().for_each(|second| second.p99_us = 0);
    let mut one_answer = run();
    one_answer.totals.latency = Distribution {
        count: 1,
        min_us: 0,
        mean_us: 0.0,
        max_us: 0,
        percentiles: vec![(100.0, 0)],
        hdr: String::new(),
    };
    let mut no_number = run();
    no_number.about.lasted_s = f64::NAN;
    claims(&mut no_number)[0].tightest = Some(f64::INFINITY);
    let mut groups_missing = run();
    groups_missing.seconds.iter_mut().for_each(|second| second.refused.clear());
    let no_points = {
        let mut report = run();
        report.totals.latency.percentiles.clear();
        report
    };
    vec![
        ("nothing sent", fixture::nothing()),
        ("one second", one_second),
        ("seconds without answers", silent),
        ("one answer in no time", one_answer),
        ("figures that are no numbers", no_number),
        ("seconds without groups", groups_missing),
        ("a distribution without points", no_points),
        ("a long run", Report { seconds: vec![run().seconds; 300].concat(), ..run() }),
    ]
}

fn golden(name: &str, now: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/report").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == now, "{} is not current; UPDATE_GOLDEN=1 writes it. Now:\n{now}", path.display());
}

#[test]
fn every_text_form_is_as_kept() {
    let (old, new) = (before(), fixture::run(7, 1.0));
    golden("before.json", &json(&old));
    golden("run.json", &json(&new));
    golden("run.txt", &table(&new));
    golden("changes.txt", &changes(&old, &new));
}

#[test]
fn a_report_reads_back_as_it_was_written() {
    let report = before();
    assert_eq!(read(&json(&report)).unwrap(), report);
}

#[test]
fn what_is_not_a_report_is_said_to_be_none() {
    for (text, what) in [
        ("", "not JSON"),
        ("{\"format\": 1,", "not JSON"),
        ("[1]", "not a report: it has no number `format`"),
        ("{\"format\": \"1\"}", "not a report: it has no number `format`"),
        ("{\"format\": 1}", "not a report: missing field"),
        ("{\"format\": 2}", "a report of format 2, and this program reads format 1"),
    ] {
        let problem = read(text).unwrap_err().to_string();
        assert!(problem.contains(what), "{text}: {problem}");
    }
}

#[test]
fn a_field_that_a_later_program_adds_is_no_obstacle() {
    let text = json(&fixture::nothing()).replacen('{', "{\"weather\":\"fine\",", 1);
    assert_eq!(read(&text).unwrap(), fixture::nothing());
}

#[test]
fn reasons_not_to_use_a_run_come_first() {
    let report = Report { void: vec!["the generator was 31 ms late".to_owned()], ..before() };
    assert!(table(&report).starts_with("VOID, do not use these figures: the generator was 31 ms late\n"));
    let page = html(&report, None);
    let (void, cards) = (page.find("31 ms late").unwrap(), page.find("class=\"cards\"").unwrap());
    assert!(void < cards && page.contains("✗ VOID"));
    assert!(!html(&before(), None).contains("VOID"));
}

#[test]
fn odd_runs_are_shown_without_a_figure_that_is_none() {
    let baseline = before();
    for (what, report) in odd_runs() {
        let page = html(&report, Some(&baseline));
        let texts = [page, html(&baseline, Some(&report)), table(&report), changes(&report, &baseline)];
        for text in texts {
            // `Infinity` and `NaN` stand in the script and nowhere else.
            let text = text.split("<script>").next().unwrap_or_default();
            assert!(
                !text.contains("NaN") && !text.contains("inf ") && !text.contains("\"inf"),
                "{what}:\n{text}"
            );
        }
    }
}

#[test]
fn a_run_that_sent_nothing_says_so() {
    let page = html(&fixture::nothing(), None);
    for sentence in ["Nothing was sent.", "no latency to draw", "The oracle was not asked"] {
        assert!(page.contains(sentence), "{sentence}");
    }
    assert!(!page.contains("<figure"));
    assert!(table(&fixture::nothing()).contains("oracle: not asked"));
}

#[test]
fn what_the_mock_and_the_policies_did_is_shown_where_it_is_known() {
    let whole = fixture::run(7, 1.0);
    let (upstream, policies) = (
        "upstream: requests 12,030, completed 12,004, caller left 0, broken on purpose 26, connections 6, tenants 25\n",
        "policies written: good 136, took effect 134, bad 15, refused 15\n",
    );
    let text = table(&whole);
    assert!(text.contains(&format!("\n{upstream}{policies}")), "{text}");
    let rows =
        [("requests", "12,030"), ("broken on purpose", "26"), ("took effect", "134"), ("refused", "15")];
    let page = html(&whole, None);
    for (name, number) in rows {
        assert!(page.contains(&format!("<th scope=\"row\">{name}</th><td>{number}</td>")), "{name}");
    }

    let without_reloads = Report { reloads: None, ..whole.clone() };
    assert!(
        table(&without_reloads).contains(upstream) && !table(&without_reloads).contains("policies written:")
    );
    let page = html(&without_reloads, None);
    assert!(page.contains("What the mock counted") && !page.contains("Policies written"));
    let of_others = Report { upstream: None, ..without_reloads };
    assert!(
        !table(&of_others).contains("upstream:") && !html(&of_others, None).contains("Around the gateway")
    );
}

#[test]
fn one_second_is_a_line_across_the_plot() {
    let (_, report) = odd_runs().swap_remove(1);
    let page = html(&report, None);
    let p99 = page.split("id=\"p99\"").nth(1).expect("the plot");
    let path = p99.split(" d=\"").nth(2).and_then(|path| path.split('"').next()).expect("legend, then line");
    assert!(path.starts_with("M0 ") && path.contains("L1000 "), "{path}");
}

#[test]
fn long_runs_are_drawn_with_few_points_and_no_second_left_out() {
    let (_, report) = odd_runs().pop().expect("the last one");
    let page = html(&report, None);
    let plot = page.split("id=\"outcomes\"").nth(1).and_then(|plot| plot.split("</figure>").next()).unwrap();
    let heads: Vec<&str> =
        plot.split("<th scope=\"row\">").skip(1).filter_map(|row| row.split('<').next()).collect();
    assert_eq!(report.seconds.len(), 4_500);
    assert!(heads.len() > 200 && heads.len() <= 240, "{} rows", heads.len());
    assert_eq!((heads[0], *heads.last().unwrap()), ("1–19", "4485–4500"));
}

#[test]
fn no_text_of_a_report_becomes_markup_or_moves_the_cursor() {
    const HOSTILE: &str =
        "\u{1b}[2J</title></style><script>alert(1)</script>\"'&<img src=x onerror=alert(2)>";
    let mut value: Value =
        serde_json::from_str(&json(&Report { void: vec!["late".to_owned()], ..before() })).unwrap();
    let replaced = replace_strings(&mut value, HOSTILE);
    assert!(replaced > 30, "only {replaced} texts");
    let report = Report::deserialize(value).unwrap();
    let page = html(&report, Some(&before()));
    assert_eq!(page.matches("<script").count(), 1, "its own");
    assert_eq!(page.matches("<style").count(), 1, "its own");
    assert!(!page.contains("<img") && !page.contains('\u{1b}'));
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;"), "shown as it is");
    let inside = page.split('<').filter_map(|tag| tag.split('>').next());
    assert!(
        inside.clone().count() > 500 && !inside.clone().any(|tag| tag.contains("onerror")),
        "in an attribute"
    );
    for text in [table(&report), changes(&before(), &report)] {
        assert!(text.contains("alert(1)") && !text.contains('\u{1b}'), "{text}");
    }
}

fn replace_strings(value: &mut Value, by: &str) -> usize {
    match value {
        Value::String(text) => {
            *text = by.to_owned();
            1
        }
        Value::Array(items) => items.iter_mut().map(|item| replace_strings(item, by)).sum(),
        Value::Object(fields) => fields.values_mut().map(|field| replace_strings(field, by)).sum(),
        _ => 0,
    }
}

#[test]
fn the_page_allows_its_own_style_and_script_and_nothing_else() {
    let page = html(&before(), None);
    let policy =
        page.split("Content-Security-Policy\" content=\"").nth(1).and_then(|rest| rest.split('"').next());
    let policy = policy.expect("a policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    for outside in ["src=", "href=", "url(", "@import", "//fonts", " style="] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn a_percentile_needs_a_value_above_it() {
    let of = |count| Distribution {
        count,
        max_us: 90,
        percentiles: vec![(0.0, 10), (50.0, 20), (99.0, 60), (99.9, 80), (100.0, 90)],
        ..Distribution::default()
    };
    let at = |count, percent| figures::percentile(&of(count), percent);
    assert_eq!([at(1_000, 99.9), at(999, 99.9)], [Some(80), None]);
    assert_eq!([at(100, 99.0), at(99, 99.0)], [Some(60), None]);
    assert_eq!([at(1, 100.0), at(0, 100.0), at(0, 50.0)], [Some(90), None, None]);
    assert_eq!(at(1_000, 90.0), Some(60), "between two points the upper one: never less than was seen");
}

#[test]
fn runs_that_differ_in_more_than_the_program_are_not_comparable() {
    let old = before();
    type Change = fn(&mut Report);
    let differing: [(&str, Change); 6] = [
        ("the scenario differs: noisy_neighbour in the baseline, steady in this run", |r| {
            r.about.scenario = "steady".into()
        }),
        ("the kind of load differs: open", |r| r.about.load = "closed".into()),
        ("the seed differs: 7 in the baseline, 8", |r| r.about.seed = 8),
        ("the machine differs: Kunpeng-920, 4 cores", |r| r.about.machine.cores = 1),
        ("the machine differs", |r| r.about.machine.processor = "EPYC".into()),
        ("the run is void: late", |r| r.void = vec!["late".into()]),
    ];
    for (why, change) in differing {
        let mut new = fixture::run(7, 1.0);
        assert!(!changes(&old, &new).contains("not comparable"), "the program may differ");
        change(&mut new);
        let text = changes(&old, &new);
        assert!(text.contains(&format!("not comparable: {why}")), "{why}:\n{text}");
        assert!(html(&new, Some(&old)).contains(why), "{why}");
    }
}

#[test]
fn changes_are_named_by_what_they_mean() {
    let (fast, slow) = (fixture::run(7, 1.6), fixture::run(7, 1.0));
    let word = |old: &Report, new: &Report, what: &str| {
        let text = changes(old, new);
        let line = text.lines().find(|line| line.starts_with(what)).map(str::to_owned);
        line.unwrap_or_else(|| panic!("no {what} in\n{text}"))
    };
    assert!(word(&fast, &slow, "latency p50").ends_with("slower"));
    assert!(word(&slow, &fast, "latency p50").ends_with("faster"));
    assert!(word(&slow, &slow, "latency p50").ends_with("1.00"), "a tie has no word");
    let mut refusing = slow.clone();
    refusing.totals.rejected = 100;
    assert!(word(&slow, &refusing, "rejected").ends_with("more"), "there were none before");
    assert!(word(&refusing, &slow, "rejected").ends_with("less"));
    assert!(!changes(&fixture::nothing(), &fixture::nothing()).contains("latency"), "neither has one");
}

#[test]
fn claims_that_stand_otherwise_are_listed() {
    let (old, mut new) = (before(), fixture::run(7, 1.0));
    claims(&mut new)[0].violations = vec!["at 3 s".to_owned()];
    claims(&mut new).pop();
    claims(&mut new).push(fixture::check("a new claim", 1, None, &[]));
    let (listed, page) = (table(&new), html(&new, None));
    for text in [listed.as_str(), page.split("claims\"").nth(1).expect("the panel")] {
        let first = text.find("tenant silver").expect("a claim that held");
        assert!(text.find("at 3 s").is_some_and(|broken| broken < first), "what broke comes first:\n{text}");
    }
    let text = changes(&old, &new);
    for line in [
        "oracle: was held, is BROKEN: tenant gold: limit rpm",
        "oracle: was BROKEN, is held: tenant noisy: limit rpm",
        "oracle: was not checked, is held: a new claim",
        "oracle: no longer checked: tokens of tenant gold",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    assert!(!text.contains("silver"), "it stands as before:\n{text}");
    new.oracle = None;
    assert!(changes(&old, &new).contains("oracle: asked in the baseline, not asked in this run"));
    assert!(changes(&new, &old).contains("oracle: not asked in the baseline; now 4 claims held, 1 broken"));
}

#[test]
fn many_groups_share_a_few_colours_and_the_rest_is_together() {
    let mut report = fixture::run(7, 1.0);
    let group = report.groups[1].clone();
    for i in 0..9 {
        let mut more = group.clone();
        more.name = format!("more-{i}");
        more.totals.sent = i;
        report.groups.push(more);
    }
    for second in &mut report.seconds {
        for counts in [&mut second.sent, &mut second.ok, &mut second.refused, &mut second.failed] {
            counts.resize(12, 5);
        }
    }
    let page = html(&report, None);
    let plot = page.split("id=\"answers\"").nth(1).and_then(|plot| plot.split("</figure>").next()).unwrap();
    let legend = plot.split("</ul>").next().unwrap();
    assert_eq!(legend.matches("<li>").count(), 9, "eight and the others");
    assert!(legend.contains("4 others") && legend.contains("more-8") && !legend.contains("more-0"));
    assert!(plot.contains("<td data-y=\"249.6\">20</td></tr>"), "four groups with 5/s each:\n{plot}");
}

#[test]
fn numbers_have_three_digits_and_a_unit() {
    let times = [0.0, 7.0, 999.0, 999.9, 1_234.0, 45_600.0, 999_400.0, 999_600.0, 61e6].map(words::time_us);
    assert_eq!(
        times,
        ["0 µs", "7 µs", "999 µs", "1.00 ms", "1.23 ms", "45.6 ms", "999 ms", "1.00 s", "61.0 s"]
    );
    assert_eq!([0.0, 500.0, 2_000.0, 1e7].map(words::time_mark), ["0", "500 µs", "2 ms", "10 s"]);
    assert_eq!([0, 999, 1_000, 1_234_567].map(words::count), ["0", "999", "1,000", "1,234,567"]);
    assert_eq!(
        [0.0, 1.234, 56.78, 99.96, 12_345.6].map(words::number),
        ["0", "1.23", "56.8", "100", "12,346"]
    );
    let shares = [0.0, 0.000_01, 0.001_4, 0.5, 0.999_7, 0.999_999, 1.0];
    let shares = shares.map(|share| words::maybe_share(Some(share)));
    assert_eq!(shares, ["0 %", "<0.01 %", "0.14 %", "50 %", "99.97 %", "99.99 %", "100 %"]);
    assert_eq!([0, 999, 1_000, 12_300_000].map(words::bytes), ["0 B", "999 B", "1 kB", "12.3 MB"]);
    assert_eq!([50.0, 99.9, 99.999].map(words::percent), ["50", "99.9", "99.999"]);
}
