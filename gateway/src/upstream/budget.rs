//! How many further attempts may a pool be asked for? A part of its requests, so that trying again cannot bury a pool
//! that is in trouble already.
//!
//! Counted over the running slot of five seconds and the one before it, shared by all workers without a lock: each slot
//! is one word, so that its numbers are always of one time. The idea of paying further attempts out of what requests
//! bring in is that of Finagle's retry budgets; the window takes the place of their expiring deposits.

use metrics::Counter;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// Length of a slot.
const SLOT_MS: u64 = 5_000;
/// Further attempts in a window that need no requests: 3 a second, so that a quiet pool has any.
const FREE: u64 = 3 * 2 * SLOT_MS / 1000;

/// What the further attempts at one pool are paid from.
pub struct Budget {
    /// By the parity of their number.
    slots: [AtomicU64; 2],
    exhausted: Counter,
}

/// What has happened in five seconds, in one word: 16 bits of number, 28 of what requests brought in, 20 of attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Slot {
    number: u16,
    /// In hundredths of an attempt.
    earned: u64,
    spent: u64,
}

const EARNED_BITS: u32 = 28;
const SPENT_BITS: u32 = 20;
const EARNED_MAX: u64 = (1 << EARNED_BITS) - 1;
const SPENT_MAX: u64 = (1 << SPENT_BITS) - 1;

impl Slot {
    fn unpack(word: u64) -> Slot {
        Slot {
            number: (word >> (EARNED_BITS + SPENT_BITS)) as u16,
            earned: word >> SPENT_BITS & EARNED_MAX,
            spent: word & SPENT_MAX,
        }
    }

    fn pack(self) -> u64 {
        u64::from(self.number) << (EARNED_BITS + SPENT_BITS) | self.earned << SPENT_BITS | self.spent
    }

    /// It, or a fresh one if its time is over. A worker whose clock is a tick behind counts in the newer one.
    fn at(self, number: u16) -> Slot {
        let behind = number.wrapping_sub(self.number);
        if behind == 0 || behind > u16::MAX / 2 { self } else { Slot { number, earned: 0, spent: 0 } }
    }

    fn is_beside(self, number: u16) -> bool {
        matches!(number.wrapping_sub(self.number), 1 | u16::MAX)
    }
}

impl Budget {
    /// Nothing has happened yet. `exhausted` counts attempts that were not made for want of budget.
    pub fn new(exhausted: Counter) -> Budget {
        Budget { slots: Default::default(), exhausted }
    }

    /// A request has come, and brings `percent` hundredths of a further attempt.
    pub fn earn(&self, percent: u32, now_ms: u64) {
        let number = number(now_ms);
        let add = |word| {
            let slot = Slot::unpack(word).at(number);
            let earned = (slot.earned + u64::from(percent)).min(EARNED_MAX);
            Some(Slot { earned, ..slot }.pack())
        };
        // Always `Ok`: `add` always has a new word.
        let _ = self.running(number).fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Pays for a further attempt; `false` if there is nothing left to pay it from.
    pub fn spend(&self, now_ms: u64) -> bool {
        let number = number(now_ms);
        let other = Slot::unpack(self.slots[usize::from(!number & 1)].load(Ordering::Relaxed));
        let (before, spent_before) =
            if other.is_beside(number) { (other.earned, other.spent) } else { (0, 0) };
        let pay = |word| {
            let slot = Slot::unpack(word).at(number);
            let most = FREE + (before + slot.earned) / 100;
            let left = spent_before + slot.spent < most && slot.spent < SPENT_MAX;
            left.then(|| Slot { spent: slot.spent + 1, ..slot }.pack())
        };
        let paid = self.running(number).fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay).is_ok();
        if !paid {
            self.exhausted.increment(1);
        }
        paid
    }

    fn running(&self, number: u16) -> &AtomicU64 {
        &self.slots[usize::from(number & 1)]
    }
}

/// The number of the slot that `now_ms` is in; it wraps around after four days, when nothing old is left to be mistaken.
fn number(now_ms: u64) -> u16 {
    (now_ms / SLOT_MS) as u16
}

/// Budgets by pool; they outlive reloads, which would else refill them.
#[derive(Default)]
pub struct Budgets(Mutex<HashMap<Arc<str>, Weak<Budget>>>);

impl Budgets {
    /// The budget of a pool: the one there is, or a new one.
    pub fn of(&self, pool: &Arc<str>, exhausted: impl FnOnce() -> Counter) -> Arc<Budget> {
        let mut budgets = self.0.lock();
        if let Some(budget) = budgets.get(pool).and_then(Weak::upgrade) {
            return budget;
        }
        budgets.retain(|_, budget| budget.strong_count() > 0);
        let budget = Arc::new(Budget::new(exhausted()));
        budgets.insert(pool.clone(), Arc::downgrade(&budget));
        budget
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Budget {
        Budget::new(Counter::noop())
    }

    fn spend_all(budget: &Budget, now_ms: u64) -> u64 {
        (0..2 << SPENT_BITS).take_while(|_| budget.spend(now_ms)).count() as u64
    }

    #[test]
    fn a_quiet_pool_may_be_asked_a_few_times_more_and_a_busy_one_by_its_requests() {
        assert_eq!(spend_all(&budget(), 0), FREE);
        let busy = budget();
        (0..1_000).for_each(|_| busy.earn(20, 0));
        assert_eq!(spend_all(&busy, 0), FREE + 200);
        assert_eq!(spend_all(&busy, SLOT_MS), 0, "the slot before still counts");
    }

    #[test]
    fn what_is_past_brings_nothing_and_costs_nothing() {
        let budget = budget();
        (0..1_000).for_each(|_| budget.earn(20, 0));
        assert_eq!(spend_all(&budget, 2 * SLOT_MS), FREE, "an hour of calm does not pay for a storm");
        assert_eq!(spend_all(&budget, 4 * SLOT_MS), FREE);
    }

    #[test]
    fn a_clock_a_tick_behind_does_not_begin_an_old_slot_anew() {
        let budget = budget();
        assert_eq!(spend_all(&budget, 2 * SLOT_MS), FREE);
        assert_eq!(spend_all(&budget, 2 * SLOT_MS - 100), 0);
        assert_eq!(spend_all(&budget, 100), 0);
    }

    #[test]
    fn a_word_keeps_its_numbers_apart_also_when_they_are_full() {
        let full = Slot { number: u16::MAX, earned: EARNED_MAX, spent: SPENT_MAX };
        assert_eq!(Slot::unpack(full.pack()), full);
        let budget = budget();
        (0..4).for_each(|_| budget.earn(u32::MAX, 0));
        assert_eq!(Slot::unpack(budget.slots[0].load(Ordering::Relaxed)).earned, EARNED_MAX);
        assert_eq!(spend_all(&budget, 0), SPENT_MAX);
    }

    #[test]
    fn threads_together_spend_no_more_than_there_is() {
        let budget = Arc::new(budget());
        let spenders: Vec<_> = (0..4)
            .map(|_| {
                let budget = budget.clone();
                std::thread::spawn(move || {
                    (0..1_000).for_each(|_| budget.earn(20, 0));
                    (0..1_000).filter(|_| budget.spend(0)).count() as u64
                })
            })
            .collect();
        let spent: u64 = spenders.into_iter().map(|spender| spender.join().unwrap()).sum();
        assert!(spent <= FREE + 800, "{spent}");
        assert_eq!(spent + spend_all(&budget, 0), FREE + 800);
    }

    #[test]
    fn a_budget_outlives_a_reload_and_goes_with_its_pool() {
        let budgets = Budgets::default();
        let name: Arc<str> = "a".into();
        let first = budgets.of(&name, Counter::noop);
        assert!(Arc::ptr_eq(&first, &budgets.of(&name, Counter::noop)));
        drop(first);
        budgets.of(&"b".into(), Counter::noop);
        assert_eq!(budgets.0.lock().len(), 1);
    }
}
