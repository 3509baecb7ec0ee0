//! Asks a feed's source again and again, each kind in its own way and at its own pace.

use super::feed::{Feed, How};
use super::pace::Paces;
use super::{Found, Resolver, Source, file, modelarts};
use crate::clock;
use std::sync::Arc;
use std::time::Duration;

/// A file is read this often: small, and mostly in memory.
const FILE_EVERY: Duration = Duration::from_secs(1);
/// Names that failed are asked for again after this, twice as long each time, up to [`NAME_PAUSE_MAX`].
const NAME_PAUSE: Duration = Duration::from_secs(1);
const NAME_PAUSE_MAX: Duration = Duration::from_secs(30);
/// An API that fails is asked after `every`, twice as long each time, up to this or `every`.
const API_PAUSE_MAX: Duration = Duration::from_secs(300);
/// A longer wish of the API's is not obeyed: it may be a mistake, and the set grows old.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// What all feeds ask with.
pub struct Means {
    /// For names and SRV records.
    pub resolver: Resolver,
    paces: Paces,
}

impl Means {
    /// Nothing has been asked yet.
    pub fn new(resolver: Resolver) -> Means {
        Means { resolver, paces: Paces::default() }
    }
}

/// Runs until it is dropped.
pub async fn follow(feed: Arc<Feed>, means: Arc<Means>) {
    let mut failures = 0;
    loop {
        let how = feed.how();
        let Asked { answer, wait } = ask(&feed.source, &how, &means, failures).await;
        failures = if answer.is_ok() { 0 } else { failures.saturating_add(1) };
        feed.hear(answer, clock::mono_us() / 1_000);
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = feed.retuned() => failures = 0,
        }
    }
}

/// What came of one question, and how long to wait before the next.
struct Asked {
    answer: Result<Vec<Found>, String>,
    wait: Duration,
}

/// `failures`: in a row so far.
async fn ask(source: &Source, how: &How, means: &Means, failures: u32) -> Asked {
    let named = |answer: Result<(Vec<Found>, Duration), String>| match answer {
        Ok((found, holds)) => Asked { answer: Ok(found), wait: holds },
        Err(why) => Asked { answer: Err(why), wait: pause(NAME_PAUSE, failures, NAME_PAUSE_MAX) },
    };
    match source {
        Source::Name(host) => named(means.resolver.host(host).await),
        Source::Records(name) => named(means.resolver.service(name).await),
        Source::File(path) => {
            let path = path.clone();
            // A file may lie on a disk that hangs.
            let read = tokio::task::spawn_blocking(move || file::load(&path)).await;
            let answer = read.unwrap_or_else(|_| Err("reading it has failed; the log says why".into()));
            Asked { answer, wait: FILE_EVERY }
        }
        Source::Service(service) => {
            let Some(api) = &how.api else {
                return Asked { answer: Err("nobody to ask".into()), wait: how.every };
            };
            match modelarts::ask(service, api, &means.paces).await {
                Ok(found) => Asked { answer: fit(found, how), wait: a_little_less(how.every) },
                Err(unanswered) => {
                    let asked_for = unanswered.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
                    let wait = pause(how.every, failures, API_PAUSE_MAX.max(how.every));
                    Asked { answer: Err(unanswered.why), wait: wait.max(asked_for) }
                }
            }
        }
    }
}

/// A pool that says whom to trust is not led to somebody who proves nothing.
fn fit(found: Vec<Found>, how: &How) -> Result<Vec<Found>, String> {
    if how.tls_only && found.iter().any(|one| one.tls == Some(false)) {
        return Err(
            "it names endpoints of plain http, and the pool has `tls`; leave that out if it is not meant"
                .into(),
        );
    }
    Ok(found)
}

fn pause(first: Duration, failures: u32, most: Duration) -> Duration {
    first.saturating_mul(1 << failures.min(10)).min(most)
}

/// Up to a tenth, so that many gateways do not fall into step.
fn a_little_less(every: Duration) -> Duration {
    let chance = ahash::RandomState::new().hash_one(()) % 1_024;
    every - every / 10 * chance as u32 / 1_024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound() {
        let seconds = |failures| pause(NAME_PAUSE, failures, NAME_PAUSE_MAX).as_secs();
        assert_eq!([0, 1, 2, 4, 5, 100].map(seconds), [1, 2, 4, 16, 30, 30]);
        let every = Duration::from_secs(1_000);
        assert_eq!(pause(every, 3, API_PAUSE_MAX.max(every)), every);
        assert!(a_little_less(every) > every * 8 / 10 && a_little_less(every) <= every);
    }

    #[test]
    fn a_pool_with_tls_is_not_led_to_plain_http() {
        let plain = || vec![Found { tls: Some(false), ..Found::at([10, 0, 0, 1].into(), Some(80), 1) }];
        let networks = crate::upstream::networks::Networks::Private;
        let mut how = How { networks, every: FILE_EVERY, tls_only: false, api: None };
        assert!(fit(plain(), &how).is_ok());
        how.tls_only = true;
        assert!(fit(plain(), &how).is_err());
    }
}
