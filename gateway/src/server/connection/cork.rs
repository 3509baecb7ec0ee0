//! Puts what a connection says in one turn into one write.
//!
//! The `h2` crate hands each DATA frame of more than a few hundred bytes to its socket by itself and flushes it before it
//! takes the next, so ten answers that are ready at once were ten records of TLS and ten calls of the kernel; the kernel's
//! part in sending costs far more than copying a few kilobytes does. A [`Cork`] keeps what is written, and takes a flush for a
//! wish; the task that runs the connection says when its turn is over with [`poll_out`](Cork::poll_out).

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are kept at most: what one record of TLS holds (RFC 8446 section 5.1).
const HELD: usize = 16 << 10;

/// A socket under a cork. Clones are the same socket: one for who writes, one for who knows when it has ended.
pub struct Cork<S>(Rc<RefCell<Corked<S>>>);

struct Corked<S> {
    socket: S,
    /// Written, but not to the socket; has no memory while there is nothing.
    held: Vec<u8>,
    /// How much of it has gone.
    gone: usize,
    /// The socket was written to since it was flushed.
    unflushed: bool,
}

impl<S> Clone for Cork<S> {
    fn clone(&self) -> Cork<S> {
        Cork(self.0.clone())
    }
}

impl<S: AsyncWrite + Unpin> Cork<S> {
    /// Puts a cork on `socket`.
    pub fn new(socket: S) -> Cork<S> {
        Cork(Rc::new(RefCell::new(Corked { socket, held: Vec::new(), gone: 0, unflushed: false })))
    }

    /// Lets out what is held; ready when the socket has taken all.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn poll_out(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_out(cx)
    }
}

impl<S: AsyncWrite + Unpin> Corked<S> {
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.gone < self.held.len() {
            let taken = ready!(Pin::new(&mut self.socket).poll_write(cx, &self.held[self.gone..]))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.gone += taken;
            self.unflushed = true;
        }
        self.held = Vec::new();
        self.gone = 0;
        if self.unflushed {
            ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Cork<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().socket).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Cork<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let corked = &mut *self.0.borrow_mut();
        if corked.held.len() == HELD {
            ready!(corked.poll_out(cx))?;
        }
        let taken = buf.len().min(HELD - corked.held.len());
        if corked.held.capacity() == 0 {
            corked.held.reserve_exact(HELD);
        }
        corked.held.extend_from_slice(&buf[..taken]);
        Poll::Ready(Ok(taken))
    }

    /// Ready at once: what is held leaves with [`Cork::poll_out`].
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let corked = &mut *self.0.borrow_mut();
        ready!(corked.poll_out(cx))?;
        Pin::new(&mut corked.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::task::Waker;

    /// Takes as much at a time as it is told, then nothing, and keeps what it took.
    #[derive(Default)]
    struct Slow {
        takes: VecDeque<usize>,
        taken: Vec<u8>,
        writes: usize,
        flushes: usize,
        closed: bool,
    }

    impl AsyncWrite for Slow {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let Some(take) = self.takes.pop_front() else { return Poll::Pending };
            let take = take.min(buf.len());
            self.writes += 1;
            self.taken.extend_from_slice(&buf[..take]);
            Poll::Ready(Ok(take))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushes += 1;
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.closed = true;
            Poll::Ready(Ok(()))
        }
    }

    fn cork(takes: &[usize]) -> Cork<Slow> {
        Cork::new(Slow { takes: takes.iter().copied().collect(), ..Slow::default() })
    }

    fn write(cork: &Cork<Slow>, bytes: &[u8]) -> Poll<usize> {
        let cx = &mut Context::from_waker(Waker::noop());
        Pin::new(&mut cork.clone()).poll_write(cx, bytes).map(|taken| taken.expect("no error"))
    }

    fn out(cork: &Cork<Slow>) -> Poll<io::Result<()>> {
        cork.poll_out(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_turn_is_one_write_and_leaves_no_memory() {
        let cork = cork(&[usize::MAX; 2]);
        for part in [&b"head "[..], b"body ", b"head ", b"body"] {
            assert_eq!(write(&cork, part), Poll::Ready(part.len()));
            let cx = &mut Context::from_waker(Waker::noop());
            assert!(Pin::new(&mut cork.clone()).poll_flush(cx).is_ready());
        }
        assert_eq!(cork.0.borrow().socket.writes, 0, "the turn is not over");
        assert!(matches!(out(&cork), Poll::Ready(Ok(()))));
        let corked = cork.0.borrow();
        assert_eq!((corked.socket.writes, corked.socket.flushes), (1, 1));
        assert_eq!(corked.socket.taken, b"head body head body");
        assert_eq!(corked.held.capacity(), 0);
    }

    #[test]
    fn nothing_to_say_is_no_call() {
        let cork = cork(&[]);
        assert!(matches!(out(&cork), Poll::Ready(Ok(()))));
        assert_eq!(cork.0.borrow().socket.flushes, 0);
    }

    #[test]
    fn who_does_not_read_is_waited_for() {
        let cork = cork(&[]);
        assert_eq!(write(&cork, &[7; HELD + 1]), Poll::Ready(HELD));
        assert_eq!(write(&cork, &[7]), Poll::Pending);
        assert!(out(&cork).is_pending());
        cork.0.borrow_mut().socket.takes.extend([10, HELD]);
        assert_eq!(write(&cork, &[8]), Poll::Ready(1));
        assert_eq!(cork.0.borrow().socket.taken, [7; HELD]);
    }

    #[test]
    fn a_close_comes_after_the_last_word() {
        let cork = cork(&[3]);
        assert_eq!(write(&cork, b"last word"), Poll::Ready(9));
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut cork.clone()).poll_shutdown(cx).is_pending());
        assert!(!cork.0.borrow().socket.closed);
        cork.0.borrow_mut().socket.takes.push_back(9);
        assert!(Pin::new(&mut cork.clone()).poll_shutdown(cx).is_ready());
        assert_eq!(cork.0.borrow().socket.taken, b"last word");
        assert!(cork.0.borrow().socket.closed);
    }

    #[test]
    fn a_socket_that_takes_nothing_more_is_broken() {
        let cork = cork(&[0]);
        assert_eq!(write(&cork, b"x"), Poll::Ready(1));
        let Poll::Ready(Err(error)) = out(&cork) else { panic!("it would be asked for ever") };
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }

    proptest! {
        /// Whatever a socket takes at a time, all that was written arrives, in order, once.
        #[test]
        fn no_byte_is_lost(
            parts in prop::collection::vec(0..40_000_usize, 0..8),
            takes in prop::collection::vec(1..20_000_usize, 0..30),
        ) {
            let cork = cork(&takes);
            let said: Vec<u8> = (0..parts.iter().sum()).map(|at: usize| (at % 251) as u8).collect();
            let mut at = 0;
            for part in parts {
                let end = at + part;
                while at < end {
                    match write(&cork, &said[at..end]) {
                        Poll::Ready(taken) => at += taken,
                        Poll::Pending => cork.0.borrow_mut().socket.takes.push_back(1_000),
                    }
                }
                let _ = out(&cork);
            }
            while out(&cork).is_pending() {
                cork.0.borrow_mut().socket.takes.push_back(1_000);
            }
            prop_assert_eq!(&cork.0.borrow().socket.taken, &said);
        }
    }
}
