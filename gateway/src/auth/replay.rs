//! Signatures seen before, per credential: each is good for one request.
//!
//! *Model.* A signature is remembered until its X-Sdk-Date leaves the window, after which it is refused for its
//! date. It is reserved when verified, and kept when the request goes upstream; if the request ends before
//! that, dropping the reservation frees the signature, so that a client may send the same bytes again.
//!
//! *Memory.* Grows as used, up to a bound per credential; at the bound that credential is refused (nobody
//! else), since a request that cannot be remembered could come twice. One entry is 8 bytes of the signature
//! (about 12 to 20 in the table): only the key's owner can make signatures, and 64 bits of a MAC do not meet
//! by chance.
//!
//! *Time.* A slice per minute of X-Sdk-Date is dropped whole, and only when both the wall clock and the
//! monotonic one say so: a wall clock that jumps ahead and back does not open the window twice.

use crate::clock::Now;
use ahash::HashSet;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Signatures one credential may have in the window at once: about 1,100 signed requests per second for the
/// default window of 15 min. Some 18 bytes each, taken only as used.
pub const REPLAY_MAX: usize = 1_000_000;

/// The signatures of one credential.
#[derive(Default)]
pub(super) struct Replay(Mutex<Slices>);

#[derive(Default)]
struct Slices {
    by_minute: BTreeMap<i64, Slice>,
    len: usize,
}

/// The signatures dated within one minute.
#[derive(Default)]
struct Slice {
    signatures: HashSet<u64>,
    until_wall_ms: i64,
    until_mono_us: u64,
}

/// Why a signature was not reserved.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Replayed,
    /// Until there is room again.
    Full(Duration),
}

impl Replay {
    /// Reserves `signature`, signed at `date_ms`, until `date_ms + window` (rounded up to the minute).
    pub(super) fn reserve(
        self: &Arc<Self>,
        signature: &[u8; 32],
        date_ms: i64,
        window: Duration,
        max: usize,
        now: Now,
    ) -> Result<Seen, Refused> {
        let (head, _) = signature.split_first_chunk().expect("8 <= 32");
        let (signature, minute) = (u64::from_be_bytes(*head), date_ms.div_euclid(60_000));
        let mut slices = self.0.lock();
        slices.drop_expired(now);
        if slices.len >= max {
            let seen =
                slices.by_minute.get(&minute).is_some_and(|slice| slice.signatures.contains(&signature));
            return Err(if seen { Refused::Replayed } else { Refused::Full(slices.until_room(now)) });
        }
        // One look into the table, which is rarely in the processor's caches: a place that is taken says so.
        let slice = slices.by_minute.entry(minute).or_default();
        if !slice.insert(signature, (minute + 1) * 60_000, window, now) {
            return Err(Refused::Replayed);
        }
        slices.len += 1;
        Ok(Seen { replay: Some(Arc::clone(self)), minute, signature })
    }

    /// Forgets what no longer counts; returns how many signatures remain.
    pub(super) fn sweep(&self, now: Now) -> usize {
        let mut slices = self.0.lock();
        slices.drop_expired(now);
        slices.len
    }

    fn release(&self, minute: i64, signature: u64) {
        let mut slices = self.0.lock();
        let slice = slices.by_minute.get_mut(&minute);
        if slice.is_some_and(|slice| slice.signatures.remove(&signature)) {
            slices.len -= 1;
        }
    }
}

impl Slices {
    fn drop_expired(&mut self, now: Now) {
        while let Some(oldest) = self.by_minute.first_entry()
            && oldest.get().expired(now)
        {
            self.len -= oldest.remove().signatures.len();
        }
    }

    fn until_room(&self, now: Now) -> Duration {
        let until_us = self.by_minute.first_key_value().map_or(0, |(_, oldest)| oldest.until_mono_us);
        Duration::from_micros(until_us.saturating_sub(now.mono_us))
    }
}

impl Slice {
    /// Whether it is a new one.
    fn insert(&mut self, signature: u64, end_ms: i64, window: Duration, now: Now) -> bool {
        let until_wall_ms = end_ms.saturating_add(window.as_millis() as i64);
        let left_ms = until_wall_ms.saturating_sub(now.wall_ms as i64).max(0) as u64;
        self.until_wall_ms = self.until_wall_ms.max(until_wall_ms);
        self.until_mono_us = self.until_mono_us.max(now.mono_us.saturating_add(left_ms.saturating_mul(1000)));
        self.signatures.insert(signature)
    }

    fn expired(&self, now: Now) -> bool {
        now.mono_us > self.until_mono_us && now.wall_ms as i64 > self.until_wall_ms
    }
}

/// A reserved place in a replay cache.
#[must_use = "dropping it frees the signature"]
pub struct Seen {
    /// None once kept.
    replay: Option<Arc<Replay>>,
    minute: i64,
    signature: u64,
}

impl Seen {
    /// The request goes upstream now: the signature is used up.
    pub fn keep(mut self) {
        self.replay = None;
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        if let Some(replay) = self.replay.take() {
            replay.release(self.minute, self.signature);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(900);
    const DATE_MS: i64 = 1_705_307_400_000;

    fn at(secs: u64) -> Now {
        Now { mono_us: secs * 1_000_000, wall_ms: DATE_MS as u64 + secs * 1000 }
    }

    fn signature(i: u64) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&i.to_be_bytes());
        bytes
    }

    fn reserve(replay: &Arc<Replay>, i: u64, date_secs: i64, now: Now) -> Result<Seen, Refused> {
        replay.reserve(&signature(i), DATE_MS + date_secs * 1000, WINDOW, 3, now)
    }

    #[test]
    fn a_kept_signature_is_refused_until_its_date_leaves_the_window() {
        let replay = Arc::new(Replay::default());
        reserve(&replay, 1, 0, at(0)).unwrap().keep();
        assert_eq!(reserve(&replay, 1, 0, at(900)).err(), Some(Refused::Replayed));
        assert_eq!(replay.sweep(at(1000)), 0, "forgotten once the window has passed");
    }

    #[test]
    fn a_dropped_reservation_frees_the_signature() {
        let replay = Arc::new(Replay::default());
        let first = reserve(&replay, 1, 0, at(0)).unwrap();
        assert_eq!(reserve(&replay, 1, 0, at(0)).err(), Some(Refused::Replayed), "reserved counts as seen");
        drop(first);
        assert!(reserve(&replay, 1, 0, at(1)).is_ok());
    }

    #[test]
    fn a_full_cache_refuses_and_says_for_how_long() {
        let replay = Arc::new(Replay::default());
        for i in 0..3 {
            reserve(&replay, i, 0, at(0)).unwrap().keep();
        }
        let Err(Refused::Full(wait)) = reserve(&replay, 9, 100, at(100)) else { panic!("there is no room") };
        let then = at(100).after(wait + Duration::from_millis(1));
        assert!(reserve(&replay, 9, 100, then).is_ok(), "room after {wait:?}");
    }

    #[test]
    fn a_wall_clock_that_jumps_ahead_and_back_does_not_open_the_window_again() {
        let replay = Arc::new(Replay::default());
        reserve(&replay, 1, 0, at(0)).unwrap().keep();
        let ahead = Now { wall_ms: at(0).wall_ms + 3_600_000, ..at(10) };
        assert_eq!(replay.sweep(ahead), 1);
        assert_eq!(reserve(&replay, 1, 0, at(20)).err(), Some(Refused::Replayed));
    }

    #[test]
    fn a_reservation_may_outlive_its_slice() {
        let replay = Arc::new(Replay::default());
        let slow = reserve(&replay, 1, 0, at(0)).unwrap();
        assert_eq!(replay.sweep(at(2000)), 0);
        drop(slow);
        assert_eq!(replay.sweep(at(2000)), 0);
    }
}
