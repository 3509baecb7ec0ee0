//! The gate without its lock: every step is a function of what came before and of the time it is told.
//!
//! [`at`](Scheduler::at) sets the clock, which never goes back; all else goes by it. Whoever gets an answer
//! while it waits is woken through [`wakes`](Scheduler::take_wakes), by the caller, once the lock is
//! released.

use super::account::Charge;
use super::adapt::Learned;
use super::capacity::Capacity;
use super::flight::Slot;
use super::lane::Lane;
use super::line::{Answer, Line, SeatIx, Waiter};
use super::pace::Pace;
use super::{Ask, Config, Reason, Refusal};
use std::time::Duration;

/// How often idle accounts are forgotten.
const SWEEP_US: u64 = 1_000_000;
/// `Retry-After` while nobody knows how long an answer takes.
const UNKNOWN_WAIT_US: u64 = 1_000_000;
/// No refusal says less: what has room in a millisecond would have waited for it.
const RETRY_US_MIN: u64 = 1000;

/// Everything a gate knows. `W` wakes somebody who waits.
pub(super) struct Scheduler<W> {
    pub(super) config: Config,
    pub(super) capacity: Capacity,
    pub(super) learned: Learned,
    pub(super) pace: Pace,
    /// By class, highest first.
    pub(super) lanes: Vec<Lane>,
    pub(super) line: Line<W>,
    /// By [`Reason`].
    pub(super) refused: [u64; Reason::ALL.len()],
    pub(super) now_us: u64,
    /// Requests let in so far.
    pub(super) admitted: u64,
    /// Nobody's time is up before.
    soonest_due_us: u64,
    next_sweep_us: u64,
    wakes: Vec<W>,
}

/// What becomes of a request that asks.
pub(super) enum Entered {
    Now(Slot),
    Wait(SeatIx),
    Elsewhere,
    Refused(Refusal),
}

impl<W> Scheduler<W> {
    pub(super) fn new(config: Config) -> Scheduler<W> {
        let mut scheduler = Scheduler {
            capacity: Capacity::new(&config),
            learned: Learned::default(),
            pace: Pace::default(),
            lanes: Vec::new(),
            line: Line::new(),
            refused: [0; Reason::ALL.len()],
            now_us: 0,
            admitted: 0,
            soonest_due_us: u64::MAX,
            next_sweep_us: 0,
            wakes: Vec::new(),
            config,
        };
        scheduler.grow_lanes();
        scheduler
    }

    /// Tells it the time, in monotonic microseconds.
    #[inline]
    pub(super) fn at(&mut self, now_us: u64) -> &mut Scheduler<W> {
        self.now_us = self.now_us.max(now_us);
        self
    }

    /// Those to wake now, outside the lock.
    #[inline]
    pub(super) fn take_wakes(&mut self) -> Vec<W> {
        std::mem::take(&mut self.wakes)
    }

    /// Hot path. Lets a request in, or finds it a place in the queue.
    #[inline]
    pub(super) fn enter(&mut self, ask: &Ask) -> Entered {
        let lane = self.config.class(ask.class);
        let account = self.lanes[lane].account_of(ask, self.config.burst, self.now_us);
        let is_first = !self.lanes[..lane].iter().any(Lane::is_waiting) && self.lanes[lane].is_next(account);
        if is_first && self.has_room(lane, account, ask) {
            return Entered::Now(self.let_in(lane, account, ask));
        }
        self.queue(lane, account, ask)
    }

    #[cold]
    fn queue(&mut self, lane: usize, account: usize, ask: &Ask) -> Entered {
        if ask.elsewhere && self.is_refusing() {
            return Entered::Elsewhere;
        }
        let wait_max_us = self.config.wait_max_us(lane);
        let wait_us = self.expected_wait_us(lane, account, ask);
        if wait_us.is_some_and(|wait_us| wait_us > wait_max_us) {
            return Entered::Refused(self.refuse(Reason::Hopeless, wait_us));
        }
        if !self.make_room(lane, account, ask) {
            return Entered::Refused(self.refuse(Reason::QueueFull, wait_us));
        }
        let (since_us, due_us) = (self.now_us, self.now_us.saturating_add(wait_max_us));
        let waiter = Waiter { ask: *ask, lane, account, arrival: 0, since_us, due_us };
        let line = &mut self.line;
        let seat = self.lanes[lane].change(account, |account| {
            account.waiting_bytes += ask.body_bytes;
            account.waiting_tokens += ask.tokens();
            line.join(&mut account.queue, waiter)
        });
        self.soonest_due_us = self.soonest_due_us.min(due_us);
        self.dispatch(); // a pause may be over that no tick has noticed yet
        Entered::Wait(seat)
    }

    /// The answer for a seat, which is given up with it; None: not yet.
    pub(super) fn take(&mut self, seat: SeatIx) -> Option<Answer> {
        if !self.line.is_answered(seat) {
            return None;
        }
        let (answer, waker) = self.line.leave(seat);
        self.wakes.extend(waker);
        answer
    }

    /// Changes who is woken when a seat has its answer. Returns who was before, to be dropped outside the
    /// lock.
    pub(super) fn wake_by(&mut self, seat: SeatIx, waker: W) -> Option<W> {
        self.line.wake_by(seat, waker)
    }

    /// The caller has gone, with its answer or without. Returns its waker, to be dropped outside the lock.
    pub(super) fn cancel(&mut self, seat: SeatIx) -> Option<W> {
        if !self.line.is_answered(seat) {
            self.unlink(seat);
        }
        let (answer, waker) = self.line.leave(seat);
        if let Some(Ok(Some(slot))) = answer {
            self.settle_charge(&slot, Charge::of(0, 0)); // it never began
            self.leave(slot);
        }
        self.dispatch(); // the next one may be smaller
        waker
    }

    /// Refuses those whose time is up, and lets in those for whom there is room by now.
    pub(super) fn tick(&mut self) {
        self.expire();
        self.dispatch();
        if self.now_us >= self.next_sweep_us {
            self.next_sweep_us = self.now_us.saturating_add(SWEEP_US);
            self.sweep();
        }
    }

    /// Changes the numbers. Who waits keeps its place and its deadline, what is in flight stays.
    pub(super) fn configure(&mut self, config: Config) {
        self.capacity.configure(&config);
        if config.adapt.is_none() {
            self.learned.forget();
        }
        self.config = config;
        self.grow_lanes();
        self.dispatch();
    }

    /// Refuses some who wait.
    pub(super) fn turn_away(&mut self, seats: Vec<SeatIx>, reason: Reason) {
        // First all leave, so that none is told to wait for another that goes with it.
        let leavers: Vec<_> = seats.into_iter().map(|seat| (seat, self.unlink(seat))).collect();
        for (seat, Waiter { lane, account, ask, .. }) in leavers {
            let wait_us = self.expected_wait_us(lane, account, &ask);
            let refusal = self.refuse(reason, wait_us);
            let waker = self.line.tell(seat, Err(refusal));
            self.wakes.extend(waker);
        }
    }

    /// Does the upstream refuse, so that who can go elsewhere does not wait for it?
    pub(super) fn is_refusing(&self) -> bool {
        self.learned.is_refusing(self.now_us)
    }

    /// Who waits and can go elsewhere does, if the upstream refuses.
    pub(super) fn send_elsewhere(&mut self) {
        if !self.is_refusing() {
            return;
        }
        let leavers = self.line.each().filter(|(_, waiter)| waiter.ask.elsewhere);
        for seat in leavers.map(|(seat, _)| seat).collect::<Vec<_>>() {
            self.unlink(seat);
            let waker = self.line.tell(seat, Ok(None));
            self.wakes.extend(waker);
        }
    }

    /// Counts a refusal, and says when to come back.
    fn refuse(&mut self, reason: Reason, wait_us: Option<u64>) -> Refusal {
        self.refused[reason as usize] += 1;
        let wait_us = wait_us.unwrap_or(UNKNOWN_WAIT_US).max(RETRY_US_MIN);
        Refusal { reason, retry_after: Duration::from_micros(wait_us) }
    }

    /// Lets in whoever is next, while there is room. Nobody overtakes the next one: a large request would
    /// wait for ever while small ones fit.
    #[inline]
    pub(super) fn dispatch(&mut self) {
        while self.line.waiting() > 0 {
            let Some(lane) = self.lanes.iter().position(Lane::is_waiting) else { return };
            let seat = self.lanes[lane].next().expect("a lane that waits has a next one");
            let Waiter { account, ask, .. } = *self.line.waiter(seat);
            if !self.has_room(lane, account, &ask) {
                return;
            }
            self.unlink(seat);
            let slot = self.let_in(lane, account, &ask);
            let waker = self.line.tell(seat, Ok(Some(slot)));
            self.wakes.extend(waker);
        }
    }

    #[inline]
    fn has_room(&self, lane: usize, account: usize, ask: &Ask) -> bool {
        self.now_us >= self.learned.paused_until_us()
            && self.capacity.fits(lane, ask.tokens(), self.headroom(lane, account), self.learned.places())
    }

    /// Percent of the room that this account leaves to others.
    #[inline]
    pub(super) fn headroom(&self, lane: usize, account: usize) -> u8 {
        let leaves_room = self.lanes[lane].leaves_room(account, self.now_us);
        if leaves_room { self.config.headroom_percent } else { 0 }
    }

    fn unlink(&mut self, seat: SeatIx) -> Waiter {
        let waiter = *self.line.waiter(seat);
        let line = &mut self.line;
        self.lanes[waiter.lane].change(waiter.account, |account| {
            account.waiting_bytes -= waiter.ask.body_bytes;
            account.waiting_tokens -= waiter.ask.tokens();
            line.unlink(&mut account.queue, seat);
        });
        waiter
    }

    fn expire(&mut self) {
        if self.now_us < self.soonest_due_us {
            return;
        }
        let (now_us, mut soonest_us) = (self.now_us, u64::MAX);
        let mut late = Vec::new();
        for (seat, waiter) in self.line.each() {
            match waiter.due_us {
                due_us if due_us <= now_us => late.push(seat),
                due_us => soonest_us = soonest_us.min(due_us),
            }
        }
        self.soonest_due_us = soonest_us;
        self.turn_away(late, Reason::TimedOut);
    }

    fn sweep(&mut self) {
        let now_us = self.now_us;
        self.lanes.iter_mut().for_each(|lane| lane.sweep(now_us));
        let classes = self.config.classes.len().max(1);
        while self.lanes.len() > classes && self.lanes.last().is_some_and(Lane::is_empty) {
            self.lanes.pop();
        }
    }

    /// A lane for each class; those of classes that are gone stay until they are empty.
    fn grow_lanes(&mut self) {
        let lanes = self.config.classes.len().max(1).max(self.lanes.len());
        self.lanes.resize_with(lanes, Lane::default);
    }
}
