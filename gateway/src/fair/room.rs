//! Who gives way when the queue is full.
//!
//! Somebody of the lowest class that waits, if that is not above the newcomer's; there the tenant with most
//! in the queue (requests, or bytes if bytes are short), its newest request first. It keeps at least what
//! the newcomer's tenant then has: if that cannot make room, the newcomer is refused. So one tenant fills
//! the queue only while nobody else needs it, n tenants hold about an n-th of it each, and who has
//! waited longest of its tenant is the last to go.

use super::account::Account;
use super::lane::Lane;
use super::line::SeatIx;
use super::scheduler::Scheduler;
use super::{Ask, Reason};

/// What there is too little of.
#[derive(Clone, Copy)]
enum Short {
    Places,
    Bytes,
}

impl Short {
    /// How much of it a tenant has.
    fn held_by(self, account: &Account) -> u64 {
        match self {
            Short::Places => u64::from(account.queue.len()),
            Short::Bytes => account.waiting_bytes,
        }
    }

    /// How much of it a request takes.
    fn taken_by(self, ask: &Ask) -> u64 {
        match self {
            Short::Places => 1,
            Short::Bytes => ask.body_bytes,
        }
    }
}

impl<W> Scheduler<W> {
    /// Makes room in the queue for one more request; `false` if there is none for it.
    pub(super) fn make_room(&mut self, lane: usize, account: usize, ask: &Ask) -> bool {
        if self.is_queue_room(0, 0, ask) {
            return true;
        }
        let Some(leaving) = self.who_gives_way(lane, account, ask) else { return false };
        self.turn_away(leaving, Reason::Displaced);
        true
    }

    /// Would it fit, once so many requests of so many bytes are gone?
    fn is_queue_room(&self, gone: u32, gone_bytes: u64, ask: &Ask) -> bool {
        let left = u64::from(self.line.waiting() - gone);
        let left_bytes = self.line.bytes() - gone_bytes;
        left < u64::from(self.config.queue_max)
            && left_bytes
                .checked_add(ask.body_bytes)
                .is_some_and(|bytes| bytes <= self.config.queue_bytes_max)
    }

    fn who_gives_way(&self, lane: usize, account: usize, ask: &Ask) -> Option<Vec<SeatIx>> {
        let bytes = self.line.bytes().saturating_add(ask.body_bytes);
        let short = if bytes > self.config.queue_bytes_max { Short::Bytes } else { Short::Places };
        let lowest = self.lanes.iter().rposition(Lane::is_waiting).filter(|lowest| *lowest >= lane)?;
        let most = |(at, other): &(usize, &Account)| (short.held_by(other), *at);
        let (other_at, other) = self.lanes[lowest].accounts_waiting().max_by_key(most)?;
        if (lowest, other_at) == (lane, account) {
            return None;
        }
        let keeps = if lowest == lane {
            short.held_by(self.lanes[lane].account(account)).saturating_add(short.taken_by(ask))
        } else {
            0
        };

        let (mut leaving, mut gone_bytes, mut held) = (Vec::new(), 0, short.held_by(other));
        let mut newest = other.queue.tail();
        while !self.is_queue_room(leaving.len() as u32, gone_bytes, ask) {
            let seat = newest.filter(|_| held > keeps)?;
            let leaver = self.line.waiter(seat);
            held -= short.taken_by(&leaver.ask);
            gone_bytes += leaver.ask.body_bytes;
            leaving.push(seat);
            newest = self.line.ahead_of(seat);
        }
        Some(leaving)
    }
}
