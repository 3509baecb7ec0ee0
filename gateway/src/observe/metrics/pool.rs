//! What is counted of a pool.

use super::route::{STATUS_CLASSES, class_of};
use super::{QUEUE_WAIT_SECONDS, UPSTREAM_CONNECTS, VERSION_REQUESTS};
use metrics::{Counter, Histogram};
use std::sync::Arc;

/// The name and the handles of one version of a pool.
pub struct VersionMetrics {
    /// As in the files; unique in the pool.
    pub name: Arc<str>,
    /// By the first digit of the status, 1 to 5.
    requests: [Counter; 5],
}

impl VersionMetrics {
    /// Resolves the handles of a pool's version.
    pub fn new(pool: &str, version: Arc<str>) -> VersionMetrics {
        let requests = STATUS_CLASSES.map(|class| {
            let labels =
                [("pool", pool.to_owned()), ("version", version.to_string()), ("status_class", class.into())];
            metrics::counter!(VERSION_REQUESTS, &labels)
        });
        VersionMetrics { name: version, requests }
    }

    /// Counts one finished request.
    pub fn finished(&self, status: u16) {
        self.requests[class_of(status)].increment(1);
    }
}

/// A pool's count of new connections.
pub fn upstream_connects(pool: &str) -> Counter {
    metrics::counter!(UPSTREAM_CONNECTS, "pool" => pool.to_owned())
}

/// How long requests of a class wait before a pool.
pub fn queue_wait(pool: &str, class: &str) -> Histogram {
    metrics::histogram!(QUEUE_WAIT_SECONDS, "pool" => pool.to_owned(), "class" => class.to_owned())
}
