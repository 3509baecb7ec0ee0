//! Table: an outcome as people read it, in Markdown.

use std::fmt::Write as _;

use super::bars::{self, Bar, name_of_added};
use super::case::{Case, Metric};
use super::load::CONNECTIONS;
use super::outcome::Outcome;
use super::peer::Peer;
use super::ratio::Spread;

/// Everything: processor time, added times, bars, and what is needed to judge them.
pub fn whole(outcome: &Outcome) -> String {
    let parts = [cpu(outcome), times(outcome), bars_table(outcome), about(outcome)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n\n")
}

/// The ratios alone, for those who want to know whether it is fast.
pub fn headline(outcome: &Outcome) -> String {
    let others = outcome.others();
    let mut text =
        "Processor time per request, gateway / peer (below 1: the gateway needs less), one core each. The relay passes bytes\n\
         on and does nothing else: what any proxy costs at least.\n\n"
            .to_owned();
    header(&mut text, "load", others.iter().map(|other| other.name()));
    for case in counted(outcome).filter(|case| !case.is_of_the_gateway()) {
        let ratio = |other: &Peer| outcome.ratio(case, *other, Metric::Cpu);
        let cells = others
            .iter()
            .map(|other| ratio(other).map_or("-".into(), |ratio| format!("{:.2}", ratio.median)));
        row(&mut text, case.title(), cells);
    }
    let bars = bars::judge(outcome);
    let met = bars.iter().filter(|bar| bar.is_met()).count();
    let _ = write!(
        text,
        "\n{met} of {} bars are met; the [whole tables](ARCHITECTURE.md#how-fast) have spread, machine and versions.",
        bars.len()
    );
    text
}

fn cpu(outcome: &Outcome) -> String {
    let cases: Vec<Case> = counted(outcome).collect();
    if cases.is_empty() {
        return String::new();
    }
    let others = outcome.others();
    let relay =
        if others.contains(&Peer::Relay) { " The relay passes bytes on and does nothing else." } else { "" };
    let mut text = format!(
        "Processor time of the proxy (user and system) per unit, us; {CONNECTIONS} connections unless said otherwise, answers of\n\
         1 KB, one worker and one core each. In brackets the ratio gateway / peer, taken within each of {} rounds of {} s:\n\
         median (lowest to highest).{relay}\n\n",
        outcome.rounds, outcome.seconds,
    );
    header(&mut text, "load", ["gateway"].into_iter().chain(others.iter().map(|other| other.name())));
    for case in cases {
        let figure = |peer| {
            outcome.figure(case, peer, Metric::Cpu).map_or("-".into(), |us| format!("{:.1}", us.median))
        };
        let ratio = |other| {
            outcome
                .ratio(case, other, Metric::Cpu)
                .map_or(String::new(), |ratio| format!(" [{}]", two_digits(ratio)))
        };
        let cells = others.iter().map(|other| figure(*other) + &ratio(*other));
        row(&mut text, case.title(), [figure(Peer::Gateway)].into_iter().chain(cells));
    }
    text.trim_end().to_owned()
}

fn times(outcome: &Outcome) -> String {
    let cases: Vec<Case> =
        Case::ALL.into_iter().filter(|case| case.is_timed() && outcome.has(*case)).collect();
    if cases.is_empty() {
        return String::new();
    }
    let others = outcome.others();
    let mut text = "Time that a proxy adds to the origin's own, us; taken within each round: median (lowest to highest).\n\n".to_owned();
    let proxies: Vec<Peer> = [Peer::Gateway].into_iter().chain(others).collect();
    header(&mut text, "time", ["direct"].into_iter().chain(proxies.iter().map(|peer| peer.name())));
    for case in cases {
        for metric in [Metric::P50, Metric::P99] {
            let direct = outcome
                .figure(case, Peer::Direct, metric)
                .map_or("-".into(), |us| format!("{:.0}", us.median));
            let added = |peer: &Peer| outcome.added(case, *peer, metric).map_or("-".into(), whole_us);
            let title = format!("{}: {}", case.title(), name_of_added(case, metric));
            row(&mut text, &title, [direct].into_iter().chain(proxies.iter().map(added)));
        }
    }
    text.trim_end().to_owned()
}

fn bars_table(outcome: &Outcome) -> String {
    let bars = bars::judge(outcome);
    if bars.is_empty() {
        return String::new();
    }
    let mut text = String::new();
    header(&mut text, "bar", ["at most", "measured", "met"]);
    for bar in bars {
        row(&mut text, &bar.what, cells(&bar));
    }
    text.trim_end().to_owned()
}

fn cells(bar: &Bar) -> [String; 3] {
    let (Spread { median, low, high }, places) = (bar.measured, bar.places);
    let at_most = format!("{:.places$}", bar.at_most);
    let measured = match places {
        2 => two_digits(bar.measured),
        _ => format!("{median:.places$} ({low:.places$} to {high:.places$})"),
    };
    [at_most, measured, if bar.is_met() { "yes".into() } else { "**no**".into() }]
}

fn about(outcome: &Outcome) -> String {
    let machine = &outcome.machine;
    let versions: Vec<String> =
        outcome.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    format!(
        "- {}, {} cores, Linux {}, load average {:.1}\n- commit {}; {}\n- {}, `{}`",
        machine.processor,
        machine.cores,
        machine.kernel,
        machine.load_average,
        short(&outcome.commit),
        versions.join(", "),
        outcome.date,
        outcome.command,
    )
}

/// A commit as people name it.
pub(crate) fn short(commit: &str) -> String {
    match commit.split_once('-') {
        _ if commit.is_empty() => "unknown".to_owned(),
        Some((commit, changed)) => format!("{commit:.10}-{changed}"),
        None => format!("{commit:.10}"),
    }
}

fn counted(outcome: &Outcome) -> impl Iterator<Item = Case> {
    Case::ALL.into_iter().filter(|case| case.is_counted() && outcome.has(*case))
}

fn two_digits(ratio: Spread) -> String {
    format!("**{:.2}** ({:.2} to {:.2})", ratio.median, ratio.low, ratio.high)
}

fn whole_us(us: Spread) -> String {
    format!("{:.0} ({:.0} to {:.0})", us.median, us.low, us.high)
}

fn header<'a>(text: &mut String, first: &str, names: impl IntoIterator<Item = &'a str>) {
    let names: Vec<&str> = names.into_iter().collect();
    row(text, first, names.iter().map(|name| (*name).to_owned()));
    row(text, "---", names.iter().map(|_| "---".to_owned()));
}

fn row(text: &mut String, first: &str, cells: impl IntoIterator<Item = String>) {
    let _ = write!(text, "| {first} |");
    for cell in cells {
        let _ = write!(text, " {cell} |");
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::outcome::tests::example;

    #[test]
    fn the_tables_say_what_was_measured() {
        let text = whole(&example());
        for line in [
            "| load | gateway | nginx | haproxy | envoy | pingora | relay |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            "| GET, one key | 10.0 | 10.0 [**1.00** (0.90 to 1.10)] | 20.0 [**0.50** (0.45 to 0.55)] | 30.0 [**0.33** (0.30 to 0.37)] | 40.0 [**0.25** (0.23 to 0.28)] | 50.0 [**0.20** (0.18 to 0.22)] |",
            "| time | direct | gateway | nginx | haproxy | envoy | pingora | relay |",
            "| GET, one connection: added latency, p99 | 10 | 10 (8 to 12) | 10 (10 to 10) | 30 (30 to 30) | 50 (50 to 50) | 70 (70 to 70) | 90 (90 to 90) |",
            "| GET, one key: processor time, gateway / nginx | 0.95 | **1.00** (0.90 to 1.10) | **no** |",
            "| POST 2 KB, made anew each time | 10.0 | - | - | - | - | - |",
            "| POST 2 KB, made anew and signed with AK/SK | 10.0 | - | - | - | - | - |",
            "| POST 2 KB, made anew and signed with AK/SK: processor time above an AppCode's, us | 6.0 | 0.0 (0.0 to 0.0) | yes |",
            "| GET, one connection: added latency, p50, us | 45 | 5 (4 to 6) | yes |",
            "- A processor, 2 cores, Linux 6.1, load average 0.1",
            "- commit abc1234; nginx 1.22.1, wrk 4.1.0",
            "- 2026-01-02, `pangu-loadtest compare`",
        ] {
            assert!(text.lines().any(|is| is == line), "{line}\nis not in\n{text}");
        }
        assert!(
            !text.lines().any(|line| line.starts_with("| GET, 2,000 per second | ")),
            "no ratio of waking up"
        );
    }

    #[test]
    fn the_headline_has_ratios_and_counts_bars() {
        let text = headline(&example());
        assert!(text.contains("| GET, one key | 1.00 | 0.50 | 0.33 | 0.25 | 0.20 |\n"), "{text}");
        assert!(text.contains(" of 25 bars are met"), "{text}");
        assert!(!text.contains("signed"), "nobody to compare with: {text}");
    }

    #[test]
    fn commits_are_short() {
        let commit = "0123456789abcdef";
        assert_eq!(short(commit), "0123456789");
        assert_eq!(short(&format!("{commit}-dirty")), "0123456789-dirty");
        assert_eq!(short(""), "unknown");
    }

    #[test]
    fn a_part_of_the_cases_makes_a_part_of_the_tables() {
        let mut outcome = example();
        outcome.runs.retain(|entry| entry.case == Case::Latency1);
        let text = whole(&outcome);
        assert!(text.starts_with("Time that a proxy adds"), "{text}");
        outcome.runs.retain(|entry| entry.peer == Peer::Gateway);
        assert!(whole(&outcome).contains("| GET, one connection: added latency, p50 | - | - |"));
    }
}
