//! Plots of times by percentile: latency, service time, first tokens, gaps.

use crate::measure::{Distribution, GroupReport, Report};
use crate::report::figures::percentile;
use crate::report::words;

use super::plot::{Axis, Look, Plot, Row, Series};
use super::scale::Scale;
use super::tones;

/// Percentiles in the tables, as far as the count supports them.
const LISTED: [f64; 16] =
    [0.0, 25.0, 50.0, 75.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.9, 99.95, 99.99, 99.995, 99.999, 99.9999, 100.0];

/// Latency from the due time and service time of everybody, and of the baseline.
pub fn latency(report: &Report, baseline: Option<&Report>) -> Option<Plot> {
    let from = if report.about.load == "closed" { "sending" } else { "the time it was due" };
    let about = format!(
        "Latency counts from {from}, service time from sending. Where the curves part, requests waited for a \
         connection or for a late generator."
    );
    let mut curves = curves("latency", "c1", baseline, &report.totals.latency, |r| &r.totals.latency);
    curves
        .extend(self::curves("service time", "c2", baseline, &report.totals.service, |r| &r.totals.service));
    plot("latency", "Latency by percentile", about, curves)
}

/// Latency of each group.
pub fn latency_of_groups(report: &Report) -> Option<Plot> {
    if report.groups.len() < 2 {
        return None;
    }
    let shown = tones::shown(&report.groups);
    let curves = shown.into_iter().map(|(at, tone)| {
        let GroupReport { name, totals, .. } = &report.groups[at];
        Curve { name: name.clone(), tone, look: Look::Line, of: &totals.latency }
    });
    let about =
        "Answers that ended well, by group. Groups that should not notice one another lie on one curve.";
    plot("group-latency", "Latency by group", about.to_owned(), curves.collect())
}

/// Time to the first token of streams.
pub fn first_token(report: &Report, baseline: Option<&Report>) -> Option<Plot> {
    let about =
        "From the time the request was due (or sent, in a closed load) to the first token of its stream.";
    let curves = curves("first token", "c1", baseline, &report.totals.first_token, |r| &r.totals.first_token);
    plot("first-token", "Time to first token", about.to_owned(), curves)
}

/// Gaps between tokens of streams.
pub fn token_gap(report: &Report, baseline: Option<&Report>) -> Option<Plot> {
    let about = "One token to the next within a stream. A long tail is a stream that stutters.";
    let curves = curves("gap", "c3", baseline, &report.totals.token_gap, |r| &r.totals.token_gap);
    plot("token-gap", "Gaps between tokens", about.to_owned(), curves)
}

struct Curve<'a> {
    name: String,
    tone: &'static str,
    look: Look,
    of: &'a Distribution,
}

/// A curve, and the one of the baseline.
fn curves<'a>(
    name: &str,
    tone: &'static str,
    baseline: Option<&'a Report>,
    now: &'a Distribution,
    of: impl Fn(&'a Report) -> &'a Distribution,
) -> Vec<Curve<'a>> {
    let before = baseline.map(|report| Curve {
        name: format!("{name}, baseline"),
        tone,
        look: Look::Dashed,
        of: of(report),
    });
    let now = Curve { name: name.to_owned(), tone, look: Look::Line, of: now };
    [now].into_iter().chain(before).collect()
}

/// `None` if nothing was recorded.
fn plot(name: &'static str, title: &'static str, about: String, curves: Vec<Curve>) -> Option<Plot> {
    let curves: Vec<Curve> = curves.into_iter().filter(|curve| curve.of.count > 0).collect();
    let count_max = curves.iter().map(|curve| curve.of.count).max()?;
    let least = curves.iter().map(|curve| curve.of.min_us.max(1)).min()?;
    let greatest = curves.iter().map(|curve| curve.of.max_us).max()?;
    let rows = LISTED.into_iter().map(|percent| row(percent, &curves)).collect::<Vec<_>>();
    Some(Plot {
        name,
        title,
        about,
        x: Axis { scale: Scale::percentiles(count_max), label: words::percent, title: "percentile" },
        y: Axis {
            scale: Scale::fitting(least as f64, greatest as f64),
            label: words::time_mark,
            title: "time",
        },
        rows: rows.into_iter().filter(|row| row.cells.iter().any(|(y, _)| y.is_some())).collect(),
        series: curves.into_iter().map(series).collect(),
    })
}

fn row(percent: f64, curves: &[Curve]) -> Row {
    let head = match percent {
        0.0 => "min".to_owned(),
        100.0 => "max".to_owned(),
        percent => words::percent(percent),
    };
    let value = |curve: &Curve| match percent {
        0.0 => Some(curve.of.min_us),
        percent => percentile(curve.of, percent),
    };
    let cells = curves.iter().map(value).map(|us| (us.map(|us| us as f64), words::maybe_time(us)));
    Row { x: percent, head, cells: cells.collect() }
}

fn series(curve: Curve) -> Series {
    let listed = curve.of.percentiles.iter().map(|(percent, us)| (*percent, Some(*us as f64)));
    let ends = ((0.0, Some(curve.of.min_us as f64)), (100.0, Some(curve.of.max_us as f64)));
    let points = [ends.0].into_iter().chain(listed).chain([ends.1]).collect();
    Series { name: curve.name, tone: curve.tone, look: curve.look, points }
}
