//! A request in flight: what it takes, what it has cost, and what its answer says of the upstream.

use super::Ask;
use super::account::Charge;
use super::adapt::Load;
use super::scheduler::Scheduler;
use std::num::NonZeroU32;
use std::time::Duration;

/// A request in flight, as its owner carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    lane: usize,
    account: usize,
    weight: NonZeroU32,
    /// Which one it was, of all that were let in.
    number: u64,
    began_us: u64,
    /// Tokens it takes in flight.
    tokens: u64,
    output_expected: u64,
    charge: Charge,
    served: bool,
    first_token: bool,
}

impl<W> Scheduler<W> {
    /// Counts a request in flight and charges its prompt.
    #[inline]
    pub(super) fn let_in(&mut self, lane: usize, account: usize, ask: &Ask) -> Slot {
        let (tokens, weight, expected) = (ask.tokens(), ask.weight, Charge::of(ask.prompt, ask.output));
        let charge = Charge { output: 0, ..expected };
        self.admitted += 1;
        self.capacity.take(tokens);
        self.pace.began(self.now_us);
        self.lanes[lane].began(account, tokens, charge, weight);
        Slot {
            lane,
            account,
            weight,
            number: self.admitted,
            began_us: self.now_us,
            tokens,
            output_expected: expected.output,
            charge,
            served: false,
            first_token: false,
        }
    }

    /// The upstream has answered a request.
    pub(super) fn answered(&mut self, slot: &mut Slot, status: u16, retry_after: Option<Duration>) {
        slot.served = status < 400;
        if let Some(adapt) = self.config.adapt {
            let load = self.load(slot);
            if matches!(status, 429 | 503) {
                let retry_us =
                    retry_after.map_or(0, |wait| u64::try_from(wait.as_micros()).unwrap_or(u64::MAX));
                self.learned.refused(&adapt, load, retry_us, self.now_us);
                self.send_elsewhere();
            } else if slot.served {
                self.learned.served(load);
            }
        }
        self.dispatch();
    }

    /// The first token of an answer has come; the second call for a request says nothing new.
    pub(super) fn first_token(&mut self, slot: &mut Slot) {
        if let Some(adapt) = self.config.adapt
            && !std::mem::replace(&mut slot.first_token, true)
        {
            let took_us = self.now_us.saturating_sub(slot.began_us);
            let load = self.load(slot);
            self.learned.first_token(&adapt, load, took_us, slot.charge.prompt, self.now_us);
        }
    }

    /// So many tokens of output have come so far. What exceeds the estimate takes room as well.
    pub(super) fn progress(&mut self, slot: &mut Slot, output: u64) {
        let charge = Charge::of(slot.charge.prompt, output.max(slot.charge.output));
        self.correct(slot, charge, charge.output.max(slot.output_expected));
        self.dispatch(); // somebody else may be next now, and smaller
    }

    /// All is known: the request took so many tokens, more or less than expected. The rest comes back at
    /// once.
    pub(super) fn settle(&mut self, slot: &mut Slot, prompt: u64, output: u64) {
        let charge = Charge::of(prompt, output);
        self.correct(slot, charge, charge.output);
        self.dispatch();
    }

    fn correct(&mut self, slot: &mut Slot, charge: Charge, output_held: u64) {
        self.settle_charge(slot, charge);
        let tokens = charge.prompt + output_held;
        self.capacity.resize(slot.tokens, tokens);
        self.lanes[slot.lane].resized(slot.account, slot.tokens, tokens);
        (slot.charge, slot.tokens) = (charge, tokens);
    }

    /// The request is over.
    #[inline]
    pub(super) fn end(&mut self, slot: Slot) {
        self.leave(slot);
        self.dispatch();
    }

    /// Gives back what it took, and lets nobody in.
    #[inline]
    pub(super) fn leave(&mut self, slot: Slot) {
        self.capacity.give_back(slot.tokens);
        self.pace.ended(slot.began_us, self.now_us, slot.served);
        if slot.served {
            self.lanes[slot.lane].served(slot.account, slot.charge);
        }
        self.lanes[slot.lane].ended(slot.account, slot.tokens, self.now_us);
    }

    /// Makes what it has cost so far this much.
    pub(super) fn settle_charge(&mut self, slot: &Slot, charge: Charge) {
        self.lanes[slot.lane].charge(slot.account, slot.charge, charge, slot.weight);
    }

    fn load(&self, slot: &Slot) -> Load {
        let (in_flight, places_max) = (self.capacity.in_flight(), self.capacity.places(None));
        let full = self.line.waiting() > 0 || in_flight >= self.capacity.places(self.learned.places());
        Load { number: slot.number, last: self.admitted, in_flight, places_max, full }
    }
}
