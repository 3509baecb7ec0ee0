//! Counting in windows: for limits that must read as "so many per period" rather than as a rate.
//!
//! | algorithm | most in any period, wherever it starts | sustained | memory |
//! | --- | --- | --- | --- |
//! | token bucket | `burst + requests` | `requests` per period | 16 B |
//! | fixed window | `2 * requests` | `requests` per period | 112 B |
//! | sliding window | `requests` | between 15/16 of `requests` and `requests` per period | 112 B |

use super::Algorithm;
use super::quota::{Quota, STEPS};

/// A count in windows, of either kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Window {
    Fixed(Fixed),
    Sliding(Sliding),
}

impl Window {
    /// `used` requests, all of them now; None: a token bucket's quota counts otherwise.
    pub(super) fn with_used(quota: &Quota, used: u64, now_us: u64) -> Option<Window> {
        match quota.algorithm {
            Algorithm::TokenBucket => None,
            Algorithm::FixedWindow => Some(Window::Fixed(Fixed::with_used(used, now_us))),
            Algorithm::SlidingWindow => Some(Window::Sliding(Sliding::with_used(used, now_us))),
        }
    }

    pub(super) fn wait_us(&self, quota: &Quota, now_us: u64) -> u64 {
        match self {
            Window::Fixed(window) => window.wait_us(quota, now_us),
            Window::Sliding(window) => window.wait_us(quota, now_us),
        }
    }

    #[inline(never)] // rarer than buckets, whose way is shorter without it
    pub(super) fn take(&mut self, quota: &Quota, now_us: u64) {
        match self {
            Window::Fixed(window) => window.take(quota, now_us),
            Window::Sliding(window) => window.take(quota, now_us),
        }
    }

    #[inline(never)]
    pub(super) fn used(&self, quota: &Quota, now_us: u64) -> u64 {
        match self {
            Window::Fixed(window) => window.used(quota, now_us),
            Window::Sliding(window) => window.used(quota, now_us),
        }
    }

    pub(super) fn reset_us(&self, quota: &Quota, now_us: u64) -> u64 {
        match self {
            Window::Fixed(window) => window.reset_us(quota, now_us),
            Window::Sliding(window) => window.reset_us(quota, now_us),
        }
    }
}

/// A window that opens with the first request and closes a period later.
///
/// Any period overlaps at most two windows, hence twice the limit at worst: all of it at the end of one
/// window and all of it at the start of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fixed {
    start_us: u64,
    used: u64,
}

impl Fixed {
    /// A window that opened at `now_us` with `used` requests in it.
    pub fn with_used(used: u64, now_us: u64) -> Fixed {
        Fixed { start_us: now_us, used }
    }

    /// Microseconds until one more fits; 0: now.
    #[inline]
    pub fn wait_us(&self, quota: &Quota, now_us: u64) -> u64 {
        if self.used(quota, now_us) < quota.most { 0 } else { self.reset_us(quota, now_us) }
    }

    /// Counts one request.
    #[inline]
    pub fn take(&mut self, quota: &Quota, now_us: u64) {
        if self.used(quota, now_us) == 0 {
            *self = Fixed::with_used(0, self.start_us.max(now_us));
        }
        self.used += 1;
    }

    /// Requests in the open window.
    #[inline]
    pub fn used(&self, quota: &Quota, now_us: u64) -> u64 {
        if now_us.saturating_sub(self.start_us) >= quota.period_us { 0 } else { self.used }
    }

    /// Microseconds until the open window closes.
    #[inline]
    pub fn reset_us(&self, quota: &Quota, now_us: u64) -> u64 {
        match self.used(quota, now_us) {
            0 => 0,
            _ => self.start_us.saturating_add(quota.period_us).saturating_sub(now_us),
        }
    }
}

const SLOTS: usize = STEPS as usize + 1;

/// The last period, in sub-windows of a fifteenth of it.
///
/// It counts the newest sub-window and the fifteen before it. Together they always cover the whole last
/// period, so no period ever holds more than the limit; they cover at most a fifteenth more than it, so
/// a request may be asked to wait that much longer than an exact log of all requests would. The usual
/// approximation by two windows promises less: after a silent window it lets nearly `2 * requests`
/// through within one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sliding {
    /// Start of the newest sub-window.
    start_us: u64,
    /// Sum of `counts`.
    used: u64,
    /// A ring: the newest sub-window is at `newest`, the oldest at the place after it.
    counts: [u32; SLOTS],
    newest: u32,
}

impl Sliding {
    /// A window with `used` requests in its newest sub-window, which starts at `now_us`.
    pub fn with_used(used: u64, now_us: u64) -> Sliding {
        let used = u32::try_from(used).unwrap_or(u32::MAX); // more than any limit
        let mut window = Sliding { start_us: now_us, used: u64::from(used), ..Sliding::default() };
        window.counts[0] = used;
        window
    }

    /// Microseconds until one more fits; 0: now.
    pub fn wait_us(&self, quota: &Quota, now_us: u64) -> u64 {
        self.left_after(quota, now_us, quota.most - 1)
    }

    /// Counts one request.
    pub fn take(&mut self, quota: &Quota, now_us: u64) {
        self.advance(quota, now_us);
        self.counts[self.newest as usize] += 1; // <= used <= requests, a u32
        self.used += 1;
    }

    /// Requests in the sub-windows that count now.
    pub fn used(&self, quota: &Quota, now_us: u64) -> u64 {
        let gone = self.steps(quota, now_us).min(SLOTS as u64) as usize;
        self.used - self.oldest_first().take(gone).map(u64::from).sum::<u64>()
    }

    /// Microseconds until none counts any more.
    pub fn reset_us(&self, quota: &Quota, now_us: u64) -> u64 {
        self.left_after(quota, now_us, 0)
    }

    /// Microseconds until at most `left` requests count; 0: now.
    fn left_after(&self, quota: &Quota, now_us: u64, left: u64) -> u64 {
        if self.used <= left {
            return 0;
        }
        let mut used = self.used;
        let mut leaves_us = self.start_us;
        for count in self.oldest_first() {
            used -= u64::from(count);
            leaves_us = leaves_us.saturating_add(quota.step_us);
            if used <= left {
                break;
            }
        }
        leaves_us.saturating_sub(now_us)
    }

    /// Moves the ring so that its newest sub-window holds `now_us`.
    fn advance(&mut self, quota: &Quota, now_us: u64) {
        let steps = self.steps(quota, now_us);
        if steps >= SLOTS as u64 {
            *self = Sliding::with_used(0, now_us);
            return;
        }
        for _ in 0..steps {
            self.newest = (self.newest + 1) % SLOTS as u32;
            self.used -= u64::from(std::mem::take(&mut self.counts[self.newest as usize]));
        }
        self.start_us += steps * quota.step_us;
    }

    /// Sub-windows begun since the newest; none if the clock stepped back.
    fn steps(&self, quota: &Quota, now_us: u64) -> u64 {
        now_us.saturating_sub(self.start_us) / quota.step_us
    }

    fn oldest_first(&self) -> impl Iterator<Item = u32> {
        let (newer, older) = self.counts.split_at(self.newest as usize + 1);
        older.iter().chain(newer).copied()
    }
}
