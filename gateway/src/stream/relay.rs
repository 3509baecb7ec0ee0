//! Moves bytes both ways between two sockets until both directions have ended.
//!
//! The end of one direction is passed on as such (FIN, or TLS's own word for it) while the other goes on: half-close
//! is correct both ways. A direction that breaks ends both at once. Whatever ends before both have said their last, with
//! the gateway itself too, ends by a reset, so that what was cut does not look whole.
//!
//! *Cost.* Bytes go through one buffer of the thread, from one system call to the next. Only what the receiver's socket
//! does not take, or what has to wait for its pace, is kept with the connection: an idle one holds no buffer.

use super::level::{Level, Way};
use crate::clock;
use crate::proxy::deadline::{Deadline, Waiting};
use crate::upstream::RawSocket;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Bytes moved by one pair of system calls: larger saves no time, and leaves the processor's cache.
const SCRATCH: usize = 64 << 10;

/// Slices that one direction moves before others have their turn: at most 1 MiB, some hundred microseconds.
const ROUNDS: usize = 16;

thread_local! {
    static SCRATCH_BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into());
}

/// How a relay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Both sides have said all they had to say.
    Whole,
    /// The caller's side broke.
    CallerBroke,
    /// The backend's side broke.
    BackendBroke,
    /// Something took too long.
    Late(Waiting),
}

/// What a relay is bound by, and where it counts.
pub struct Terms<'a> {
    /// Paces the bytes.
    pub level: &'a Level,
    /// Ends silence, and the whole.
    pub deadline: &'a Deadline,
    /// Longest silence in both directions.
    pub idle: Duration,
    /// Told of bytes that were written: which way, and how many.
    pub passed: &'a dyn Fn(Way, usize),
}

/// Relays until the end.
pub async fn relay(caller: &mut RawSocket, backend: &mut RawSocket, terms: &Terms<'_>) -> End {
    // At once, because nobody comes back here when the gateway ends.
    caller.reset_on_close();
    backend.reset_on_close();
    let (mut into, mut out) = (Flow::new(Way::In), Flow::new(Way::Out));
    let moved = Cell::new(true);
    let count = |way, bytes| {
        moved.set(true);
        (terms.passed)(way, bytes);
    };
    let end = poll_fn(|cx| {
        let one = into.poll(cx, caller, backend, terms.level, &count);
        let other = out.poll(cx, backend, caller, terms.level, &count);
        if let Some(end) = broken(&one, Way::In).or_else(|| broken(&other, Way::Out)) {
            return Poll::Ready(end);
        }
        if one.is_ready() && other.is_ready() {
            return Poll::Ready(End::Whole);
        }
        if into.is_waiting() || out.is_waiting() {
            terms.deadline.rest(); // it is we who are silent
        } else if moved.take() {
            terms.deadline.wait_for(Waiting::Idle, terms.idle);
        } else {
            terms.deadline.keep_waiting_for(Waiting::Idle, terms.idle);
        }
        if let Some(late) = terms.deadline.expired() {
            return Poll::Ready(End::Late(late));
        }
        terms.deadline.register(cx);
        Poll::Pending
    });
    let end = end.await;
    if end == End::Whole {
        caller.end_on_close();
        backend.end_on_close();
    }
    end
}

/// Whose side broke, if one did.
fn broken(flow: &Poll<Result<(), Broke>>, way: Way) -> Option<End> {
    match (flow, way) {
        (Poll::Ready(Err(Broke::Reading)), Way::In) | (Poll::Ready(Err(Broke::Writing)), Way::Out) => {
            Some(End::CallerBroke)
        }
        (Poll::Ready(Err(_)), _) => Some(End::BackendBroke),
        _ => None,
    }
}

/// Which end of a direction failed.
enum Broke {
    Reading,
    Writing,
}

/// One direction.
struct Flow {
    way: Way,
    stage: Stage,
    /// What was read and not written, from `written` on.
    kept: Vec<u8>,
    written: usize,
    /// Until when what is kept has to wait for its pace.
    pause: Option<Pin<Box<Sleep>>>,
    /// TLS may hold back what was written.
    unflushed: bool,
}

#[derive(PartialEq)]
enum Stage {
    Moving,
    Closing,
    Closed,
}

impl Flow {
    fn new(way: Way) -> Flow {
        Flow { way, stage: Stage::Moving, kept: Vec::new(), written: 0, pause: None, unflushed: false }
    }

    /// Does it wait for its pace?
    fn is_waiting(&self) -> bool {
        self.pause.is_some()
    }

    /// Moves what can be moved now; ready when the direction has ended, as often as it is asked.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut RawSocket,
        to: &mut RawSocket,
        level: &Level,
        passed: &dyn Fn(Way, usize),
    ) -> Poll<Result<(), Broke>> {
        for _ in 0..ROUNDS {
            match self.stage {
                Stage::Closed => return Poll::Ready(Ok(())),
                Stage::Closing => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(|_| Broke::Writing)?;
                    self.stage = Stage::Closed;
                }
                Stage::Moving => {
                    ready!(self.poll_kept(cx, to, passed)).map_err(|_| Broke::Writing)?;
                    match self.poll_slice(cx, from, to, level, passed) {
                        Poll::Ready(result) => result?,
                        Poll::Pending => {
                            self.flush(cx, to).map_err(|_| Broke::Writing)?;
                            return Poll::Pending;
                        }
                    }
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what was kept, once its time has come.
    fn poll_kept(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut RawSocket,
        passed: &dyn Fn(Way, usize),
    ) -> Poll<io::Result<()>> {
        if let Some(pause) = &mut self.pause {
            if pause.as_mut().poll(cx).is_pending() {
                self.flush(cx, to)?;
                return Poll::Pending;
            }
            self.pause = None;
        }
        while self.written < self.kept.len() {
            let wrote = ready!(write(cx, to, &self.kept[self.written..]))?;
            self.written += wrote;
            self.unflushed = true;
            passed(self.way, wrote);
        }
        if self.written > 0 {
            (self.kept, self.written) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once through the thread's buffer, and writes what may and can be written at once.
    fn poll_slice(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut RawSocket,
        to: &mut RawSocket,
        level: &Level,
        passed: &dyn Fn(Way, usize),
    ) -> Poll<Result<(), Broke>> {
        SCRATCH_BUFFER.with_borrow_mut(|scratch| {
            let slice = level.slice(self.way);
            let mut buffer = ReadBuf::new(&mut scratch[..slice.min(SCRATCH)]);
            ready!(Pin::new(from).poll_read(cx, &mut buffer)).map_err(|_| Broke::Reading)?;
            let mut read = buffer.filled();
            if read.is_empty() {
                self.stage = Stage::Closing;
                return Poll::Ready(Ok(()));
            }
            let paced = slice != usize::MAX;
            let wait_us = if paced { level.spend(self.way, read.len(), clock::mono_us()) } else { 0 };
            if wait_us > 0 {
                self.pause = Some(Box::pin(tokio::time::sleep(Duration::from_micros(wait_us))));
            }
            while wait_us == 0 && !read.is_empty() {
                match write(cx, to, read) {
                    Poll::Pending => break,
                    Poll::Ready(wrote) => {
                        let wrote = wrote.map_err(|_| Broke::Writing)?;
                        self.unflushed = true;
                        passed(self.way, wrote);
                        read = &read[wrote..];
                    }
                }
            }
            self.kept.extend_from_slice(read);
            Poll::Ready(Ok(()))
        })
    }

    /// Sends what TLS holds back. Whether it has gone matters to nobody now: its own waker sees to the rest.
    fn flush(&mut self, cx: &mut Context<'_>, to: &mut RawSocket) -> io::Result<()> {
        if self.unflushed {
            match Pin::new(to).poll_flush(cx) {
                Poll::Ready(flushed) => {
                    flushed?;
                    self.unflushed = false;
                }
                Poll::Pending => {}
            }
        }
        Ok(())
    }
}

fn write(cx: &mut Context<'_>, to: &mut RawSocket, bytes: &[u8]) -> Poll<io::Result<usize>> {
    match ready!(Pin::new(to).poll_write(cx, bytes))? {
        0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        wrote => Poll::Ready(Ok(wrote)),
    }
}
