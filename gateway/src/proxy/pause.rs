//! How long does an upstream that refuses ask to be left alone?
//!
//! Asked for the gate before its pool, which obeys within bounds of its own. RFC 9110, section 10.2.3: seconds, or a date.

use http::HeaderMap;
use http::header::RETRY_AFTER;
use std::time::{Duration, UNIX_EPOCH};

/// What `Retry-After` says, at `wall_ms` on the clock; a date that is past asks for nothing. None: there is none, or no
/// one can read it.
///
/// A date is as exact as the two clocks agree. Its seconds are rounded down by whoever wrote it, so it may come a second
/// early; the gate then finds out with one request.
pub fn retry_after(headers: &HeaderMap, wall_ms: impl FnOnce() -> u64) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(then.saturating_sub(Duration::from_millis(wall_ms())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    /// Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110.
    const THEN_MS: u64 = 784_111_777_000;

    fn asked(value: &str, wall_ms: u64) -> Option<Duration> {
        let value = HeaderValue::from_str(value).expect("a header's value");
        retry_after(&HeaderMap::from_iter([(RETRY_AFTER, value)]), || wall_ms)
    }

    #[test]
    fn seconds_and_dates_in_all_three_forms_are_understood() {
        assert_eq!(asked("120", 0), Some(Duration::from_secs(120)));
        for date in
            ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]
        {
            assert_eq!(asked(date, THEN_MS - 2_500), Some(Duration::from_millis(2_500)), "{date}");
        }
    }

    #[test]
    fn a_date_that_is_past_asks_for_nothing() {
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT", THEN_MS + 1), Some(Duration::ZERO));
    }

    #[test]
    fn what_nobody_can_read_is_as_if_it_were_not_there() {
        for value in
            ["", "soon", "-1", "1.5", "Sun, 31 Feb 1994 08:49:37 GMT", "Thu, 01 Jan 1969 00:00:00 GMT"]
        {
            assert_eq!(asked(value, 0), None, "{value:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), || 0), None);
    }
}
