//! Time, read in one place, and waiting without bare sleeps.

use std::time::{Duration, Instant};

/// The time now.
pub fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "the tests' own clock")]
    Instant::now()
}

/// The wall time now, as `X-Sdk-Date` writes it.
pub fn sdk_date() -> String {
    jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// So much later than now, as HTTP writes dates: in whole seconds, rounded down.
pub fn http_date(later: Duration) -> String {
    (jiff::Timestamp::now() + later).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Asks `probe` every 5 ms until it answers, and panics with `what` when `within` has passed.
pub fn eventually<T>(what: &str, within: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(start.elapsed() < within, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
