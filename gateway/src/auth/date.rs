//! X-Sdk-Date: when a request says it was signed.

use super::denied::Denied;
use crate::clock::Now;
use std::time::Duration;

/// A well-formed X-Sdk-Date.
#[derive(Clone, Copy)]
pub(super) struct SdkDate {
    text: [u8; 16],
    unix_ms: i64,
}

impl SdkDate {
    /// Reads `YYYYMMDDTHHMMSSZ`; the calendar is strict (no 30 February, no second 60).
    pub(super) fn parse(value: &[u8]) -> Option<SdkDate> {
        let text: [u8; 16] = value.try_into().ok()?;
        if text[8] != b'T' || text[15] != b'Z' {
            return None;
        }
        let year = digits(&text[0..4])?;
        let [month, day, hour, minute, second] = [4, 6, 9, 11, 13].map(|at| digits(&text[at..at + 2]));
        let civil = jiff::civil::DateTime::new(
            year,
            month? as i8,
            day? as i8,
            hour? as i8,
            minute? as i8,
            second? as i8,
            0,
        );
        let instant = jiff::tz::Offset::UTC.to_timestamp(civil.ok()?).ok()?;
        Some(SdkDate { text, unix_ms: instant.as_millisecond() })
    }

    /// As received.
    pub(super) fn text(&self) -> &[u8; 16] {
        &self.text
    }

    /// The day in UTC, `YYYYMMDD`.
    pub(super) fn day(&self) -> &[u8] {
        &self.text[..8]
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub(super) fn unix_ms(&self) -> i64 {
        self.unix_ms
    }

    /// # Errors
    /// [`Denied::Skew`] if the date is further than `allowed` from now, either way
    pub(super) fn within(&self, allowed: Duration, now: Now) -> Result<(), Denied> {
        let behind_ms = now.wall_ms as i64 - self.unix_ms;
        if u128::from(behind_ms.unsigned_abs()) <= allowed.as_millis() {
            return Ok(());
        }
        let secs = behind_ms.unsigned_abs().div_ceil(1000) as i64;
        Err(Denied::Skew { behind_secs: secs * behind_ms.signum(), allowed_secs: allowed.as_secs() })
    }
}

fn digits(text: &[u8]) -> Option<i16> {
    text.iter().try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + i16::from(b - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_is_strict() {
        for good in ["20240115T083000Z", "20240229T235959Z", "19700101T000000Z"] {
            assert!(SdkDate::parse(good.as_bytes()).is_some(), "{good}");
        }
        for bad in [
            "",
            "20240115T083000",
            "20240115t083000Z",
            "20240115T083000z",
            "2024-01-15T08:30:00Z",
            "20230229T000000Z",
            "20240431T000000Z",
            "20241301T000000Z",
            "20240100T000000Z",
            "20240115T240000Z",
            "20240115T086000Z",
            "20240115T083060Z",
            "+0240115T083000Z",
            "20240115T0830 0Z",
            "20240115T083000ZZ",
        ] {
            assert!(SdkDate::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_instant_is_utc() {
        let date = SdkDate::parse(b"20240115T083000Z").unwrap();
        assert_eq!(date.unix_ms(), 1_705_307_400_000);
        assert_eq!(date.day(), b"20240115");
    }

    #[test]
    fn skew_counts_both_ways_and_says_how_far() {
        let date = SdkDate::parse(b"20240115T083000Z").unwrap();
        let at = |offset_ms: i64| Now { mono_us: 0, wall_ms: (date.unix_ms() + offset_ms) as u64 };
        let allowed = Duration::from_secs(900);

        assert_eq!(date.within(allowed, at(900_000)), Ok(()));
        assert_eq!(date.within(allowed, at(-900_000)), Ok(()));
        let late = date.within(allowed, at(900_001)).unwrap_err();
        assert_eq!(late, Denied::Skew { behind_secs: 901, allowed_secs: 900 });
        assert!(late.to_string().contains("901 s behind the gateway's clock, at most 900 s"), "{late}");
        let early = date.within(allowed, at(-1_000_000)).unwrap_err();
        assert!(early.to_string().contains("1000 s ahead of the gateway's clock"), "{early}");
    }
}
