//! Figures that are not in a report but follow from it.

use crate::measure::{Check, Distribution, Reloads, Report, Totals, Upstream, Verdict};

/// The percentiles that are shown as numbers.
pub const SHOWN: [f64; 4] = [50.0, 90.0, 99.0, 99.9];

/// The value that so many percent of the values do not exceed, microseconds.
///
/// `None` if the number of values cannot support it: at least one value must lie above. The 100th is the greatest.
pub fn percentile(of: &Distribution, percent: f64) -> Option<u64> {
    // The slack is for 99.9, which no f64 holds exactly.
    let above = of.count as f64 * (100.0 - percent) / 100.0 + 1e-6;
    if of.count == 0 || (percent < 100.0 && above < 1.0) {
        return None;
    }
    let found = of.percentiles.iter().find(|(up_to, _)| *up_to >= percent);
    Some(found.map_or(of.max_us, |(_, value_us)| *value_us))
}

/// `count` as a part of `of`, 0 to 1; `None` of nothing.
pub fn share(count: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| count as f64 / of as f64)
}

/// Requests per second over the whole run; `None` if it did not last.
pub fn per_second(count: u64, report: &Report) -> Option<f64> {
    let lasted_s = report.about.lasted_s;
    (lasted_s.is_finite() && lasted_s > 0.0).then(|| count as f64 / lasted_s)
}

/// Outcomes of requests by name, in the order in which they are shown.
pub fn outcomes(totals: &Totals) -> [(&'static str, u64); 5] {
    [
        ("ok", totals.ok),
        ("refused (429)", totals.refused),
        ("rejected", totals.rejected),
        ("failed", totals.failed),
        ("left", totals.left),
    ]
}

/// What the mock counted, by name.
pub fn upstream(upstream: &Upstream) -> [(&'static str, u64); 6] {
    [
        ("requests", upstream.requests),
        ("completed", upstream.completed),
        ("caller left", upstream.cancelled),
        ("broken on purpose", upstream.faulted),
        ("connections", upstream.connections),
        ("tenants", upstream.tenants),
    ]
}

/// What became of the policies that were written while the load ran, by name.
pub fn reloads(reloads: &Reloads) -> [(&'static str, u64); 4] {
    [
        ("good", reloads.good),
        ("took effect", reloads.taken),
        ("bad", reloads.bad),
        ("refused", reloads.refused),
    ]
}

/// What has become of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Looked at, and nothing broke it.
    Held,
    /// Something broke it.
    Broken,
    /// Nothing was looked at.
    NotShown,
}

/// Judges one claim.
pub fn standing(check: &Check) -> Standing {
    match (check.violations.is_empty(), check.evidence) {
        (false, _) => Standing::Broken,
        (true, 0) => Standing::NotShown,
        (true, _) => Standing::Held,
    }
}

/// All claims, those that broke before the others.
pub fn broken_first(verdict: &Verdict) -> Vec<&Check> {
    let mut checks: Vec<&Check> = verdict.checks.iter().collect();
    checks.sort_by_key(|check| standing(check) != Standing::Broken);
    checks
}

/// Claims that are so.
pub fn standings(verdict: &Verdict, wanted: Standing) -> usize {
    verdict.checks.iter().filter(|check| standing(check) == wanted).count()
}

/// The verdict in a few words: `5 claims held, 1 broken, 1 without evidence`.
pub fn verdict_line(verdict: &Verdict) -> String {
    let count = |wanted| standings(verdict, wanted);
    let held = count(Standing::Held);
    let mut line = format!("{held} {} held", if held == 1 { "claim" } else { "claims" });
    for (number, words) in
        [(count(Standing::Broken), "broken"), (count(Standing::NotShown), "without evidence")]
    {
        if number > 0 {
            line += &format!(", {number} {words}");
        }
    }
    line
}
