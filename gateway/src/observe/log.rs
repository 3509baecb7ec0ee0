//! The gateway's own log, on standard error.
//!
//! `warn`: somebody should look this week. `error`: somebody should look now. Nothing here is written
//! once per request; what could repeat goes through [`Sampled`].

use governor::clock::DefaultClock;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::io::IsTerminal;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Starts the log: `RUST_LOG` chooses the level, `info` unless set.
pub fn start() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // What cannot be written is lost: to say so, on the same standard error, would panic in whatever has said it.
    log.with_target(false).with_ansi(colours).log_internal_errors(false).init();
}

/// Lets one line in ten seconds through, and knows how many it stands for.
pub struct Sampled {
    rate: RateLimiter<NotKeyed, InMemoryState, DefaultClock>,
    held_back: AtomicU64,
}

impl Default for Sampled {
    fn default() -> Sampled {
        let every = Quota::with_period(Duration::from_secs(10)).expect("ten seconds is not zero");
        Sampled {
            rate: RateLimiter::direct(every.allow_burst(NonZeroU32::MIN)),
            held_back: AtomicU64::new(0),
        }
    }
}

impl Sampled {
    /// How many events the line to be written now stands for; `None`: write nothing.
    pub fn due(&self) -> Option<u64> {
        let count = self.held_back.fetch_add(1, Ordering::Relaxed) + 1;
        self.rate.check().ok()?;
        self.held_back.fetch_sub(count, Ordering::Relaxed);
        Some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_repeats_is_written_once_and_counted() {
        let sampled = Sampled::default();
        assert_eq!(sampled.due(), Some(1));
        assert_eq!((sampled.due(), sampled.due()), (None, None));
        assert_eq!(sampled.held_back.load(Ordering::Relaxed), 2, "the next line says 3");
    }
}
