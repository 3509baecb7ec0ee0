//! What one tenant uses of one stream: open connections, connections begun, bytes moved.
//!
//! Shared by all workers and kept across reloads. A refusal charges nothing. Bytes are paced, never dropped: what has
//! been read is charged, and waits until the meter is no longer above its burst, so that in any stretch of `t` at most
//! `burst + rate * t` bytes pass. Who comes later waits for what was charged before: first come, first served.
//!
//! *Cost.* One short lock per connection, and one per read where bytes are limited; none where they are not.

use super::rules::{Rules, lesser};
use crate::limit::Algorithm;
use crate::limit::meter::Meter;
use crate::limit::quota::Quota;
use crate::observe::metrics::{StreamMetrics, TenantStreamMetrics};
use parking_lot::Mutex;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
/// So many times a second a paced direction may move a slice; a slice is also the burst. 50 ms are long enough that
/// timers of 1 ms cost no throughput, and short enough that two seconds hold the rate within 2.5 %.
const SLICES_PER_SECOND: u32 = 20;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the caller to the backend.
    In,
    /// From the backend to the caller.
    Out,
}

/// Why a connection does not get a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// As many are open as may be.
    Connections,
    /// As many were begun lately as may be.
    Connects,
}

/// What is used, and the rules it is held to.
pub struct Level {
    state: Mutex<State>,
    /// Most bytes at once, by [`Way`]; `usize::MAX`: not paced.
    slices: [AtomicUsize; 2],
    metrics: OnceLock<TenantStreamMetrics>,
}

#[derive(Default)]
struct State {
    open: u32,
    rules: Rules,
    connects: Option<Gauge>,
    /// In, out, both ways together.
    bytes: [Option<Gauge>; 3],
}

/// A quota and how much of it is used.
struct Gauge {
    quota: Quota,
    meter: Meter,
}

impl Gauge {
    /// The use of `before` under a new quota.
    fn carried(before: Option<Gauge>, quota: Option<Quota>, now_us: u64) -> Option<Gauge> {
        let quota = quota?;
        let meter = before.map_or_else(Meter::default, |old| old.meter.carried(&old.quota, &quota, now_us));
        Some(Gauge { quota, meter })
    }
}

impl Level {
    /// An unused level.
    pub fn new(rules: &Rules, now_us: u64) -> Level {
        let unpaced = || AtomicUsize::new(usize::MAX);
        let level =
            Level { state: Mutex::default(), slices: [unpaced(), unpaced()], metrics: OnceLock::new() };
        level.apply(rules, now_us);
        level
    }

    /// These rules from now on; what was used stays used.
    pub fn apply(&self, rules: &Rules, now_us: u64) {
        let pace = |rate: NonZeroU32| Quota::new(rate, SECOND, slice(rate), Algorithm::TokenBucket);
        let state = &mut *self.state.lock();
        state.rules = *rules;
        let connects = rules.connects.map(|(n, period)| Quota::new(n, period, n, Algorithm::TokenBucket));
        state.connects = Gauge::carried(state.connects.take(), connects, now_us);
        for (gauge, rate) in state.bytes.iter_mut().zip([rules.bytes_in, rules.bytes_out, rules.bytes]) {
            *gauge = Gauge::carried(gauge.take(), rate.map(pace), now_us);
        }
        for (most, rate) in self.slices.iter().zip([rules.bytes_in, rules.bytes_out]) {
            let bytes = lesser(rate, rules.bytes).map_or(usize::MAX, |rate| slice(rate).get() as usize);
            most.store(bytes, Ordering::Relaxed);
        }
    }

    /// A place for one more connection, if there is one.
    ///
    /// # Errors
    /// [`Full`]; nothing was charged.
    pub fn enter(self: &Arc<Level>, now_us: u64) -> Result<Place, Full> {
        let state = &mut *self.state.lock();
        if state.rules.connections.is_some_and(|most| state.open >= most.get()) {
            return Err(Full::Connections);
        }
        if let Some(Gauge { quota, meter }) = &mut state.connects {
            if !meter.fits(quota, 1, now_us) {
                return Err(Full::Connects);
            }
            meter.charge(quota, 1, now_us);
        }
        state.open += 1;
        Ok(Place { level: self.clone() })
    }

    /// Most bytes to read at once in this direction.
    #[inline]
    pub fn slice(&self, way: Way) -> usize {
        self.slices[way as usize].load(Ordering::Relaxed)
    }

    /// Charges bytes that have been read; microseconds until they may be written.
    pub fn spend(&self, way: Way, bytes: usize, now_us: u64) -> u64 {
        if self.slice(way) == usize::MAX {
            return 0;
        }
        let [into, out, both] = &mut self.state.lock().bytes;
        let one = if way == Way::In { into } else { out };
        let gauges = [one, both].into_iter().flatten();
        let waits = gauges.map(|Gauge { quota, meter }| {
            meter.charge(quota, bytes as u64, now_us);
            meter.wait_us(quota, 0, now_us)
        });
        waits.max().unwrap_or(0)
    }

    /// How many connections are open, and under which rules.
    pub fn state(&self) -> (u32, Rules) {
        let state = self.state.lock();
        (state.open, state.rules)
    }

    /// Its handles, resolved by its first connection: most tenants of a large policy never have one.
    pub fn metrics(&self, stream: &StreamMetrics, tenant: Option<&str>) -> &TenantStreamMetrics {
        self.metrics.get_or_init(|| stream.of_tenant(tenant))
    }
}

/// The burst of a rate.
fn slice(rate: NonZeroU32) -> NonZeroU32 {
    NonZeroU32::new(rate.get() / SLICES_PER_SECOND).unwrap_or(NonZeroU32::MIN)
}

/// A connection's place; given back by Drop.
pub struct Place {
    level: Arc<Level>,
}

impl Place {
    /// Where it is.
    pub fn level(&self) -> &Arc<Level> {
        &self.level
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.level.state.lock().open -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000;

    fn some(n: u32) -> Option<NonZeroU32> {
        NonZeroU32::new(n)
    }

    fn level(rules: Rules) -> Arc<Level> {
        Arc::new(Level::new(&rules, 0))
    }

    #[test]
    fn places_are_counted_and_come_back() {
        let level = level(Rules { connections: some(2), ..Rules::default() });
        let (first, _second) = (level.enter(0).ok(), level.enter(0).ok());
        assert_eq!(level.enter(0).err(), Some(Full::Connections));
        drop(first);
        assert!(level.enter(0).is_ok());
        assert_eq!(level.state().0, 1);
    }

    #[test]
    fn connects_are_counted_by_time_and_a_refusal_costs_nothing() {
        let level = level(Rules {
            connections: some(2),
            connects: Some((NonZeroU32::MIN, SECOND)),
            ..Rules::default()
        });
        drop(level.enter(0).ok().unwrap());
        for _ in 0..10 {
            assert_eq!(level.enter(S - 1).err(), Some(Full::Connects));
        }
        let _one = level.enter(S).ok().unwrap();
        let _two = level.enter(2 * S).ok().unwrap();
        assert_eq!(level.enter(3 * S).err(), Some(Full::Connections));
        drop(_one);
        assert!(level.enter(3 * S).is_ok(), "the refusal for want of a place took no connect");
    }

    /// Reads slice after slice, each as soon as the one before may be written; when each is written, and its end.
    fn walk(level: &Level, ways: &[Way], slices: usize) -> Vec<(u64, u64)> {
        let (mut now, mut total) = (0, 0);
        (0..slices)
            .map(|i| {
                let way = ways[i % ways.len()];
                let bytes = level.slice(way).min(64 << 10);
                now += level.spend(way, bytes, now);
                total += bytes as u64;
                (now, total)
            })
            .collect()
    }

    #[test]
    fn bytes_pass_at_their_rate_and_never_faster() {
        for rate in [1_000, 100_000, 4_000_000, 999_999_937] {
            let level = level(Rules { bytes_in: some(rate), ..Rules::default() });
            let passed = walk(&level, &[Way::In], 2_000);
            let most = |us: u64| u64::from(rate) * us / S + u64::from(rate / SLICES_PER_SECOND).max(1);
            for (at_us, bytes) in &passed {
                assert!(*bytes <= most(*at_us) + 1, "{bytes} bytes after {at_us} us at {rate}/s");
            }
            let (at_us, bytes) = passed.last().unwrap();
            assert!(
                *bytes + u64::from(rate) / 10 >= most(*at_us),
                "{bytes} bytes after {at_us} us at {rate}/s"
            );
        }
    }

    #[test]
    fn both_ways_share_what_is_for_both() {
        let level = level(Rules { bytes: some(100_000), bytes_in: some(80_000), ..Rules::default() });
        let (at_us, bytes) = *walk(&level, &[Way::In, Way::Out], 400).last().unwrap();
        assert!(bytes.abs_diff(100_000 * at_us / S) <= 10_000, "{bytes} bytes in {at_us} us");
        assert_eq!(level.slice(Way::In), 4_000, "the slower of the two");
    }

    #[test]
    fn what_is_not_limited_does_not_wait() {
        let level = level(Rules { bytes_in: some(10), ..Rules::default() });
        assert_eq!(level.slice(Way::Out), usize::MAX);
        assert_eq!(level.spend(Way::Out, 1 << 30, 0), 0);
    }

    #[test]
    fn new_rules_keep_what_was_used() {
        let level = level(Rules { connections: some(1), bytes_in: some(1_000), ..Rules::default() });
        let _place = level.enter(0).ok().unwrap();
        assert_eq!(level.spend(Way::In, 1_050, 0), S);
        level.apply(&Rules { connections: some(2), bytes_in: some(2_000), ..Rules::default() }, 0);
        assert_eq!(
            level.spend(Way::In, 0, 0),
            475_000,
            "1,050 bytes, less the burst of 100, at twice the rate"
        );
        assert_eq!(level.slice(Way::In), 100);
        let _second = level.enter(0).ok().unwrap();
        assert!(level.enter(0).is_err(), "the first still counts");
        level.apply(&Rules::default(), 0);
        assert_eq!(level.spend(Way::In, 1 << 20, 0), 0);
    }
}
