//! Who has failed too often lately?
//!
//! More than 5 failures within 5 minutes, with no success between, lock the pair of (access key, address) for
//! 5 minutes. The pair, not the key: a stranger who knows an access key locks out only himself. IPv6 counts by
//! /64, since one host owns that many addresses. The access key counts as sent, known or not, so that a lock
//! does not tell which keys exist.
//!
//! AppCodes and API keys carry no name beside the secret, so wrong ones are counted per address, and a lock
//! applies to further wrong ones only: refusing the right code because a neighbour behind the same address
//! sends wrong ones would be a way to shut him out. The guard before authentication bounds the rate of guesses.
//!
//! *Memory.* At most [`SHARDS`] x [`PAIRS_MAX`] pairs. When a shard is full the pair that failed longest ago
//! makes room, open ones before locked ones: a flood from many addresses can make us forget failures, but can
//! neither grow the table nor lock anyone out of his own address.
//!
//! *Cost.* While nobody has failed: one atomic read per signed request.

use crate::clock::Now;
use ahash::{HashMap, RandomState};
use parking_lot::Mutex;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::rules::Kind;

/// A lock closes at the failure after this many.
const FAILURES_MAX: usize = 5;
const WINDOW_US: u64 = 5 * 60 * 1_000_000;
const LOCKED_US: u64 = 5 * 60 * 1_000_000;

const SHARDS: usize = 64;
const PAIRS_MAX: usize = 512;

/// Failures per pair; one per gateway.
pub(super) struct Lockout {
    /// Random per process: nobody can aim at another pair's place.
    seed: RandomState,
    shards: [Shard; SHARDS],
}

/// What is tried.
#[derive(Hash)]
pub(super) enum Tried<'a> {
    AccessKey(&'a str),
    /// AppCode or API key.
    Guess(Kind),
}

/// What was tried and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pair(u64);

#[derive(Default)]
struct Shard {
    /// Kept beside the map so that an empty shard is seen without its lock.
    len: AtomicUsize,
    records: Mutex<HashMap<u64, Record>>,
}

/// Monotonic microseconds throughout.
#[derive(Default)]
struct Record {
    /// The last failures, oldest first.
    failed_us: [Option<u64>; FAILURES_MAX],
    locked_until_us: u64,
}

impl Default for Lockout {
    fn default() -> Lockout {
        Lockout { seed: RandomState::new(), shards: std::array::from_fn(|_| Shard::default()) }
    }
}

impl Lockout {
    pub(super) fn pair(&self, tried: Tried<'_>, from: IpAddr) -> Pair {
        Pair(self.seed.hash_one((tried, network(from))))
    }

    /// # Errors
    /// how long the pair is still locked
    pub(super) fn check(&self, pair: Pair, now: Now) -> Result<(), Duration> {
        let shard = self.shard(pair);
        if shard.len.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        match shard.records.lock().get(&pair.0) {
            Some(record) if record.locked(now) => {
                Err(Duration::from_micros(record.locked_until_us - now.mono_us))
            }
            _ => Ok(()),
        }
    }

    /// Counts a failure.
    pub(super) fn failed(&self, pair: Pair, now: Now) {
        let shard = self.shard(pair);
        let mut records = shard.records.lock();
        if records.len() >= PAIRS_MAX && !records.contains_key(&pair.0) {
            make_room(&mut records, now);
        }
        records.entry(pair.0).or_default().fail(now);
        shard.len.store(records.len(), Ordering::Relaxed);
    }

    /// Forgets the failures: who has the secret is no guesser.
    pub(super) fn succeeded(&self, pair: Pair) {
        let shard = self.shard(pair);
        if shard.len.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut records = shard.records.lock();
        records.remove(&pair.0);
        shard.len.store(records.len(), Ordering::Relaxed);
    }

    /// Forgets failures that no longer count; returns how many pairs remain.
    pub(super) fn sweep(&self, now: Now) -> usize {
        self.shards.iter().map(|shard| shard.sweep(now)).sum()
    }

    fn shard(&self, pair: Pair) -> &Shard {
        &self.shards[pair.0 as usize % SHARDS]
    }
}

impl Shard {
    fn sweep(&self, now: Now) -> usize {
        let mut records = self.records.lock();
        records.retain(|_, record| record.counts(now));
        self.len.store(records.len(), Ordering::Relaxed);
        records.len()
    }
}

impl Record {
    fn fail(&mut self, now: Now) {
        if self.failed_us[0].is_some_and(|oldest| now.mono_us.saturating_sub(oldest) < WINDOW_US) {
            *self = Record { failed_us: Default::default(), locked_until_us: now.mono_us + LOCKED_US };
        } else {
            self.failed_us.rotate_left(1);
            self.failed_us[FAILURES_MAX - 1] = Some(now.mono_us);
        }
    }

    fn locked(&self, now: Now) -> bool {
        now.mono_us < self.locked_until_us
    }

    fn last_us(&self) -> u64 {
        self.failed_us[FAILURES_MAX - 1].unwrap_or(0)
    }

    fn counts(&self, now: Now) -> bool {
        self.locked(now) || now.mono_us.saturating_sub(self.last_us()) < WINDOW_US
    }
}

fn make_room(records: &mut HashMap<u64, Record>, now: Now) {
    let first = records
        .iter()
        .min_by_key(|(_, record)| (record.locked(now), record.last_us(), record.locked_until_us));
    if let Some(pair) = first.map(|(pair, _)| *pair) {
        records.remove(&pair);
    }
}

/// An address, or the /64 it lies in.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Now {
        Now { mono_us: secs * 1_000_000, wall_ms: 0 }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn pair(lockout: &Lockout, from: &str) -> Pair {
        lockout.pair(Tried::AccessKey("AK"), ip(from))
    }

    fn fail(lockout: &Lockout, pair: Pair, times: usize, now: Now) {
        (0..times).for_each(|_| lockout.failed(pair, now));
    }

    #[test]
    fn the_sixth_failure_within_five_minutes_locks_for_five_minutes() {
        let lockout = Lockout::default();
        let alice = pair(&lockout, "10.0.0.1");
        fail(&lockout, alice, 5, at(0));
        assert_eq!(lockout.check(alice, at(299)), Ok(()));
        lockout.failed(alice, at(299));
        assert_eq!(lockout.check(alice, at(300)), Err(Duration::from_secs(299)));
        assert_eq!(lockout.check(alice, at(599)), Ok(()));
        fail(&lockout, alice, 5, at(600));
        assert_eq!(lockout.check(alice, at(600)), Ok(()), "counted afresh after a lock");
    }

    #[test]
    fn slow_failures_and_failures_between_successes_do_not_lock() {
        let lockout = Lockout::default();
        let alice = pair(&lockout, "10.0.0.1");
        for i in 0..20 {
            lockout.failed(alice, at(i * 61));
            assert_eq!(lockout.check(alice, at(i * 61)), Ok(()));
        }
        let bob = pair(&lockout, "10.0.0.2");
        for _ in 0..20 {
            fail(&lockout, bob, 5, at(0));
            lockout.succeeded(bob);
        }
        assert_eq!(lockout.check(bob, at(0)), Ok(()));
    }

    #[test]
    fn another_address_is_not_locked_but_the_same_64_is() {
        let lockout = Lockout::default();
        fail(&lockout, pair(&lockout, "2001:db8::1"), 6, at(0));
        fail(&lockout, pair(&lockout, "::ffff:10.0.0.1"), 6, at(0));
        assert!(lockout.check(pair(&lockout, "2001:db8::ffff"), at(0)).is_err());
        assert!(lockout.check(pair(&lockout, "2001:db8:0:1::1"), at(0)).is_ok());
        assert!(lockout.check(pair(&lockout, "10.0.0.1"), at(0)).is_err(), "one host, two spellings");
        assert!(lockout.check(pair(&lockout, "10.0.0.2"), at(0)).is_ok());
        let other_key = lockout.pair(Tried::AccessKey("AK2"), ip("10.0.0.1"));
        assert!(lockout.check(other_key, at(0)).is_ok());
    }

    #[test]
    fn a_flood_from_many_addresses_neither_grows_the_table_nor_locks_a_stranger() {
        let lockout = Lockout::default();
        let locked = pair(&lockout, "10.0.0.1");
        fail(&lockout, locked, 6, at(0));
        for i in 0..(SHARDS * PAIRS_MAX * 4) as u32 {
            lockout.failed(lockout.pair(Tried::AccessKey("AK"), IpAddr::V4((0x0b00_0000 + i).into())), at(1));
        }
        assert!(lockout.sweep(at(1)) <= SHARDS * PAIRS_MAX);
        assert!(lockout.check(locked, at(1)).is_err(), "open pairs make room before locked ones");
        assert!(lockout.check(pair(&lockout, "192.0.2.1"), at(1)).is_ok());
        assert_eq!(lockout.sweep(at(1000)), 0);
    }
}
