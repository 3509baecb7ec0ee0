//! One direction of a tunnel: what comes from one end goes to the other.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What one read takes at most.
const READ_MAX: usize = 32 << 10;

thread_local! {
    /// Where it is read to; empty between polls, so that an idle direction has no buffer.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_MAX].into_boxed_slice());
}

/// One direction.
#[derive(Default)]
pub struct Pump {
    /// Bytes that have come.
    pub came: u64,
    /// Bytes that have gone on.
    pub went: u64,
    /// What the other end had no room for.
    left: Vec<u8>,
    /// Something was written, and may still lie in the TLS session.
    unflushed: bool,
    stage: Stage,
}

/// How far a direction has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Stage {
    #[default]
    Open,
    /// The one end has said its last; the other is still to be told.
    Ending,
    Ended,
}

/// Why a direction ended before its end.
#[derive(Debug)]
pub enum Broken {
    /// The end it comes from broke off.
    From(io::Error),
    /// The end it goes to takes no more.
    To(io::Error),
    /// It was stopped: what came is not to go on.
    Stopped,
}

impl Pump {
    /// One that begins with what has come already.
    pub fn beginning_with(bytes: &[u8]) -> Pump {
        Pump { came: bytes.len() as u64, left: bytes.to_vec(), ..Pump::default() }
    }

    /// Both ends know that nothing more comes this way.
    pub fn has_ended(&self) -> bool {
        self.stage == Stage::Ended
    }

    /// Whether something waits for the other end to make room.
    pub fn is_stalled(&self) -> bool {
        !self.left.is_empty() || self.unflushed
    }

    /// Moves what can be moved; ready when both ends know that nothing more comes. `judge` says how much of what came
    /// may go on: if not all of it, nothing after that does.
    pub fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut R,
        to: &mut W,
        mut judge: impl FnMut(&[u8]) -> usize,
    ) -> Poll<Result<(), Broken>>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        SCRATCH.with_borrow_mut(|scratch| {
            while self.stage == Stage::Open {
                ready!(self.poll_rest(cx, to)).map_err(Broken::To)?;
                let mut read = ReadBuf::new(scratch);
                let came = Pin::new(&mut *from).poll_read(cx, &mut read);
                if came.is_pending() {
                    ready!(self.poll_flush(cx, to)).map_err(Broken::To)?;
                    return Poll::Pending;
                }
                ready!(came).map_err(Broken::From)?;
                let came = read.filled();
                if came.is_empty() {
                    self.stage = Stage::Ending;
                }
                self.came += came.len() as u64;
                let passing = judge(came);
                self.write(cx, to, &came[..passing]).map_err(Broken::To)?;
                if passing < came.len() {
                    return Poll::Ready(Err(Broken::Stopped));
                }
            }
            ready!(self.poll_rest(cx, to)).map_err(Broken::To)?;
            if self.stage == Stage::Ending {
                ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(Broken::To)?;
                (self.stage, self.unflushed) = (Stage::Ended, false);
            }
            Poll::Ready(Ok(()))
        })
    }

    /// Writes what there is room for, and keeps the rest.
    fn write<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
        mut bytes: &[u8],
    ) -> io::Result<()> {
        while !bytes.is_empty() {
            let Poll::Ready(wrote) = Pin::new(&mut *to).poll_write(cx, bytes)? else { break };
            self.wrote(wrote)?;
            bytes = &bytes[wrote..];
        }
        self.left.extend_from_slice(bytes);
        Ok(())
    }

    fn poll_rest<W: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, to: &mut W) -> Poll<io::Result<()>> {
        while !self.left.is_empty() {
            let wrote = ready!(Pin::new(&mut *to).poll_write(cx, &self.left))?;
            self.wrote(wrote)?;
            self.left.drain(..wrote);
        }
        self.left = Vec::new();
        Poll::Ready(Ok(()))
    }

    fn poll_flush<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut W,
    ) -> Poll<io::Result<()>> {
        if self.unflushed {
            ready!(Pin::new(&mut *to).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, bytes: usize) -> io::Result<()> {
        if bytes == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        (self.went, self.unflushed) = (self.went + bytes as u64, true);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    fn all(bytes: &[u8]) -> usize {
        bytes.len()
    }

    #[tokio::test]
    async fn everything_passes_in_order_through_an_end_with_little_room() {
        let (mut sender, mut from) = duplex(1 << 20);
        let (mut to, mut receiver) = duplex(7);
        let sent: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
        sender.write_all(&sent).await.unwrap();
        drop(sender);
        let mut pump = Pump::beginning_with(b"first");
        let mut received = Vec::new();
        let (moved, _) = tokio::join!(
            poll_fn(|cx| pump.poll(cx, &mut from, &mut to, all)),
            receiver.read_to_end(&mut received)
        );
        moved.unwrap();
        assert!(received == [&b"first"[..], &sent].concat());
        assert!(pump.has_ended() && !pump.is_stalled());
        assert_eq!((pump.came, pump.went), (100_005, 100_005));
    }

    #[tokio::test]
    async fn what_may_not_pass_does_not_nor_what_follows() {
        let (mut sender, mut from) = duplex(100);
        let (mut to, mut receiver) = duplex(100);
        sender.write_all(b"good, bad").await.unwrap();
        let mut pump = Pump::default();
        let stopped = poll_fn(|cx| pump.poll(cx, &mut from, &mut to, |_| 4)).await;
        assert!(matches!(stopped, Err(Broken::Stopped)));
        drop(to);
        let mut received = String::new();
        receiver.read_to_string(&mut received).await.unwrap();
        assert_eq!(received, "good");
    }

    #[tokio::test]
    async fn an_end_that_takes_nothing_stalls_it() {
        let (mut sender, mut from) = duplex(100);
        let (mut to, _receiver) = duplex(4);
        sender.write_all(b"too much").await.unwrap();
        let mut pump = Pump::default();
        poll_fn(|cx| {
            assert!(pump.poll(cx, &mut from, &mut to, all).is_pending());
            Poll::Ready(())
        })
        .await;
        assert!(pump.is_stalled());
        assert_eq!((pump.came, pump.went), (8, 4));
    }
}
