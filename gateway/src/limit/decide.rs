//! The decision: every level that concerns a request moves, or none does.

use super::level::Level;
use super::quota::Quota;
use super::rules::{Rate, Rules, Slots};
use super::{Per, Standing};
use std::sync::Arc;
use std::time::Duration;

/// Expected wait for a place among the concurrent requests. Nobody knows when one of them ends; a second is
/// soon enough to find the place and late enough not to be in the way.
pub(super) const PLACE_WAIT_US: u64 = 1_000_000;

/// Who is counted, by which rules, and where it stands. Lives while its lock is held.
pub(super) struct Subject<'a> {
    pub(super) per: Per,
    pub(super) rules: &'a Rules,
    /// One for each of `rules.rates`.
    pub(super) levels: &'a mut [Level],
    pub(super) in_flight: u32,
}

/// The limit with the longest wait among those that had no room.
pub(super) struct Refusal {
    pub(super) per: Per,
    pub(super) standing: Standing,
    pub(super) concurrent: bool,
    pub(super) wait_us: u64,
}

/// Hot path. Takes one request from every level of every subject, if all have room. Returns where the most
/// constrained request limit stands after it, if `report` asks for it.
///
/// # Errors
/// [`Refusal`]: no level moved.
#[inline]
pub(super) fn decide(
    subjects: &mut [Option<Subject<'_>>],
    now_us: u64,
    report: bool,
) -> Result<Option<Standing>, Refusal> {
    if !subjects.iter().flatten().all(|subject| subject.has_room(now_us)) {
        return Err(refusal(subjects, now_us));
    }
    subjects.iter_mut().flatten().for_each(|subject| subject.take(now_us));
    Ok(if report { most_constrained(subjects, now_us) } else { None })
}

impl Subject<'_> {
    fn rates(&self) -> impl Iterator<Item = (&Rate, &Level)> {
        self.rules.rates.iter().zip(self.levels.iter())
    }

    #[inline]
    fn has_room(&self, now_us: u64) -> bool {
        let place = |slots: &Slots| self.in_flight < slots.most;
        self.rates().all(|(rate, level)| level.has_room(&rate.quota, now_us))
            && self.rules.slots.iter().all(place)
    }

    #[inline]
    fn take(&mut self, now_us: u64) {
        for (rate, level) in self.rules.rates.iter().zip(self.levels.iter_mut()) {
            level.take(&rate.quota, now_us);
        }
    }
}

/// A limit without room.
struct Blocked<'a> {
    per: Per,
    wait_us: u64,
    by: By<'a>,
}

enum By<'a> {
    Rate(&'a Rate, &'a Level),
    Slots(&'a Slots, u32),
}

/// What is said of the longest wait, once some limit has no room.
#[cold]
fn refusal(subjects: &[Option<Subject<'_>>], now_us: u64) -> Refusal {
    let blocked = subjects.iter().flatten().flat_map(|subject| subject.blocked(now_us));
    let longest = blocked.reduce(|longest, next| if next.wait_us > longest.wait_us { next } else { longest });
    longest.expect("called because a limit has no room").refusal(now_us)
}

impl Subject<'_> {
    /// Its limits without room.
    fn blocked(&self, now_us: u64) -> impl Iterator<Item = Blocked<'_>> {
        let per = self.per;
        let rates = self.rates().filter(move |(rate, level)| !level.has_room(&rate.quota, now_us));
        let rates = rates.map(move |(rate, level)| {
            let wait_us = level.wait_us(&rate.quota, now_us);
            Blocked { per, wait_us, by: By::Rate(rate, level) }
        });
        let slots = self.rules.slots.iter().filter(|slots| self.in_flight >= slots.most);
        rates.chain(slots.map(move |slots| {
            let by = By::Slots(slots, self.in_flight);
            Blocked { per, wait_us: PLACE_WAIT_US, by }
        }))
    }
}

impl Blocked<'_> {
    fn refusal(&self, now_us: u64) -> Refusal {
        let (standing, concurrent) = match self.by {
            By::Rate(rate, level) => (standing_of_rate(rate, level, now_us), false),
            By::Slots(slots, in_flight) => (standing_of_slots(slots, in_flight), true),
        };
        Refusal { per: self.per, standing, concurrent, wait_us: self.wait_us }
    }
}

/// The request limit with the least share of its room left; of equals, the first.
fn most_constrained(subjects: &[Option<Subject<'_>>], now_us: u64) -> Option<Standing> {
    let rates = subjects.iter().flatten().flat_map(Subject::rates);
    let least = rates.min_by(|(a, at_a), (b, at_b)| {
        let share = |of: &Quota, level: &Level, other: &Quota| {
            u128::from(level.remaining(of, now_us)) * u128::from(other.most)
        };
        share(&a.quota, at_a, &b.quota).cmp(&share(&b.quota, at_b, &a.quota))
    });
    least.map(|(rate, level)| standing_of_rate(rate, level, now_us))
}

/// Where a request limit stands now.
pub(super) fn standing_of_rate(rate: &Rate, level: &Level, now_us: u64) -> Standing {
    let Rate { name, quota } = rate;
    let used = level.used(quota, now_us);
    Standing {
        limit: Arc::clone(name),
        quota: quota.requests,
        most: quota.most,
        window: quota.window(),
        used,
        remaining: quota.most.saturating_sub(used),
        reset: Duration::from_micros(level.reset_us(quota, now_us)),
    }
}

/// Where a concurrency limit stands with `in_flight` requests open.
pub(super) fn standing_of_slots(slots: &Slots, in_flight: u32) -> Standing {
    let most = u64::from(slots.most);
    Standing {
        limit: Arc::clone(&slots.name),
        quota: most,
        most,
        window: Duration::ZERO,
        used: u64::from(in_flight),
        remaining: most.saturating_sub(u64::from(in_flight)),
        reset: Duration::from_micros(if in_flight == 0 { 0 } else { PLACE_WAIT_US }),
    }
}
