//! Wire: one connection's socket, with a hand on its end.
//!
//! Records raw heads if asked to, and lets an answer decide how the connection closes: with a reset, or
//! without a word after the last byte.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::heads::{Heads, RawHead};

/// What a connection and its requests know of each other. Lives on one thread.
#[derive(Debug)]
pub struct Conn {
    /// Number of the connection within its worker.
    pub number: u64,
    heads: Option<RefCell<Heads>>,
    reset: Cell<bool>,
    close: Cell<bool>,
    switched: Cell<bool>,
    blocked: Cell<bool>,
}

impl Conn {
    /// A connection; `record` says whether raw heads are kept.
    pub fn new(number: u64, record: bool) -> Conn {
        Conn {
            number,
            heads: record.then(RefCell::default),
            reset: Cell::new(false),
            close: Cell::new(false),
            switched: Cell::new(false),
            blocked: Cell::new(false),
        }
    }

    /// The raw head of the request that has just arrived. None: not recorded, or not HTTP/1.
    pub fn take_head(&self) -> Option<RawHead> {
        self.heads.as_ref()?.borrow_mut().take()
    }

    /// Makes the socket close with RST instead of FIN.
    pub fn reset(&self) {
        self.reset.set(true);
    }

    /// Closes the connection once everything written so far has left.
    pub fn close(&self) {
        self.close.set(true);
    }

    /// The connection speaks WebSocket once the head that is on its way has left.
    pub fn switch(&self) {
        self.switched.set(true);
    }

    /// Whether it does.
    pub fn has_switched(&self) -> bool {
        self.switched.get()
    }

    /// Whether the connection is to be dropped now.
    pub fn is_over(&self) -> bool {
        self.close.get() && !self.blocked.get()
    }
}

/// The socket of a [`Conn`].
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    conn: Rc<Conn>,
}

impl Wire {
    /// Takes a socket.
    pub fn new(stream: TcpStream, conn: Rc<Conn>) -> Wire {
        Wire { stream, conn }
    }

    fn written<T>(&self, result: Poll<T>) -> Poll<T> {
        self.conn.blocked.set(result.is_pending());
        result
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.conn.reset.get() {
            // If this fails the socket is gone already, and so is the reason to reset it.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(heads) = &self.conn.heads {
            heads.borrow_mut().feed(&buf.filled()[before..]);
        }
        result
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.conn.reset.get() {
            return Poll::Ready(Ok(())); // a FIN first would turn the reset into an orderly end
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
