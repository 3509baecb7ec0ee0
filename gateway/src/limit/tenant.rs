//! A tenant: its own levels, those of its users, and those of its use of routes, under one lock.

use super::admit::Open;
use super::denial::Denial;
use super::level::{self, Level};
use super::pairs::Pairs;
use super::route::RouteKey;
use super::rules::PlanRules;
use super::users::{UserIx, Users};
use parking_lot::Mutex;
use std::sync::Arc;

/// A tenant's levels; the same one for as long as policy, a request or a level in use knows its name.
pub struct Tenant {
    name: Arc<str>,
    pub(super) denial: Denial,
    pub(super) books: Mutex<Books>,
}

/// What a tenant's lock guards.
#[derive(Default)]
pub(super) struct Books {
    pub(super) plan: Arc<PlanRules>,
    /// One for each of `plan.tenant.rates`.
    pub(super) levels: Box<[Level]>,
    pub(super) in_flight: u32,
    pub(super) users: Users,
    pub(super) pairs: Pairs,
}

impl Tenant {
    /// A tenant without limits.
    pub(super) fn new(name: Arc<str>) -> Tenant {
        Tenant { name, denial: Denial::default(), books: Mutex::default() }
    }

    /// As written in policy.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Puts a plan and a list of users in force; returns the users' places in the order given.
    pub(super) fn apply(&self, plan: &Arc<PlanRules>, users: &[Arc<str>], now_us: u64) -> Vec<UserIx> {
        let mut books = self.books.lock();
        let places = books.apply(plan, users, now_us);
        self.denial.forget();
        places
    }
}

impl Books {
    fn apply(&mut self, plan: &Arc<PlanRules>, users: &[Arc<str>], now_us: u64) -> Vec<UserIx> {
        let old = std::mem::replace(&mut self.plan, Arc::clone(plan));
        if old.tenant != plan.tenant {
            let (from, to) = (&old.tenant.rates, &plan.tenant.rates);
            self.levels = level::carried(&self.levels, from, to, now_us).collect();
        }
        self.pairs.apply(&old.tenant_route, &plan.tenant_route, now_us);
        self.users.apply(&old.user, &plan.user, now_us);
        self.users.enrol(users, &plan.user, now_us)
    }

    /// Counts an open request wherever a concurrency limit asks for it. Where none does, it is not counted, and
    /// a limit that a reload brings later does not see it.
    #[inline]
    pub(super) fn open(&mut self, user: UserIx, route: RouteKey) -> Open {
        let tenant = self.plan.tenant.has_slots();
        self.in_flight += u32::from(tenant);
        Open {
            tenant,
            user: if self.plan.user.has_slots() { self.users.open(user) } else { None },
            pair: self.pairs.open(route, &self.plan.tenant_route),
        }
    }

    /// Ends what [`open`](Books::open) counted.
    pub(super) fn close(&mut self, open: Open) {
        debug_assert!(!open.tenant || self.in_flight > 0, "a request ends once");
        self.in_flight = self.in_flight.saturating_sub(u32::from(open.tenant));
        if let Some(user) = open.user {
            self.users.close(user);
        }
        if let Some(route) = open.pair {
            self.pairs.close(route);
        }
    }

    /// Forgetting the tenant would change no decision.
    pub(super) fn idle(&self, now_us: u64) -> bool {
        self.in_flight == 0
            && self.pairs.is_empty()
            && level::idle(&self.plan.tenant.rates, &self.levels, now_us)
            && self.users.idle(&self.plan.user, now_us)
    }
}
