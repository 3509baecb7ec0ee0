//! Admission: who is asked, in which order the locks are taken, and what a permit gives back.

use super::decide::{Refusal, Subject, decide};
use super::route::{Route, RouteKey};
use super::tenant::{Books, Tenant};
use super::users::UserIx;
use super::{Full, Limited, Per, Standing};
use crate::clock::Now;
use std::sync::Arc;
use std::time::Duration;

/// Hot path. Asks every limit that concerns one more request: all or nothing.
///
/// Limits per tenant, user and tenant+route count known callers only; `None` (a route open to anybody) meets
/// those per route alone. With `report`, the permit knows where the most constrained request limit stands,
/// for the rate headers; without, that is not worked out.
///
/// # Errors
/// [`Limited`]: nothing was charged, at no level.
#[inline]
pub fn admit(
    caller: Option<(&Arc<Tenant>, UserIx)>,
    route: &Arc<Route>,
    now: Now,
    report: bool,
) -> Result<Permit, Limited> {
    match caller {
        Some((tenant, user)) => admit_caller(tenant, user, route, now.mono_us, report),
        None => admit_anybody(route, now.mono_us, report),
    }
}

fn admit_caller(
    tenant: &Arc<Tenant>,
    user: UserIx,
    route: &Arc<Route>,
    now_us: u64,
    report: bool,
) -> Result<Permit, Limited> {
    if let Some(limited) = tenant.denial.recall(user, route, now_us) {
        return Err(limited);
    }
    let mut books = tenant.books.lock();
    let Books { plan, levels, in_flight, users, pairs } = &mut *books;
    let pair = pairs.find(route, &plan.tenant_route); // may look into the route: before its lock is taken
    let mut on_route = route.lock_if_limited(); // second lock, always after the tenant's

    let (by_plan, by_route) = pair.map(|pair| pair.subjects(&plan.tenant_route)).unzip();
    let mut subjects = [
        Some(Subject { per: Per::Tenant, rules: &plan.tenant, levels, in_flight: *in_flight }),
        users.subject(user, &plan.user),
        by_plan,
        by_route,
        on_route.as_mut().map(|on_route| on_route.subject()),
    ];
    match decide(&mut subjects, now_us, report) {
        Ok(standing) => {
            let open_on_route = on_route.is_some_and(|mut on_route| route.open(&mut on_route));
            let open = books.open(user, route.key());
            tenant.denial.forget();
            Ok(Permit {
                tenant: open.any().then(|| (Arc::clone(tenant), open)),
                route: open_on_route.then(|| Arc::clone(route)),
                standing,
            })
        }
        Err(refusal) => {
            let admissions = route.admissions();
            drop(on_route);
            let limited = named(refusal, Some((tenant, users.name(user))), route);
            tenant.denial.remember(user, (route, admissions), &limited, now_us);
            Err(limited)
        }
    }
}

fn admit_anybody(route: &Arc<Route>, now_us: u64, report: bool) -> Result<Permit, Limited> {
    let Some(mut on_route) = route.lock_if_limited() else {
        return Ok(Permit { tenant: None, route: None, standing: None });
    };
    match decide(&mut [Some(on_route.subject())], now_us, report) {
        Ok(standing) => {
            let route = route.open(&mut on_route).then(|| Arc::clone(route));
            Ok(Permit { tenant: None, route, standing })
        }
        Err(refusal) => Err(named(refusal, None, route)),
    }
}

/// Puts to a refusal the names its level goes by.
#[cold]
fn named(refusal: Refusal, caller: Option<(&Tenant, Option<&Arc<str>>)>, route: &Route) -> Limited {
    let Refusal { per, standing, concurrent, wait_us } = refusal;
    let Standing { limit, quota, most, window, used, reset, .. } = standing;
    let (tenant, user) = caller.unzip();
    let tenant = tenant.filter(|_| per != Per::Route).map(|tenant| Arc::clone(tenant.name()));
    let user = user.flatten().filter(|_| per == Per::User).cloned();
    let route = matches!(per, Per::Route | Per::TenantRoute).then(|| Arc::clone(route.name()));
    let full = Arc::new(Full { limit, per, tenant, user, route, concurrent, quota, most, window, used });
    Limited { full, reset, retry_after: Duration::from_micros(wait_us) }
}

/// A request that was let in; dropping it, on any thread, gives its places back.
#[must_use = "dropping a permit gives its places back: keep it until the request has ended"]
pub struct Permit {
    /// Set only where a concurrency limit counts this request.
    tenant: Option<(Arc<Tenant>, Open)>,
    route: Option<Arc<Route>>,
    standing: Option<Standing>,
}

/// Where a tenant counts an open request.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Open {
    pub(super) tenant: bool,
    pub(super) user: Option<UserIx>,
    pub(super) pair: Option<RouteKey>,
}

impl Open {
    fn any(&self) -> bool {
        self.tenant || self.user.is_some() || self.pair.is_some()
    }
}

impl Permit {
    /// The most constrained request limit after this admission, for the rate headers; None if no limit counts
    /// requests or [`admit`] was not asked to report.
    pub fn standing(&self) -> Option<&Standing> {
        self.standing.as_ref()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((tenant, open)) = self.tenant.take() {
            tenant.books.lock().close(open);
        }
        if let Some(route) = self.route.take() {
            route.close();
        }
    }
}
