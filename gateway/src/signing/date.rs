//! X-Sdk-Date: when a request says it was signed.

/// A well-formed X-Sdk-Date.
#[derive(Clone, Copy)]
pub struct SdkDate {
    text: [u8; 16],
    unix_ms: i64,
}

impl SdkDate {
    /// Reads `YYYYMMDDTHHMMSSZ`; the calendar is strict (no 30 February, no second 60).
    pub fn parse(value: &[u8]) -> Option<SdkDate> {
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

    /// The date of a moment, in milliseconds since 1970-01-01 UTC; parts of a second are left out.
    pub fn at(unix_ms: u64) -> SdkDate {
        let instant = i64::try_from(unix_ms / 1000).ok().and_then(|s| jiff::Timestamp::from_second(s).ok());
        let instant = instant.unwrap_or(jiff::Timestamp::MAX); // beyond the year 9999
        let civil = jiff::tz::Offset::UTC.to_datetime(instant);
        let mut text = *b"00000000T000000Z";
        let mut write = |at: usize, digits: usize, mut number: u16| {
            for digit in text[at..at + digits].iter_mut().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        };
        write(0, 4, civil.year().unsigned_abs());
        for (at, part) in [
            (4, civil.month()),
            (6, civil.day()),
            (9, civil.hour()),
            (11, civil.minute()),
            (13, civil.second()),
        ] {
            write(at, 2, part.unsigned_abs().into());
        }
        SdkDate { text, unix_ms: instant.as_second() * 1000 }
    }

    /// As received.
    pub fn text(&self) -> &[u8; 16] {
        &self.text
    }

    /// The day in UTC, `YYYYMMDD`.
    pub fn day(&self) -> &[u8] {
        &self.text[..8]
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub fn unix_ms(&self) -> i64 {
        self.unix_ms
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
    fn a_date_that_is_written_can_be_read() {
        for unix_ms in [0, 1_705_307_400_000, 1_709_251_199_000, 4_102_444_799_000] {
            let date = SdkDate::at(unix_ms + 999);
            assert_eq!(date.unix_ms(), unix_ms as i64);
            assert_eq!(SdkDate::parse(date.text()).map(|read| read.unix_ms()), Some(unix_ms as i64));
        }
        assert_eq!(SdkDate::at(1_705_307_400_000).text(), b"20240115T083000Z");
    }
}
