//! Table: an outcome as people read it, in Markdown.

use super::generator::Generator;
use super::judge::{self, MARGIN};
use super::outcome::{Entry, Figure, Outcome};
use super::{CONNECTIONS, LATENCY_MS};
use crate::compare::ratio::Spread;
use crate::compare::table::short;
use crate::report::words;

/// What was measured, ratios, whether they agree, and what is needed to judge that.
pub fn table(outcome: &Outcome) -> String {
    let columns = Generator::ALL.map(Generator::name).join(" | ");
    let ratios = Generator::OTHERS.map(|other| format!("ours / {}", other.name())).join(" | ");
    let mut text = format!(
        "{CONNECTIONS} connections to the mock, which answers after {LATENCY_MS} ms; it and the generator have a core \
         each. {} rounds of {} s\neach, figures as median; ratios are taken within a round: median (lowest to \
         highest).\n\n| | {columns} | {ratios} |\n|{}\n",
        outcome.rounds,
        outcome.seconds,
        " --- |".repeat(1 + Generator::ALL.len() + Generator::OTHERS.len())
    );
    for figure in Figure::ALL {
        let own = |generator| outcome.figure(generator, figure).map(|spread| shown(figure, spread.median));
        let against = |other| outcome.ratio(other, figure).map(two_digits);
        let cells = Generator::ALL.map(own).into_iter().chain(Generator::OTHERS.map(against));
        let cells: Vec<String> = cells.map(|cell| cell.unwrap_or_else(|| words::NONE.to_owned())).collect();
        text += &format!("| {} | {} |\n", figure.name(), cells.join(" | "));
    }
    text + "\n" + &verdict(outcome) + "\n\n" + &about(outcome)
}

/// A turn in a line.
pub fn line(entry: &Entry) -> String {
    let figures =
        Figure::ALL.map(|figure| format!("{} {}", figure.name(), shown(figure, figure.of(&entry.seen))));
    format!(
        "{}: {} completed, {} arrived, {}",
        entry.generator.name(),
        entry.seen.requests,
        entry.arrived,
        figures.join(", ")
    )
}

fn shown(figure: Figure, value: f64) -> String {
    match figure {
        Figure::Rate => words::maybe_rate(Some(value)),
        Figure::P50 | Figure::P99 => words::time_us(value),
    }
}

fn two_digits(ratio: Spread) -> String {
    format!("**{:.2}** ({:.2} to {:.2})", ratio.median, ratio.low, ratio.high)
}

fn verdict(outcome: &Outcome) -> String {
    if !judge::disagreements(outcome).is_empty() {
        return "**They do not agree.**".to_owned();
    }
    let judged = judge::JUDGED.map(Figure::name).join(" and ");
    let completed: u64 = outcome.runs.iter().map(|entry| entry.seen.requests).sum();
    format!(
        "They agree: {judged} are within {:.0} %, and the {} requests that they say were completed are those that the \
         mock counted, but\nfor at most {CONNECTIONS} a turn that were open when wrk or h2load stopped; ours waits for \
         the last ones.",
        MARGIN * 100.0,
        words::count(completed)
    )
}

fn about(outcome: &Outcome) -> String {
    let machine = &outcome.machine;
    let versions = outcome.versions.iter().map(|(name, version)| format!("{name} {version}"));
    let commit = short(&outcome.commit);
    format!(
        "- {}, {}, Linux {}, load average {:.1}\n- commit {commit}; {}\n- {}, `{}`",
        machine.processor,
        words::plural(machine.cores.into(), "core"),
        machine.kernel,
        machine.load_average,
        versions.collect::<Vec<_>>().join(", "),
        outcome.date,
        outcome.command,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agree::outcome::tests::{example, ours};

    #[test]
    fn the_table_has_figures_ratios_and_where_they_are_from() {
        let text = table(&example());
        for line in [
            "| | pangu-loadtest | wrk | h2load | ours / wrk | ours / h2load |",
            "| --- | --- | --- | --- | --- | --- |",
            "| rate | 2,727/s | 2,727/s | 2,727/s | **1.00** (1.00 to 1.00) | **1.00** (1.00 to 1.00) |",
            "| median latency | 23.1 ms | 23.1 ms | 23.1 ms | **1.00** (1.00 to 1.00) | **1.00** (1.00 to 1.00) |",
            "- A processor, 2 cores, Linux 6.1, load average 0.1",
            "- commit abc1234; wrk 4.1.0, h2load 1.52.0",
            "- 2026-01-02, `pangu-loadtest agree --rounds 3 --seconds 4`",
        ] {
            assert!(text.lines().any(|is| is == line), "{line}\nis not in\n{text}");
        }
        assert!(text.contains("26.4 ms | 33.0 ms | 33.0 ms | **0.80** (0.80 to 0.80)"), "{text}");
        assert!(
            text.contains("They agree: rate and median latency are within 10 %, and the 108,000 requests")
        );
    }

    #[test]
    fn disagreement_is_said() {
        let text = table(&ours(|entry| entry.seen.rate_per_s *= 0.7));
        assert!(text.contains("\n**They do not agree.**\n"), "{text}");
        assert!(!text.contains("They agree"), "{text}");
    }

    #[test]
    fn a_turn_is_a_line() {
        let said = line(&example().runs[1]);
        let expected = "wrk: 12000 completed, 12064 arrived, rate 3,000/s, median latency 21.0 ms, 99th percentile of \
                        the latency 30.0 ms";
        assert_eq!(said, expected);
    }
}
