//! Attempts and failures of the last minute, by the second, counted by all workers without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Seconds remembered; one more than anybody asks for.
const SLOTS: usize = 64;
/// A slot holds the second it counts (24 bits; the same slot has another one after 64 s, and the number comes again after
/// 194 days), attempts and failures (20 bits each; what would not fit is not counted).
const ATTEMPT: u64 = 1 << 20;
const PART_MAX: u64 = ATTEMPT - 1;
const SECOND_SHIFT: u32 = 40;

/// The counts of one backend.
#[derive(Debug)]
pub struct Tally([AtomicU64; SLOTS]);

impl Default for Tally {
    fn default() -> Tally {
        Tally(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Tally {
    /// Hot path, where a pool asks for it: counts an attempt.
    pub fn count(&self, failed: bool, now_s: u64) {
        self.add(ATTEMPT + u64::from(failed), now_s);
    }

    /// Counts the failure of an attempt that was counted as a good one, in the second in which it shows.
    pub fn count_cut(&self, now_s: u64) {
        self.add(1, now_s);
    }

    fn add(&self, more: u64, now_s: u64) {
        let empty = tag(now_s);
        let added = |slot: u64| {
            let slot = if slot >> SECOND_SHIFT == empty >> SECOND_SHIFT { slot } else { empty };
            (attempts(slot) < PART_MAX && failures(slot) < PART_MAX).then_some(slot + more)
        };
        let _full = self.slot(now_s).fetch_update(Relaxed, Relaxed, added);
    }

    /// Attempts and failures of the last `seconds`, the running one included. There may be more failures, of earlier attempts.
    pub fn sum(&self, seconds: u8, now_s: u64) -> (u64, u64) {
        let slots = (0..u64::from(seconds)).filter_map(|age| {
            let second = now_s.checked_sub(age)?;
            let slot = self.slot(second).load(Relaxed);
            (slot >> SECOND_SHIFT == tag(second) >> SECOND_SHIFT).then_some(slot)
        });
        slots.fold((0, 0), |(all, failed), slot| (all + attempts(slot), failed + failures(slot)))
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.0.iter().for_each(|slot| slot.store(0, Relaxed));
    }

    fn slot(&self, second: u64) -> &AtomicU64 {
        &self.0[second as usize % SLOTS]
    }
}

fn tag(second: u64) -> u64 {
    second << SECOND_SHIFT
}

fn attempts(slot: u64) -> u64 {
    slot >> 20 & PART_MAX
}

fn failures(slot: u64) -> u64 {
    slot & PART_MAX
}
