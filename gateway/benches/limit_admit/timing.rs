//! How long does a call take, when reading the clock takes as long?
//!
//! *Medians* are over batches: 64 calls between two readings, divided by 64. *Tails* are over single calls, less what
//! two readings in a row take (their median): a mean over a batch would hide them. Both come of the same work.

use std::time::Instant;

pub const BATCH: usize = 64;

#[expect(clippy::disallowed_methods, reason = "a bench measures from outside")]
fn now() -> Instant {
    Instant::now()
}

/// Nanoseconds, in order.
pub struct Times(Vec<f64>);

impl Times {
    fn of(mut times: Vec<f64>) -> Times {
        times.sort_by(f64::total_cmp);
        Times(times)
    }

    /// What so many of a thousand stay below.
    pub fn permille(&self, of: usize) -> f64 {
        self.0[(self.0.len() * of / 1_000).min(self.0.len() - 1)]
    }

    pub fn median(&self) -> f64 {
        self.permille(500)
    }
}

/// `rounds` batches of `call`, each after `before`, which is not timed; of one call.
pub fn batches<T>(
    rounds: usize,
    mut before: impl FnMut() -> T,
    mut call: impl FnMut(&mut T, usize),
) -> Times {
    let mut batch = || {
        let mut ready = before();
        let start = now();
        (0..BATCH).for_each(|i| call(&mut ready, i));
        start.elapsed().as_nanos() as f64 / BATCH as f64
    };
    Times::of((0..rounds).map(|_| batch()).collect())
}

/// `rounds` single calls, each after `before`, which is not timed.
pub fn singles<T>(rounds: usize, mut before: impl FnMut() -> T, mut call: impl FnMut(&mut T)) -> Times {
    let readings = Times::of((0..100_000).map(|_| now().elapsed().as_nanos() as f64).collect()).median();
    let mut single = || {
        let mut ready = before();
        let start = now();
        call(&mut ready);
        (start.elapsed().as_nanos() as f64 - readings).max(0.0)
    };
    Times::of((0..rounds).map(|_| single()).collect())
}

/// Milliseconds that `call` takes, the least of three.
pub fn once<T>(mut before: impl FnMut() -> T, mut call: impl FnMut(T)) -> f64 {
    let times = (0..3).map(|_| {
        let ready = before();
        let start = now();
        call(ready);
        start.elapsed().as_secs_f64() * 1_000.0
    });
    times.fold(f64::INFINITY, f64::min)
}
