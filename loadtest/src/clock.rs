//! Time for the tools of this package. Clippy bans the standard clocks everywhere else.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// Microseconds of the machine's monotonic clock; every process of one machine reads the same.
///
/// That is what lets the oracle set the moment at which a request was sent beside the one at which the mock, another
/// process, saw it arrive.
pub fn mono_us() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000
}

/// Time since 1970-01-01 UTC; zero if the machine's clock stands before that.
#[allow(clippy::disallowed_methods)] // the one place that reads the clocks
pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
