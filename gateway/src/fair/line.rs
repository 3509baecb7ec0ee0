//! Everybody who waits: one table, and through it a queue for each tenant in each class.
//!
//! The queues are linked lists, as a request may leave from the middle: when its caller goes, when its time
//! is up, or when it has to give way.

use super::account::TOKENS_MAX;
use super::flight::Slot;
use super::{Ask, Refusal};
use slab::Slab;

/// Who waits, and who has an answer but did not hear it yet. `W` wakes one of them.
pub(super) struct Line<W> {
    seats: Slab<Seat<W>>,
    waiting: u32,
    bytes: u64,
    arrivals: u64,
}

/// A place in the line; its own until the answer is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SeatIx(u32);

struct Seat<W> {
    waiter: Waiter,
    ahead: Option<SeatIx>,
    behind: Option<SeatIx>,
    waker: Option<W>,
    answer: Option<Answer>,
}

/// What the wait came to; None: it goes elsewhere.
pub(super) type Answer = Result<Option<Slot>, Refusal>;

/// One request that waits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiter {
    pub(super) ask: Ask,
    /// Its class, as an index of lanes, and its account there.
    pub(super) lane: usize,
    pub(super) account: usize,
    /// Order of arrival.
    pub(super) arrival: u64,
    pub(super) since_us: u64,
    pub(super) due_us: u64,
}

/// The requests of one tenant in one class, first come first.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Queue {
    ends: Option<(SeatIx, SeatIx)>,
    len: u32,
    head_arrival: u64,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// Who is next.
    pub(super) fn head(&self) -> Option<SeatIx> {
        self.ends.map(|(head, _)| head)
    }

    /// Order of arrival of who is next.
    pub(super) fn head_arrival(&self) -> u64 {
        self.head_arrival
    }

    /// Who came last.
    pub(super) fn tail(&self) -> Option<SeatIx> {
        self.ends.map(|(_, tail)| tail)
    }
}

impl<W> Line<W> {
    pub(super) fn new() -> Line<W> {
        Line { seats: Slab::new(), waiting: 0, bytes: 0, arrivals: 0 }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> u32 {
        self.waiting
    }

    /// Bytes of their bodies.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Puts a request at the end of a queue.
    pub(super) fn join(&mut self, queue: &mut Queue, mut waiter: Waiter) -> SeatIx {
        self.arrivals += 1;
        waiter.arrival = self.arrivals;
        self.waiting += 1;
        self.bytes += waiter.ask.body_bytes;
        let seat = Seat { waiter, ahead: queue.tail(), behind: None, waker: None, answer: None };
        let ix = SeatIx(u32::try_from(self.seats.insert(seat)).expect("the queue is bounded by a u32"));
        if let Some(tail) = queue.tail() {
            self.seat_mut(tail).behind = Some(ix);
        }
        let head = queue.head().unwrap_or(ix);
        (queue.ends, queue.len) = (Some((head, ix)), queue.len + 1);
        queue.head_arrival = self.waiter(head).arrival;
        ix
    }

    /// Takes a request out of its queue; its seat stays until [`leave`](Line::leave).
    pub(super) fn unlink(&mut self, queue: &mut Queue, ix: SeatIx) {
        let seat = &self.seats[ix.0 as usize];
        let (ahead, behind) = (seat.ahead, seat.behind);
        self.waiting -= 1;
        self.bytes -= seat.waiter.ask.body_bytes;
        queue.len -= 1;
        if let Some(ahead) = ahead {
            self.seat_mut(ahead).behind = behind;
        }
        if let Some(behind) = behind {
            self.seat_mut(behind).ahead = ahead;
        }
        queue.ends = queue.ends.and_then(|(head, tail)| {
            let head = if head == ix { behind } else { Some(head) };
            let tail = if tail == ix { ahead } else { Some(tail) };
            head.zip(tail)
        });
        queue.head_arrival = queue.head().map_or(0, |head| self.waiter(head).arrival);
    }

    /// Keeps the answer for whoever waits, and returns what wakes it.
    pub(super) fn tell(&mut self, ix: SeatIx, answer: Answer) -> Option<W> {
        let seat = self.seat_mut(ix);
        seat.answer = Some(answer);
        seat.waker.take()
    }

    /// Has it been answered?
    pub(super) fn is_answered(&self, ix: SeatIx) -> bool {
        self.seats[ix.0 as usize].answer.is_some()
    }

    /// Changes what wakes it; returns what did before.
    pub(super) fn wake_by(&mut self, ix: SeatIx, waker: W) -> Option<W> {
        self.seat_mut(ix).waker.replace(waker)
    }

    /// Gives the seat up, with its answer and what would have woken it.
    pub(super) fn leave(&mut self, ix: SeatIx) -> (Option<Answer>, Option<W>) {
        let seat = self.seats.remove(ix.0 as usize);
        (seat.answer, seat.waker)
    }

    /// Who sits there.
    pub(super) fn waiter(&self, ix: SeatIx) -> &Waiter {
        &self.seats[ix.0 as usize].waiter
    }

    /// Who came just before it, in the same queue.
    pub(super) fn ahead_of(&self, ix: SeatIx) -> Option<SeatIx> {
        self.seats[ix.0 as usize].ahead
    }

    /// All who wait, in no order.
    pub(super) fn each(&self) -> impl Iterator<Item = (SeatIx, &Waiter)> {
        let waits = self.seats.iter().filter(|(_, seat)| seat.answer.is_none());
        waits.map(|(at, seat)| (SeatIx(at as u32), &seat.waiter))
    }

    fn seat_mut(&mut self, ix: SeatIx) -> &mut Seat<W> {
        &mut self.seats[ix.0 as usize]
    }
}

impl Ask {
    /// Tokens it takes while it is in flight, by the estimate.
    pub(super) fn tokens(&self) -> u64 {
        self.prompt.min(TOKENS_MAX) + self.output.min(TOKENS_MAX)
    }
}
