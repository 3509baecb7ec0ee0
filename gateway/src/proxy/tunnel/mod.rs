//! After a switch of protocols: bytes both ways, until both ends have said their last, or nobody is left to answer.
//!
//! [`connection`](crate::server) runs it on the caller's socket once the 101 has been written; the exchange goes on in
//! it, and with it the request's place among the concurrent ones. Each direction ends for itself ([`pump`]), so that the
//! upstream may go on talking to a caller that has fallen silent. A caller that keeps its connection after both have said
//! goodbye, or after the upstream has ended, keeps nothing else by it. Messages of the caller are held to their length ([`frames`]);
//! what they say is between the two ends.
//!
//! Where it is the gateway that ends it, both ends are told in a frame of its own, each if one fits there: between two frames,
//! with room for it.

mod frames;
mod pump;

use super::choose;
use super::deadline::{Deadline, Waiting};
use super::finish::{DRAINED, Exchange};
use crate::policy::{Timeouts, WebSocket};
use crate::upstream::Socket;
use bytes::Bytes;
use frames::Frames;
use pump::{Broken, Pump};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

/// "The endpoint is going away."
const GOING_AWAY: u16 = 1001;
/// "A message that is too big to process."
const TOO_BIG: u16 = 1009;

/// How long the upstream may take to take its last frame, for which there was room when it was written.
const GOODBYE: Duration = Duration::from_millis(100);

/// The last frame of a direction: unmasked, no more than a status (RFC 6455 sections 5.5.1 and 7.4.1).
const fn close(status: u16) -> [u8; 4] {
    let [high, low] = status.to_be_bytes();
    [0x88, 2, high, low]
}

/// The same as an upstream has to hear it: masked (section 5.3). Masks keep those who choose the bytes from choosing what
/// stands on the wire; nobody chooses these, so it is the mask that changes nothing.
const fn masked_close(status: u16) -> [u8; 8] {
    let [high, low] = status.to_be_bytes();
    [0x88, 0x82, 0, 0, 0, 0, high, low]
}

/// An exchange whose connection speaks WebSocket from now on.
pub struct Tunnel {
    exchange: Exchange,
    upstream: Socket,
    up: Direction,
    down: Direction,
    timeouts: Timeouts,
}

impl Tunnel {
    /// After an upstream has agreed; `early` is what it has said since.
    pub fn new(exchange: Exchange, rules: WebSocket, upstream: Socket, early: &[u8]) -> Tunnel {
        let timeouts = exchange.route().expect("only a routed request is forwarded").timeouts;
        let (up, down) = (Direction::new(&exchange, rules.message_max), Direction::new(&exchange, u64::MAX));
        let mut tunnel = Tunnel { exchange, upstream, up, down, timeouts };
        let _ = tunnel.down.begin(early); // of any length
        tunnel
    }

    /// Moves bytes until the end, whatever that is, or until `over`, when the gateway itself ends; `early` is what the caller has
    /// sent already. Returns what the caller is still to be told before its connection is closed with care: the frame that says
    /// why, if it was the gateway that ended it, or nothing after a proper end; None where nothing can be told.
    pub async fn run<IO>(
        mut self,
        caller: &mut IO,
        early: Bytes,
        over: impl Future<Output = ()>,
    ) -> Option<Bytes>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let mut over = pin!(over);
        let end = match self.up.begin(&early) {
            Ok(()) => {
                let end = |cx: &mut Context<'_>| match self.poll(cx, caller) {
                    Poll::Pending => over.as_mut().poll(cx).map(|()| End::Drained),
                    ended => ended,
                };
                poll_fn(end).await
            }
            Err(TooLong) => End::MessageTooLong,
        };
        self.count();
        let parting = self.finish(end)?;
        self.tell_upstream(parting).await;
        match parting {
            Parting::Said => Some(Bytes::new()),
            Parting::Close(status) => self.down.has_room().then(|| Bytes::copy_from_slice(&close(status))),
        }
    }

    /// What becomes of it is the upstream's own affair: it is closed in any case.
    async fn tell_upstream(&mut self, parting: Parting) {
        if let Parting::Close(status) = parting
            && self.up.has_room()
        {
            let frame = masked_close(status);
            let telling = async {
                self.upstream.write_all(&frame).await?;
                self.upstream.shutdown().await
            };
            let _ = tokio::time::timeout(GOODBYE, telling).await;
        }
    }

    fn poll<IO>(&mut self, cx: &mut Context<'_>, caller: &mut IO) -> Poll<End>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let task = self.exchange.connection.task.clone();
        task.register(cx);
        if task.aborted() {
            return Poll::Ready(End::Unread);
        }
        let before = (self.up.pump.came, self.down.pump.came);
        if let Poll::Ready(Err(broken)) = self.up.poll(cx, caller, &mut self.upstream, self.timeouts.write) {
            return Poll::Ready(match broken {
                Broken::From(error) => End::CallerBroke(error),
                Broken::To(error) => End::UpstreamBroke(error),
                Broken::Stopped => End::MessageTooLong,
            });
        }
        if let Poll::Ready(Err(broken)) = self.down.poll(cx, &mut self.upstream, caller, self.timeouts.write)
        {
            return Poll::Ready(match broken {
                Broken::From(error) => End::UpstreamBroke(error),
                Broken::To(error) => End::CallerBroke(error),
                Broken::Stopped => End::MessageTooLong,
            });
        }
        self.count();
        if self.down.pump.has_ended() || self.up.said_goodbye() && self.down.said_goodbye() {
            return Poll::Ready(End::Both);
        }
        self.poll_deadline(cx, before != (self.up.pump.came, self.down.pump.came))
    }

    fn poll_deadline(&self, cx: &Context<'_>, moved: bool) -> Poll<End> {
        let deadline = &self.exchange.deadline;
        match deadline.expired() {
            Some(Waiting::Total) => return Poll::Ready(End::Total),
            Some(_) => return Poll::Ready(End::Idle),
            None => {}
        }
        if moved {
            deadline.wait_for(Waiting::Idle, self.timeouts.idle);
        } else {
            deadline.keep_waiting_for(Waiting::Idle, self.timeouts.idle);
        }
        deadline.register(cx);
        Poll::Pending
    }

    fn count(&mut self) {
        self.exchange.bytes_in = self.up.pump.came;
        self.exchange.bytes_out = self.down.pump.went;
    }

    /// Notes how it ended. Returns how to part, if both ends are still there.
    fn finish(&mut self, end: End) -> Option<Parting> {
        let exchange = &mut self.exchange;
        match end {
            End::Both => {
                exchange.completed();
                choose::completed(exchange);
                Some(Parting::Said)
            }
            End::CallerBroke(error) => {
                exchange.ended("cancelled", format!("the caller broke off: {error}"));
                None
            }
            End::UpstreamBroke(error) => {
                choose::cut(exchange);
                exchange.cut(format!("the upstream broke off: {error}"));
                None
            }
            End::Unread => {
                exchange.ended("unread", "one end read nothing for longer than `timeouts.write`");
                None
            }
            End::MessageTooLong => {
                exchange.ended("message_too_long", "longer than `websocket.message_max`");
                Some(Parting::Close(TOO_BIG))
            }
            End::Idle => {
                exchange.ended("idle", "both ends were silent for longer than `timeouts.idle`");
                Some(Parting::Close(GOING_AWAY))
            }
            End::Total => {
                exchange.ended("total_late", "open for longer than `timeouts.total`");
                Some(Parting::Close(GOING_AWAY))
            }
            End::Drained => {
                exchange.ended("drained", DRAINED);
                Some(Parting::Close(GOING_AWAY))
            }
        }
    }
}

/// How a tunnel came to its end.
enum End {
    /// Both ends have said goodbye, or the upstream has ended.
    Both,
    CallerBroke(std::io::Error),
    UpstreamBroke(std::io::Error),
    /// An end did not read what the other had sent.
    Unread,
    MessageTooLong,
    Idle,
    Total,
    /// The gateway ends.
    Drained,
}

/// What is left to say.
#[derive(Clone, Copy)]
enum Parting {
    /// Nothing: both ends have said it.
    Said,
    /// This status, in a frame of the gateway's own.
    Close(u16),
}

/// One direction, what is said in it, and how long it may stand still.
struct Direction {
    pump: Pump,
    frames: Frames,
    stalled: Rc<Deadline>,
}

struct TooLong;

impl Direction {
    fn new(exchange: &Exchange, message_max: u64) -> Direction {
        let connection = &exchange.connection;
        let stalled = connection.worker.deadlines.enter(connection.task.clone());
        Direction { pump: Pump::default(), frames: Frames::new(message_max), stalled }
    }

    fn begin(&mut self, early: &[u8]) -> Result<(), TooLong> {
        self.pump = Pump::beginning_with(early);
        self.frames.follow(early).map_err(|_| TooLong)
    }

    /// May a frame of the gateway's own stand next?
    fn has_room(&self) -> bool {
        self.frames.between_two()
            && !self.frames.closed()
            && !self.pump.is_stalled()
            && !self.pump.has_ended()
    }

    /// Has its last frame gone on?
    fn said_goodbye(&self) -> bool {
        self.frames.closed() && !self.pump.is_stalled()
    }

    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
        patience: Duration,
    ) -> Poll<Result<(), Broken>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let (went, frames) = (self.pump.went, &mut self.frames);
        let judge = |bytes: &[u8]| frames.follow(bytes).map_or_else(|before| before, |()| bytes.len());
        let moved = self.pump.poll(cx, from, to, judge);
        if !self.pump.is_stalled() {
            self.stalled.rest();
        } else if self.pump.went > went {
            self.stalled.wait_for(Waiting::Write, patience);
        } else {
            self.stalled.keep_waiting_for(Waiting::Write, patience);
        }
        moved
    }
}
