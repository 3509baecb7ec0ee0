//! The connections a worker keeps between requests. Owned by one thread: no lock, no atomic.

use super::http1::Link;
use std::cell::RefCell;
use std::collections::HashMap;

/// Kept per backend and worker; what comes back beyond is closed.
const KEPT_MAX: usize = 256;

/// How long a connection may lie idle. Below the 5 s after which uvicorn, the server of many ModelArts
/// images, closes its end: the fewer connections die under a request, the fewer need a second one.
const IDLE_MS_MAX: u64 = 4_000;

/// After this a connection gives its read buffer back.
const COLD_MS: u64 = 1_000;

/// A worker's idle connections, by [`Backend::id`](super::Backend::id).
#[derive(Default)]
pub struct Idle {
    by_backend: RefCell<HashMap<u64, Vec<Kept>, ahash::RandomState>>,
}

struct Kept {
    link: Link,
    since_ms: u64,
}

impl Idle {
    /// The connection used last, if one is still open: the warmest, so that the others can go.
    pub fn take(&self, backend: u64, now_ms: u64) -> Option<Link> {
        let mut by_backend = self.by_backend.borrow_mut();
        let kept = by_backend.get_mut(&backend)?;
        while let Some(Kept { mut link, since_ms }) = kept.pop() {
            if now_ms.saturating_sub(since_ms) > IDLE_MS_MAX {
                kept.clear(); // the ones below have lain longer
                return None;
            }
            if link.is_open() {
                return Some(link);
            }
        }
        None
    }

    /// Keeps a connection whose answer has been read to its end.
    pub fn put(&self, backend: u64, link: Link, now_ms: u64) {
        let mut by_backend = self.by_backend.borrow_mut();
        let kept = by_backend.entry(backend).or_default();
        if kept.len() < KEPT_MAX {
            kept.push(Kept { link, since_ms: now_ms });
        }
    }

    /// Closes what has lain too long, and what the other end has closed; shrinks what nobody has needed lately.
    /// Once a second is plenty.
    pub fn sweep(&self, now_ms: u64) {
        self.by_backend.borrow_mut().retain(|_, kept| {
            kept.retain_mut(|Kept { link, since_ms }| {
                let lain_ms = now_ms.saturating_sub(*since_ms);
                if lain_ms >= COLD_MS {
                    link.shrink();
                }
                lain_ms <= IDLE_MS_MAX && link.is_open()
            });
            !kept.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Socket;
    use tokio::net::{TcpListener, TcpStream};

    /// More than a task may look at in one go, by tokio's reckoning.
    const MANY: usize = 200;

    #[tokio::test]
    async fn of_however_many_that_died_at_once_none_is_given_out() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (idle, mut theirs) = (Idle::default(), Vec::new());
        for _ in 0..MANY {
            let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            theirs.push(listener.accept().await.unwrap().0);
            idle.put(1, Socket::Plain(ours).into(), 0);
        }
        tokio::task::yield_now().await; // what a task may do in one go begins anew
        let kept = idle.take(1, 0).expect("all of them are open");
        drop(theirs);
        let closed = || idle.by_backend.borrow_mut().get_mut(&1).is_none_or(|kept| !kept[0].link.is_open());
        while !closed() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        assert!(idle.take(1, 0).is_none());
        drop(kept);
    }
}
