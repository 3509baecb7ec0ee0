//! How fast the queue moves, and so how long somebody will wait.
//!
//! By Little's law, n requests in flight that stay for S on average make room n / S times a second. S is a running mean
//! over requests that were served. While an upstream stands still nothing ends, and the mean knows nothing of it; but
//! those in flight grow old, and S is at least their mean age.

/// Each end moves the mean by a sixteenth of the difference: the last few dozen count.
const SMOOTHING: i64 = 16;

/// Running mean of the time in flight.
#[derive(Default)]
pub(super) struct Pace {
    /// 0: nothing has been served yet.
    mean_us: i64,
    /// Sum over those in flight of when they began.
    began_sum_us: u128,
}

impl Pace {
    #[inline]
    pub(super) fn began(&mut self, now_us: u64) {
        self.began_sum_us += u128::from(now_us);
    }

    /// Ends what began then. What was refused or broke says nothing of how long an answer takes: not `served`.
    #[inline]
    pub(super) fn ended(&mut self, began_us: u64, now_us: u64, served: bool) {
        self.began_sum_us -= u128::from(began_us);
        if served {
            let took_us = now_us.saturating_sub(began_us).min(i64::MAX as u64) as i64;
            let step = if self.mean_us == 0 { took_us } else { (took_us - self.mean_us) / SMOOTHING };
            self.mean_us = (self.mean_us + step).max(1);
        }
    }

    /// Mean time that a request stays in flight; None: nobody knows yet.
    pub(super) fn stay_us(&self, in_flight: u32, now_us: u64) -> Option<u64> {
        let ages_us = (u128::from(now_us) * u128::from(in_flight)).saturating_sub(self.began_sum_us);
        let age_us = ages_us.checked_div(u128::from(in_flight)).unwrap_or(0);
        let stay_us = (self.mean_us as u64).max(u64::try_from(age_us).unwrap_or(u64::MAX));
        (stay_us > 0).then_some(stay_us)
    }
}
