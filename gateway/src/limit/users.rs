//! A tenant's users and their levels, in a table whose places stay put while a user is known.

use super::Per;
use super::decide::Subject;
use super::level::{self, Level};
use super::levels::Open;
use super::rules::Rules;
use super::spend::{self, Spend};
use crate::clock::Now;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A user's place among its tenant's.
///
/// A request that began under an older policy still finds its user here. If the user is gone and forgotten since,
/// the place is not mistaken for its next owner's: the request then meets no limit per user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserIx {
    at: u32,
    /// Tells the owners of a place apart.
    serial: u32,
}

/// Names and open requests, and beside them the levels: `rules.rates.len()` and `rules.spends.len()` for each seat.
#[derive(Default)]
pub(super) struct Users {
    seats: Vec<Seat>,
    rates: Vec<Level>,
    spends: Vec<Spend>,
    serials: u32,
}

struct Seat {
    /// None: free.
    name: Option<Arc<str>>,
    serial: u32,
    open: Open,
}

impl Users {
    /// The user as a subject of a decision; None if it is gone.
    #[inline]
    pub(super) fn subject<'a>(&'a mut self, user: UserIx, rules: &'a Rules) -> Option<Subject<'a>> {
        let open = self.seat(user)?.open;
        let (at, rates, spends) = (user.at as usize, rules.rates.len(), rules.spends.len());
        let rates = &mut self.rates[at * rates..][..rates];
        let spends = &mut self.spends[at * spends..][..spends];
        Some(Subject { per: Per::User, rules, rates, spends, open })
    }

    /// What the user has spent; None if it is gone.
    #[inline]
    pub(super) fn spends(&mut self, user: UserIx, rules: &Rules) -> Option<&mut [Spend]> {
        self.seat(user)?;
        let width = rules.spends.len();
        Some(&mut self.spends[user.at as usize * width..][..width])
    }

    /// The user's name; None if it is gone.
    pub(super) fn name(&self, user: UserIx) -> Option<&Arc<str>> {
        self.seat(user)?.name.as_ref()
    }

    /// Counts an open request; None if the user is gone.
    #[inline]
    pub(super) fn begin(&mut self, user: UserIx) -> Option<UserIx> {
        self.seat(user)?;
        self.seats[user.at as usize].open.begin();
        Some(user)
    }

    /// Ends what [`begin`](Users::begin) counted; until then the seat was not given away.
    pub(super) fn close(&mut self, user: UserIx, took_us: u64) {
        debug_assert!(self.seat(user).is_some(), "a busy seat stays");
        if let Some(seat) = self.seats.get_mut(user.at as usize) {
            seat.open.end(took_us);
        }
    }

    /// Puts new rules in force for every seat.
    pub(super) fn apply(&mut self, from: &Rules, to: &Rules, now: Now, born: u32) {
        if from == to {
            return;
        }
        let mut rates = Vec::with_capacity(self.seats.len() * to.rates.len());
        let mut spends = Vec::with_capacity(self.seats.len() * to.spends.len());
        for at in 0..self.seats.len() {
            let (old_rates, old_spends) = self.levels_at(at, from);
            rates.extend(level::carried(old_rates, &from.rates, &to.rates, now.mono_us));
            spends.extend(spend::carried(old_spends, &from.spends, &to.spends, now, born));
        }
        (self.rates, self.spends) = (rates, spends);
    }

    /// Gives every name a seat, the one it has if it has one; frees the seats of names that are gone and idle.
    pub(super) fn enrol(&mut self, names: &[Arc<str>], rules: &Rules, now: Now, born: u32) -> Vec<UserIx> {
        if self.seated_in_order(names) {
            return self.places().map(|(_, user)| user).collect();
        }
        self.vacate(names, rules, now);
        self.seat_all(names, rules, born);
        let places: HashMap<&str, UserIx> = self.places().collect();
        names.iter().map(|name| places[&**name]).collect()
    }

    /// The usual reload changes no user.
    fn seated_in_order(&self, names: &[Arc<str>]) -> bool {
        self.seats.len() == names.len()
            && self.seats.iter().zip(names).all(|(seat, name)| seat.name.as_ref() == Some(name))
    }

    fn vacate(&mut self, names: &[Arc<str>], rules: &Rules, now: Now) {
        let wanted: HashSet<&str> = names.iter().map(|name| &**name).collect();
        for at in 0..self.seats.len() {
            let gone = self.seats[at].name.as_ref().is_some_and(|name| !wanted.contains(&**name));
            if gone && self.idle_at(at, rules, now) {
                self.seats[at].name = None;
            }
        }
        let kept = self.seats.iter().rposition(|seat| seat.name.is_some()).map_or(0, |last| last + 1);
        self.seats.truncate(kept);
        self.rates.truncate(kept * rules.rates.len());
        self.spends.truncate(kept * rules.spends.len());
    }

    fn seat_all(&mut self, names: &[Arc<str>], rules: &Rules, born: u32) {
        let seated: HashSet<Arc<str>> = self.seats.iter().filter_map(|seat| seat.name.clone()).collect();
        let mut new = names.iter().filter(|name| !seated.contains(*name));
        let free = self.seats.iter_mut().filter(|seat| seat.name.is_none());
        for (seat, name) in free.zip(new.by_ref()) {
            *seat = Seat::taken_by(name, &mut self.serials); // its levels are idle: as good as new
        }
        let more = new.clone().count();
        self.seats.reserve_exact(more); // policy says how many there are: none is made by requests
        self.rates.reserve_exact(more * rules.rates.len());
        self.spends.reserve_exact(more * rules.spends.len());
        for name in new {
            self.seats.push(Seat::taken_by(name, &mut self.serials));
            self.rates.extend(level::fresh(&rules.rates));
            self.spends.extend(spend::fresh(&rules.spends, born));
        }
    }

    fn places(&self) -> impl Iterator<Item = (&str, UserIx)> {
        let seats = self.seats.iter().zip(0..);
        seats.filter_map(|(seat, at)| Some((seat.name.as_deref()?, UserIx { at, serial: seat.serial })))
    }

    /// Are all seats idle?
    pub(super) fn idle(&self, rules: &Rules, now: Now) -> bool {
        (0..self.seats.len()).all(|at| self.idle_at(at, rules, now))
    }

    /// Names, levels and open requests of the seats that are taken.
    pub(super) fn each<'a>(
        &'a self,
        rules: &'a Rules,
    ) -> impl Iterator<Item = (&'a Arc<str>, (&'a [Level], &'a [Spend]), Open)> {
        let taken = self.seats.iter().enumerate();
        taken.filter_map(|(at, seat)| Some((seat.name.as_ref()?, self.levels_at(at, rules), seat.open)))
    }

    /// The spends of the user of this name.
    pub(super) fn spends_of(&mut self, name: &str, rules: &Rules) -> Option<&mut [Spend]> {
        let at = self.seats.iter().position(|seat| seat.name.as_deref() == Some(name))?;
        let width = rules.spends.len();
        Some(&mut self.spends[at * width..][..width])
    }

    fn idle_at(&self, at: usize, rules: &Rules, now: Now) -> bool {
        let (rates, spends) = self.levels_at(at, rules);
        self.seats[at].open.requests == 0
            && level::idle(&rules.rates, rates, now.mono_us)
            && spend::idle(&rules.spends, spends, now)
    }

    fn levels_at(&self, at: usize, rules: &Rules) -> (&[Level], &[Spend]) {
        let (rates, spends) = (rules.rates.len(), rules.spends.len());
        (&self.rates[at * rates..][..rates], &self.spends[at * spends..][..spends])
    }

    fn seat(&self, user: UserIx) -> Option<&Seat> {
        self.seats.get(user.at as usize).filter(|seat| seat.serial == user.serial && seat.name.is_some())
    }
}

impl Seat {
    fn taken_by(name: &Arc<str>, serials: &mut u32) -> Seat {
        *serials = serials.wrapping_add(1);
        Seat { name: Some(Arc::clone(name)), serial: *serials, open: Open::default() }
    }
}
