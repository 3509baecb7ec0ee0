//! Locks and atomics as [`sync`](crate::limit::sync) exports them to tests: real ones, unless a schedule is being
//! [explored](explore). Then a lock is the explorer's, which sees who waits for whom, and before every access to an
//! atomic another thread may get its turn.

use crate::limit::lock;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, Runner};
use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, atomic};

thread_local! {
    /// The explorer runs all of an exploration's threads on the thread that asked for it.
    static EXPLORING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `test` by so many schedules: half of them random, half with few switches at the worst of places. The same ones
/// every time.
pub(in crate::limit) fn explore(schedules: usize, test: fn()) {
    const SEED: u64 = 0x5eed;
    const SWITCHES: usize = 4;
    run(RandomScheduler::new_from_seed(SEED, schedules / 2), test);
    run(PctScheduler::new_from_seed(SEED, SWITCHES, schedules / 2), test);
}

fn run(scheduler: impl Scheduler + 'static, test: fn()) {
    struct Exploring;
    impl Drop for Exploring {
        fn drop(&mut self) {
            EXPLORING.set(false);
        }
    }
    let mut config = Config::new();
    config.stack_size = 1 << 19; // without optimization, frames are large
    config.failure_persistence = FailurePersistence::None;
    EXPLORING.set(true);
    let _exploring = Exploring;
    Runner::new(scheduler, config).run(test);
}

/// Here another thread may get its turn.
fn switch() {
    if EXPLORING.get() {
        shuttle::sync::atomic::AtomicBool::new(false).load(Ordering::SeqCst);
    }
}

pub(in crate::limit) enum Mutex<T> {
    Real(lock::Mutex<T>),
    Explored(shuttle::sync::Mutex<T>),
}

pub(in crate::limit) enum MutexGuard<'a, T> {
    Real(lock::MutexGuard<'a, T>),
    Explored(shuttle::sync::MutexGuard<'a, T>),
}

impl<T> Mutex<T> {
    pub(in crate::limit) fn new(value: T) -> Mutex<T> {
        match EXPLORING.get() {
            true => Mutex::Explored(shuttle::sync::Mutex::new(value)),
            false => Mutex::Real(lock::Mutex::new(value)),
        }
    }

    pub(in crate::limit) fn lock(&self) -> MutexGuard<'_, T> {
        match self {
            Mutex::Real(mutex) => MutexGuard::Real(mutex.lock()),
            Mutex::Explored(mutex) => {
                MutexGuard::Explored(mutex.lock().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        match self {
            MutexGuard::Real(guard) => guard,
            MutexGuard::Explored(guard) => guard,
        }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match self {
            MutexGuard::Real(guard) => guard,
            MutexGuard::Explored(guard) => guard,
        }
    }
}

#[derive(Default)]
pub(in crate::limit) struct AtomicU64(atomic::AtomicU64);

impl AtomicU64 {
    pub(in crate::limit) fn new(value: u64) -> AtomicU64 {
        AtomicU64(atomic::AtomicU64::new(value))
    }

    pub(in crate::limit) fn load(&self, order: Ordering) -> u64 {
        switch();
        self.0.load(order)
    }

    pub(in crate::limit) fn store(&self, value: u64, order: Ordering) {
        switch();
        self.0.store(value, order);
    }
}

#[derive(Default)]
pub(in crate::limit) struct AtomicBool(atomic::AtomicBool);

impl AtomicBool {
    pub(in crate::limit) fn new(value: bool) -> AtomicBool {
        AtomicBool(atomic::AtomicBool::new(value))
    }

    pub(in crate::limit) fn load(&self, order: Ordering) -> bool {
        switch();
        self.0.load(order)
    }

    pub(in crate::limit) fn store(&self, value: bool, order: Ordering) {
        switch();
        self.0.store(value, order);
    }

    pub(in crate::limit) fn swap(&self, value: bool, order: Ordering) -> bool {
        switch();
        self.0.swap(value, order)
    }
}

pub(in crate::limit) struct ArcSwapOption<T>(arc_swap::ArcSwapOption<T>);

impl<T> Default for ArcSwapOption<T> {
    fn default() -> ArcSwapOption<T> {
        ArcSwapOption(arc_swap::ArcSwapOption::empty())
    }
}

impl<T> ArcSwapOption<T> {
    pub(in crate::limit) fn load(&self) -> arc_swap::Guard<Option<Arc<T>>> {
        switch();
        self.0.load()
    }

    pub(in crate::limit) fn store(&self, value: Option<Arc<T>>) {
        switch();
        self.0.store(value);
    }
}
