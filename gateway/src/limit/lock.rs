//! The lock of a tenant's levels: short waits, whoever else is there.
//!
//! What happens under it takes some hundred nanoseconds, and two workers may want it for the same tenant again and again.
//! `parking_lot`'s mutex lets whoever comes by take it before those that wait (barging), as often as it likes: the quickest
//! way for all of them together, but a thread that has waited for a few microseconds is put to sleep, and to be woken takes
//! tens of them. Here a thread that comes by may go first only [`BARGES_MAX`] times in a row while others wait; then it
//! waits like them. Who waits looks again and again for longer than that takes, and sleeps only if the holder does not run.
//!
//! It is not a queue: a strict order (tickets) would have everyone wait for a thread that the kernel has taken off its core.

use parking_lot::lock_api::{self, RawMutex as _};
use std::hint::spin_loop;
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};

/// See [`RawLock`].
pub(super) type Mutex<T> = lock_api::Mutex<RawLock, T>;
/// Holds a [`Mutex`]; lets go when dropped.
pub(super) type MutexGuard<'a, T> = lock_api::MutexGuard<'a, RawLock, T>;

/// How often in a row the lock is taken before those who wait for it.
const BARGES_MAX: u8 = 2;
/// Between two looks at the lock; each takes the memory it lies in away from its holder. Some 400 ns.
const PAUSES: u32 = 16;
/// Looks before sleep: some 20 us, many times what the lock is held for.
const LOOKS: u32 = 60;

/// `parking_lot`'s mutex, with an end to barging.
pub(super) struct RawLock {
    mutex: parking_lot::RawMutex,
    /// Taken so often in a row before those who wait.
    barges: AtomicU8,
    /// Threads that wait. Both are advice: whether the lock is held, the mutex alone decides.
    waiting: AtomicU16,
}

// SAFETY: exclusion is the mutex's; `lock` returns once that is held, `unlock` gives it back.
unsafe impl lock_api::RawMutex for RawLock {
    const INIT: RawLock =
        RawLock { mutex: parking_lot::RawMutex::INIT, barges: AtomicU8::new(0), waiting: AtomicU16::new(0) };

    type GuardMarker = lock_api::GuardNoSend;

    #[inline]
    fn lock(&self) {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            if !self.mutex.try_lock() {
                self.wait();
            }
        } else if self.barges.load(Ordering::Relaxed) < BARGES_MAX && self.mutex.try_lock() {
            let barges = self.barges.load(Ordering::Relaxed);
            self.barges.store(barges.saturating_add(1), Ordering::Relaxed); // nobody else writes: it is held
        } else {
            self.wait();
        }
    }

    #[inline]
    fn try_lock(&self) -> bool {
        self.mutex.try_lock()
    }

    #[inline]
    unsafe fn unlock(&self) {
        // SAFETY: the caller holds it.
        unsafe { self.mutex.unlock() }
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.mutex.is_locked()
    }
}

impl RawLock {
    #[cold]
    fn wait(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let seen_free = (0..LOOKS).any(|_| {
            (0..PAUSES).for_each(|_| spin_loop());
            !self.mutex.is_locked() && self.mutex.try_lock()
        });
        if !seen_free {
            self.mutex.lock();
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.barges.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(lock: &RawLock) {
        lock.lock();
        // SAFETY: just locked.
        unsafe { lock.unlock() }
    }

    #[test]
    fn who_waits_is_passed_by_so_often_and_no_more() {
        let lock = RawLock::INIT;
        (0..20).for_each(|_| take(&lock));
        assert_eq!(lock.barges.load(Ordering::Relaxed), 0, "nobody was passed by");
        lock.waiting.store(1, Ordering::Relaxed); // somebody waits, and is slow
        for barge in 1..=BARGES_MAX {
            take(&lock);
            assert_eq!(lock.barges.load(Ordering::Relaxed), barge);
        }
        take(&lock);
        assert_eq!(lock.barges.load(Ordering::Relaxed), 0, "it waited for a turn like the other");
        assert_eq!(lock.waiting.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn one_at_a_time_and_nobody_is_left_asleep() {
        const THREADS: usize = 4;
        const TURNS: usize = 20_000;
        let count = Mutex::new((0, false));
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for turn in 0..TURNS {
                        let mut held = count.lock();
                        assert!(!std::mem::replace(&mut held.1, true), "two at once");
                        if turn % 5_000 == 0 {
                            std::thread::sleep(std::time::Duration::from_millis(1)); // the others fall asleep
                        }
                        held.0 += 1;
                        held.1 = false;
                    }
                });
            }
        });
        assert_eq!(count.lock().0, THREADS * TURNS);
        // SAFETY: nobody holds a guard.
        let raw = unsafe { count.raw() };
        assert_eq!(raw.waiting.load(Ordering::Relaxed), 0);
    }
}
