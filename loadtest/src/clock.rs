//! Time for the tools of this package. Clippy bans the standard clocks everywhere else.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

/// Microseconds since the first call in this program; monotonic.
#[allow(clippy::disallowed_methods)] // the one place that reads the clocks
pub fn mono_us() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_micros() as u64
}

/// Time since 1970-01-01 UTC; zero if the machine's clock stands before that.
#[allow(clippy::disallowed_methods)] // the one place that reads the clocks
pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}
