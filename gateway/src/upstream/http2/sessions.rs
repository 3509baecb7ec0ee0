//! The connections of a worker. Owned by one thread: no lock, no atomic.

use super::session::{Place, Session};
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;

/// Per backend and worker; beyond, requests wait for one of these.
const SESSIONS_MAX: usize = 16;

/// How long a connection without requests is kept.
const IDLE_MS_MAX: u64 = 60_000;

/// A worker's connections, by backend. `E` is why one could not be opened.
pub struct Sessions<E> {
    by_backend: RefCell<HashMap<u64, Rc<Peer<E>>, ahash::RandomState>>,
}

impl<E> Default for Sessions<E> {
    fn default() -> Sessions<E> {
        Sessions { by_backend: RefCell::default() }
    }
}

/// The connections to one backend.
struct Peer<E> {
    open: RefCell<Vec<Session>>,
    dialling: RefCell<Option<Rc<Dial<E>>>>,
}

/// A connection that somebody is opening, and others wait for.
struct Dial<E> {
    over: Notify,
    failed: OnceCell<Rc<E>>,
}

impl<E> Sessions<E> {
    /// A place on an open connection to `backend`, if one has room.
    pub fn at_hand(&self, backend: u64) -> Option<Place> {
        self.by_backend.borrow().get(&backend)?.place()
    }
}

impl<E: From<h2::Error>> Sessions<E> {
    /// A place on an open connection to `backend`, or on one that `dial` opens; and whether the connection was there
    /// before. Of those who need a new one at a time only one dials, and the others share what comes of it.
    ///
    /// # Errors
    /// Why there is no connection; nothing was sent.
    pub async fn place<IO>(
        &self,
        backend: u64,
        dial: impl Future<Output = Result<IO, E>>,
    ) -> Result<(Place, bool), Rc<E>>
    where
        IO: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let peer = self.by_backend.borrow_mut().entry(backend).or_default().clone();
        loop {
            if let Some(place) = peer.place() {
                return Ok((place, true));
            }
            let under_way = peer.dialling.borrow().clone();
            let Some(other) = under_way else { break };
            other.over.notified().await;
            if let Some(error) = other.failed.get() {
                return Err(error.clone());
            }
        }
        let dialling = Dialling::begin(&peer);
        let opened = match dial.await {
            Ok(socket) => Session::start(socket).await.map_err(E::from),
            Err(error) => Err(error),
        };
        match opened {
            Ok(session) => {
                let place = session.place();
                peer.open.borrow_mut().push(session);
                Ok((place, false))
            }
            Err(error) => Err(dialling.failed(error)),
        }
    }
}

impl<E> Sessions<E> {
    /// Closes what has lain idle too long, and forgets what the other end has closed. Once a second is plenty.
    pub fn sweep(&self, now_ms: u64) {
        self.by_backend.borrow_mut().retain(|_, peer| {
            peer.open.borrow_mut().retain(|session| {
                let since = (session.taken() == 0).then(|| session.idle_since_ms.get().unwrap_or(now_ms));
                session.idle_since_ms.set(since);
                session.is_open() && since.is_none_or(|since| now_ms.saturating_sub(since) <= IDLE_MS_MAX)
            });
            !peer.open.borrow().is_empty() || Rc::strong_count(peer) > 1
        });
    }
}

impl<E> Default for Peer<E> {
    fn default() -> Peer<E> {
        Peer { open: RefCell::default(), dialling: RefCell::default() }
    }
}

impl<E> Peer<E> {
    /// A place on the least busy connection; `None` if all are full and there may be more of them.
    fn place(&self) -> Option<Place> {
        let mut open = self.open.borrow_mut();
        open.retain(Session::is_open);
        let least = open.iter().min_by_key(|session| session.taken())?;
        (least.has_room() || open.len() >= SESSIONS_MAX).then(|| least.place())
    }
}

/// The one who dials; whoever waits is woken when it is dropped, also by a caller who leaves.
struct Dialling<'a, E> {
    peer: &'a Peer<E>,
    dial: Rc<Dial<E>>,
}

impl<E> Dialling<'_, E> {
    fn begin(peer: &Peer<E>) -> Dialling<'_, E> {
        let dial = Rc::new(Dial { over: Notify::new(), failed: OnceCell::new() });
        *peer.dialling.borrow_mut() = Some(dial.clone());
        Dialling { peer, dial }
    }

    fn failed(&self, error: E) -> Rc<E> {
        self.dial.failed.get_or_init(|| Rc::new(error)).clone()
    }
}

impl<E> Drop for Dialling<'_, E> {
    fn drop(&mut self) {
        *self.peer.dialling.borrow_mut() = None;
        self.dial.over.notify_waiters();
    }
}
