//! How often may the gateway itself ask Huawei Cloud's control plane?
//!
//! "The number of calls of each tenant account cannot exceed 2000 per minute, and that of each IAM user account cannot
//! exceed 20 per minute." Both hold over any 60 seconds: a quarter may come at once, the rest flows in evenly. IAM's
//! own tokens and the discovery of endpoints are counted here; checks of callers' tokens have a rate of their own.

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// Calls per minute of an account.
const PER_ACCOUNT: u32 = 2_000;
/// Calls per minute of an IAM user.
const PER_USER: u32 = 20;

/// What has been asked lately; one per gateway. Keys come from policy, so that policy bounds it.
pub struct Budget {
    accounts: DefaultKeyedRateLimiter<Arc<str>>,
    users: DefaultKeyedRateLimiter<Arc<str>>,
    clock: DefaultClock,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            accounts: RateLimiter::keyed(quota(PER_ACCOUNT)),
            users: RateLimiter::keyed(quota(PER_USER)),
            clock: DefaultClock::default(),
        }
    }
}

/// At most `per_minute` in any 60 seconds, a quarter of them at once.
fn quota(per_minute: u32) -> Quota {
    let at_once = NonZeroU32::new(per_minute / 4).expect("budgets are large enough to be divided");
    let flowing = NonZeroU32::new(per_minute - at_once.get()).expect("three quarters of more than nothing");
    Quota::per_minute(flowing).allow_burst(at_once)
}

impl Budget {
    /// Takes one call of `user`, which is of `account`.
    ///
    /// # Errors
    /// how long to wait for the next
    pub fn take(&self, account: &Arc<str>, user: &Arc<str>) -> Result<(), Duration> {
        for (limiter, key) in [(&self.users, user), (&self.accounts, account)] {
            limiter.check_key(key).map_err(|until| until.wait_time_from(self.clock.now()))?;
        }
        Ok(())
    }

    /// Forgets who has not asked for long.
    pub fn sweep(&self) {
        self.accounts.retain_recent();
        self.users.retain_recent();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;

    #[test]
    fn no_minute_has_more_than_its_number() {
        let clock = FakeRelativeClock::default();
        let limiter = RateLimiter::direct_with_clock(quota(PER_USER), clock.clone());
        let mut taken: Vec<u64> = Vec::new();
        for ms in 0..180_000u64 {
            taken.extend(limiter.check().is_ok().then_some(ms));
            clock.advance(Duration::from_millis(1));
        }
        for from in (0..120_000).step_by(500) {
            let within = taken.iter().filter(|ms| (from..from + 60_000).contains(*ms)).count();
            assert!(within <= PER_USER as usize, "{within} from {from}");
        }
        assert!(taken.len() > 45, "{} in three minutes", taken.len());
    }

    #[test]
    fn users_and_accounts_are_counted_apart() {
        let budget = Budget::default();
        let [account, alice, bob] = ["acme", "alice", "bob"].map(Arc::<str>::from);
        let took = (0..50).filter(|_| budget.take(&account, &alice).is_ok()).count();
        assert_eq!(took, 5, "a quarter of 20");
        assert!(budget.take(&account, &alice).unwrap_err() > Duration::ZERO);
        assert_eq!(budget.take(&account, &bob), Ok(()));
    }
}
