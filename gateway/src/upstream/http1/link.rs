//! The connection: a socket, plain or TLS, and what waits to be read and written.

use crate::upstream::Socket;
use bytes::{Buf, Bytes, BytesMut};
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::task::unconstrained;

/// What one read asks for at first, and at most: a body that fills its buffer gets a larger one.
const READ_MIN: usize = 8 << 10;
const READ_MAX: usize = 64 << 10;

thread_local! {
    /// Where reads of up to [`READ_MIN`] go first. What comes of them is as a rule small, an answer or an event of a
    /// stream; so it costs a copy, and a connection has no buffer of its own, which would be far from the processor when
    /// it is needed again.
    static SCRATCH: RefCell<[u8; READ_MIN]> = const { RefCell::new([0; READ_MIN]) };
}

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
        let inner = &mut *self.0;
        let small = inner.read_next == READ_MIN;
        let (read, room) = ready!(if small { inner.poll_fill_small(cx) } else { inner.poll_fill_large(cx) })?;
        inner.read_next = match read {
            _ if read == room => (inner.read_next * 2).min(READ_MAX),
            ..READ_MIN => READ_MIN,
            _ => inner.read_next,
        };
        Poll::Ready(Ok(read))
    }
}

impl Inner {
    /// What was read, and how much it could have been.
    fn poll_fill_small(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(usize, usize)>> {
        if self.input.is_empty() {
            self.input = BytesMut::new(); // frees what was read last, as soon as nobody else needs it
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let mut scratch = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.socket).poll_read(cx, &mut scratch))?;
            let read = scratch.filled();
            if self.input.is_empty() {
                self.input = BytesMut::from(read);
            } else {
                self.input.extend_from_slice(read);
            }
            Poll::Ready(Ok((read.len(), READ_MIN)))
        })
    }

    fn poll_fill_large(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(usize, usize)>> {
        if self.input.capacity() - self.input.len() < self.read_next / 2 {
            self.input.reserve(self.read_next);
        }
        let room = self.input.capacity() - self.input.len();
        let read = ready!(pin!(self.socket.read_buf(&mut self.input)).poll(cx))?;
        Poll::Ready(Ok((read, room)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    async fn connected() -> (Link, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (theirs, _) = listener.accept().await.unwrap();
        (Link::from(Socket::Plain(ours)), theirs)
    }

    /// Reads until as much has come, and takes it in pieces that do not end where reads do.
    async fn read(link: &mut Link, bytes: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < bytes {
            assert_ne!(poll_fn(|cx| link.poll_fill(cx)).await.unwrap(), 0, "{} of {bytes}", all.len());
            let input = link.input();
            let left = if all.len() + input.len() < bytes { input.len().min(7) } else { 0 };
            all.extend_from_slice(&input.split_to(input.len() - left));
        }
        all
    }

    #[tokio::test]
    async fn every_byte_comes_once_through_small_reads_and_large_ones() {
        let (mut link, mut server) = connected().await;
        for size in [1, 100, READ_MIN - 1, READ_MIN, READ_MIN + 1, 5 * READ_MAX + 3, 1, 40] {
            let sent: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
            let send = async { server.write_all(&sent).await.unwrap() };
            let (came, ()) = tokio::join!(read(&mut link, size), send);
            assert_eq!(came, sent, "{size}");
        }
    }

    #[tokio::test]
    async fn a_large_body_grows_the_reads_and_a_small_one_gives_the_room_back() {
        let (mut link, mut server) = connected().await;
        let large = vec![0; 8 * READ_MAX];
        let (came, _) = tokio::join!(read(&mut link, large.len()), server.write_all(&large));
        assert_eq!(came.len(), large.len());
        assert!(link.0.read_next > READ_MIN && link.0.input.capacity() >= READ_MIN);
        for _ in 0..2 {
            server.write_all(b"event").await.unwrap();
            assert_eq!(read(&mut link, 5).await, b"event");
        }
        assert_eq!(link.0.read_next, READ_MIN);
        assert!(link.0.input.capacity() < READ_MIN, "{}", link.0.input.capacity());
    }
}
