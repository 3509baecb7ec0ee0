//! Plots over the time of a run: outcomes, answers and refusals by group, and the 99th percentile.

use crate::measure::{Report, Second};
use crate::report::words;

use super::plot::{Axis, Look, Plot, Row, Series};
use super::scale::Scale;
use super::tones;

/// Points of a plot at most; longer runs are shown in stretches of several seconds.
const POINTS_MAX: usize = 240;

/// Outcomes of requests, as areas one above the other, below the line of what was sent.
pub fn outcomes(report: &Report) -> Option<Plot> {
    let total = |of: fn(&Second) -> &Vec<u64>| {
        stretches(report, |seconds| seconds.iter().map(|second| of(second).iter().sum::<u64>()).sum())
    };
    let sent = total(|second| &second.sent);
    let line_of_sent = line(report, &sent);
    let mut series =
        vec![Series { name: "sent".to_owned(), tone: "ink", look: Look::Line, points: line_of_sent }];
    let areas = [
        ("ok", "ok", total(|second| &second.ok)),
        ("refused (429)", "refused", total(|second| &second.refused)),
        ("failed or rejected", "failed", total(|second| &second.failed)),
    ];
    let mut floor = vec![0.0; sent.len()];
    let mut columns = vec![(sent.clone(), sent)];
    for (name, tone, rates) in areas {
        let top: Vec<f64> = floor.iter().zip(&rates).map(|(floor, rate)| floor + rate).collect();
        columns.push((top.clone(), rates));
        let look = Look::Above(across(&floor));
        series.push(Series { name: name.to_owned(), tone, look, points: line(report, &top) });
        floor = top;
    }
    let about = "Requests that were due in each second, and the answers that came in it.";
    plot(report, "outcomes", "Requests over time", about, series, &columns)
}

/// Good answers by group.
pub fn answers(report: &Report) -> Option<Plot> {
    let about = "Answers of each second that ended well, by group.";
    by_group(report, "answers", "Good answers by group", about, |second| &second.ok)
}

/// Refusals by group; `None` if nobody was refused.
pub fn refusals(report: &Report) -> Option<Plot> {
    if report.totals.refused == 0 {
        return None;
    }
    let about = "Answers of each second that were a 429, by group.";
    by_group(report, "refusals", "Refusals by group", about, |second| &second.refused)
}

/// The 99th percentile of latency, second by second.
pub fn p99(report: &Report) -> Option<Plot> {
    let worst =
        stretches_of(report, |seconds, _| seconds.iter().map(|second| second.p99_us).max().unwrap_or(0));
    let values: Vec<Option<f64>> = worst.iter().map(|us| (*us > 0).then_some(*us as f64)).collect();
    let seen = || values.iter().flatten().copied();
    let (least, greatest) = (seen().reduce(f64::min)?, seen().reduce(f64::max)?);
    let rows = values.iter().zip(&worst).enumerate().map(|(i, (value, us))| Row {
        x: middle(report, i),
        head: stretch_name(report, i),
        cells: vec![(*value, words::maybe_time((*us > 0).then_some(*us)))],
    });
    let points = edged(report, &values);
    Some(Plot {
        name: "p99",
        title: "99th percentile over time",
        about: "Latency of the answers that came in each second; the worst second of a longer stretch."
            .to_owned(),
        x: time_axis(report),
        y: Axis { scale: Scale::fitting(least, greatest), label: words::time_mark, title: "time" },
        rows: rows.collect(),
        series: vec![Series { name: "p99".to_owned(), tone: "c1", look: Look::Line, points }],
    })
}

fn by_group(
    report: &Report,
    name: &'static str,
    title: &'static str,
    about: &str,
    of: fn(&Second) -> &Vec<u64>,
) -> Option<Plot> {
    let rates = |groups: &[usize]| {
        stretches(report, |seconds| {
            let in_second = |second: &Second| groups.iter().filter_map(|at| of(second).get(*at)).sum::<u64>();
            seconds.iter().map(in_second).sum()
        })
    };
    let shown = tones::shown(&report.groups);
    let others = tones::others(&report.groups);
    let mut lines: Vec<_> =
        shown.into_iter().map(|(at, tone)| (report.groups[at].name.clone(), tone, rates(&[at]))).collect();
    if !others.is_empty() {
        lines.push((format!("{} others", others.len()), tones::OTHERS, rates(&others)));
    }
    let columns: Vec<_> = lines.iter().map(|(_, _, rates)| (rates.clone(), rates.clone())).collect();
    let series = lines.into_iter().map(|(name, tone, rates)| {
        let points = line(report, &rates);
        Series { name, tone, look: Look::Line, points }
    });
    plot(report, name, title, about, series.collect(), &columns)
}

/// A plot of rates; `columns` are where each series lies, and what it says. `None` without a second or a series.
fn plot(
    report: &Report,
    name: &'static str,
    title: &'static str,
    about: &str,
    series: Vec<Series>,
    columns: &[(Vec<f64>, Vec<f64>)],
) -> Option<Plot> {
    let greatest = columns.iter().flat_map(|(top, _)| top).copied().reduce(f64::max)?;
    let row = |i: usize| Row {
        x: middle(report, i),
        head: stretch_name(report, i),
        cells: columns.iter().map(|(top, rate)| (Some(top[i]), words::number(rate[i]))).collect(),
    };
    Some(Plot {
        name,
        title,
        about: about.to_owned(),
        x: time_axis(report),
        y: Axis { scale: Scale::linear(greatest, false), label: words::number, title: "requests per second" },
        rows: (0..columns[0].0.len()).map(row).collect(),
        series,
    })
}

fn time_axis(report: &Report) -> Axis {
    Axis {
        scale: Scale::linear(report.seconds.len() as f64, true),
        label: words::number,
        title: "second of the run",
    }
}

/// Seconds in a point.
fn stretch(report: &Report) -> usize {
    report.seconds.len().div_ceil(POINTS_MAX).max(1)
}

/// Rates per second, one for each stretch.
fn stretches(report: &Report, count: impl Fn(&[Second]) -> u64) -> Vec<f64> {
    stretches_of(report, |seconds, lasts_s| count(seconds) as f64 / lasts_s)
}

fn stretches_of<T>(report: &Report, of: impl Fn(&[Second], f64) -> T) -> Vec<T> {
    report.seconds.chunks(stretch(report)).map(|seconds| of(seconds, seconds.len() as f64)).collect()
}

/// The middle of a stretch, in seconds.
fn middle(report: &Report, i: usize) -> f64 {
    let (from, to) = ends(report, i);
    (from + to) as f64 / 2.0
}

fn stretch_name(report: &Report, i: usize) -> String {
    match ends(report, i) {
        (from, to) if to == from + 1 => to.to_string(),
        (from, to) => format!("{}–{to}", from + 1),
    }
}

fn ends(report: &Report, i: usize) -> (usize, usize) {
    let stretch = stretch(report);
    (i * stretch, ((i + 1) * stretch).min(report.seconds.len()))
}

/// Points in the middle of their stretches, and at both ends of the run: a run of one second is a line too.
fn line(report: &Report, values: &[f64]) -> Vec<(f64, Option<f64>)> {
    edged(report, &values.iter().copied().map(Some).collect::<Vec<_>>())
}

fn edged(report: &Report, values: &[Option<f64>]) -> Vec<(f64, Option<f64>)> {
    let middles = (0..values.len()).map(|i| middle(report, i));
    let places = [0.0].into_iter().chain(middles).chain([report.seconds.len() as f64]);
    places.zip(across(values)).collect()
}

/// The values with the first and the last one twice, as [`edged`] has them.
fn across<T: Copy>(values: &[T]) -> Vec<T> {
    let first = values.first().into_iter();
    first.chain(values).chain(values.last()).copied().collect()
}
