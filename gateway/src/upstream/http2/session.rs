//! One connection, and the room on it.

use bytes::Bytes;
use h2::client::{Connection, SendRequest};
use h2::{Ping, PingPong};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;

/// Requests at a time on one connection, also if the backend would take more.
const STREAMS_MAX: usize = 100;

/// What one answer may have sent and nobody has taken yet.
const STREAM_WINDOW: u32 = 128 << 10;

/// The same for a connection: all its answers may stand still without holding up another.
const CONNECTION_WINDOW: u32 = STREAMS_MAX as u32 * STREAM_WINDOW;

/// What of request bodies waits for the socket, for each request.
const UNSENT_MAX: usize = 128 << 10;

/// The longest head of an answer, as for HTTP/1.1.
const HEAD_MAX: u32 = 64 << 10;

/// How soon a backend must answer a ping.
const PONG_WITHIN: Duration = Duration::from_secs(5);

/// A connection to a backend.
pub(super) struct Session {
    requests: SendRequest<Bytes>,
    shared: Rc<Shared>,
    /// Since when no request is on it.
    pub(super) idle_since_ms: Cell<Option<u64>>,
}

#[derive(Default)]
struct Shared {
    taken: Cell<usize>,
    /// How often the backend has been heard of.
    heard: Cell<u64>,
    /// Somebody has waited in vain: does the backend still live?
    doubt: Notify,
}

impl Session {
    /// Begins to speak HTTP/2.
    ///
    /// # Errors
    /// The connection broke, or the backend does not speak it.
    pub(super) async fn start<IO>(socket: IO) -> Result<Session, h2::Error>
    where
        IO: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let mut builder = h2::client::Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEAD_MAX)
            .max_send_buffer_size(UNSENT_MAX)
            .initial_max_send_streams(STREAMS_MAX);
        let (requests, connection) = builder.handshake(socket).await?;
        let shared = Rc::<Shared>::default();
        tokio::task::spawn_local(drive(connection, shared.clone()));
        Ok(Session { requests, shared, idle_since_ms: Cell::new(None) })
    }

    /// How many requests are on it.
    pub(super) fn taken(&self) -> usize {
        self.shared.taken.get()
    }

    /// Whether it takes one more at once.
    pub(super) fn has_room(&self) -> bool {
        self.taken() < self.requests.current_max_send_streams().min(STREAMS_MAX)
    }

    /// Whether it takes requests at all: neither end has said that it is over.
    pub(super) fn is_open(&self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        !matches!(self.requests.clone().poll_ready(&mut nobody), Poll::Ready(Err(_)))
    }

    /// Takes a place.
    pub(super) fn place(&self) -> Place {
        self.shared.taken.set(self.taken() + 1);
        self.idle_since_ms.set(None);
        Place { requests: self.requests.clone(), heard: self.shared.heard.get(), shared: self.shared.clone() }
    }
}

/// Room for one request on a connection; given back by Drop.
pub struct Place {
    pub(super) requests: SendRequest<Bytes>,
    shared: Rc<Shared>,
    /// As of when it was taken.
    heard: u64,
}

impl Place {
    /// The backend has given a sign of life.
    pub(super) fn heard(&self) {
        self.shared.heard.set(self.shared.heard.get() + 1);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.taken.set(self.shared.taken.get() - 1);
        if self.shared.heard.get() == self.heard {
            self.shared.doubt.notify_one();
        }
    }
}

/// Runs a connection until it ends, or until a backend that somebody doubts does not answer a ping: else every request
/// that comes would wait on a connection whose other end is gone. Whoever leaves doubts it, if nobody has had an answer on
/// it for as long. There are no other pings, because servers of gRPC take them for an attack when they come every few
/// seconds.
async fn drive<IO>(mut connection: Connection<IO, Bytes>, shared: Rc<Shared>)
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let mut lives = connection.ping_pong().map(|pings| Box::pin(check(pings, shared)));
    poll_fn(|cx| {
        if let Some(lives) = &mut lives
            && lives.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(());
        }
        // What became of it, each of its requests learns by itself.
        Pin::new(&mut connection).poll(cx).map(drop)
    })
    .await;
}

/// Ends when a ping was not answered in time.
async fn check(mut pings: PingPong, shared: Rc<Shared>) {
    loop {
        shared.doubt.notified().await;
        let pong = pin!(pings.ping(Ping::opaque()));
        if tokio::time::timeout(PONG_WITHIN, pong).await.is_err() {
            return;
        }
    }
}
