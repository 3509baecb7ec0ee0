//! The connection: a socket, plain or TLS, and what waits to be read and written.

use crate::upstream::Socket;
use bytes::{Buf, Bytes, BytesMut};
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::task::unconstrained;

/// What one read asks for at first, and at most: a body that fills its buffer gets a larger one.
const READ_MIN: usize = 8 << 10;
const READ_MAX: usize = 64 << 10;

/// Data up to this length is copied behind the head, so that a small request is one piece for the socket; more is
/// written from where it lies.
const COPIED_MAX: usize = 8 << 10;

/// An HTTP/1.1 connection to a backend.
pub struct Link(Box<Inner>); // boxed: it moves between a request and the idle ones

struct Inner {
    socket: Socket,
    input: BytesMut,
    read_next: usize,
    output: BytesMut,
    /// Follows `output`.
    output_rest: Bytes,
    /// Something was written, and may still lie in the TLS session.
    unflushed: bool,
}

impl From<Socket> for Link {
    fn from(socket: Socket) -> Link {
        Link::new(socket)
    }
}

impl Link {
    fn new(socket: Socket) -> Link {
        let (input, output) = (BytesMut::new(), BytesMut::with_capacity(1 << 10));
        let (read_next, output_rest, unflushed) = (READ_MIN, Bytes::new(), false);
        Link(Box::new(Inner { socket, input, read_next, output, output_rest, unflushed }))
    }

    /// Whether an idle connection is still good: open, and silent. Costs a system call only if something has
    /// happened to it.
    pub fn is_open(&mut self) -> bool {
        let mut byte = [0; 1];
        let mut byte = ReadBuf::new(&mut byte);
        let mut nobody = Context::from_waker(Waker::noop());
        let socket = &mut self.0.socket;
        // Unconstrained: a task that has looked at many others would be told of a closed one that nothing has come.
        let look = pin!(unconstrained(poll_fn(|cx| Pin::new(&mut *socket).poll_read(cx, &mut byte))));
        look.poll(&mut nobody).is_pending()
    }

    /// Gives back what reading has taken in memory; for connections that lie idle.
    pub fn shrink(&mut self) {
        debug_assert!(self.is_clean(), "bytes would be lost");
        (self.0.input, self.0.read_next) = (BytesMut::new(), READ_MIN);
    }

    /// The socket, and what has come on it and was not taken yet.
    pub(super) fn into_parts(self) -> (Socket, Bytes) {
        (self.0.socket, self.0.input.freeze())
    }

    /// Nothing left from earlier, in either direction.
    pub(super) fn is_clean(&self) -> bool {
        self.0.input.is_empty() && !self.has_output()
    }

    /// What has come and was not taken yet.
    pub(super) fn input(&mut self) -> &mut BytesMut {
        &mut self.0.input
    }

    /// Where a request's head is written.
    pub(super) fn output(&mut self) -> &mut BytesMut {
        &mut self.0.output
    }

    /// Puts data behind what waits to be written.
    pub(super) fn push(&mut self, data: Bytes) {
        debug_assert!(self.has_room(), "the order of data would be lost");
        if data.len() <= COPIED_MAX {
            self.0.output.extend_from_slice(&data);
        } else {
            self.0.output_rest = data;
        }
    }

    /// Whether more may be put behind what waits.
    pub(super) fn has_room(&self) -> bool {
        self.0.output_rest.is_empty() && self.0.output.len() < 2 * COPIED_MAX
    }

    /// Whether something waits to be written.
    pub(super) fn has_output(&self) -> bool {
        !self.0.output.is_empty() || !self.0.output_rest.is_empty() || self.0.unflushed
    }

    /// Forgets what waits to be written.
    pub(super) fn discard_output(&mut self) {
        self.0.output.clear();
        self.0.output_rest.clear();
        self.0.unflushed = false;
    }

    /// Takes over what another connection could not write.
    pub(super) fn take_output(&mut self, other: &mut Link) {
        std::mem::swap(&mut self.0.output, &mut other.0.output);
        std::mem::swap(&mut self.0.output_rest, &mut other.0.output_rest);
    }

    /// Writes all that waits; `written` becomes true with the first byte.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>, written: &mut bool) -> Poll<io::Result<()>> {
        let Inner { socket, output, output_rest, unflushed, .. } = &mut *self.0;
        while !output.is_empty() || !output_rest.is_empty() {
            let socket = Pin::new(&mut *socket);
            let wrote = if output_rest.is_empty() {
                ready!(socket.poll_write(cx, output))?
            } else {
                ready!(socket.poll_write_vectored(cx, &[IoSlice::new(output), IoSlice::new(output_rest)]))?
            };
            if wrote == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            (*written, *unflushed) = (true, true);
            let of_output = wrote.min(output.len());
            output.advance(of_output);
            output_rest.advance(wrote - of_output);
        }
        // Starts over at the front of the buffer, instead of moving through it.
        output.clear();
        if let Socket::Tls(stream) = socket {
            ready!(Pin::new(stream).poll_flush(cx))?;
        }
        *unflushed = false;
        Poll::Ready(Ok(()))
    }

    /// Reads what has come; 0 at the end of the stream.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Inner { socket, input, read_next, .. } = &mut *self.0;
        if input.capacity() - input.len() < *read_next / 2 {
            input.reserve(*read_next);
        }
        let room = input.capacity() - input.len();
        let read = ready!(pin!(socket.read_buf(input)).poll(cx))?;
        if read == room {
            *read_next = (*read_next * 2).min(READ_MAX);
        }
        Poll::Ready(Ok(read))
    }
}
