//! Request bodies: how large they say they are, how large they are, and who has vouched for them.
//!
//! A body whose signature covers it is read whole before anything of it goes upstream: nothing unverified
//! is ever sent, let alone completed. Every other body streams through, counted as it passes.

use super::deadline::{Deadline, Waiting};
use super::finish::Exchange;
use super::worker::Budget;
use crate::clock;
use crate::policy::{Api, Route};
use crate::reject::Reject;
use crate::settings::Timeouts;
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Refuses a body that says it is too large, before any of it is read.
///
/// # Errors
/// [`Reject::BodyTooLarge`]
pub fn check_declared(body: &Incoming, cap: u64) -> Result<(), Reject> {
    if body.size_hint().lower() > cap { Err(Reject::BodyTooLarge { cap }) } else { Ok(()) }
}

/// Reads a body to its end.
///
/// # Errors
/// Too large, too slow, broken off, or no room to hold it.
pub async fn read_whole(exchange: &mut Exchange, mut body: Incoming, cap: u64) -> Result<Held, Reject> {
    let shared = exchange.connection.worker.shared.clone();
    let mut pace = Pace::new(&shared.settings.timeouts);
    let mut held = Held { bytes: Bytes::new(), room: Room { taken: 0, shared } };
    let mut many: Option<BytesMut> = None;
    loop {
        pace.wait(&exchange.deadline);
        let frame = exchange.deadline.bound(body.frame()).await.map_err(Reject::late)?;
        let Some(frame) = frame else { break };
        let Ok(data) = frame.map_err(|_| Reject::BodyBroken)?.into_data() else { continue };
        pace.came(data.len() as u64, &exchange.deadline);
        exchange.bytes_in += data.len() as u64;
        if exchange.bytes_in > cap {
            return Err(Reject::BodyTooLarge { cap });
        }
        held.room.take(data.len() as u64)?;
        // Most bodies come in one piece, and are not copied.
        match &mut many {
            None if held.bytes.is_empty() => held.bytes = data,
            None => {
                let mut joined = BytesMut::with_capacity(held.bytes.len() + data.len());
                joined.extend_from_slice(&held.bytes);
                joined.extend_from_slice(&data);
                many = Some(joined);
            }
            Some(joined) => joined.extend_from_slice(&data),
        }
        // To be told that nothing follows would take one more wake-up; and while this holds a piece of hyper's buffer,
        // hyper would take a new one.
        if body.is_end_stream() {
            break;
        }
    }
    exchange.deadline.rest();
    if let Some(joined) = many {
        held.bytes = joined.freeze();
    }
    Ok(held)
}

/// A body in memory, and the room it takes there.
pub struct Held {
    /// All of it.
    pub bytes: Bytes,
    room: Room,
}

impl Held {
    /// The same bytes once more; their room is taken once.
    pub fn again(&self) -> Held {
        Held { bytes: self.bytes.clone(), room: Room { taken: 0, shared: self.room.shared.clone() } }
    }
}

struct Room {
    taken: u64,
    shared: Arc<super::worker::Shared>,
}

impl Room {
    fn budget(&self) -> &Budget {
        &self.shared.buffers
    }

    fn take(&mut self, bytes: u64) -> Result<(), Reject> {
        if !self.budget().take(bytes) {
            return Err(Reject::Overloaded);
        }
        self.taken += bytes;
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.budget().give_back(self.taken);
    }
}

/// The body of the request that goes upstream, and what has become of it.
pub struct Upload {
    source: Source,
    /// Bytes so far.
    pub bytes: u64,
    /// All of it has passed.
    pub complete: bool,
    /// When the last of it did; 0: it was all there.
    pub whole_us: u64,
    /// Why it was stopped, if it was.
    pub stopped: Option<Stop>,
}

enum Source {
    Nothing,
    /// Verified.
    Held(Held),
    Passing(Passing),
}

/// A body on its way through.
struct Passing {
    body: Incoming,
    pace: Pace,
    cap: u64,
    deadline: Rc<Deadline>,
    first_byte: Duration,
}

/// Why a passing body was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Over the cap.
    TooLarge,
    /// The caller broke off.
    Broken,
}

impl Stop {
    /// What its caller is told.
    pub fn told(self, exchange: &Exchange) -> Reject {
        match self {
            Stop::TooLarge => {
                Reject::BodyTooLarge { cap: exchange.route().map_or(0, |route| exchange.body_max(route)) }
            }
            Stop::Broken => Reject::BodyBroken,
        }
    }
}

impl Upload {
    /// No body.
    pub fn nothing() -> Upload {
        Upload { source: Source::Nothing, bytes: 0, complete: true, whole_us: 0, stopped: None }
    }

    /// Lets `body` pass, up to `cap` bytes; afterwards the wait for the answer begins.
    pub fn passing(exchange: &Exchange, route: &Route, body: Incoming, cap: u64) -> Upload {
        let mut pace = match route.api {
            Api::Grpc => Pace::of_call(route.timeouts.idle),
            _ => Pace::new(&exchange.connection.worker.shared.settings.timeouts),
        };
        pace.wait(&exchange.deadline);
        let (deadline, first_byte) = (exchange.deadline.clone(), route.timeouts.first_byte);
        let passing = Passing { body, pace, cap, deadline, first_byte };
        Upload { source: Source::Passing(passing), bytes: 0, complete: false, whole_us: 0, stopped: None }
    }

    /// A body that is all there. Whoever sends it waits for the answer.
    pub fn held(held: Held) -> Upload {
        let bytes = held.bytes.len() as u64;
        let source = if bytes == 0 { Source::Nothing } else { Source::Held(held) };
        Upload { source, bytes, complete: true, whole_us: 0, stopped: None }
    }

    /// The error makes the HTTP client close the upstream connection: what was sent stays incomplete.
    fn stop(&mut self, why: Stop) -> std::io::Error {
        self.stopped = Some(why);
        std::io::Error::other(match why {
            Stop::TooLarge => "it is too large",
            Stop::Broken => "its sender broke off",
        })
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let Source::Passing(passing) = &mut this.source else {
            let Source::Held(held) = std::mem::replace(&mut this.source, Source::Nothing) else {
                return Poll::Ready(None);
            };
            return Poll::Ready(Some(Ok(Frame::data(held.bytes))));
        };
        passing.pace.wait(&passing.deadline);
        let Some(frame) = ready!(Pin::new(&mut passing.body).poll_frame(cx)) else {
            passing.finish(&mut this.complete, &mut this.whole_us);
            return Poll::Ready(None);
        };
        let Ok(frame) = frame else { return Poll::Ready(Some(Err(this.stop(Stop::Broken)))) };
        if let Some(data) = frame.data_ref() {
            this.bytes += data.len() as u64;
            if this.bytes > passing.cap {
                return Poll::Ready(Some(Err(this.stop(Stop::TooLarge))));
            }
            passing.came(data.len() as u64);
        }
        if passing.body.is_end_stream() {
            passing.finish(&mut this.complete, &mut this.whole_us);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Nothing => true,
            Source::Held(_) => false,
            Source::Passing(passing) => passing.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Nothing => SizeHint::with_exact(0),
            Source::Held(held) => SizeHint::with_exact(held.bytes.len() as u64),
            Source::Passing(passing) => passing.body.size_hint(),
        }
    }
}

impl Passing {
    fn came(&mut self, bytes: u64) {
        self.pace.came(bytes, &self.deadline);
        // Until it comes back for more, it is the upstream that takes its time.
        self.deadline.wait_for(Waiting::FirstByte, self.first_byte);
    }

    fn finish(&self, complete: &mut bool, whole_us: &mut u64) {
        if !std::mem::replace(complete, true) {
            *whole_us = clock::mono_us();
            self.deadline.wait_for(Waiting::FirstByte, self.first_byte);
        }
    }
}

/// The least rate at which a body must come: in every `grace` of waiting for the caller, its quota of bytes.
/// Time in which the upstream takes nothing does not count against the caller.
struct Pace {
    quota: u64,
    grace_ms: u64,
    left_bytes: u64,
    left_ms: u64,
    waiting_since_ms: Option<u64>,
}

impl Pace {
    fn new(timeouts: &Timeouts) -> Pace {
        let grace_ms = timeouts.body_grace.as_millis() as u64;
        let quota = (timeouts.body_rate_min * grace_ms / 1000).max(1);
        Pace { quota, grace_ms, left_bytes: quota, left_ms: grace_ms, waiting_since_ms: None }
    }

    /// Of a call, whose caller speaks when it has something to say: any byte will do.
    fn of_call(idle: Duration) -> Pace {
        let grace_ms = idle.as_millis() as u64;
        Pace { quota: 1, grace_ms, left_bytes: 1, left_ms: grace_ms, waiting_since_ms: None }
    }

    /// It is the caller's turn.
    fn wait(&mut self, deadline: &Deadline) {
        if self.waiting_since_ms.is_none() {
            self.waiting_since_ms = Some(deadline.now_ms());
            deadline.wait_for(Waiting::Body, Duration::from_millis(self.left_ms));
        }
    }

    /// The caller has sent `bytes`.
    fn came(&mut self, bytes: u64, deadline: &Deadline) {
        let waited = self.waiting_since_ms.take().map_or(0, |since| deadline.now_ms().saturating_sub(since));
        self.left_ms = self.left_ms.saturating_sub(waited);
        self.left_bytes = self.left_bytes.saturating_sub(bytes);
        if self.left_bytes == 0 {
            (self.left_bytes, self.left_ms) = (self.quota, self.grace_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::deadline::Deadlines;
    use super::*;

    fn waits_until_late(bytes_each: u64, every_ms: u64) -> Option<u64> {
        let all = Rc::new(Deadlines::default());
        let deadline = all.enter(Rc::default());
        let timeouts =
            Timeouts { body_rate_min: 100, body_grace: Duration::from_secs(10), ..Timeouts::default() };
        let mut pace = Pace::new(&timeouts);
        for now_ms in (0..120_000).step_by(100) {
            all.tick(now_ms);
            if deadline.expired().is_some() {
                return Some(now_ms);
            }
            pace.wait(&deadline);
            if now_ms % every_ms == 0 {
                pace.came(bytes_each, &deadline);
            }
        }
        None
    }

    #[test]
    fn a_body_at_the_least_rate_may_take_its_time() {
        assert_eq!(waits_until_late(1_000, 9_000), None);
    }

    #[test]
    fn a_byte_now_and_then_does_not_keep_a_body_alive() {
        let late = waits_until_late(1, 1_000).unwrap();
        assert!((10_000..12_000).contains(&late), "{late} ms");
    }
}
