//! How often the ModelArts API may be asked.
//!
//! The documents allow 2,000 calls a minute of a tenant and 20 of an IAM user. Both are kept over every 60 s, whenever
//! they begin: what may come at once and what comes back in a minute add up to them. All pools whose credential is the
//! same count together, and all at one endpoint, whoever asks, for the tenant.
//!
//! *What it does not know* are other programs, or other gateways, that ask in the same name.

use governor::clock::{Clock, DefaultClock};
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

type Limiter = RateLimiter<NotKeyed, InMemoryState, DefaultClock>;

/// 5 at once and 15 in 60 s.
const USER: (u32, Duration) = (5, Duration::from_secs(4));
/// 200 at once and 1,800 in 60 s, rounded down.
const TENANT: (u32, Duration) = (200, Duration::from_millis(34));
/// Credentials and endpoints that are remembered; only policy makes new ones.
const KEPT_MAX: usize = 10_000;

/// Who asks whom.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Asker {
    /// Whom: `host:port`.
    pub endpoint: Arc<str>,
    /// Digest of what shows who asks.
    pub credential: [u8; 32],
}

/// All that was asked lately.
#[derive(Default)]
pub struct Paces {
    users: Mutex<HashMap<Asker, Arc<Limiter>>>,
    tenants: Mutex<HashMap<Arc<str>, Arc<Limiter>>>,
}

impl Paces {
    /// Waits until one more call is within both budgets.
    pub async fn wait(&self, asker: &Asker) {
        pass(&limiter(&self.users, asker, USER)).await;
        pass(&limiter(&self.tenants, &asker.endpoint, TENANT)).await;
    }
}

async fn pass(limiter: &Limiter) {
    while let Err(until) = limiter.check() {
        tokio::time::sleep(until.wait_time_from(limiter.clock().now())).await;
    }
}

fn limiter<K: Clone + Eq + std::hash::Hash>(
    all: &Mutex<HashMap<K, Arc<Limiter>>>,
    key: &K,
    (burst, every): (u32, Duration),
) -> Arc<Limiter> {
    let mut all = all.lock();
    if all.len() >= KEPT_MAX {
        all.clear(); // years of new credentials: begin anew rather than grow
    }
    let new = || {
        let quota = Quota::with_period(every).expect("a span above zero");
        Arc::new(RateLimiter::direct(quota.allow_burst(NonZeroU32::new(burst).expect("above zero"))))
    };
    all.entry(key.clone()).or_insert_with(new).clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;

    /// Calls that get through in the worst 60 s, if they never cease to be tried.
    fn worst_minute((burst, every): (u32, Duration)) -> u32 {
        let clock = FakeRelativeClock::default();
        let quota = Quota::with_period(every).unwrap().allow_burst(NonZeroU32::new(burst).unwrap());
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
        let mut count = 0;
        for _ in 0..60_000 {
            while limiter.check().is_ok() {
                count += 1;
            }
            clock.advance(Duration::from_millis(1));
        }
        count
    }

    #[test]
    fn no_minute_has_more_calls_than_the_api_allows() {
        assert_eq!(worst_minute(USER), 5 + 14);
        assert!((1_900..=2_000).contains(&worst_minute(TENANT)), "{}", worst_minute(TENANT));
    }

    #[tokio::test]
    async fn pools_with_one_credential_share_its_budget() {
        let paces = Paces::default();
        let asker = |credential: u8| Asker { endpoint: "api:443".into(), credential: [credential; 32] };
        for _ in 0..5 {
            paces.wait(&asker(1)).await;
        }
        let users = paces.users.lock().get(&asker(1)).unwrap().clone();
        assert!(users.check().is_err(), "the sixth has to wait");
        paces.wait(&asker(2)).await;
    }
}
