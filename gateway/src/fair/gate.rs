//! The gate that workers share: a lock around the scheduler, and what is given out.
//!
//! The lock is never held across an await, and nobody is woken, and no waker dropped, while it is held.

use super::flight::Slot;
use super::line::SeatIx;
use super::scheduler::{Entered, Scheduler};
use super::ticket::Ticket;
use super::{Ask, Config, Refusal, State};
use parking_lot::Mutex;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

/// One pool's gate.
pub struct Gate {
    scheduler: Mutex<Scheduler<Waker>>,
}

/// What becomes of a request that asks.
pub enum Entry {
    /// It may go.
    Now(Pass),
    /// It has a place in the queue.
    Wait(Ticket),
    /// The upstream refuses, and the request [may go elsewhere](Ask::elsewhere).
    Elsewhere,
    /// It does not get through.
    Refused(Refusal),
}

impl Gate {
    /// A gate with nothing in flight.
    pub fn new(config: Config) -> Arc<Gate> {
        Arc::new(Gate { scheduler: Mutex::new(Scheduler::new(config)) })
    }

    /// Hot path. Asks for a place in the pool. Time is in monotonic microseconds, here and below.
    #[inline]
    pub fn enter(self: &Arc<Gate>, ask: &Ask, now_us: u64) -> Entry {
        match self.with(|scheduler| scheduler.at(now_us).enter(ask)) {
            Entered::Now(slot) => Entry::Now(Pass::new(Arc::clone(self), slot)),
            Entered::Wait(seat) => Entry::Wait(self.ticket(seat)),
            Entered::Elsewhere => Entry::Elsewhere,
            Entered::Refused(refusal) => Entry::Refused(refusal),
        }
    }

    /// Does the upstream refuse, so that who can go elsewhere does not wait for it?
    pub fn is_refusing(&self, now_us: u64) -> bool {
        self.with(|scheduler| scheduler.at(now_us).is_refusing())
    }

    /// Refuses those whose time is up, and ends pauses. Deadlines are as exact as the calls are frequent:
    /// ten a second, from any number of workers.
    pub fn tick(&self, now_us: u64) {
        self.with(|scheduler| scheduler.at(now_us).tick());
    }

    /// Changes the numbers in place. Classes are known by their position.
    pub fn configure(&self, config: Config, now_us: u64) {
        self.with(|scheduler| scheduler.at(now_us).configure(config));
    }

    /// What operators see: with the `top` tenants that use most.
    pub fn state(&self, top: usize, now_us: u64) -> State {
        self.with(|scheduler| scheduler.at(now_us).state(top))
    }

    fn ticket(self: &Arc<Gate>, seat: SeatIx) -> Ticket {
        Ticket::new(Arc::clone(self), seat)
    }

    /// Does something under the lock, then wakes those it concerns.
    #[inline]
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Scheduler<Waker>) -> T) -> T {
        let mut scheduler = self.scheduler.lock();
        let done = act(&mut scheduler);
        let wakes = scheduler.take_wakes();
        drop(scheduler);
        wakes.into_iter().for_each(Waker::wake);
        done
    }
}

/// A place in the pool; dropping it, on any thread, gives it back.
#[must_use = "dropping a pass gives the place in the pool back: keep it until the answer has ended"]
pub struct Pass {
    gate: Arc<Gate>,
    /// None once dropped.
    slot: Option<Slot>,
}

impl Pass {
    pub(super) fn new(gate: Arc<Gate>, slot: Slot) -> Pass {
        Pass { gate, slot: Some(slot) }
    }

    /// The head of the upstream's answer has come. Without this call a request counts as one that never got
    /// an answer: nothing is learned from it.
    pub fn answered(&mut self, status: u16, retry_after: Option<Duration>, now_us: u64) {
        self.with(|scheduler, slot| scheduler.at(now_us).answered(slot, status, retry_after));
    }

    /// The first token of its body has come.
    pub fn first_token(&mut self, now_us: u64) {
        self.with(|scheduler, slot| scheduler.at(now_us).first_token(slot));
    }

    /// So many tokens of output have come so far. Worth a call every few dozen tokens.
    pub fn progress(&mut self, output: u64, now_us: u64) {
        self.with(|scheduler, slot| scheduler.at(now_us).progress(slot, output));
    }

    /// The request has taken so many tokens in the end, as the upstream counts them.
    pub fn settle(&mut self, prompt: u64, output: u64, now_us: u64) {
        self.with(|scheduler, slot| scheduler.at(now_us).settle(slot, prompt, output));
    }

    fn with(&mut self, act: impl FnOnce(&mut Scheduler<Waker>, &mut Slot)) {
        if let Some(slot) = &mut self.slot {
            self.gate.with(|scheduler| act(scheduler, slot));
        }
    }
}

impl Drop for Pass {
    /// Ends at the last time the gate was told.
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            self.gate.with(|scheduler| scheduler.end(slot));
        }
    }
}
