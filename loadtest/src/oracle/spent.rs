//! Did a limit on tokens or money let too much be spent, or refuse too early?
//!
//! *Too much.* A bucket's level rises by what is charged and falls by the rate, so what is charged between two moments is
//! at most the level at the second, and the rate's share of the time between them. And the level at any moment is at most
//! the burst and `U`:
//!
//! - At the last admission before it, level and holds were within the burst, or the bucket was idle and took one request
//!   whatever it held. Since then the level rose by what requests that were open *at that moment* were charged; what they
//!   held was room already, so each adds what it spent beyond its hold.
//! - A limit that cuts has a second bound. Since the level was last below the burst nobody was admitted, and each stream
//!   that was open then was charged one part and ended. What is no stream may have been charged all it cost.
//!
//! The lesser of the two is `U`, each taken at the moment of the run at which it was greatest. What was charged by counting
//! text and taken back when the truth was told has flown out meanwhile; so what streams that do not tell may be
//! overcharged at one moment is added. A day or a month is a bucket that does not flow out, and begins anew at a moment
//! that the zone says; requests that lie in one period for sure are held against it.
//!
//! *Too many.* Of a limit that is less than a few requests, `U` is most of the bound. But whoever is let in takes room at
//! once, its hold, and keeps it until it is charged as much. So at each admission what those took that were let in before it
//! has flown out or is within the burst, and that knows no `U`: who holds nothing lets too many in.
//!
//! *Too early.* The greatest possible level at the moment of a refusal: everything that may have been admitted took the
//! most it can have held or been charged until it ended, and was charged at the last possible moment.

use super::ceiling::{Possible, Stretch, Taken, spent_can_be_full};
use super::cost::Tokens;
use super::evidence::{Evidence, Trace};
use super::level::{Level, Levels};
use super::limit::{Bound, Limit, Measure, Rate};
use super::window::{self, Held, Spent, Worst};

/// A gateway reads what has come of a stream at least this often, however busy the machine is.
const READS_US: u64 = 250_000;

/// The worst windows of a level that counts what `measure` does: by what was charged, and by what was let in.
pub fn worst(
    limit: &Limit,
    (measure, bound): (Measure, Bound),
    level: &Level,
    levels: &Levels<'_>,
    evidence: &Evidence,
) -> Vec<Worst> {
    let seen = Seen { measure, level, levels, evidence };
    let most = match bound {
        Bound::Bucket(rate) => rate.burst,
        Bound::Calendar { most, .. } => most,
    };
    let stray = seen.stray();
    let charged = seen.worst(seen.charged().collect(), bound, seen.overshoot(most, limit.cuts) + stray);
    let let_in = seen.worst(seen.let_in(most).collect(), bound, stray);
    charged.into_iter().chain(let_in).collect()
}

/// For each of `refused`: can the level have been without room for it?
pub fn can_be_full(
    (measure, bound): (Measure, Bound),
    level: &Level,
    levels: &Levels<'_>,
    evidence: &Evidence,
    refused: &[(u32, Stretch)],
) -> Vec<bool> {
    if level.hidden {
        return vec![true; refused.len()];
    }
    let seen = Seen { measure, level, levels, evidence };
    let taken: Vec<Taken> = seen.taken().collect();
    let rate = match bound {
        Bound::Bucket(rate) => rate,
        Bound::Calendar { most, .. } => without_flow(most),
    };
    let cost = |at: u32| {
        let terms = levels.terms(at);
        terms.held_most(levels.answers).by(measure, terms.price)
    };
    let asked: Vec<(Stretch, u64)> = refused.iter().map(|&(at, stretch)| (stretch, cost(at))).collect();
    spent_can_be_full(&taken, &asked, rate)
}

/// A bucket that nothing flows out of.
fn without_flow(most: u64) -> Rate {
    Rate { count: 0, period_us: 1, burst: most }
}

/// What is known of everything that a level counted.
struct Seen<'a, 'p> {
    measure: Measure,
    level: &'a Level,
    levels: &'a Levels<'p>,
    evidence: &'a Evidence,
}

impl<'a> Seen<'a, '_> {
    fn traces(&self) -> impl Iterator<Item = (u32, &'a Trace)> {
        self.level.traces.iter().map(|&at| (at, &self.evidence.traces[at as usize]))
    }

    fn by(&self, at: u32, tokens: Tokens) -> u64 {
        tokens.by(self.measure, self.levels.terms(at).price)
    }

    /// The worst window, if each may hold so much more than the bound.
    fn worst(&self, spent: Vec<Spent>, bound: Bound, more: u64) -> Option<Worst> {
        let (most, turns_us) = match bound {
            Bound::Bucket(rate) => return window::of_rate(&spent, rate, more),
            Bound::Calendar { most, turns_us } => (most, turns_us),
        };
        let period = |one: &Spent| self.evidence.period(one.from_us, one.to_us, turns_us);
        let mut dated: Vec<(i128, Spent)> =
            spent.into_iter().filter_map(|one| Some((period(&one)?, one))).collect();
        dated.sort_unstable_by_key(|&(period, _)| period);
        let each = dated.chunk_by(|a, b| a.0 == b.0).filter_map(|period| {
            let spent: Vec<Spent> = period.iter().map(|&(_, spent)| spent).collect();
            window::of_rate(&spent, without_flow(most), more)
        });
        each.max_by_key(|worst| worst.spent)
    }

    /// What surely was charged: not before the first token left the mock, and at the latest when all was over.
    fn charged(&self) -> impl Iterator<Item = Spent> {
        self.traces().filter_map(|(at, trace)| {
            let amount = self.by(at, self.levels.terms(at).surely(trace));
            let first_us = trace.arrival?.first_token_us.max(trace.sample.sent_us);
            (amount > 0).then(|| Spent::between(first_us, trace.open_until(), amount))
        })
    }

    /// What surely took room from its admission on: the hold as long as it was open, and then what it was charged. A
    /// request that asks for more than all there is takes all.
    fn let_in(&self, most: u64) -> impl Iterator<Item = Spent> {
        self.traces().filter_map(move |(at, trace)| {
            let terms = self.levels.terms(at);
            let held = self.by(at, terms.held_least(self.levels.answers));
            let amount = held.min(self.by(at, terms.surely(trace))).min(most);
            let (from_us, to_us) = trace.admitted().filter(|_| amount > 0)?;
            Some(Spent::between(from_us, to_us, amount))
        })
    }

    /// `U`, but for what is charged and taken back.
    fn overshoot(&self, most: u64, cuts: bool) -> u64 {
        let Levels { answers, .. } = *self.levels;
        let beyond_hold = |at: u32, trace: &Trace| {
            let terms = self.levels.terms(at);
            let held = self.by(at, terms.held_least(answers)).min(most);
            self.by(at, terms.perhaps(trace)).saturating_sub(held)
        };
        let part = |at: u32, trace: &Trace| self.by(at, self.levels.terms(at).part_most(trace, READS_US));
        let beyond_hold = self.at_once(beyond_hold);
        if cuts { beyond_hold.min(self.at_once(part)) } else { beyond_hold }
    }

    /// What may be charged at one moment and taken back later.
    fn stray(&self) -> u64 {
        self.at_once(|at, trace| {
            let terms = self.levels.terms(at);
            let over = self.by(at, terms.meanwhile(trace)).saturating_sub(self.by(at, terms.surely(trace)));
            if terms.is_corrected() { over } else { 0 }
        })
    }

    /// The greatest sum of `amount` over the requests that can have been open at one moment.
    fn at_once(&self, amount: impl Fn(u32, &Trace) -> u64) -> u64 {
        let admitted = self.traces().filter(|(_, trace)| trace.perhaps_admitted().is_some());
        let open: Vec<Held> = admitted
            .map(|(at, trace)| Held {
                from_us: trace.sample.sent_us,
                to_us: trace.open_until() + 1,
                amount: amount(at, trace),
            })
            .collect();
        window::of_held(&open, 0).map_or(0, |worst| worst.spent)
    }

    /// What can have taken room.
    fn taken(&self) -> impl Iterator<Item = Taken> {
        self.traces().filter(|(_, trace)| trace.perhaps_admitted().is_some()).map(|(at, trace)| {
            let terms = self.levels.terms(at);
            let charged = self.by(at, terms.perhaps(trace));
            let held = self.by(at, terms.held_most(self.levels.answers).or(terms.meanwhile(trace)));
            let when = Possible { from_us: trace.sample.sent_us, to_us: trace.open_until() + 1 };
            Taken { when, open: held.max(charged), charged }
        })
    }
}
