//! Alarm: gives up on work that takes too long, for less than a timer per request costs.
//!
//! One sleeper serves all requests of a lane. It is set anew only when it goes off, or when somebody wants it earlier, so
//! in a run of fast answers it is touched once a minute.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::clock;

/// A coarse timer (1 ms) that is used again and again.
#[derive(Debug)]
pub struct Alarm {
    sleep: Pin<Box<Sleep>>,
    set_for_us: u64,
}

impl Default for Alarm {
    /// An alarm that is not set yet.
    fn default() -> Alarm {
        Alarm { sleep: Box::pin(tokio::time::sleep(Duration::ZERO)), set_for_us: 0 }
    }
}

impl Alarm {
    /// Does `work` until [`clock::mono_us`] reaches `until_us`; None if that came first.
    pub async fn within<W: Future>(&mut self, until_us: u64, work: W) -> Option<W::Output> {
        let mut work = pin!(work);
        if until_us < self.set_for_us {
            self.set(until_us);
        }
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(done));
            }
            loop {
                ready!(self.sleep.as_mut().poll(cx));
                if clock::mono_us() >= until_us {
                    return Poll::Ready(None);
                }
                self.set(until_us);
            }
        })
        .await
    }

    fn set(&mut self, at_us: u64) {
        let wait = Duration::from_micros(at_us.saturating_sub(clock::mono_us()));
        self.sleep.as_mut().reset(Instant::now() + wait);
        self.set_for_us = at_us;
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[test]
    fn each_use_has_a_time_of_its_own_whatever_was_set_before() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut alarm = Alarm::default();
            for wait_us in [20_000, 5_000, 60_000] {
                let until_us = clock::mono_us() + wait_us;
                assert_eq!(alarm.within(until_us, pending::<()>()).await, None);
                let now_us = clock::mono_us();
                assert!((until_us..until_us + 20_000_000).contains(&now_us), "{wait_us}");
                // Leaves the sleeper set for far later than the next use wants it.
                let later_us = clock::mono_us() + 60_000_000;
                assert_eq!(
                    alarm
                        .within(later_us, async {
                            tokio::task::yield_now().await;
                            1
                        })
                        .await,
                    Some(1)
                );
            }
        });
    }
}
