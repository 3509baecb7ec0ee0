//! Time, read once per request and passed down.
//!
//! Everything that decides something takes a [`Now`] as a parameter, so that it is a pure function and
//! its tests own the clock. Clippy bans `Instant::now` and `SystemTime::now` everywhere else.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

/// One reading of both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Microseconds since the program started; never goes backwards. For limits, deadlines, durations.
    pub mono_us: u64,
    /// Milliseconds since 1970-01-01 UTC; may jump. For signed dates, calendars and log lines.
    pub wall_ms: u64,
}

impl Now {
    /// Reads both clocks.
    pub fn read() -> Now {
        Now { mono_us: mono_us(), wall_ms: wall_ms() }
    }

    /// Seconds since 1970-01-01 UTC.
    pub fn wall_s(self) -> u64 {
        self.wall_ms / 1000
    }

    /// The same wall time, `later` further on the monotonic clock as well as on the wall.
    pub fn after(self, later: Duration) -> Now {
        Now {
            mono_us: self.mono_us.saturating_add(later.as_micros() as u64),
            wall_ms: self.wall_ms.saturating_add(later.as_millis() as u64),
        }
    }
}

/// Microseconds since the first call in this program; monotonic.
#[allow(clippy::disallowed_methods)] // the one place that reads the clocks
pub fn mono_us() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_micros() as u64
}

/// Milliseconds since 1970-01-01 UTC; 0 if the machine's clock stands before that.
#[allow(clippy::disallowed_methods)] // the one place that reads the clocks
pub fn wall_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}
