//! Timer: wakes the dispatcher when a request is due, to within tens of microseconds.
//!
//! The runtime's own timers count in whole milliseconds, which is longer than most answers take. A timerfd counts in
//! nanoseconds, wakes the thread through the same epoll as its sockets, and costs no CPU while it waits.

use std::io;
use std::os::fd::OwnedFd;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::clock;

/// One alarm clock of one thread.
#[derive(Debug)]
pub struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    /// Makes one, on the clock of [`clock::mono_us`].
    ///
    /// # Errors
    /// The process has no file descriptor left.
    pub fn new() -> io::Result<Timer> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let descriptor = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // SAFETY: an OwnedFd stays open, and stays the same descriptor, until it is dropped; the AsyncFd owns it, and
        // nothing takes it out again.
        let registered = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
        Ok(Timer(registered?))
    }

    /// Waits until [`clock::mono_us`] is `at_us` or later; at once if it is.
    ///
    /// # Errors
    /// The kernel refuses the timer, which it has no known reason to.
    pub async fn until(&self, at_us: u64) -> io::Result<()> {
        while clock::mono_us() < at_us {
            timerfd_settime(self.0.get_ref(), TimerfdTimerFlags::ABSTIME, &once(at_us))?;
            // Setting the timer took back the expiry before it, so there is nothing to be read off.
            self.0.readable().await?.clear_ready();
        }
        Ok(())
    }
}

fn once(at_us: u64) -> Itimerspec {
    let it_value = Timespec { tv_sec: (at_us / 1_000_000) as i64, tv_nsec: (at_us % 1_000_000 * 1_000) as _ };
    Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_early_and_usually_much_less_than_a_millisecond_late() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut late: Vec<u64> = runtime.block_on(async {
            let timer = Timer::new().unwrap();
            let mut late = Vec::new();
            for _ in 0..50 {
                let at_us = clock::mono_us() + 700;
                timer.until(at_us).await.unwrap();
                let now_us = clock::mono_us();
                assert!(now_us >= at_us);
                late.push(now_us - at_us);
            }
            timer.until(0).await.unwrap();
            late
        });
        late.sort_unstable();
        assert!(
            late[10] < 800,
            "the fifth best of a busy machine still beats a millisecond's grain: {late:?}"
        );
    }
}
