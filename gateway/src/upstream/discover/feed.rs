//! One source, what is believed of it, and how it is asked. Outlives reloads.

use super::modelarts::ServiceApi;
use super::standing::{News, Standing};
use super::{Found, Source};
use crate::upstream::networks::Networks;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Notify;

/// How a source is asked, and what of its answers is used. A reload may change it.
pub struct How {
    /// Where backends may lie.
    pub networks: Networks,
    /// From one question to the next, where the answer does not say.
    pub every: Duration,
    /// The pool trusts whom its `tls` names: backends that speak no TLS are not used.
    pub tls_only: bool,
    /// Who is asked, for a service.
    pub api: Option<Arc<ServiceApi>>,
}

impl PartialEq for How {
    fn eq(&self, other: &How) -> bool {
        let who = |how: &How| how.api.as_ref().map(|api| (api.backend.spec.clone(), api.fingerprint));
        (&self.networks, self.every, self.tls_only) == (&other.networks, other.every, other.tls_only)
            && who(self) == who(other)
    }
}

/// What a pool asks.
pub struct Feed {
    /// Unique for the life of the process.
    pub id: u64,
    /// Whose: each pool asks for itself, since each has networks of its own.
    pub pool: Arc<str>,
    /// What is asked.
    pub source: Source,
    how: ArcSwap<How>,
    retuned: Notify,
    standing: Mutex<Standing>,
}

/// What operators see of a source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FeedState {
    /// Kind and name.
    pub source: String,
    /// Backends that it named last.
    pub backends: usize,
    /// How long ago that was found to be so; absent: it has not told anything yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
    /// Addresses of its last answer that are not used.
    pub refused: usize,
    /// Answers that could not be used, and missing ones.
    pub failures: u64,
    /// What is wrong with its last answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Arc<str>>,
}

impl Feed {
    fn new(pool: Arc<str>, source: Source, how: How) -> Feed {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let (retuned, standing) = (Notify::new(), Mutex::default());
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Feed { id, pool, source, how: ArcSwap::from_pointee(how), retuned, standing }
    }

    /// How it is asked now.
    pub fn how(&self) -> Arc<How> {
        self.how.load_full()
    }

    /// Waits until it is to be asked in another way.
    pub async fn retuned(&self) {
        self.retuned.notified().await;
    }

    /// Takes an answer in, and tells what has changed.
    pub fn hear(&self, answer: Result<Vec<Found>, String>, now_ms: u64) {
        let news = self.standing.lock().hear(answer, &self.how.load().networks, now_ms);
        news.iter().for_each(|news| self.tell(news));
    }

    /// Counts up with every other set.
    pub fn version(&self) -> u64 {
        self.standing.lock().version
    }

    /// The last good set.
    pub fn found(&self) -> Arc<[Found]> {
        self.standing.lock().found.clone()
    }

    /// Has anything been heard, good or bad?
    pub fn has_answered(&self) -> bool {
        self.standing.lock().answers > 0
    }

    /// What operators see.
    pub fn state(&self, now_ms: u64) -> FeedState {
        let standing = self.standing.lock();
        FeedState {
            source: self.source.to_string(),
            backends: standing.found.len(),
            age_ms: standing.good_ms.map(|good_ms| now_ms.saturating_sub(good_ms)),
            refused: standing.refused,
            failures: standing.failures,
            error: standing.error.clone(),
        }
    }

    fn retune(&self, how: How) {
        if **self.how.load() == how {
            return;
        }
        let news = self.standing.lock().confine(&how.networks);
        self.how.store(Arc::new(how));
        self.retuned.notify_one();
        news.iter().for_each(|news| self.tell(news));
    }

    fn tell(&self, news: &News) {
        let (pool, source) = (&self.pool, &self.source);
        match news {
            News::Changed { come, gone } => {
                tracing::info!(%pool, %source, come, gone, "other backends found")
            }
            News::Mended => tracing::info!(%pool, %source, "it tells its backends again"),
            News::Failing(error) => {
                tracing::warn!(%pool, %source, %error, "backends cannot be found out: the last known ones stay");
            }
            News::Refused(address, why) => {
                tracing::warn!(%pool, %source, %address, why, "addresses that are not used; see `networks`");
            }
        }
    }
}

/// A pool's name, and what it asks.
type Asked = (Arc<str>, Source);

/// Feeds that live across reloads; one of these per gateway.
#[derive(Default)]
pub struct Feeds {
    feeds: Mutex<HashMap<Asked, Weak<Feed>>>,
}

impl Feeds {
    /// The feed of a pool for this source: the one there is, asked like this from now on, or a new one.
    pub fn feed(&self, pool: &Arc<str>, source: &Source, how: How) -> Arc<Feed> {
        let mut feeds = self.feeds.lock();
        let key = (pool.clone(), source.clone());
        if let Some(feed) = feeds.get(&key).and_then(Weak::upgrade) {
            feed.retune(how);
            return feed;
        }
        feeds.retain(|_, feed| feed.strong_count() > 0);
        let feed = Arc::new(Feed::new(pool.clone(), source.clone(), how));
        feeds.insert(key, Arc::downgrade(&feed));
        feed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn how(networks: Networks) -> How {
        How { networks, every: Duration::from_secs(30), tls_only: false, api: None }
    }

    #[test]
    fn a_reload_keeps_what_was_found() {
        let (feeds, source) = (Feeds::default(), Source::Name("models.internal".into()));
        let feed = feeds.feed(&"p".into(), &source, how(Networks::Private));
        feed.hear(Ok(vec![Found::at([10, 0, 0, 1].into(), None, 1)]), 5);
        let again = feeds.feed(&"p".into(), &source, how(Networks::Private));
        assert!(Arc::ptr_eq(&feed, &again) && again.found().len() == 1);
        assert!(!Arc::ptr_eq(&feed, &feeds.feed(&"q".into(), &source, how(Networks::Private))));
        drop((feed, again));
        assert!(!feeds.feed(&"p".into(), &source, how(Networks::Private)).has_answered());
    }

    #[tokio::test]
    async fn another_way_to_ask_wakes_it_and_the_same_does_not() {
        let (feeds, source) = (Feeds::default(), Source::Name("models.internal".into()));
        let feed = feeds.feed(&"p".into(), &source, how(Networks::Private));
        feeds.feed(&"p".into(), &source, how(Networks::Private));
        let soon = Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, feed.retuned()).await.is_err());
        feeds.feed(&"p".into(), &source, how(Networks::Any { loopback: false }));
        assert!(tokio::time::timeout(soon, feed.retuned()).await.is_ok());
    }
}
