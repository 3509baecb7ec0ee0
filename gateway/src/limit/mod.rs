//! 3. How much? (contract; the limit owner replaces bodies and may add to it)

use crate::clock::Now;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// What a limit is counted per.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Per {
    Tenant,
    User,
    Route,
    TenantRoute,
}

/// How requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    TokenBucket,
    FixedWindow,
    SlidingWindow,
}

/// One compiled limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Unique within its level; levels are kept by it across reloads.
    pub name: Arc<str>,
    pub per: Per,
    pub amount: Amount,
}

/// How much a limit lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// `requests` in every `period` (1 s, 1 min, 1 h, 1 day); `burst` at once (token bucket only).
    Requests { requests: NonZeroU32, period: Duration, burst: NonZeroU32, algorithm: Algorithm },
    /// This many at the same time.
    Concurrent(NonZeroU32),
}

/// The limits of a plan (per tenant, user, tenant+route).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub name: Arc<str>,
    pub limits: Vec<Limit>,
}

/// The limits written at a route (per route, tenant+route).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RoutePlan {
    pub limits: Vec<Limit>,
}

/// All levels, kept across reloads: one per gateway.
#[derive(Default)]
pub struct Registry;

impl Registry {
    /// Puts a whole policy's plans in force: creates what is new, swaps plans of what stays (levels
    /// kept by limit name), forgets what is gone once it is idle. Returns handles in the order given.
    pub fn apply(
        &self,
        _tenants: &[TenantSpec],
        _routes: &[(Arc<str>, Arc<RoutePlan>)],
        _now: Now,
    ) -> (Vec<Arc<Tenant>>, Vec<Arc<Route>>) {
        todo!()
    }
}

/// A tenant to put in force.
pub struct TenantSpec {
    pub name: Arc<str>,
    pub plan: Arc<Plan>,
    /// Names of its users; a user's index here is its `UserIx`.
    pub users: Vec<Arc<str>>,
}

/// A tenant's levels.
pub struct Tenant;
/// A route's levels.
pub struct Route;
/// A user's place among its tenant's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserIx(pub u32);

/// One decision over every level: all or nothing.
///
/// # Errors
/// [`Limited`]: nothing was charged, at no level.
pub fn admit(
    _caller: Option<(&Arc<Tenant>, UserIx)>,
    _route: &Arc<Route>,
    _now: Now,
) -> Result<Permit, Limited> {
    todo!()
}

/// A request that was let in; dropping it gives its slots back.
pub struct Permit;

impl Permit {
    /// The most constrained request limit after this admission, for the rate headers.
    pub fn standing(&self) -> Option<&Standing> {
        todo!()
    }
}

/// Where the most constrained limit stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub limit: Arc<str>,
    pub quota: u64,
    pub window: Duration,
    pub remaining: u64,
    /// Until it is full again.
    pub reset: Duration,
}

/// A refusal that explains itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    pub standing: Standing,
    pub per: Per,
    pub concurrent: bool,
    /// Exact wait, before jitter and rounding; never zero.
    pub retry_after: Duration,
}
