//! The flood guard: how often may one address ask, before anybody knows who calls?
//!
//! Asked before any hashing of bodies or credentials. It cannot keep a level per address, since strangers would
//! choose how many there are; it keeps a count-min sketch (the estimator of `pingora-limits`) of the second that
//! runs and of the one before: 1 MiB, whatever comes.
//!
//! *Accuracy.* The count over the last second is taken as this second's plus what of the last one's still lies within
//! it, as if those had come evenly. So an address gets at most `per_second` in a clock second and less than twice
//! that in any second. A sketch only ever counts too much, when addresses share all four of its cells: by the
//! requests admitted per second over 16,384 at the mean of one cell, so the guard's number should not be near it.
//! What is refused is not counted: a flood is held to the number, and its end is seen at once.
//!
//! `pingora_limits::rate::Rate` does nearly this, but reads its own clock; time is a parameter here.

use crate::clock::Now;
use parking_lot::Mutex;
use pingora_limits::estimator::Estimator;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SECOND_US: u64 = 1_000_000;
const HASHES: usize = 4;
const CELLS: usize = 16 * 1024;

/// Counts requests by address in constant memory; one per gateway.
pub struct Guard {
    /// Counts of even and of odd seconds.
    counts: [Estimator; 2],
    /// The second that the counts of its parity belong to; the other holds the second before.
    second: AtomicU64,
    /// Held while a second begins.
    turning: Mutex<()>,
}

/// What is counted: an IPv4 address, or the /64 of an IPv6 address, which is what one subscriber gets.
#[derive(Hash)]
enum Source {
    V4(u32),
    V6(u64),
}

impl Default for Guard {
    fn default() -> Guard {
        let counts = [Estimator::new(HASHES, CELLS), Estimator::new(HASHES, CELLS)];
        Guard { counts, second: AtomicU64::new(0), turning: Mutex::new(()) }
    }
}

impl Guard {
    /// Hot path. Counts one request of `addr`, if it has not had its `per_second` yet (0: no guard).
    ///
    /// Threads that ask for one address at the same instant may each get the last place.
    ///
    /// # Errors
    /// how long until there is room again, if nothing else comes from there; never zero
    pub fn admit(&self, addr: IpAddr, per_second: u32, now: Now) -> Result<(), Duration> {
        if per_second == 0 {
            return Ok(());
        }
        let source = Source::of(addr);
        let second = self.turn_to(now.mono_us / SECOND_US);
        let (this, last) = (self.of(second), self.of(second + 1));
        let into_us = now.mono_us.saturating_sub(second * SECOND_US).min(SECOND_US);
        let counts = Counts { this: count(this, &source), last: count(last, &source), into_us };
        match counts.wait_us(u64::from(per_second)) {
            0 => {
                this.incr(&source, 1);
                Ok(())
            }
            wait_us => Err(Duration::from_micros(wait_us)),
        }
    }

    /// Begins `second` if nobody has yet, and returns the one that runs: a later one if `now` was read before
    /// another thread began that.
    fn turn_to(&self, second: u64) -> u64 {
        let running = self.second.load(Ordering::Acquire);
        if second <= running {
            return running;
        }
        let _turning = self.turning.lock(); // for the some 20 us of a reset, once a second
        let running = self.second.load(Ordering::Acquire);
        if second > running {
            if second > running + 1 {
                self.of(running).reset(); // a silent second lies between
            }
            self.of(second).reset();
            self.second.store(second, Ordering::Release);
        }
        second.max(running)
    }

    fn of(&self, second: u64) -> &Estimator {
        &self.counts[(second % 2) as usize]
    }
}

fn count(counts: &Estimator, source: &Source) -> u64 {
    counts.get(source).max(0) as u64
}

/// What one source had.
struct Counts {
    this: u64,
    last: u64,
    /// Microseconds since this second began.
    into_us: u64,
}

impl Counts {
    /// Microseconds until one more keeps the last second's estimate within `most`; 0: now.
    fn wait_us(&self, most: u64) -> u64 {
        let Counts { this, last, into_us } = *self;
        if this < most {
            return fades_us(last, most - this - 1).saturating_sub(into_us);
        }
        // This second's count does not shrink: it becomes the last one's when the next begins.
        (SECOND_US - into_us) + fades_us(this, most - 1)
    }
}

/// Microseconds into a second after which at most `left` of the `count` requests of the second before still count.
fn fades_us(count: u64, left: u64) -> u64 {
    match count {
        0 => 0,
        _ => SECOND_US - (SECOND_US * left.min(count)) / count,
    }
}

impl Source {
    fn of(addr: IpAddr) -> Source {
        match addr.to_canonical() {
            IpAddr::V4(v4) => Source::V4(v4.to_bits()),
            IpAddr::V6(v6) => Source::V6((v6.to_bits() >> 64) as u64),
        }
    }
}
