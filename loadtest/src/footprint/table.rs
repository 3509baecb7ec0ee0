//! Table: an outcome as people read it, in Markdown.

use std::fmt::Write as _;

use super::bars::{self, grouped};
use super::outcome::Outcome;

/// Bars, what else was seen, and what is needed to judge them.
pub fn whole(outcome: &Outcome) -> String {
    // Writing to a String cannot fail.
    let mut text = "| bar | at most | measured | met |\n| --- | --- | --- | --- |\n".to_owned();
    for bar in bars::judge(outcome) {
        let met = if bar.is_met() { "yes" } else { "**no**" };
        let places = usize::from(bar.at_most > 0.0);
        let _ = writeln!(text, "| {} | {:.0} | {:.places$} | {met} |", bar.what, bar.at_most, bar.measured);
    }
    text.push('\n');
    if let Some(tenants) = outcome.tenants {
        let _ = writeln!(
            text,
            "- {} tenants: ready {:.0} ms after the start; a change of the policy takes effect after {:.0} ms",
            grouped(tenants.tenants.into()),
            tenants.ready_ms,
            tenants.effect_ms,
        );
    }
    if let Some(reloads) = &outcome.reloads {
        let _ = writeln!(
            text,
            "- {} of {} reloads made under {} requests, {} streams among them{}",
            grouped(reloads.made.into()),
            grouped(reloads.wanted.into()),
            grouped(reloads.requests),
            grouped(reloads.streams),
            reloads.failures.iter().map(|why| format!("; {why}")).collect::<String>(),
        );
    }
    let machine = &outcome.machine;
    let _ = write!(
        text,
        "- {}, {} cores, Linux {}, load average {:.1}; one worker\n- commit {}; {}, `{}`",
        machine.processor,
        machine.cores,
        machine.kernel,
        machine.load_average,
        crate::compare::short(&outcome.commit),
        outcome.date,
        outcome.command,
    );
    text
}

#[cfg(test)]
mod tests {
    use super::super::outcome::tests::example;
    use super::*;

    #[test]
    fn the_table_says_what_was_measured() {
        let text = whole(&example());
        for line in [
            "| memory, idle, MiB | 20 | 12.0 | yes |",
            "| memory with 100,000 tenants, after a reload, MiB | 80 | 110.0 | **no** |",
            "| memory of each of 1,024 idle connections, KiB | 30 | 20.0 | yes |",
            "| requests failed by 1,000 reloads | 0 | 0 | yes |",
            "- 100,000 tenants: ready 900 ms after the start; a change of the policy takes effect after 700 ms",
            "- 1,000 of 1,000 reloads made under 20,000 requests, 1,300 streams among them",
            "- A processor, 2 cores, Linux 6.1, load average 0.1; one worker",
            "- commit 0123456789; 2026-01-02, `pangu-loadtest footprint`",
        ] {
            assert!(text.lines().any(|is| is == line), "{line}\nis not in\n{text}");
        }
    }

    #[test]
    fn failures_say_why() {
        let mut outcome = example();
        outcome.reloads.as_mut().unwrap().failures = vec!["2 times status 404".into()];
        assert!(whole(&outcome).contains("streams among them; 2 times status 404\n"));
    }
}
