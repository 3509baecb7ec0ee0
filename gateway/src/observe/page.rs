//! Prometheus' text format, for metrics that do not come through the recorder.

use super::metrics::{self, Kind};
use std::fmt::{Display, Write};

/// Appends the two lines that stand before the series of a metric.
pub fn head(name: &str, page: &mut String) {
    let row = metrics::METRICS.iter().find(|metric| metric.name == name);
    let metric = row.expect("the table of metrics has every name that is shown");
    let kind = match metric.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let _ = write!(page, "# HELP {name} {}\n# TYPE {name} {kind}\n", metric.help); // to a string: cannot fail
}

/// Appends a metric of which every series has its labels; nothing without any.
pub fn metric<V: Display>(name: &str, series: impl IntoIterator<Item = (String, V)>, page: &mut String) {
    let mut series = series.into_iter().peekable();
    if series.peek().is_none() {
        return;
    }
    head(name, page);
    for (labels, value) in series {
        let _ = writeln!(page, "{name}{{{labels}}} {value}"); // to a string: cannot fail
    }
    page.push('\n');
}

/// `a="x",b="y"`
pub fn labels(names: &[&str], values: &[&str]) -> String {
    let pair = |(name, value): (&&str, &&str)| format!("{name}=\"{}\"", escaped(value));
    names.iter().zip(values).map(pair).collect::<Vec<_>>().join(",")
}

/// Names need no escapes as policy is now; a page that a name could break would be a trap for who widens it.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
