//! Records: the last requests, as they arrived.
//!
//! One lock, taken twice per request; a load run switches recording off (`--no-record`) and pays nothing.
//!
//! *Memory.* A ring of a fixed number of records, bodies below [`BODY_KEPT_BYTES`] with them; the tallies
//! by path and tenant hold [`NAMES_MAX`] names each, and count the rest under `other`.

use std::collections::{BTreeMap, VecDeque};

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::count::{Outcome, Stats};

/// Bodies from this length on are hashed and measured, not kept.
pub const BODY_KEPT_BYTES: usize = 64 * 1024;

/// Different paths, and different tenants, that are counted by name.
const NAMES_MAX: usize = 1024;

/// What arrived with one request, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Record {
    /// Number of the request within its worker, from 0.
    pub number: u64,
    /// Worker that answered.
    pub worker: usize,
    /// Number of the connection within its worker, from 0.
    pub connection: u64,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// Method.
    pub method: String,
    /// Request target, spelt as sent.
    pub target: String,
    /// Names and values. HTTP/1: order and spelling as sent. HTTP/2: equal names stand together.
    pub headers: Vec<(String, String)>,
    /// Body bytes received.
    pub body_len: u64,
    /// Lower-case hex SHA-256 of the body bytes received.
    pub body_sha256: String,
    /// The body in base64, if it is short enough to be kept.
    pub body_base64: Option<String>,
    /// Whether the body came to its proper end.
    pub complete: bool,
    /// Status sent; None: no head was sent.
    pub status: Option<u16>,
    /// How it ended; None: it has not.
    pub outcome: Option<Outcome>,
    /// When the head arrived, in milliseconds since 1970-01-01 UTC.
    pub arrived_ms: u64,
    /// When the head arrived, in microseconds of the mock's own monotonic clock.
    pub arrived_us: u64,
    /// When the head of the answer was handed out, by the same clock.
    pub answered_us: Option<u64>,
    /// When it ended, by the same clock.
    pub ended_us: Option<u64>,
}

impl Record {
    /// First value of a header, whatever the case of its name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body, if it was kept.
    pub fn body(&self) -> Option<Vec<u8>> {
        BASE64.decode(self.body_base64.as_ref()?).ok()
    }
}

/// A record being written while its request is alive.
pub struct Draft {
    /// What is known so far.
    pub record: Record,
    hash: digest::Context,
    body: Vec<u8>,
}

impl Draft {
    /// Starts a record with what the head says.
    pub fn new(record: Record) -> Draft {
        Draft { record, hash: digest::Context::new(&digest::SHA256), body: Vec::new() }
    }

    /// Adds body bytes.
    pub fn push(&mut self, bytes: &Bytes) {
        self.hash.update(bytes);
        self.record.body_len += bytes.len() as u64;
        if self.record.body_len < BODY_KEPT_BYTES as u64 {
            self.body.extend_from_slice(bytes);
        }
    }

    fn finish(mut self) -> Record {
        self.record.body_sha256 =
            self.hash.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        if self.record.body_len < BODY_KEPT_BYTES as u64 {
            self.record.body_base64 = Some(BASE64.encode(&self.body));
        }
        self.record
    }
}

/// The last records, and tallies of all.
#[derive(Debug)]
pub struct Recorder {
    kept: usize,
    tenant_header: String,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    ring: VecDeque<Record>,
    by_path: BTreeMap<String, u64>,
    by_tenant: BTreeMap<String, u64>,
}

impl Recorder {
    /// Keeps the last `kept` records, and tallies tenants by the value of `tenant_header`.
    pub fn new(kept: usize, tenant_header: &str) -> Recorder {
        let inner = Mutex::new(Inner::default());
        Recorder { kept: kept.max(1), tenant_header: tenant_header.to_owned(), inner }
    }

    /// Tallies a request that has just arrived.
    pub fn arrive(&self, record: &Record) {
        let path = record.target.split('?').next().unwrap_or_default();
        let mut inner = self.inner.lock();
        tally(&mut inner.by_path, path);
        if let Some(tenant) = record.header(&self.tenant_header) {
            tally(&mut inner.by_tenant, tenant);
        }
    }

    /// Keeps the record of a request that has ended; the oldest makes room.
    pub fn keep(&self, draft: Draft) {
        let record = draft.finish();
        let mut inner = self.inner.lock();
        if inner.ring.len() >= self.kept {
            inner.ring.pop_front();
        }
        inner.ring.push_back(record);
    }

    /// The last `count` records of ended requests, in the order in which they arrived.
    pub fn last(&self, count: usize) -> Vec<Record> {
        let mut records: Vec<Record> = {
            let inner = self.inner.lock();
            inner.ring.iter().skip(inner.ring.len().saturating_sub(count)).cloned().collect()
        };
        records.sort_by_key(|record| record.arrived_us);
        records
    }

    /// Adds the tallies to `stats`.
    pub fn fill(&self, stats: &mut Stats) {
        let inner = self.inner.lock();
        stats.by_path = inner.by_path.clone();
        stats.by_tenant = inner.by_tenant.clone();
    }

    /// Forgets everything.
    pub fn reset(&self) {
        *self.inner.lock() = Inner::default();
    }
}

fn tally(names: &mut BTreeMap<String, u64>, name: &str) {
    if let Some(count) = names.get_mut(name) {
        *count += 1;
        return;
    }
    let name = if names.len() < NAMES_MAX { name } else { "other" };
    *names.entry(name.to_owned()).or_default() += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u64) -> Record {
        Record {
            number,
            arrived_us: number,
            target: format!("/p/{number}?q"),
            headers: vec![("X-Tenant".to_owned(), "acme".to_owned())],
            ..Record::default()
        }
    }

    #[test]
    fn the_ring_keeps_the_last_and_the_tallies_count_all() {
        let recorder = Recorder::new(2, "x-tenant");
        for number in 0..5 {
            recorder.arrive(&record(number));
            recorder.keep(Draft::new(record(number)));
        }
        let numbers = |count| recorder.last(count).iter().map(|record| record.number).collect::<Vec<_>>();
        assert_eq!(numbers(10), [3, 4]);
        assert_eq!(numbers(1), [4]);

        let mut stats = Stats::default();
        recorder.fill(&mut stats);
        assert_eq!(stats.by_path.len(), 5);
        assert_eq!(stats.by_path["/p/0"], 1);
        assert_eq!(stats.by_tenant["acme"], 5);
        recorder.reset();
        assert!(numbers(10).is_empty());
    }

    #[test]
    fn names_beyond_the_bound_are_counted_together() {
        let mut names = BTreeMap::new();
        for n in 0..NAMES_MAX + 10 {
            tally(&mut names, &format!("/{n}"));
        }
        assert_eq!(names.len(), NAMES_MAX + 1);
        assert_eq!(names["other"], 10);
    }

    #[test]
    fn long_bodies_are_hashed_but_not_kept() {
        let mut short = Draft::new(Record::default());
        short.push(&Bytes::from_static(b"abc"));
        let short = short.finish();
        assert_eq!(short.body().unwrap(), b"abc");
        assert_eq!(short.body_sha256, crate::sign::sha256_hex(b"abc"));

        let mut long = Draft::new(Record::default());
        long.push(&Bytes::from(vec![7; BODY_KEPT_BYTES - 1]));
        long.push(&Bytes::from_static(&[7]));
        let long = long.finish();
        assert_eq!(long.body(), None);
        assert_eq!(long.body_sha256, crate::sign::sha256_hex(&[7; BODY_KEPT_BYTES]));
    }
}
