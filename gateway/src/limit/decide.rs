//! The decision: every level that concerns a request moves, or none does.

use super::Per;
use super::level::Level;
use super::levels::Open;
use super::measure::ByMeasure;
use super::rules::{Rate, Rules, Slots};
use super::spend::{Spend, SpendRule};
use super::standing::{Standing, standing_of_rate, standing_of_slots, standing_of_spend};
use super::tally::Tally;
use crate::clock::Now;
use std::sync::Arc;

/// Expected wait for a place among the concurrent requests. Nobody knows when one of them ends; a second is
/// soon enough to find the place and late enough not to be in the way.
pub(super) const PLACE_WAIT_US: u64 = 1_000_000;

/// How many subjects one request may concern: tenant, user, tenant on route (by plan, by route), tenant for model
/// (by plan, by model), route, model. Their order is the same in a decision and when it is settled.
pub(super) const SUBJECTS: usize = 8;

/// Who is counted, by which rules, and where it stands. Lives while its lock is held.
pub(super) struct Subject<'a> {
    pub(super) per: Per,
    pub(super) rules: &'a Rules,
    /// One for each of `rules.rates`.
    pub(super) rates: &'a mut [Level],
    /// One for each of `rules.spends`.
    pub(super) spends: &'a mut [Spend],
    pub(super) open: Open,
}

/// For each subject, which of its spends a request was not held at: shadows without room, by their
/// [marks](SpendRule::mark).
pub(super) type Skipped = [u16; SUBJECTS];

/// The subjects at which a shadow of `concurrent` would have refused a request, which then takes no place in its count. A
/// bit for each.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Over(u8);

impl Over {
    #[inline]
    fn add(&mut self, at: usize) {
        self.0 |= 1 << at;
    }

    /// Is the subject at this position one?
    #[inline]
    pub(super) fn at(self, at: usize) -> bool {
        self.0 & (1 << at) != 0
    }
}

/// The limit with the longest wait among those that had no room.
pub(super) struct Refusal {
    pub(super) per: Per,
    pub(super) standing: Standing,
    pub(super) requested: u64,
    pub(super) wait_us: u64,
    /// Of the limit; has counted this refusal.
    pub(super) tally: Arc<Tally>,
}

/// Hot path. Takes one request, and room for `cost`, from every level of every subject, if all have room. `cost` is
/// None where nothing is metered: limits on spending then have no say. Returns which shadows it was not held at, and where it
/// takes no place of a shadow's.
///
/// # Errors
/// [`Refusal`]: no level moved.
#[inline]
pub(super) fn decide(
    subjects: &mut [Option<Subject<'_>>; SUBJECTS],
    cost: Option<&ByMeasure<u64>>,
    now: Now,
) -> Result<(Skipped, Over), Refusal> {
    if !have_room(subjects, cost, now) {
        return Err(refuse(subjects, cost, now));
    }
    let (mut skipped, mut over) = (Skipped::default(), Over::default());
    for (at, subject) in subjects.iter_mut().enumerate() {
        if let Some(subject) = subject {
            let (marks, is_over) = subject.take(cost, now);
            if marks != 0 {
                skipped[at] = marks;
            }
            if is_over {
                over.add(at);
            }
        }
    }
    Ok((skipped, over))
}

/// Have all of them room for `cost`? Moves nothing.
#[inline]
pub(super) fn have_room(
    subjects: &[Option<Subject<'_>>; SUBJECTS],
    cost: Option<&ByMeasure<u64>>,
    now: Now,
) -> bool {
    subjects.iter().all(|subject| subject.as_ref().is_none_or(|subject| subject.has_room(cost, now)))
}

/// What a request of `cost` would be refused with; None: it would be let in. Nothing is moved, and nothing counted.
pub(super) fn foretell(
    subjects: &[Option<Subject<'_>>],
    cost: Option<&ByMeasure<u64>>,
    now: Now,
) -> Option<Refusal> {
    longest(subjects, cost, now).map(|blocked| blocked.refusal(now))
}

impl Subject<'_> {
    pub(super) fn rates(&self) -> impl Iterator<Item = (&Rate, &Level)> {
        self.rules.rates.iter().zip(self.rates.iter())
    }

    pub(super) fn spends(&self) -> impl Iterator<Item = (&SpendRule, &Spend)> {
        self.rules.spends.iter().zip(self.spends.iter())
    }

    /// Shadows always have room.
    #[inline]
    fn has_room(&self, cost: Option<&ByMeasure<u64>>, now: Now) -> bool {
        self.rates().all(|(rate, level)| rate.shadow || level.has_room(&rate.quota, now.mono_us))
            && self.rules.slots.iter().all(|slots| slots.shadow || slots.has_room(self.open))
            && cost.is_none_or(|cost| {
                self.spends()
                    .all(|(rule, spend)| rule.shadow || spend.has_room(rule, *cost.by(rule.measure), now))
            })
    }

    /// Moves every level; returns the marks of those that it left as they are, and whether a shadow had no place.
    #[inline]
    fn take(&mut self, cost: Option<&ByMeasure<u64>>, now: Now) -> (u16, bool) {
        if self.rules.shadows {
            return self.take_beside_shadows(cost, now);
        }
        for (rate, level) in self.rules.rates.iter().zip(self.rates.iter_mut()) {
            level.take(&rate.quota, now.mono_us);
        }
        let Some(cost) = cost else { return (0, false) };
        for (rule, spend) in self.rules.spends.iter().zip(self.spends.iter_mut()) {
            spend.hold(rule, *cost.by(rule.measure), now);
        }
        (0, false)
    }

    /// The same where some are shadows: one without room is left as it is, as it would be had it refused.
    fn take_beside_shadows(&mut self, cost: Option<&ByMeasure<u64>>, now: Now) -> (u16, bool) {
        for (rate, level) in self.rules.rates.iter().zip(self.rates.iter_mut()) {
            if rate.shadow && !level.has_room(&rate.quota, now.mono_us) {
                rate.tally.would_refuse();
            } else {
                level.take(&rate.quota, now.mono_us);
            }
        }
        let mut over = false;
        for slots in self.rules.slots.iter().filter(|slots| slots.shadow && !slots.has_room(self.open)) {
            slots.tally.would_refuse();
            over = true;
        }
        let Some(cost) = cost else { return (0, over) };
        let mut skipped = 0;
        for (rule, spend) in self.rules.spends.iter().zip(self.spends.iter_mut()) {
            let cost = *cost.by(rule.measure);
            if rule.shadow && !spend.has_room(rule, cost, now) {
                rule.tally.would_refuse();
                skipped |= rule.mark;
            } else {
                spend.hold(rule, cost, now);
            }
        }
        (skipped, over)
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
    Spend(&'a SpendRule, &'a Spend, u64),
}

/// What is said of the longest wait, once some limit has no room; counts the refusal.
#[cold]
pub(super) fn refuse(subjects: &[Option<Subject<'_>>], cost: Option<&ByMeasure<u64>>, now: Now) -> Refusal {
    let longest = longest(subjects, cost, now).expect("called because a limit has no room");
    longest.tally().refused();
    longest.refusal(now)
}

/// The limit with the longest wait among those without room; of equals, the first.
fn longest<'a>(
    subjects: &'a [Option<Subject<'_>>],
    cost: Option<&'a ByMeasure<u64>>,
    now: Now,
) -> Option<Blocked<'a>> {
    let blocked = subjects.iter().flatten().flat_map(|subject| subject.blocked(cost, now));
    blocked.reduce(|longest, next| if next.wait_us > longest.wait_us { next } else { longest })
}

impl Subject<'_> {
    /// Its limits without room.
    fn blocked<'a>(
        &'a self,
        cost: Option<&'a ByMeasure<u64>>,
        now: Now,
    ) -> impl Iterator<Item = Blocked<'a>> {
        let (per, now_us) = (self.per, now.mono_us);
        let rates =
            self.rates().filter(move |(rate, level)| !rate.shadow && !level.has_room(&rate.quota, now_us));
        let rates = rates.map(move |(rate, level)| {
            let wait_us = level.wait_us(&rate.quota, now_us);
            Blocked { per, wait_us, by: By::Rate(rate, level) }
        });
        let full = |slots: &&Slots| !slots.shadow && !slots.has_room(self.open);
        let slots = self.rules.slots.iter().filter(full).map(move |slots| {
            let by = By::Slots(slots, self.open.requests);
            Blocked { per, wait_us: PLACE_WAIT_US, by }
        });
        let spends = cost.into_iter().flat_map(move |cost| {
            self.spends().filter_map(move |(rule, spend)| {
                let cost = *cost.by(rule.measure);
                let full = !rule.shadow && !spend.has_room(rule, cost, now);
                let wait_us = || spend.wait_us(rule, cost, now, self.open.typical_us());
                full.then(|| Blocked { per, wait_us: wait_us(), by: By::Spend(rule, spend, cost) })
            })
        });
        rates.chain(slots).chain(spends)
    }
}

impl Blocked<'_> {
    fn tally(&self) -> &Arc<Tally> {
        match self.by {
            By::Rate(rate, _) => &rate.tally,
            By::Slots(slots, _) => &slots.tally,
            By::Spend(rule, ..) => &rule.tally,
        }
    }

    fn refusal(&self, now: Now) -> Refusal {
        let (standing, requested) = match self.by {
            By::Rate(rate, level) => (standing_of_rate(rate, level, now.mono_us), 1),
            By::Slots(slots, open) => (standing_of_slots(slots, open), 1),
            By::Spend(rule, spend, cost) => (standing_of_spend(rule, spend, now), cost),
        };
        let tally = Arc::clone(self.tally());
        Refusal { per: self.per, standing, requested, wait_us: self.wait_us, tally }
    }
}
