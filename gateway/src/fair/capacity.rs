//! How much the pool takes at once, and what each class may use of it.

use super::Config;

/// What is in flight, and how much may be.
pub(super) struct Capacity {
    in_flight: u32,
    tokens: u64,
    places_max: Option<u32>,
    tokens_max: Option<u64>,
    /// By class, highest first: percent of the capacity that may be in use for one more to be let in.
    shares: Vec<u8>,
}

impl Capacity {
    pub(super) fn new(config: &Config) -> Capacity {
        let mut capacity =
            Capacity { in_flight: 0, tokens: 0, places_max: None, tokens_max: None, shares: Vec::new() };
        capacity.configure(config);
        capacity
    }

    pub(super) fn configure(&mut self, config: &Config) {
        self.places_max = config.in_flight_max.map(|max| max.get());
        self.tokens_max = config.tokens_max.map(|max| max.get());
        let mut left = 100u8;
        let share_of = |class: &super::Class| {
            let share = left;
            left = left.saturating_sub(class.holdback_percent);
            share
        };
        self.shares = config.classes.iter().map(share_of).collect();
    }

    /// Is there room for one more of a class that leaves so many percent of it all to others? `learned` is the
    /// number of places that the upstream has shown to have.
    ///
    /// What is too large for the pool, or for its class, goes alone: else it would never go. The same holds
    /// for a class to which rounding leaves nothing.
    #[inline]
    pub(super) fn fits(&self, class: usize, tokens: u64, headroom: u8, learned: Option<u32>) -> bool {
        if self.in_flight == 0 {
            return true;
        }
        u64::from(self.in_flight) < self.part(class, headroom, u64::from(self.places(learned)))
            && self.tokens_max.is_none_or(|max| self.tokens + tokens <= self.part(class, headroom, max))
    }

    /// What such a class may use of a whole.
    #[inline]
    pub(super) fn part(&self, class: usize, headroom: u8, whole: u64) -> u64 {
        let share = u64::from(self.share(class));
        let shared = if share == 100 { whole } else { whole.saturating_mul(share) / 100 };
        let left = whole.saturating_mul(u64::from(headroom)).saturating_add(50) / 100; // the nearest
        shared.saturating_sub(left)
    }

    /// Requests that may be in flight; `u32::MAX`: any number.
    #[inline]
    pub(super) fn places(&self, learned: Option<u32>) -> u32 {
        self.places_max.unwrap_or(u32::MAX).min(learned.unwrap_or(u32::MAX))
    }

    #[inline]
    pub(super) fn take(&mut self, tokens: u64) {
        self.in_flight += 1;
        self.tokens += tokens;
    }

    #[inline]
    pub(super) fn give_back(&mut self, tokens: u64) {
        self.in_flight -= 1;
        self.tokens -= tokens;
    }

    /// Changes what one request in flight takes.
    pub(super) fn resize(&mut self, before: u64, after: u64) {
        self.tokens = self.tokens - before + after;
    }

    #[inline]
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight
    }

    pub(super) fn tokens(&self) -> u64 {
        self.tokens
    }

    pub(super) fn tokens_max(&self) -> Option<u64> {
        self.tokens_max
    }

    fn share(&self, class: usize) -> u8 {
        self.shares.get(class).or(self.shares.last()).copied().unwrap_or(100)
    }
}
