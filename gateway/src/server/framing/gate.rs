//! The gate between a connection's bytes and hyper.

use super::{Framing, FramingCaps, FramingScanner};
use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A buffer larger than this is given back once it is empty, so that idle connections are small.
const IDLE_BUFFER_MAX: usize = 4 << 10;

/// What is no longer than this leaves as one piece: head and body of a small answer, or the line, data and end of a
/// chunk. Copying it costs less than the kernel takes to gather it.
const JOINED_MAX: usize = 4 << 10;

thread_local! {
    /// Where it is joined; empty between writes, so that idle connections need none.
    static JOINED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lets only flawless heads and chunks through to hyper; what is written passes unchanged.
///
/// On a violation in a head, hyper gets all that stood before that head and then waits for ever: to
/// it the caller has fallen silent, so it finishes what it has and keeps the connection. On a
/// violation in a body it gets an error ([`io::ErrorKind::InvalidData`]), since that request can
/// never be whole. Either way the [`HeadWatch`] says so, and the task that polls hyper is woken.
#[derive(Debug)]
pub struct HeadGate<IO> {
    io: IO,
    scanner: FramingScanner,
    watch: Rc<HeadWatch>,
    held: Held,
    /// As the watch says: asked here, which is nearer than the watch.
    write_pending: bool,
}

/// What the task that runs a connection needs to know of its bytes. Shared by that task and the gate.
#[derive(Debug, Default)]
pub struct HeadWatch {
    /// What was wrong, once something is. Stays as it is.
    pub violation: Cell<Option<Framing>>,
    /// A head has begun and is not complete: its deadline counts.
    pub head_started: Cell<bool>,
    /// Body is still to come, or was when the violation came.
    pub reading_body: Cell<bool>,
    /// Heads passed on so far; wraps around. Less the answers sent: requests under way.
    pub heads_complete: Cell<u32>,
    /// The socket did not take all that hyper has written: some of it is still in a buffer.
    pub write_pending: Cell<bool>,
}

impl HeadWatch {
    fn update(&self, scanner: &FramingScanner) {
        self.head_started.set(scanner.head_started());
        self.reading_body.set(scanner.reading_body());
        self.heads_complete.set(scanner.heads_complete());
    }
}

impl<IO> HeadGate<IO> {
    /// A gate before the first byte of a connection, and the watch over it.
    pub fn new(io: IO, caps: FramingCaps) -> (HeadGate<IO>, Rc<HeadWatch>) {
        let watch = Rc::new(HeadWatch::default());
        let scanner = FramingScanner::new(caps);
        let (held, write_pending) = (Held::default(), false);
        (HeadGate { io, scanner, watch: Rc::clone(&watch), held, write_pending }, watch)
    }

    /// The connection, and what was read from it and not passed on: a violation, the beginning of a
    /// head, or the first bytes of what it was upgraded to.
    pub fn into_parts(self) -> (IO, Vec<u8>) {
        let unread = self.held.bytes[self.held.given..].to_vec();
        (self.io, unread)
    }

    /// Judges what was read into `buf` from `from` on; leaves in it what may pass.
    fn judge(&mut self, cx: &Context<'_>, buf: &mut ReadBuf<'_>, from: usize) {
        let new = &buf.filled()[from..];
        let scan = if self.held.is_empty() {
            let scan = self.scanner.scan(new);
            self.held.keep(&new[scan.pass..]);
            buf.set_filled(from + scan.pass);
            scan
        } else {
            self.held.keep(new);
            buf.set_filled(from);
            let scan = self.scanner.scan(self.held.unjudged());
            self.held.judged += scan.pass;
            scan
        };
        self.watch.update(&self.scanner);
        if scan.violation.is_some() {
            self.watch.violation.set(scan.violation);
            cx.waker().wake_by_ref(); // once: hyper may read often while it finishes what it has
        }
    }

    /// hyper writes until nothing is left or the socket takes no more, and flushes then.
    fn wrote(&mut self, wrote: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if wrote.is_pending() {
            self.set_write_pending(true);
        }
        wrote
    }

    fn set_write_pending(&mut self, pending: bool) {
        if self.write_pending != pending {
            self.write_pending = pending;
            self.watch.write_pending.set(pending);
        }
    }

    /// What hyper reads from a connection that broke the rules.
    fn refuse(&self, violation: Framing) -> Poll<io::Result<()>> {
        if self.scanner.reading_body() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, violation.reason())));
        }
        Poll::Pending
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for HeadGate<IO> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        let before = buf.filled().len();
        // What is held back may grow by many reads before it is a head; its cap ends the loop.
        loop {
            gate.held.give(buf);
            if buf.filled().len() > before || buf.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            if let Some(violation) = gate.scanner.violation() {
                return gate.refuse(violation);
            }
            ready!(Pin::new(&mut gate.io).poll_read(cx, buf))?;
            if buf.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
            gate.judge(cx, buf, before);
        }
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for HeadGate<IO> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let gate = self.get_mut();
        let wrote = Pin::new(&mut gate.io).poll_write(cx, bytes);
        gate.wrote(wrote)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let gate = self.get_mut();
        let io = Pin::new(&mut gate.io);
        let wrote = if slices.iter().map(|slice| slice.len()).sum::<usize>() > JOINED_MAX {
            io.poll_write_vectored(cx, slices)
        } else {
            JOINED.with_borrow_mut(|joined| {
                joined.clear();
                slices.iter().for_each(|slice| joined.extend_from_slice(slice));
                io.poll_write(cx, joined)
            })
        };
        gate.wrote(wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        let flushed = Pin::new(&mut gate.io).poll_flush(cx);
        gate.set_write_pending(flushed.is_pending());
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

/// Bytes read and not passed on. `given <= judged <= bytes.len()`.
#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    /// Up to here hyper has them.
    given: usize,
    /// Up to here they may pass.
    judged: usize,
}

impl Held {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    fn unjudged(&self) -> &[u8] {
        &self.bytes[self.judged..]
    }

    fn keep(&mut self, new: &[u8]) {
        self.bytes.extend_from_slice(new);
    }

    /// Moves what may pass into `buf`, as far as it has room.
    fn give(&mut self, buf: &mut ReadBuf<'_>) {
        let len = buf.remaining().min(self.judged - self.given);
        if len == 0 {
            return;
        }
        buf.put_slice(&self.bytes[self.given..self.given + len]);
        self.given += len;
        if self.given == self.judged {
            self.forget();
        }
    }

    /// Drops what was given.
    fn forget(&mut self) {
        self.bytes.drain(..self.given);
        (self.given, self.judged) = (0, 0);
        if self.bytes.is_empty() && self.bytes.capacity() > IDLE_BUFFER_MAX {
            self.bytes = Vec::new();
        }
    }
}
