//! What the limiter promises, checked against oracles that know nothing of how it works.

mod calendar;
mod estimate;
mod explain;
mod guard;
mod headers;
mod inspect;
mod meter;
mod oracle;
mod price;
mod quantile;
mod refusal;
mod reload;
mod save;
mod spending;
pub(super) mod stand_ins;
mod threads;
mod walk;
mod window;

use super::*;
use crate::clock::Now;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn at_us(mono_us: u64) -> Now {
    Now { mono_us, wall_ms: 0 }
}

fn some(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("a limit is not zero")
}

fn requests(algorithm: Algorithm, n: u32, period: Duration, burst: u32) -> Amount {
    Amount::Requests { requests: some(n), period, burst: some(burst), algorithm }
}

fn bucket(n: u32, period: Duration) -> Amount {
    requests(Algorithm::TokenBucket, n, period, n)
}

fn concurrent(n: u32) -> Amount {
    Amount::Concurrent(some(n))
}

fn limit(name: &str, per: Per, amount: Amount) -> Limit {
    Limit::new(name, per, amount)
}

/// One gateway's levels, and the policy in force.
struct World {
    registry: Registry,
    applied: Applied,
}

/// Tenants `acme` and `umbrella` with users `alice` and `bob`, routes `chat` and `embed`; one plan, one route plan.
fn world(plan: &[Limit], route: &[Limit]) -> World {
    let registry = Registry::default();
    let applied = apply(&registry, plan, route, 0);
    World { registry, applied }
}

fn apply(registry: &Registry, plan: &[Limit], route: &[Limit], now_us: u64) -> Applied {
    let plan = Arc::new(Plan { name: "gold".into(), limits: plan.to_vec() });
    let route = Arc::new(CommonPlan { limits: route.to_vec() });
    let users: Arc<[Arc<str>]> = ["alice".into(), "bob".into()].into();
    let tenants = ["acme", "umbrella"].map(|name| TenantSpec {
        name: name.into(),
        plan: Arc::clone(&plan),
        users: users.clone(),
    });
    let routes = ["chat", "embed"].map(|name| (name.into(), Arc::clone(&route)));
    let policy = Policy { tenants: &tenants, routes: &routes, models: &[] };
    registry.apply(&policy, at_us(now_us))
}

/// Who asks for what: indices into the world's lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Ask {
    tenant: usize,
    user: usize,
    route: usize,
}

/// `alice` of `acme` on `chat`.
const ALICE: Ask = Ask { tenant: 0, user: 0, route: 0 };

impl World {
    fn admit(&self, ask: Ask, now_us: u64) -> Result<Permit, Limited> {
        let Enrolled { tenant, users } = &self.applied.tenants[ask.tenant];
        let caller = Some((tenant, users[ask.user]));
        let asking = Asking { caller, route: &self.applied.routes[ask.route], metered: None, report: true };
        admit(&asking, at_us(now_us))
    }

    fn reload(&mut self, plan: &[Limit], route: &[Limit], now_us: u64) {
        self.applied = apply(&self.registry, plan, route, now_us);
    }

    /// How many requests of `ask` are admitted at `now_us`, one after the other, each ended at once.
    fn drain(&self, ask: Ask, now_us: u64) -> usize {
        (0..).take_while(|_| self.admit(ask, now_us).is_ok()).count()
    }

    /// Every level there is.
    fn state(&self, now_us: u64) -> (Vec<TenantState>, Vec<CommonState>) {
        let tenants = ["acme", "umbrella"].map(|name| self.registry.tenant_state(name, at_us(now_us)));
        let routes = ["chat", "embed"].map(|name| self.registry.route_state(name, at_us(now_us)));
        (tenants.into_iter().flatten().collect(), routes.into_iter().flatten().collect())
    }
}
