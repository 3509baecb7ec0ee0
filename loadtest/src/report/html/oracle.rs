//! The oracle's panel: each claim, whether it held, and how much of its bound was used.

use crate::measure::{Check, Verdict};
use crate::report::figures::{self, Standing};
use crate::report::words;

use super::text::escaped;

/// Violations of one claim that are shown; the rest is counted.
const VIOLATIONS_MAX: usize = 20;

/// The panel, or a sentence if the oracle was not asked.
pub fn panel(verdict: Option<&Verdict>) -> String {
    let Some(verdict) = verdict else {
        return "<p class=\"quiet\">The oracle was not asked: nothing is known about limits.</p>".to_owned();
    };
    // One scale for all bars, so that they can be compared; the bound is at its end unless something exceeds it.
    let used = verdict.checks.iter().filter_map(|check| check.tightest).filter(|share| share.is_finite());
    let full = used.fold(1.0, f64::max);
    let claims: String = figures::broken_first(verdict).into_iter().map(|check| claim(check, full)).collect();
    format!(
        "<p>{}. A bar shows the greatest share of the bound that was used.</p><ul class=\"claims\">{claims}</ul>",
        escaped(&figures::verdict_line(verdict))
    )
}

/// Class and word of a standing.
pub fn standing_word(standing: Standing) -> (&'static str, &'static str) {
    match standing {
        Standing::Held => ("held", "✓ held"),
        Standing::Broken => ("broken", "✗ broken"),
        Standing::NotShown => ("unshown", "– not shown"),
    }
}

fn claim(check: &Check, full: f64) -> String {
    let (class, word) = standing_word(figures::standing(check));
    let used = check.tightest.filter(|share| share.is_finite());
    let share = used.map(|share| format!("<span class=\"used\">{}</span>", words::maybe_share(Some(share))));
    format!(
        "<li class=\"{class}\"><span class=\"word\">{word}</span><div><p class=\"claim\">{claim}</p>\
         <p class=\"quiet\">{evidence} looked at</p>{violations}</div><div class=\"bound\">{bar}{share}</div></li>",
        claim = escaped(&check.claim),
        evidence = words::count(check.evidence),
        violations = violations(check),
        bar = used.map(|share| bar(share, full)).unwrap_or_default(),
        share = share.unwrap_or_default(),
    )
}

fn bar(used: f64, full: f64) -> String {
    let percent = |share: f64| format!("{:.2}%", 100.0 * (share / full).clamp(0.0, 1.0));
    format!(
        "<svg class=\"bar\" aria-hidden=\"true\"><rect class=\"room\" width=\"100%\" height=\"10\" rx=\"5\"/>\
         <rect class=\"use\" width=\"{}\" height=\"10\" rx=\"5\"/>\
         <line class=\"limit\" x1=\"{bound}\" x2=\"{bound}\" y1=\"-4\" y2=\"14\"/></svg>",
        percent(used),
        bound = percent(1.0)
    )
}

fn violations(check: &Check) -> String {
    let shown =
        check.violations.iter().take(VIOLATIONS_MAX).map(|text| format!("<li>{}</li>", escaped(text)));
    let shown: String = shown.collect();
    let more = check.violations.len().saturating_sub(VIOLATIONS_MAX);
    let more =
        if more > 0 { format!("<li>and {} more</li>", words::count(more as u64)) } else { String::new() };
    if shown.is_empty() { shown } else { format!("<ul class=\"violations\">{shown}{more}</ul>") }
}
