//! A tenant's users and their levels, in a table whose places stay put while a user is known.

use super::Per;
use super::decide::Subject;
use super::level::{self, Level};
use super::levels::Open;
use super::rules::Rules;
use super::spend::{self, Spend};
use crate::clock::Now;
use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::Arc;

/// A user's place among its tenant's.
///
/// A request that began under an older policy still finds its user here. If the user is gone and forgotten since,
/// the place is not mistaken for its next owner's: the request then meets no limit per user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserIx {
    at: u32,
    /// Tells the owners of a place apart.
    serial: NonZeroU32,
}

/// Names and open requests, and beside them the levels: `rules.rates.len()` and `rules.spends.len()` for each seat.
#[derive(Default)]
pub(super) struct Users {
    /// Of the seats' users. While they sit in the order that policy lists them in, its own list: shared, not copied.
    names: Arc<[Arc<str>]>,
    seats: Box<[Seat]>,
    rates: Box<[Level]>,
    spends: Box<[Spend]>,
    serials: u32,
}

struct Seat {
    /// Its user's; None: free.
    serial: Option<NonZeroU32>,
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
        self.seat(user)?;
        self.names.get(user.at as usize)
    }

    /// Counts an open request; None if the user is gone.
    #[inline]
    pub(super) fn begin(&mut self, user: UserIx, over: bool) -> Option<UserIx> {
        self.seat(user)?;
        self.seats[user.at as usize].open.begin(over);
        Some(user)
    }

    /// Ends what [`begin`](Users::begin) counted; until then the seat was not given away.
    pub(super) fn close(&mut self, user: UserIx, over: bool, took_us: u64) {
        debug_assert!(self.seat(user).is_some(), "a busy seat stays");
        if let Some(seat) = self.seats.get_mut(user.at as usize) {
            seat.open.end(over, took_us);
        }
    }

    /// Puts new rules in force for every seat.
    pub(super) fn apply(&mut self, from: &Rules, to: &Rules, now: Now) {
        if from == to {
            return;
        }
        if from.same_places(to) {
            let (rates, spends) = (to.rates.len().max(1), to.spends.len().max(1));
            for levels in self.rates.chunks_exact_mut(rates) {
                level::carry(levels, &from.rates, &to.rates, now.mono_us);
            }
            for levels in self.spends.chunks_exact_mut(spends) {
                spend::carry(levels, &from.spends, &to.spends, now);
            }
            return;
        }
        let mut rates = Vec::with_capacity(self.seats.len() * to.rates.len());
        let mut spends = Vec::with_capacity(self.seats.len() * to.spends.len());
        for at in 0..self.seats.len() {
            let (old_rates, old_spends) = self.levels_at(at, from);
            rates.extend(level::carried(old_rates, &from.rates, &to.rates, now.mono_us));
            spends.extend(spend::carried(old_spends, &from.spends, &to.spends, now));
        }
        (self.rates, self.spends) = (rates.into(), spends.into());
    }

    /// Gives every name a seat, the one it has if it has one; frees the seats of names that are gone and idle.
    pub(super) fn enrol(&mut self, names: &Arc<[Arc<str>]>, rules: &Rules, now: Now) -> Vec<UserIx> {
        if !self.seated_as(names) {
            self.vacate(names, rules, now);
            self.seat_all(names, rules);
        }
        if self.seated_as(names) {
            self.names = Arc::clone(names);
            return self.places().map(|(_, user)| user).collect();
        }
        let places: HashMap<&str, UserIx> = self.places().map(|(name, user)| (&**name, user)).collect();
        names.iter().map(|name| places[&**name]).collect()
    }

    /// Is every seat taken, in the order of these names? The usual reload changes no user.
    fn seated_as(&self, names: &[Arc<str>]) -> bool {
        *self.names == *names && self.seats.iter().all(|seat| seat.serial.is_some())
    }

    /// Frees the seats of names that are not wanted, once they are idle; takes free ones at the end away.
    fn vacate(&mut self, wanted: &[Arc<str>], rules: &Rules, now: Now) {
        let wanted: HashSet<&str> = wanted.iter().map(|name| &**name).collect();
        for at in 0..self.seats.len() {
            if !wanted.contains(&*self.names[at]) && self.idle_at(at, rules, now) {
                self.seats[at].serial = None;
            }
        }
        let kept = self.seats.iter().rposition(|seat| seat.serial.is_some()).map_or(0, |last| last + 1);
        if kept < self.seats.len() {
            self.names = self.names[..kept].into();
            resized(&mut self.seats, |seats| seats.truncate(kept));
            resized(&mut self.rates, |rates| rates.truncate(kept * rules.rates.len()));
            resized(&mut self.spends, |spends| spends.truncate(kept * rules.spends.len()));
        }
    }

    /// Seats who has none: on free seats first, whose levels are idle and as good as new.
    fn seat_all(&mut self, names: &[Arc<str>], rules: &Rules) {
        let seated: HashSet<Arc<str>> = self.places().map(|(name, _)| Arc::clone(name)).collect();
        let mut new = names.iter().filter(|name| !seated.contains(*name));
        let mut seat_names = self.names.to_vec();
        let Users { seats, rates, spends, serials, .. } = self;
        for (at, seat) in seats.iter_mut().enumerate().filter(|(_, seat)| seat.serial.is_none()) {
            let Some(name) = new.next() else { break };
            (seat_names[at], *seat) = (Arc::clone(name), Seat::taken(serials));
        }
        let more: Vec<&Arc<str>> = new.collect();
        seat_names.extend(more.iter().copied().cloned());
        self.names = seat_names.into();
        resized(seats, |seats| seats.extend(more.iter().map(|_| Seat::taken(serials))));
        resized(rates, |rates| rates.extend(more.iter().flat_map(|_| level::fresh(&rules.rates))));
        resized(spends, |spends| spends.extend(more.iter().flat_map(|_| spend::fresh(&rules.spends))));
    }

    /// The users' names and places.
    fn places(&self) -> impl Iterator<Item = (&Arc<str>, UserIx)> {
        let seats = self.names.iter().zip(&self.seats).zip(0..);
        seats.filter_map(|((name, seat), at)| Some((name, UserIx { at, serial: seat.serial? })))
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
        let seats = self.names.iter().zip(&self.seats).enumerate();
        let taken = seats.filter(|(_, (_, seat))| seat.serial.is_some());
        taken.map(|(at, (name, seat))| (name, self.levels_at(at, rules), seat.open))
    }

    /// The spends of the user of this name.
    pub(super) fn spends_of(&mut self, name: &str, rules: &Rules) -> Option<&mut [Spend]> {
        let user = self.places().find(|(known, _)| &***known == name).map(|(_, user)| user)?;
        self.spends(user, rules)
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

    #[inline]
    fn seat(&self, user: UserIx) -> Option<&Seat> {
        self.seats.get(user.at as usize).filter(|seat| seat.serial == Some(user.serial))
    }
}

impl Seat {
    fn taken(serials: &mut u32) -> Seat {
        *serials = serials.wrapping_add(1);
        let serial = NonZeroU32::new(*serials).unwrap_or(NonZeroU32::MAX);
        Seat { serial: Some(serial), open: Open::default() }
    }
}

/// Policy says how many users there are: no room is kept for more.
fn resized<T>(all: &mut Box<[T]>, edit: impl FnOnce(&mut Vec<T>)) {
    let mut items = std::mem::take(all).into_vec();
    edit(&mut items);
    *all = items.into_boxed_slice();
}
