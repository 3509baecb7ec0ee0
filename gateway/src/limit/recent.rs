//! How fast a budget was spent lately: a sum that forgets.
//!
//! What was charged `t` ago counts `exp(-t / 1 h)` of itself. At a steady rate the sum is what is spent in one hour; a
//! change of the rate is two thirds seen after an hour, and 95 % after three. A ring of samples would forget more
//! sharply, and take twenty times the memory of every tenant for it.
//!
//! *Cost.* 8 bytes for each budget and subject; an addition for each charge, an exponential at most once a second.
//! Not saved: after a start the sum begins anew, which [`Recent::rate`] allows for.

use super::forecast::Rate;

/// How long memory is, in seconds.
const MEMORY_S: f32 = 3600.0;

/// Less than this is not taken for a stretch of time that a rate can be told from.
const SEEN_S_MIN: f32 = 60.0;

/// What was charged lately. Times are those of the monotonic clock, which began with the program.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Recent {
    /// As it was at `at_s`; never negative, never NaN.
    sum: f32,
    at_s: u32,
}

impl Eq for Recent {}

impl Recent {
    /// Counts a charge.
    #[inline]
    pub(super) fn add(&mut self, amount: u64, now_us: u64) {
        self.forget(now_us);
        self.sum += amount as f32;
    }

    /// Counts what was charged too much.
    pub(super) fn take_back(&mut self, amount: u64, now_us: u64) {
        self.forget(now_us);
        self.sum = (self.sum - amount as f32).max(0.0);
    }

    /// What was spent lately, and in how long: an hour, or less where the program has not run for long.
    pub(super) fn rate(mut self, now_us: u64) -> Rate {
        self.forget(now_us);
        let seen_s = (now_us as f32 / 1e6).max(SEEN_S_MIN);
        let over_s = MEMORY_S * (1.0 - (-seen_s / MEMORY_S).exp());
        Rate { amount: self.sum.round() as u64, over_ms: (over_s * 1000.0) as u64 }
    }

    /// Brings the sum up to date. A clock that steps back forgets nothing.
    #[inline]
    fn forget(&mut self, now_us: u64) {
        let now_s = u32::try_from(now_us / 1_000_000).unwrap_or(u32::MAX);
        if now_s > self.at_s {
            self.sum *= (-((now_s - self.at_s) as f32) / MEMORY_S).exp();
            self.at_s = now_s;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND_US: u64 = 1_000_000;
    const HOUR_S: u64 = 3600;

    /// 10 every second, `from_s` to `to_s`.
    fn charged(mut recent: Recent, (from_s, to_s): (u64, u64), each: u64) -> Recent {
        (from_s..to_s).for_each(|s| recent.add(each, s * SECOND_US));
        recent
    }

    fn per_hour(recent: Recent, now_s: u64) -> f64 {
        let Rate { amount, over_ms } = recent.rate(now_s * SECOND_US);
        amount as f64 * 3_600_000.0 / over_ms as f64
    }

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 0.02 * expected, "{found}, not {expected}");
    }

    #[test]
    fn a_steady_rate_is_told_from_the_first_minutes_on() {
        for hours in [0.1, 0.5, 1.0, 6.0, 48.0] {
            let to_s = (hours * HOUR_S as f64) as u64;
            near(per_hour(charged(Recent::default(), (0, to_s), 10), to_s), 36_000.0);
        }
    }

    #[test]
    fn a_change_is_two_thirds_seen_after_an_hour_and_silence_is_forgotten() {
        let busy = charged(Recent::default(), (0, 10 * HOUR_S), 10);
        let faster = charged(busy, (10 * HOUR_S, 11 * HOUR_S), 20);
        near(per_hour(faster, 11 * HOUR_S), 36_000.0 * (1.0 + 0.632));
        near(per_hour(busy, 11 * HOUR_S), 36_000.0 * 0.368);
        assert!(per_hour(busy, 34 * HOUR_S) < 1.0);
    }

    #[test]
    fn the_first_requests_after_a_start_are_no_flood() {
        let mut recent = Recent::default();
        recent.add(600, 0);
        assert!(per_hour(recent, 1) <= 37_000.0, "600 in a minute, not in a second");
    }

    #[test]
    fn what_is_taken_back_was_never_spent_and_clocks_may_step_back() {
        let mut recent = Recent::default();
        recent.add(1000, 100 * SECOND_US);
        recent.take_back(400, 50 * SECOND_US);
        assert_eq!(recent.rate(100 * SECOND_US).amount, 600);
        recent.take_back(4000, 100 * SECOND_US);
        assert_eq!(recent.rate(100 * SECOND_US).amount, 0);
    }
}
