//! One limit's account of one subject, kept by an oracle that knows the definition and nothing of the limiter.
//!
//! It keeps every request apart: what was held for it and what it has cost. Sums are made anew each time. Beside the
//! level it keeps a log of what was spent out of holds, for [`Account::bound_holds`] to check every stretch of time.

use super::*;
use std::collections::BTreeMap;

/// Parts of a token: every rate in use flows out in whole parts per microsecond.
const PARTS: u128 = 60_000_000;

#[derive(Debug, Clone)]
pub(super) struct Account {
    limit: Limit,
    /// Bucket: parts spent and not yet flown out, as of `t_us`.
    level: u128,
    t_us: u64,
    /// Budget: the latest day seen, and what was spent on it.
    day: u64,
    used: u64,
    /// By request.
    open: BTreeMap<usize, Entry>,
    /// When how much was spent out of a hold; negative where it was taken back.
    log: Vec<(u64, i128)>,
    /// The numbers were others once.
    edited: bool,
    /// Parts that the level may be higher by, for a change of the rate rounds what is used up to its own scaled units.
    rounded: u128,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    hold: u64,
    charged: u64,
    began: Now,
    /// What the bound covers of it, still to come.
    covered: u64,
}

impl Account {
    pub(super) fn new(limit: &Limit) -> Account {
        let (open, log) = (BTreeMap::new(), Vec::new());
        Account {
            limit: limit.clone(),
            level: 0,
            t_us: 0,
            day: 0,
            used: 0,
            open,
            log,
            edited: false,
            rounded: 0,
        }
    }

    pub(super) fn shadow(&self) -> bool {
        self.limit.shadow
    }

    pub(super) fn measure(&self) -> Measure {
        match self.limit.amount {
            Amount::Tokens { measure, .. } | Amount::Budget { measure, .. } => measure,
            _ => unreachable!("these limits are on spending"),
        }
    }

    fn of(&self, cost: Tokens) -> u64 {
        match self.measure() {
            Measure::Total => cost.prompt + cost.completion,
            Measure::Prompt => cost.prompt,
            Measure::Completion => cost.completion,
            Measure::Money => 1_000 * cost.prompt + 2_000 * cost.completion,
        }
    }

    fn most(&self) -> u64 {
        match self.limit.amount {
            Amount::Tokens { burst, .. } => u64::from(burst.get()),
            Amount::Budget { most, .. } => most,
            _ => unreachable!("these limits are on spending"),
        }
    }

    /// Parts that flow out per microsecond.
    fn leak(&self) -> u128 {
        match self.limit.amount {
            Amount::Tokens { tokens, period, .. } => u128::from(tokens.get()) * PARTS / period.as_micros(),
            _ => 0,
        }
    }

    /// Parts in a scaled unit of the rate: the least that flows out in a whole number of microseconds.
    fn scaled_unit(&self) -> u128 {
        let Amount::Tokens { tokens, period, .. } = &self.limit.amount else { return 0 };
        let (mut a, mut b) = (u128::from(tokens.get()), period.as_micros());
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a * PARTS / period.as_micros()
    }

    /// Microseconds in which what was rounded up flows out.
    pub(super) fn rounded_us(&self) -> u64 {
        if self.is_bucket() { self.rounded.div_ceil(self.leak()) as u64 } else { 0 }
    }

    fn is_bucket(&self) -> bool {
        matches!(self.limit.amount, Amount::Tokens { .. })
    }

    fn day_of(&self, now: Now) -> u64 {
        let Amount::Budget { calendar, .. } = &self.limit.amount else { return 0 };
        let shanghai = **calendar == Calendar::new(CalendarUnit::Day, "Asia/Shanghai").expect("a zone");
        (now.wall_ms + if shanghai { 8 * 3_600_000 } else { 0 }) / DAY_MS
    }

    /// Brings it up to `now`; a step back changes nothing.
    fn turn(&mut self, now: Now) {
        let passed_us = now.mono_us.saturating_sub(self.t_us);
        self.level = self.level.saturating_sub(self.leak() * u128::from(passed_us));
        self.t_us = self.t_us.max(now.mono_us);
        if self.day_of(now) > self.day {
            (self.day, self.used) = (self.day_of(now), 0);
        }
    }

    pub(super) fn held(&self) -> u64 {
        self.open.values().map(|entry| entry.hold.saturating_sub(entry.charged)).sum()
    }

    pub(super) fn spent(&self, now: Now) -> u64 {
        let mut then = self.clone();
        then.turn(now);
        if self.is_bucket() { then.level.div_ceil(PARTS) as u64 } else { then.used }
    }

    pub(super) fn fits(&self, cost: Tokens, now: Now) -> bool {
        self.fits_above(0, cost, now)
    }

    /// Does it fit whatever was rounded up?
    pub(super) fn surely_fits(&self, cost: Tokens, now: Now) -> bool {
        self.fits_above(self.rounded, cost, now)
    }

    fn fits_above(&self, parts: u128, cost: Tokens, now: Now) -> bool {
        let cost = self.of(cost);
        let mut then = self.clone();
        then.turn(now);
        if self.is_bucket() {
            let asked = u128::from(self.held() + cost.min(self.most())) * PARTS;
            return then.level + parts + asked <= u128::from(self.most()) * PARTS;
        }
        let used = then.used + self.held();
        used == 0 || used + cost <= self.most()
    }

    pub(super) fn hold(&mut self, request: usize, cost: Tokens, now: Now) {
        if !self.is_bucket() {
            self.turn(now);
        }
        let hold = self.of(cost);
        self.open.insert(request, Entry { hold, charged: 0, began: now, covered: hold.min(self.most()) });
    }

    /// The request has cost so much in all, `passed_us` after the start by a clock that never steps.
    pub(super) fn cost(&mut self, request: usize, cost: Tokens, now: Now, passed_us: u64) {
        let to = self.of(cost);
        if !self.open.contains_key(&request) {
            return;
        }
        if self.open.get(&request).is_some_and(|entry| entry.charged != to) || !self.is_bucket() {
            self.turn(now);
        }
        let today = self.open.get(&request).is_some_and(|entry| self.day_of(entry.began) >= self.day);
        let Some(entry) = self.open.get_mut(&request) else { return };
        let from = std::mem::replace(&mut entry.charged, to);
        if let Some(more) = to.checked_sub(from) {
            let covered = more.min(entry.covered);
            entry.covered -= covered;
            self.log.push((passed_us, i128::from(covered)));
            self.level += u128::from(more) * PARTS;
            self.used += more;
        } else {
            let less = from - to;
            self.log.push((passed_us, -i128::from(less)));
            self.level = self.level.saturating_sub(u128::from(less) * PARTS);
            if today && !self.is_bucket() {
                assert!(self.edited || less <= self.used, "all it was charged was charged today");
                self.used = self.used.saturating_sub(less);
            }
        }
    }

    pub(super) fn end(&mut self, request: usize) {
        self.open.remove(&request);
    }

    /// The limit is `new` from now on.
    pub(super) fn edit(&mut self, new: &Limit, now: Now) {
        if self.limit == *new {
            return;
        }
        let mut after = Account { limit: new.clone(), ..Account::new(new) };
        if after.measure() == self.measure() {
            self.turn(now);
            let same = self.is_bucket() == after.is_bucket();
            let spent = self.spent(now);
            after.level = if same { self.level } else { u128::from(spent) * PARTS };
            (after.t_us, after.edited) = (self.t_us, true);
            after.rounded = self.rounded + after.scaled_unit();
            (after.day, after.used) = (after.day_of(now), spent);
            after.open = self.open.clone();
            after.open.values_mut().for_each(|entry| entry.covered = 0); // by the burst there was
        }
        *self = after;
    }

    /// The day it is in and what is spent, if it is a budget.
    pub(super) fn today(&self, now: Now) -> Option<(u64, u64)> {
        let mut then = self.clone();
        then.turn(now);
        (!self.is_bucket() && then.used > 0).then_some((then.day, then.used))
    }

    /// So much was spent on a day, while the limit was there before; returns whether that day is the present, or the next
    /// for a clock that stepped back.
    pub(super) fn remember(&mut self, (day, used): (u64, u64), now: Now) -> bool {
        if self.is_bucket() {
            return false;
        }
        self.turn(now);
        if day == self.day + 1 {
            (self.day, self.used) = (day, 0);
        }
        if day == self.day {
            (self.used, self.edited) = (self.used.max(used), true);
        }
        day == self.day
    }

    /// What the limiter says of itself is so.
    pub(super) fn agrees(&self, used: u64, held: u64, now: Now) -> bool {
        let spent = self.spent(now);
        held == self.held() && (spent..=spent + u64::from(self.edited)).contains(&(used - held))
    }

    /// In no stretch of time more was spent out of holds than the burst and what flowed out meanwhile.
    pub(super) fn bound_holds(&self) -> bool {
        !self.is_bucket() || (0..self.log.len()).all(|from| self.bound_holds_from(&self.log[from..]))
    }

    fn bound_holds_from(&self, log: &[(u64, i128)]) -> bool {
        let mut sum = 0;
        log.iter().all(|&(t_us, spent)| {
            sum += spent;
            let room = u128::from(self.most()) * PARTS + self.leak() * u128::from(t_us - log[0].0);
            sum * PARTS as i128 <= room as i128
        })
    }

    /// Microseconds until `cost` fits, holds aside; found by trying.
    pub(super) fn wait_us(&self, cost: Tokens, now: Now) -> u64 {
        let mut alone = self.clone();
        alone.open.clear();
        if self.is_bucket() {
            let (mut early, mut late) = (0, 1 << 40);
            while early < late {
                let middle = (early + late) / 2;
                let then = Now { mono_us: now.mono_us + middle, ..now };
                if alone.fits(cost, then) { late = middle } else { early = middle + 1 }
            }
            return early;
        }
        if alone.fits(cost, now) {
            return 0;
        }
        (1..)
            .map(|hours| hours * 3_600_000)
            .find_map(|ms| {
                let next = Now { wall_ms: now.wall_ms / 3_600_000 * 3_600_000 + ms, ..now };
                alone.fits(cost, next).then(|| (next.wall_ms - now.wall_ms) * 1000)
            })
            .unwrap_or(0)
    }
}
