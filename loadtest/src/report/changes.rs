//! What changed between two runs, and whether they may be compared at all.

use crate::measure::{Distribution, Report};

use super::figures::{self, SHOWN, Standing, per_second, percentile, share};
use super::grid::{Grid, printable};
use super::words;

/// Ratios closer to 1 than this are ties: runs of one program on one machine differ by as much.
const TIE: f64 = 0.10;

/// Prints what changed from `old` to `new`: rate, outcomes, times, the oracle's claims.
///
/// Ratios are new to old. Whatever makes the two runs incomparable is said before any figure.
pub fn changes(old: &Report, new: &Report) -> String {
    let mut grid = Grid::new(1);
    grid.row(["", "baseline", "this run", "ratio", ""]);
    for change in figures_changed(old, new) {
        let ratio = words::maybe_ratio(change.ratio());
        grid.row([change.what.as_str(), &change.old_text, &change.new_text, &ratio, change.word()]);
    }
    let origins = format!("baseline  {}\nthis run  {}\n", printable(&origin(old)), printable(&origin(new)));
    let warnings: String =
        incomparable(old, new).iter().map(|why| format!("not comparable: {}\n", printable(why))).collect();
    let claims: String =
        claims_changed(old, new).iter().map(|change| format!("oracle: {}\n", printable(change))).collect();
    let parts = [origins, warnings, grid.lines(0), claims];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

/// A figure of both runs.
#[derive(Debug)]
pub struct Change {
    /// Its name.
    pub what: String,
    /// In the baseline, as shown.
    pub old_text: String,
    /// In this run, as shown.
    pub new_text: String,
    old: Option<f64>,
    new: Option<f64>,
    judge: Judge,
}

/// What a growing figure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judge {
    /// More time.
    Slower,
    /// More of something that is neither good nor bad by itself.
    More,
}

impl Change {
    /// New to old; `None` if one is missing or the old one is nothing.
    pub fn ratio(&self) -> Option<f64> {
        self.old.zip(self.new).filter(|(old, _)| *old > 0.0).map(|(old, new)| new / old)
    }

    /// `slower`, `faster`, `more`, `less`, or nothing for a tie.
    pub fn word(&self) -> &'static str {
        let grew = match self.ratio() {
            Some(ratio) if ratio > 1.0 + TIE => true,
            Some(ratio) if ratio < 1.0 - TIE => false,
            Some(_) => return "",
            None if self.old == Some(0.0) && self.new > Some(0.0) => true,
            None => return "",
        };
        match (self.judge, grew) {
            (Judge::Slower, true) => "slower",
            (Judge::Slower, false) => "faster",
            (Judge::More, true) => "more",
            (Judge::More, false) => "less",
        }
    }
}

/// Every figure that both runs can have.
pub fn figures_changed(old: &Report, new: &Report) -> Vec<Change> {
    let mut changes = vec![rate("sent", old, new, |report| report.totals.sent)];
    changes.push(rate("ok", old, new, |report| report.totals.ok));
    for ((name, before), (_, after)) in
        figures::outcomes(&old.totals).into_iter().zip(figures::outcomes(&new.totals)).skip(1)
    {
        let shares = (share(before, old.totals.sent), share(after, new.totals.sent));
        changes.push(Change::new(name, shares, Judge::More, words::maybe_share));
    }
    let totals = (&old.totals, &new.totals);
    for (name, before, after) in [
        ("latency", &totals.0.latency, &totals.1.latency),
        ("service time", &totals.0.service, &totals.1.service),
        ("first token", &totals.0.first_token, &totals.1.first_token),
        ("token gap", &totals.0.token_gap, &totals.1.token_gap),
    ] {
        changes.extend(times(name, before, after));
    }
    changes
}

/// Why the figures of two runs must not be set side by side; empty if they may.
pub fn incomparable(old: &Report, new: &Report) -> Vec<String> {
    let (before, after) = (&old.about, &new.about);
    let mut reasons = Vec::new();
    let mut differs = |what: &str, old: String, new: String| {
        if old != new {
            reasons.push(format!("the {what} differs: {old} in the baseline, {new} in this run"));
        }
    };
    differs("scenario", before.scenario.clone(), after.scenario.clone());
    differs("kind of load", before.load.clone(), after.load.clone());
    differs("seed", before.seed.to_string(), after.seed.to_string());
    differs("machine", machine(old), machine(new));
    for (which, report) in [("baseline", old), ("run", new)] {
        if let Some(reason) = report.void.first() {
            reasons.push(format!("the {which} is void: {reason}"));
        }
    }
    reasons
}

/// Claims of the oracle that stand otherwise than before.
pub fn claims_changed(old: &Report, new: &Report) -> Vec<String> {
    let (before, after) = match (&old.oracle, &new.oracle) {
        (Some(before), Some(after)) => (before, after),
        (None, None) => return Vec::new(),
        (Some(_), None) => return vec!["asked in the baseline, not asked in this run".to_owned()],
        (None, Some(after)) => {
            return vec![format!("not asked in the baseline; now {}", figures::verdict_line(after))];
        }
    };
    let mut changes = Vec::new();
    for check in &after.checks {
        let was = before.checks.iter().find(|was| was.claim == check.claim);
        let (was, is) = (was.map(figures::standing), figures::standing(check));
        if was != Some(is) {
            let was = was.map_or("not checked", standing_word);
            changes.push(format!("was {was}, is {}: {}", standing_word(is), check.claim));
        }
    }
    for gone in before.checks.iter().filter(|was| after.checks.iter().all(|check| check.claim != was.claim)) {
        changes.push(format!("no longer checked: {}", gone.claim));
    }
    changes
}

/// Where a run comes from, on one line.
pub fn origin(report: &Report) -> String {
    let about = &report.about;
    let commit = if about.commit.is_empty() { "unknown" } else { &about.commit };
    let run = format!("{}, seed {}, {} load", about.scenario, about.seed, about.load);
    format!("{run}, commit {commit}, {}, {}", about.started, machine(report))
}

impl Change {
    fn new(
        what: &str,
        (old, new): (Option<f64>, Option<f64>),
        judge: Judge,
        show: impl Fn(Option<f64>) -> String,
    ) -> Change {
        Change { what: what.to_owned(), old_text: show(old), new_text: show(new), old, new, judge }
    }
}

fn rate(what: &str, old: &Report, new: &Report, of: impl Fn(&Report) -> u64) -> Change {
    let rates = (per_second(of(old), old), per_second(of(new), new));
    Change::new(what, rates, Judge::More, words::maybe_rate)
}

/// Percentiles of a time that at least one of the runs has.
fn times<'a>(
    name: &'a str,
    old: &'a Distribution,
    new: &'a Distribution,
) -> impl Iterator<Item = Change> + 'a {
    let shown = SHOWN.into_iter().chain([100.0]).filter(|_| old.count > 0 || new.count > 0);
    shown.map(move |percent| {
        let what = match percent {
            100.0 => format!("{name} max"),
            percent => format!("{name} p{}", words::percent(percent)),
        };
        let values = [old, new].map(|of| percentile(of, percent).map(|us| us as f64));
        Change::new(&what, values.into(), Judge::Slower, |us| words::maybe_time(us.map(|us| us as u64)))
    })
}

fn machine(report: &Report) -> String {
    let machine = &report.about.machine;
    let cores = words::plural(machine.cores.into(), "core");
    format!("{}, {cores}, kernel {}", machine.processor, machine.kernel)
}

fn standing_word(standing: Standing) -> &'static str {
    match standing {
        Standing::Held => "held",
        Standing::Broken => "BROKEN",
        Standing::NotShown => "without evidence",
    }
}
