//! Numbers as people read them: three significant digits, the unit that fits, a dash for what is not there.

/// Stands for a figure that does not exist.
pub const NONE: &str = "–";

/// A time, as `412 µs`, `1.20 ms`, `45.6 s`.
pub fn time_us(us: f64) -> String {
    match us {
        us if !us.is_finite() => NONE.to_owned(),
        us if us < 999.5 => format!("{us:.0} µs"),
        us if us < 999_500.0 => format!("{} ms", three_digits(us / 1e3)),
        us => format!("{} s", three_digits(us / 1e6)),
    }
}

/// A time beside an axis: `0`, `500 µs`, `2 ms`.
pub fn time_mark(us: f64) -> String {
    let time = time_us(us);
    match time.split_once(' ') {
        Some(_) if us == 0.0 => "0".to_owned(),
        Some((number, unit)) => format!("{} {unit}", trimmed(number)),
        None => time,
    }
}

/// The same of a figure that may be missing.
pub fn maybe_time(us: Option<u64>) -> String {
    us.map_or_else(|| NONE.to_owned(), |us| time_us(us as f64))
}

/// A count with its thousands apart: `12,345`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of the order of a count, such as a rate: whole from 100 on.
pub fn number(value: f64) -> String {
    match value {
        value if !value.is_finite() => NONE.to_owned(),
        value if value >= 99.95 => count(value.round() as u64),
        value => trimmed(&three_digits(value)).to_owned(),
    }
}

/// A rate, as `1,234/s`.
pub fn maybe_rate(per_s: Option<f64>) -> String {
    per_s.map_or_else(|| NONE.to_owned(), |per_s| format!("{}/s", number(per_s)))
}

/// A share as percent, with the digits that matter near 0 and near 100: `12.3 %`, `99.97 %`.
pub fn maybe_share(share: Option<f64>) -> String {
    let Some(percent) = share.map(|share| share * 100.0) else { return NONE.to_owned() };
    match percent {
        p if !p.is_finite() => NONE.to_owned(),
        p if p > 99.0 && p < 100.0 => format!("{:.2} %", p.min(99.99)),
        p if p > 0.0 && p < 0.01 => "<0.01 %".to_owned(),
        p if p < 1.0 && p > 0.0 => format!("{p:.2} %"),
        p => format!("{} %", trimmed(&format!("{p:.1}"))),
    }
}

/// A percentile's name: `50`, `99.9`.
pub fn percent(percent: f64) -> String {
    trimmed(&format!("{percent:.4}")).to_owned()
}

/// Bytes, as `1.23 MB`.
pub fn bytes(bytes: u64) -> String {
    let (unit, by) = match bytes {
        0..1_000 => return format!("{bytes} B"),
        1_000..1_000_000 => ("kB", 1e3),
        1_000_000..1_000_000_000 => ("MB", 1e6),
        _ => ("GB", 1e9),
    };
    format!("{} {unit}", trimmed(&three_digits(bytes as f64 / by)))
}

/// A ratio: `1.05`.
pub fn maybe_ratio(ratio: Option<f64>) -> String {
    ratio.filter(|ratio| ratio.is_finite()).map_or_else(|| NONE.to_owned(), |ratio| format!("{ratio:.2}"))
}

/// `noun`, or `nouns` unless there is one of them.
pub fn plural(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

fn three_digits(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

/// Without the zeros that say nothing.
fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}
