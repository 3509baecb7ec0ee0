//! Numbers with units, as operators write them: `512KiB`, `90s`, `2000/min`.
//!
//! Each parser says what it expected; whoever calls it adds where. Fractions are refused: `1.5MiB` has an
//! exact spelling (`1536KiB`), and rounding would be a silent choice.

use crate::limit::calendar::Unit;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

/// What a size looks like.
pub const SIZE_HELP: &str = "write a whole number and B, KB, KiB, MB, MiB, GB or GiB, such as `512KiB`";
/// What a duration looks like.
pub const DURATION_HELP: &str = "write a whole number and ms, s, m, h or d, such as `30s`";
/// What a rate looks like.
pub const RATE_HELP: &str =
    "write a whole number per s, min, h or day, such as `20/min`: at least 1, at most 4294967295";
/// What a number of bytes per second looks like.
pub const SPEED_HELP: &str = "write a size per s, such as `10MiB/s`, below 4GiB/s";
/// What a count looks like.
pub const COUNT_HELP: &str =
    "write a whole number, such as `64`; k, M and G stand for 1,000, 1,000,000 and 1,000,000,000";
/// What a number of model tokens looks like.
pub const TOKENS_HELP: &str =
    "write a whole number per s, min, h, day or month, such as `500k/min` or `50M/day`: at least 1";

/// What a percentage looks like.
pub const PERCENT_HELP: &str = "write a whole number from 0 to 100 and `%`, such as `50%`";

/// So many in every period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub count: NonZeroU32,
    /// 1 s, 1 min, 1 h or 1 day.
    pub period: Duration,
}

/// So many model tokens in every span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tokens {
    pub count: NonZeroU64,
    pub per: Span,
}

/// What comes round again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// 1 s, 1 min or 1 h, whenever it begins.
    Period(Duration),
    /// A day or a month of a calendar.
    Calendar(Unit),
}

/// Bytes: `0`, `800B`, `512KiB`, `8MB`. A bare number is bytes.
pub fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text);
    let factor: u64 = match unit {
        "" | "B" => 1,
        "KB" | "kB" => 1_000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return None,
    };
    digits(number)?.checked_mul(factor)
}

/// Bytes per second: `10MiB/s`. Zero is none, and more than 4 GiB are not counted.
pub fn speed(text: &str) -> Option<NonZeroU32> {
    let (bytes, unit) = text.split_once('/')?;
    let bytes = size(bytes.trim()).filter(|_| unit.trim() == "s")?;
    NonZeroU32::new(u32::try_from(bytes).ok()?)
}

/// A time span: `250ms`, `30s`, `10m`, `1h`, `1d`. A bare number has no meaning.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text);
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(Duration::from_millis(digits(number)?.checked_mul(millis)?))
}

/// A rate: `500/s`, `2000/min`, `10k/h`, `1M/day`. Zero is none.
pub fn rate(text: &str) -> Option<Rate> {
    let (number, unit) = text.split_once('/')?;
    let period = match unit.trim() {
        "day" => Duration::from_secs(86_400),
        unit => period(unit)?,
    };
    Some(Rate { count: NonZeroU32::new(count(number.trim())?)?, period })
}

/// Model tokens: `500k/min`, `50M/day`, `2G/month`. Zero is none.
pub fn tokens(text: &str) -> Option<Tokens> {
    let (number, unit) = text.split_once('/')?;
    let per = match calendar(unit) {
        Some(unit) => Span::Calendar(unit),
        None => Span::Period(period(unit.trim())?),
    };
    Some(Tokens { count: NonZeroU64::new(large(number.trim())?)?, per })
}

/// A percentage: `0%` to `100%`.
pub fn percent(text: &str) -> Option<u8> {
    let number = digits(text.strip_suffix('%')?.trim_end())?;
    u8::try_from(number).ok().filter(|percent| *percent <= 100)
}

/// `day` or `month`.
pub fn calendar(text: &str) -> Option<Unit> {
    match text.trim() {
        "day" => Some(Unit::Day),
        "month" => Some(Unit::Month),
        _ => None,
    }
}

fn period(unit: &str) -> Option<Duration> {
    let seconds = match unit {
        "s" => 1,
        "min" => 60,
        "h" => 3_600,
        _ => return None,
    };
    Some(Duration::from_secs(seconds))
}

/// A count: `64`, `2k`, `1M`.
pub fn count(text: &str) -> Option<u32> {
    u32::try_from(large(text)?).ok()
}

/// The same, also where it is more than a count may be.
pub fn large(text: &str) -> Option<u64> {
    let (number, unit) = split(text);
    let factor: u64 = match unit {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        _ => return None,
    };
    digits(number)?.checked_mul(factor)
}

fn split(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

fn digits(text: &str) -> Option<u64> {
    text.parse().ok() // `split` left only digits, so no sign gets here
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_binary_or_decimal_as_written() {
        assert_eq!(size("512KiB"), Some(524_288));
        assert_eq!(size("8MB"), Some(8_000_000));
        assert_eq!(size("12 MiB"), Some(12 << 20));
        assert_eq!(size("0"), Some(0));
        for wrong in ["", "KiB", "1.5MiB", "-1", "+1", "1mib", "1 M iB", "99999999999GiB", "٣KiB"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn speeds_are_per_second() {
        assert_eq!(speed("10MiB/s").map(NonZeroU32::get), Some(10 << 20));
        assert_eq!(speed("64 KB / s").map(NonZeroU32::get), Some(64_000));
        for wrong in ["", "/s", "0/s", "10MiB", "10MiB/min", "4GiB/s", "-1B/s"] {
            assert_eq!(speed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(duration("10m"), Some(Duration::from_secs(600)));
        for wrong in ["", "30", "s", "1.5s", "-1s", "1M", "18446744073709551615d", "1h30m"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn rates_are_never_zero() {
        let rate_of = |text| rate(text).map(|rate| (rate.count.get(), rate.period.as_secs()));
        assert_eq!(rate_of("20/min"), Some((20, 60)));
        assert_eq!(rate_of("10k/h"), Some((10_000, 3_600)));
        assert_eq!(rate_of("1M/day"), Some((1_000_000, 86_400)));
        for wrong in ["", "0/s", "/s", "5", "5/", "5/week", "5/s/s", "-5/s", "5000000000/s"] {
            assert_eq!(rate(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn tokens_are_counted_by_the_clock_or_by_the_calendar() {
        let tokens_of = |text| tokens(text).map(|tokens| (tokens.count.get(), tokens.per));
        assert_eq!(tokens_of("500k/min"), Some((500_000, Span::Period(Duration::from_secs(60)))));
        assert_eq!(tokens_of("50M/day"), Some((50_000_000, Span::Calendar(Unit::Day))));
        assert_eq!(tokens_of("20 G / month"), Some((20_000_000_000, Span::Calendar(Unit::Month))));
        for wrong in ["", "0/day", "/day", "5", "5/week", "1.5M/day", "5/day/day", "-5/s", "99999999999G/day"]
        {
            assert_eq!(tokens(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,24}") {
            let _ = (size(&text), duration(&text), rate(&text), count(&text), tokens(&text));
        }

        #[test]
        fn what_is_written_is_what_is_read(n in 1u32..4_000_000) {
            prop_assert_eq!(size(&format!("{n}KiB")), Some(u64::from(n) * 1024));
            prop_assert_eq!(duration(&format!("{n}s")), Some(Duration::from_secs(u64::from(n))));
            prop_assert_eq!(rate(&format!("{n}/min")).map(|r| r.count.get()), Some(n));
            prop_assert_eq!(count(&n.to_string()), Some(n));
        }

        #[test]
        fn a_unit_never_shrinks_a_number(n in 0u64..1 << 33, unit in "(B|KB|KiB|MB|MiB|GB|GiB)") {
            let bytes = size(&format!("{n}{unit}"));
            prop_assert!(bytes.is_some_and(|bytes| bytes >= n));
        }
    }
}
