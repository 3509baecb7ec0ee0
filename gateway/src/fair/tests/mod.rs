//! What the gate promises, checked by simulated upstreams and oracles that know nothing of how it works.

mod adapt;
mod cancel;
mod capacity;
mod classes;
mod fairness;
mod noise;
mod paper;
mod promise;
mod queue;
mod reload;
mod simulation;
mod threads;

use super::flight::Slot;
use super::scheduler::{Entered, Scheduler};
use super::*;

const SECOND_US: u64 = 1_000_000;

fn weight(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("a weight is not zero")
}

/// One class with a long wait, `places` at once, a queue without end; by turns alone.
fn config(places: u32) -> Config {
    Config {
        in_flight_max: NonZeroU32::new(places),
        tokens_max: None,
        queue_max: 100_000,
        queue_bytes_max: u64::MAX,
        classes: vec![class("standard", 1_000_000, 0)],
        burst: 0,
        headroom_percent: 0,
        adapt: None,
    }
}

fn class(name: &str, wait_max_s: u64, holdback_percent: u8) -> Class {
    Class { name: name.into(), wait_max: Duration::from_secs(wait_max_s), holdback_percent }
}

fn ask(tenant: u64) -> Ask {
    let (tenant, weight) = (TenantKey(tenant), weight(1));
    Ask { tenant, weight, class: 0, prompt: 10, output: 10, body_bytes: 100, elsewhere: false }
}

/// A scheduler, and every request that was sent through it, by the order of sending.
struct Bench {
    scheduler: Scheduler<usize>,
    sent: Vec<Stand>,
    asks: Vec<Ask>,
}

#[derive(Debug, Clone, PartialEq)]
enum Stand {
    Waiting(super::line::SeatIx),
    In(Slot),
    Elsewhere,
    Refused(Refusal),
    Gone,
}

impl Bench {
    fn new(config: Config) -> Bench {
        Bench { scheduler: Scheduler::new(config), sent: Vec::new(), asks: Vec::new() }
    }

    fn at(&mut self, now_us: u64) -> &mut Bench {
        self.scheduler.at(now_us);
        self
    }

    /// Sends a request; its number.
    fn send(&mut self, ask: Ask) -> usize {
        let number = self.sent.len();
        let stand = match self.scheduler.enter(&ask) {
            Entered::Now(slot) => Stand::In(slot),
            Entered::Wait(seat) => {
                let before = self.scheduler.wake_by(seat, number);
                assert_eq!(before, None);
                Stand::Waiting(seat)
            }
            Entered::Elsewhere => Stand::Elsewhere,
            Entered::Refused(refusal) => Stand::Refused(refusal),
        };
        self.sent.push(stand);
        self.asks.push(ask);
        self.hear();
        number
    }

    fn send_each(&mut self, asks: impl Iterator<Item = Ask>) {
        for ask in asks {
            self.send(ask);
        }
    }

    /// Ends one that is in.
    fn end(&mut self, number: usize) {
        match std::mem::replace(&mut self.sent[number], Stand::Gone) {
            Stand::In(slot) => self.scheduler.end(slot),
            other => panic!("{number} is not in but {other:?}"),
        }
        self.hear();
    }

    /// The caller of one goes, wherever it is.
    fn cancel(&mut self, number: usize) {
        match std::mem::replace(&mut self.sent[number], Stand::Gone) {
            Stand::In(slot) => self.scheduler.end(slot),
            Stand::Waiting(seat) => drop(self.scheduler.cancel(seat)),
            other => panic!("{number} is neither in nor waits but {other:?}"),
        }
        self.hear();
    }

    fn tick(&mut self) {
        self.scheduler.tick();
        self.hear();
    }

    /// Does something to one that is in.
    fn with(&mut self, number: usize, act: impl FnOnce(&mut Scheduler<usize>, &mut Slot)) {
        match &mut self.sent[number] {
            Stand::In(slot) => act(&mut self.scheduler, slot),
            other => panic!("{number} is not in but {other:?}"),
        }
        self.hear();
    }

    fn answered(&mut self, number: usize, status: u16, retry_after: Option<Duration>) {
        self.with(number, |scheduler, slot| scheduler.answered(slot, status, retry_after));
    }

    /// Takes the answers of those that were woken, and of the last one sent, which may have come in at once.
    fn hear(&mut self) {
        let mut woken = self.scheduler.take_wakes();
        woken.extend(self.sent.len().checked_sub(1));
        for number in woken {
            if let Stand::Waiting(seat) = self.sent[number]
                && let Some(answer) = self.scheduler.take(seat)
            {
                let stand = |slot: Option<Slot>| slot.map_or(Stand::Elsewhere, Stand::In);
                self.sent[number] = answer.map_or_else(Stand::Refused, stand);
            }
        }
    }

    fn is_in(&self, number: usize) -> bool {
        matches!(self.sent[number], Stand::In(_))
    }

    fn waits(&self, number: usize) -> bool {
        matches!(self.sent[number], Stand::Waiting(_))
    }

    fn refusal(&self, number: usize) -> Refusal {
        match self.sent[number] {
            Stand::Refused(refusal) => refusal,
            ref other => panic!("{number} is not refused but {other:?}"),
        }
    }

    fn tenant_of(&self, number: usize) -> u64 {
        self.asks[number].tenant.0
    }

    /// All that are in, in the order of sending.
    fn in_now(&self) -> Vec<usize> {
        (0..self.sent.len()).filter(|number| self.is_in(*number)).collect()
    }

    fn state(&self) -> State {
        self.scheduler.state(100)
    }
}

#[track_caller]
fn assert_empty(state: &State) {
    let left = (state.in_flight, state.tokens, state.waiting, state.waiting_bytes);
    assert_eq!(left, (0, 0, 0, 0), "{state:?}");
    assert!(state.tenants.is_empty(), "{state:?}");
}
