//! A tenant's users and their levels, in a table whose places stay put while a user is known.

use super::Per;
use super::decide::Subject;
use super::level::{self, Level};
use super::rules::Rules;
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

/// Names and open requests, and beside them the levels: `rules.rates.len()` for each seat.
#[derive(Default)]
pub(super) struct Users {
    seats: Vec<Seat>,
    levels: Vec<Level>,
    serials: u32,
}

struct Seat {
    /// None: free.
    name: Option<Arc<str>>,
    serial: u32,
    in_flight: u32,
}

impl Users {
    /// The user as a subject of a decision; None if it is gone.
    #[inline]
    pub(super) fn subject<'a>(&'a mut self, user: UserIx, rules: &'a Rules) -> Option<Subject<'a>> {
        let in_flight = self.seat(user)?.in_flight;
        let (at, width) = (user.at as usize, rules.rates.len());
        let levels = &mut self.levels[at * width..][..width];
        Some(Subject { per: Per::User, rules, levels, in_flight })
    }

    /// The user's name; None if it is gone.
    pub(super) fn name(&self, user: UserIx) -> Option<&Arc<str>> {
        self.seat(user)?.name.as_ref()
    }

    /// Counts an open request; None if the user is gone.
    #[inline]
    pub(super) fn open(&mut self, user: UserIx) -> Option<UserIx> {
        self.seat(user)?;
        self.seats[user.at as usize].in_flight += 1;
        Some(user)
    }

    /// Ends what [`open`](Users::open) counted; until then the seat was not given away.
    pub(super) fn close(&mut self, user: UserIx) {
        debug_assert!(self.seat(user).is_some_and(|seat| seat.in_flight > 0), "a busy seat stays");
        if let Some(seat) = self.seats.get_mut(user.at as usize) {
            seat.in_flight = seat.in_flight.saturating_sub(1);
        }
    }

    /// Puts new rules in force for every seat.
    pub(super) fn apply(&mut self, from: &Rules, to: &Rules, now_us: u64) {
        if from == to {
            return;
        }
        let mut levels = Vec::with_capacity(self.seats.len() * to.rates.len());
        for at in 0..self.seats.len() {
            levels.extend(level::carried(self.levels_at(at, from), &from.rates, &to.rates, now_us));
        }
        self.levels = levels;
    }

    /// Gives every name a seat, the one it has if it has one; frees the seats of names that are gone and idle.
    pub(super) fn enrol(&mut self, names: &[Arc<str>], rules: &Rules, now_us: u64) -> Vec<UserIx> {
        if self.seated_in_order(names) {
            return self.places().map(|(_, user)| user).collect();
        }
        self.vacate(names, rules, now_us);
        self.seat_all(names, rules);
        let places: HashMap<&str, UserIx> = self.places().collect();
        names.iter().map(|name| places[&**name]).collect()
    }

    /// The usual reload changes no user.
    fn seated_in_order(&self, names: &[Arc<str>]) -> bool {
        self.seats.len() == names.len()
            && self.seats.iter().zip(names).all(|(seat, name)| seat.name.as_ref() == Some(name))
    }

    fn vacate(&mut self, names: &[Arc<str>], rules: &Rules, now_us: u64) {
        let wanted: HashSet<&str> = names.iter().map(|name| &**name).collect();
        for at in 0..self.seats.len() {
            let gone = self.seats[at].name.as_ref().is_some_and(|name| !wanted.contains(&**name));
            if gone && self.idle_at(at, rules, now_us) {
                self.seats[at].name = None;
            }
        }
        let kept = self.seats.iter().rposition(|seat| seat.name.is_some()).map_or(0, |last| last + 1);
        self.seats.truncate(kept);
        self.levels.truncate(kept * rules.rates.len());
    }

    fn seat_all(&mut self, names: &[Arc<str>], rules: &Rules) {
        let seated: HashSet<Arc<str>> = self.seats.iter().filter_map(|seat| seat.name.clone()).collect();
        let mut new = names.iter().filter(|name| !seated.contains(*name));
        let free = self.seats.iter_mut().filter(|seat| seat.name.is_none());
        for (seat, name) in free.zip(new.by_ref()) {
            *seat = Seat::taken_by(name, &mut self.serials); // its levels are idle: as good as new
        }
        for name in new {
            self.seats.push(Seat::taken_by(name, &mut self.serials));
            self.levels.extend(level::fresh(&rules.rates));
        }
    }

    fn places(&self) -> impl Iterator<Item = (&str, UserIx)> {
        let seats = self.seats.iter().zip(0..);
        seats.filter_map(|(seat, at)| Some((seat.name.as_deref()?, UserIx { at, serial: seat.serial })))
    }

    /// Are all seats idle?
    pub(super) fn idle(&self, rules: &Rules, now_us: u64) -> bool {
        (0..self.seats.len()).all(|at| self.idle_at(at, rules, now_us))
    }

    /// Names, levels and open requests of the seats that are taken.
    pub(super) fn each<'a>(
        &'a self,
        rules: &'a Rules,
    ) -> impl Iterator<Item = (&'a Arc<str>, &'a [Level], u32)> {
        let taken = self.seats.iter().enumerate();
        taken.filter_map(|(at, seat)| Some((seat.name.as_ref()?, self.levels_at(at, rules), seat.in_flight)))
    }

    fn idle_at(&self, at: usize, rules: &Rules, now_us: u64) -> bool {
        self.seats[at].in_flight == 0 && level::idle(&rules.rates, self.levels_at(at, rules), now_us)
    }

    fn levels_at(&self, at: usize, rules: &Rules) -> &[Level] {
        let width = rules.rates.len();
        &self.levels[at * width..][..width]
    }

    fn seat(&self, user: UserIx) -> Option<&Seat> {
        self.seats.get(user.at as usize).filter(|seat| seat.serial == user.serial && seat.name.is_some())
    }
}

impl Seat {
    fn taken_by(name: &Arc<str>, serials: &mut u32) -> Seat {
        *serials = serials.wrapping_add(1);
        Seat { name: Some(Arc::clone(name)), serial: *serials, in_flight: 0 }
    }
}
