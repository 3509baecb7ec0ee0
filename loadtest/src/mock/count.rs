//! Counters: what has arrived so far, and how it ended.
//!
//! Each worker counts on cache lines of its own, so counting costs an uncontended add. Only the number of
//! requests in flight is shared: its maximum is exact over all workers, and tests of concurrency limits
//! rest on that.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

use super::endpoint::Kind;

/// The counters of all workers.
#[derive(Debug)]
pub struct Counters {
    workers: Box<[Worker]>,
    in_flight: AtomicU64,
    max_in_flight: AtomicU64,
}

/// The counters of one worker; alone on its cache lines (128: pairs of lines are fetched together).
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Worker {
    /// Requests arrived; the value before the add is the number of the request.
    pub requests: AtomicU64,
    /// Request body bytes received.
    pub bytes_in: AtomicU64,
    /// Requests whose body had not ended when they did.
    pub incomplete_bodies: AtomicU64,
    /// Probes of `/health`; not in `requests`.
    pub health_checks: AtomicU64,
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Connections closed.
    pub closed: AtomicU64,
    outcomes: [AtomicU64; Outcome::COUNT],
    kinds: [AtomicU64; Kind::COUNT],
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The whole answer was handed to the connection.
    Completed,
    /// The caller left before the answer ended.
    Cancelled,
    /// A fault on purpose ended the answer.
    Faulted,
}

impl Outcome {
    const COUNT: usize = 3;
}

/// A reading of the counters, as `GET /mock/stats` gives it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Requests arrived, health probes apart.
    pub requests: u64,
    /// Answers that ended as meant.
    pub completed: u64,
    /// Requests whose caller left first.
    pub cancelled: u64,
    /// Answers broken by a fault.
    pub faulted: u64,
    /// Requests being answered now.
    pub in_flight: u64,
    /// Most requests in flight at once.
    pub max_in_flight: u64,
    /// Request body bytes.
    pub bytes_in: u64,
    /// Requests whose body never ended.
    pub incomplete_bodies: u64,
    /// Probes of `/health`.
    pub health_checks: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Connections open now.
    pub open_connections: u64,
    /// Connections that the TCP echo has accepted.
    pub tcp_connections: u64,
    /// Bytes that it has sent back.
    pub tcp_bytes: u64,
    /// Requests by endpoint.
    pub by_endpoint: BTreeMap<String, u64>,
    /// Requests by path; empty without recording.
    pub by_path: BTreeMap<String, u64>,
    /// Requests by the value of the tenant header; empty without recording.
    pub by_tenant: BTreeMap<String, u64>,
}

impl Counters {
    /// Counters for so many workers, all zero.
    pub fn new(workers: usize) -> Counters {
        Counters {
            workers: (0..workers).map(|_| Worker::default()).collect(),
            in_flight: AtomicU64::new(0),
            max_in_flight: AtomicU64::new(0),
        }
    }

    /// The counters of one worker.
    pub fn worker(&self, index: usize) -> &Worker {
        &self.workers[index]
    }

    /// Counts a request in and gives its number within the worker.
    pub fn arrive(&self, worker: usize, kind: Kind) -> u64 {
        let now = self.in_flight.fetch_add(1, Relaxed) + 1;
        // A plain read first: the maximum is rarely new, and a read leaves the line shared.
        if now > self.max_in_flight.load(Relaxed) {
            self.max_in_flight.fetch_max(now, Relaxed);
        }
        let worker = self.worker(worker);
        worker.kinds[kind as usize].fetch_add(1, Relaxed);
        worker.requests.fetch_add(1, Relaxed)
    }

    /// Counts a request out.
    pub fn leave(&self, worker: usize, outcome: Outcome) {
        self.worker(worker).outcomes[outcome as usize].fetch_add(1, Relaxed);
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// Sets everything to zero but what is alive: requests in flight and open connections.
    pub fn reset(&self) {
        for worker in &self.workers {
            let open = worker.connections.load(Relaxed).saturating_sub(worker.closed.load(Relaxed));
            let all = [&worker.requests, &worker.bytes_in, &worker.incomplete_bodies, &worker.health_checks];
            let lists = worker.outcomes.iter().chain(&worker.kinds).chain(all);
            lists.chain([&worker.closed]).for_each(|counter| counter.store(0, Relaxed));
            worker.connections.store(open, Relaxed);
        }
        self.max_in_flight.store(self.in_flight.load(Relaxed), Relaxed);
    }

    /// Reads all counters; `by_path`, `by_tenant` and what is of the TCP echo stay empty.
    pub fn read(&self) -> Stats {
        let sum = |counter: fn(&Worker) -> &AtomicU64| {
            self.workers.iter().map(|worker| counter(worker).load(Relaxed)).sum::<u64>()
        };
        let connections = sum(|w| &w.connections);
        let by_kind =
            |kind: Kind| self.workers.iter().map(|w| w.kinds[kind as usize].load(Relaxed)).sum::<u64>();
        Stats {
            requests: sum(|w| &w.requests),
            completed: sum(|w| &w.outcomes[Outcome::Completed as usize]),
            cancelled: sum(|w| &w.outcomes[Outcome::Cancelled as usize]),
            faulted: sum(|w| &w.outcomes[Outcome::Faulted as usize]),
            in_flight: self.in_flight.load(Relaxed),
            max_in_flight: self.max_in_flight.load(Relaxed),
            bytes_in: sum(|w| &w.bytes_in),
            incomplete_bodies: sum(|w| &w.incomplete_bodies),
            health_checks: sum(|w| &w.health_checks),
            connections,
            open_connections: connections.saturating_sub(sum(|w| &w.closed)),
            by_endpoint: Kind::ALL
                .iter()
                .map(|kind| (kind.name().to_owned(), by_kind(*kind)))
                .filter(|(_, count)| *count > 0)
                .collect(),
            tcp_connections: 0,
            tcp_bytes: 0,
            by_path: BTreeMap::new(),
            by_tenant: BTreeMap::new(),
        }
    }
}
