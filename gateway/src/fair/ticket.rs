//! Waiting for one's turn: a future without a timer.

use super::Refusal;
use super::gate::{Gate, Pass};
use super::line::SeatIx;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A place in the queue. Awaiting it gives the [`Pass`], or the [`Refusal`] if its time is up or it had to
/// give way; None: the upstream refuses by now, and the request [may go elsewhere](super::Ask::elsewhere).
///
/// Dropping it, at any time and on any thread, gives the place up; also one that has been let in and does
/// not know yet.
#[must_use = "dropping a ticket gives the place in the queue up: await it"]
pub struct Ticket {
    gate: Arc<Gate>,
    /// None: the answer has been taken.
    seat: Option<SeatIx>,
}

impl Ticket {
    pub(super) fn new(gate: Arc<Gate>, seat: SeatIx) -> Ticket {
        Ticket { gate, seat: Some(seat) }
    }
}

impl Future for Ticket {
    type Output = Result<Option<Pass>, Refusal>;

    /// # Panics
    /// If it is polled after it gave its answer.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let seat = self.seat.expect("a ticket is good for one answer");
        let mut waker = Some(cx.waker().clone());
        let answer = self.gate.with(|scheduler| {
            let answer = scheduler.take(seat);
            if answer.is_none() {
                waker = waker.take().and_then(|waker| scheduler.wake_by(seat, waker));
            }
            answer
        });
        let Some(answer) = answer else { return Poll::Pending };
        self.seat = None;
        Poll::Ready(answer.map(|slot| slot.map(|slot| Pass::new(Arc::clone(&self.gate), slot))))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(seat) = self.seat.take() {
            let waker = self.gate.with(|scheduler| scheduler.cancel(seat));
            drop(waker); // outside the lock: with the last of them its task goes, and maybe another ticket
        }
    }
}
