//! How busy is a backend, and how soon does it answer? Counted over all workers, and kept over reloads.

use super::Backend;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// After this time a mean has fallen to 1/e of what it was: a backend that was slow is tried again.
const DECAY_MS: f64 = 10_000.0;

/// What is known of a backend's load. Requests of pools whose `balance` looks at it count; others do not.
#[derive(Debug, Default)]
pub struct Load {
    in_flight: AtomicU32,
    first_byte: Mean,
}

impl Load {
    /// Requests that have not ended.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Mean time to the first byte of an answer, in microseconds; the longer ago the last one, the less. `None` before
    /// the first.
    pub fn first_byte_us(&self, now_ms: u64) -> Option<f64> {
        self.first_byte.at(now_ms)
    }
}

/// A request at a backend; it counts there until this is dropped.
pub struct Flight {
    backend: Arc<Backend>,
    began_us: u64,
}

impl Flight {
    /// Counts a request that goes to `backend` now.
    pub fn begin(backend: Arc<Backend>, now_us: u64) -> Flight {
        backend.load.in_flight.fetch_add(1, Ordering::Relaxed);
        Flight { backend, began_us: now_us }
    }

    /// The head of its answer has come. `whole_us`: when the last of the request's body had, since what the caller takes
    /// for it says nothing about the backend; 0 if all of it was there from the beginning. An answer that is not
    /// `fine` tells only how slow the backend is: to fail fast is no merit.
    pub fn answered(&self, fine: bool, whole_us: u64, now_us: u64) {
        let sample_us = now_us.saturating_sub(self.began_us.max(whole_us));
        let mean = &self.backend.load.first_byte;
        let now_ms = now_us / 1000;
        if fine || mean.at(now_ms).is_some_and(|mean_us| sample_us as f64 > mean_us) {
            mean.learn(sample_us, now_ms);
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.backend.load.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An exponentially weighted mean over time. The idea of giving a rise more weight than a fall is that of the peak EWMA
/// of Twitter's Finagle; a rise goes half the way, not all of it, since first bytes of models take as long as prompts are.
///
/// One word, because two could be read of different moments: microseconds in the upper half, and in the lower the
/// time of the last sample in milliseconds, whose wrap after 49 days only makes an old mean look young.
#[derive(Debug, Default)]
struct Mean(AtomicU64);

impl Mean {
    fn at(&self, now_ms: u64) -> Option<f64> {
        let word = self.0.load(Ordering::Relaxed);
        (word != 0).then(|| decayed(word, now_ms))
    }

    fn learn(&self, sample_us: u64, now_ms: u64) {
        let sample = (sample_us as f64).max(1.0);
        let learn = |word: u64| {
            let mean = if word == 0 { sample } else { moved_towards(word, sample, now_ms) };
            Some((u64::from((mean as u32).max(1)) << 32) | u64::from(now_ms as u32))
        };
        let _always_some = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, learn);
    }
}

/// How much of a mean is left.
fn left(word: u64, now_ms: u64) -> f64 {
    // The clock of a worker that picks is up to a tick behind the one that learned.
    let age = (now_ms as u32).wrapping_sub(word as u32) as i32;
    (-f64::from(age.max(0)) / DECAY_MS).exp()
}

fn decayed(word: u64, now_ms: u64) -> f64 {
    (word >> 32) as f64 * left(word, now_ms)
}

fn moved_towards(word: u64, sample: f64, now_ms: u64) -> f64 {
    let (mean, left) = ((word >> 32) as f64, left(word, now_ms));
    if sample > mean { f64::midpoint(mean, sample) } else { mean * left + sample * (1.0 - left) }
}

#[cfg(test)]
mod tests {
    use super::super::BackendSpec;
    use super::*;

    fn backend() -> Arc<Backend> {
        Arc::new(Backend::new(BackendSpec::plain("10.0.0.1", 80)).unwrap())
    }

    fn answer(backend: &Arc<Backend>, fine: bool, took_us: u64, now_us: u64) {
        Flight::begin(backend.clone(), now_us - took_us).answered(fine, 0, now_us);
    }

    fn mean(backend: &Backend, now_us: u64) -> u64 {
        backend.load.first_byte_us(now_us / 1000).expect("it has answered").round() as u64
    }

    const S: u64 = 1_000_000;

    #[test]
    fn a_request_counts_until_it_is_dropped() {
        let backend = backend();
        let flights = [1, 2, 3].map(|now_us| Flight::begin(backend.clone(), now_us));
        assert_eq!(backend.load.in_flight(), 3);
        drop(flights);
        assert_eq!(backend.load.in_flight(), 0);
    }

    #[test]
    fn a_mean_rises_at_once_and_falls_with_time() {
        let backend = backend();
        assert_eq!(backend.load.first_byte_us(0), None);
        answer(&backend, true, 100_000, 10 * S);
        assert_eq!(mean(&backend, 10 * S), 100_000);
        answer(&backend, true, 300_000, 10 * S);
        assert_eq!(mean(&backend, 10 * S), 200_000, "half the way");
        answer(&backend, true, 100_000, 10 * S);
        assert_eq!(mean(&backend, 10 * S), 200_000, "no time has passed");
        answer(&backend, true, 100_000, 20 * S);
        assert_eq!(mean(&backend, 20 * S), 136_787, "1/e of the difference is left");
        assert_eq!(mean(&backend, 30 * S), 50_321, "nobody has asked it since");
        assert_eq!(mean(&backend, 5 * S), 136_787, "a clock that is behind");
    }

    #[test]
    fn failing_fast_is_no_merit() {
        let backend = backend();
        answer(&backend, false, 1_000, 10 * S);
        assert_eq!(backend.load.first_byte_us(10_000), None);
        answer(&backend, true, 100_000, 10 * S);
        answer(&backend, false, 1_000, 40 * S - 1);
        assert!(mean(&backend, 40 * S) < 10_000);
        answer(&backend, false, 200_000, 40 * S);
        assert_eq!(mean(&backend, 40 * S), 150_000, "but failing slowly counts");
    }

    #[test]
    fn what_the_caller_takes_for_its_body_does_not_count() {
        let backend = backend();
        Flight::begin(backend.clone(), S).answered(true, 9 * S, 9 * S + 5_000);
        assert_eq!(mean(&backend, 9 * S + 5_000), 5_000);
    }

    #[test]
    fn extremes_neither_wrap_nor_panic() {
        let backend = backend();
        for (took_us, now_us) in [(0, 1), (u64::MAX / 2, u64::MAX / 2), (7, u64::MAX)] {
            answer(&backend, true, took_us, now_us);
            assert!(backend.load.first_byte_us(now_us / 1000).is_some_and(f64::is_finite));
        }
    }
}
