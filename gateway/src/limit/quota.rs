//! A request limit's numbers, worked out once when policy is compiled, so that admitting divides nothing.

use super::{Algorithm, Amount};
use std::num::NonZeroU32;
use std::time::Duration;

/// Full levels stay below half of what a `u64` holds, so that one cost more can always be added in full.
const SCALED_MAX: u64 = 1 << 63;

/// Sub-windows of a sliding window that lie wholly or partly behind `now`, besides the newest.
pub(super) const STEPS: u64 = 15;

/// `requests` in every `period_us`, at most `most` at once.
///
/// A bucket counts in scaled units: one request is `unit` of them, and every microsecond `leak` of them
/// flow out. With `unit = period` and `leak = requests`, both divided by their greatest common divisor,
/// the rate is exact for every number and period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// How requests are counted.
    pub algorithm: Algorithm,
    /// Requests per period.
    pub requests: u64,
    /// Length of the period in microseconds.
    pub period_us: u64,
    /// Most requests at once: the burst of a token bucket, else `requests`.
    pub most: u64,
    /// Scaled units per request.
    pub(super) unit: u64,
    /// Scaled units of a full level: `most` requests, which are at least one.
    pub(super) full: u64,
    /// Scaled units that flow out per microsecond.
    pub(super) leak: u64,
    /// Length of a sliding window's sub-windows: a fifteenth of the period, rounded up.
    pub(super) step_us: u64,
}

impl Quota {
    /// `burst` counts for a token bucket only. A full bucket must fit `2^63` scaled units: that cuts the
    /// burst (never the rate) of limits with more than 106,751,991 requests a day whose number shares no
    /// factor with the day's length; the limit is then stricter than written, never looser.
    pub fn new(requests: NonZeroU32, period: Duration, burst: NonZeroU32, algorithm: Algorithm) -> Quota {
        let requests = u64::from(requests.get());
        let period_us = u64::try_from(period.as_micros()).unwrap_or(u64::MAX).clamp(1, SCALED_MAX);
        let shared = greatest_common_divisor(period_us, requests);
        let (unit, leak) = (period_us / shared, requests / shared);
        let most = match algorithm {
            Algorithm::TokenBucket => u64::from(burst.get()).min(SCALED_MAX / unit),
            Algorithm::FixedWindow | Algorithm::SlidingWindow => requests,
        };
        let full = most.saturating_mul(unit);
        Quota { algorithm, requests, period_us, most, unit, full, leak, step_us: period_us.div_ceil(STEPS) }
    }

    /// The numbers of `amount`, if it limits requests.
    pub(super) fn of(amount: &Amount) -> Option<Quota> {
        match *amount {
            Amount::Requests { requests, period, burst, algorithm } => {
                Some(Quota::new(requests, period, burst, algorithm))
            }
            _ => None,
        }
    }

    /// The period as a `Duration`.
    pub fn window(&self) -> Duration {
        Duration::from_micros(self.period_us)
    }
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
