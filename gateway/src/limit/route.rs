//! A route: the levels of the limits written at it, shared by everybody who uses it.

use super::Per;
use super::decide::Subject;
use super::level::{self, Level};
use super::rules::RouteRules;
use parking_lot::{Mutex, MutexGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A route's levels; the same one for as long as policy, a request or a level in use knows its name.
pub struct Route {
    name: Arc<str>,
    /// Does any limit count per route? If not, requests leave the lock alone: all workers share it.
    limited: AtomicBool,
    /// Does any limit written here count per tenant+route?
    limits_tenants: AtomicBool,
    /// How often its levels moved; written under the lock, read without.
    admissions: AtomicU64,
    books: Mutex<RouteBooks>,
}

/// What a route's lock guards.
#[derive(Default)]
pub(super) struct RouteBooks {
    pub(super) rules: Arc<RouteRules>,
    /// One for each of `rules.route.rates`.
    pub(super) levels: Box<[Level]>,
    pub(super) in_flight: u32,
}

/// Which route; stable while anything holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RouteKey(usize);

impl Route {
    /// A route without limits.
    pub(super) fn new(name: Arc<str>) -> Route {
        Route {
            name,
            limited: AtomicBool::new(false),
            limits_tenants: AtomicBool::new(false),
            admissions: AtomicU64::new(0),
            books: Mutex::default(),
        }
    }

    /// As written in policy.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its address: a `Route` lives in an `Arc` and never moves.
    pub(super) fn key(self: &Arc<Route>) -> RouteKey {
        RouteKey(Arc::as_ptr(self).addr())
    }

    /// Puts rules in force.
    pub(super) fn apply(&self, rules: &Arc<RouteRules>, now_us: u64) {
        let mut books = self.books.lock();
        let old = std::mem::replace(&mut books.rules, Arc::clone(rules));
        if old.route != rules.route {
            let (from, to) = (&old.route.rates, &rules.route.rates);
            books.levels = level::carried(&books.levels, from, to, now_us).collect();
        }
        self.limited.store(!rules.route.is_empty(), Ordering::Release);
        self.limits_tenants.store(!rules.tenant_route.is_empty(), Ordering::Release);
    }

    /// The rules in force.
    pub(super) fn rules(&self) -> Arc<RouteRules> {
        Arc::clone(&self.books.lock().rules)
    }

    /// Does any limit written here count per tenant+route?
    #[inline]
    pub(super) fn limits_tenants(&self) -> bool {
        self.limits_tenants.load(Ordering::Acquire)
    }

    /// Locks the levels; None if there are none. Never take a tenant's lock while holding this one.
    #[inline]
    pub(super) fn lock_if_limited(&self) -> Option<MutexGuard<'_, RouteBooks>> {
        self.limited.load(Ordering::Acquire).then(|| self.books.lock())
    }

    /// How often its levels moved.
    #[inline]
    pub(super) fn admissions(&self) -> u64 {
        self.admissions.load(Ordering::Acquire)
    }

    /// Notes that its levels moved, and counts an open request if a concurrency limit asks for it; `books` are its
    /// own, locked.
    #[inline]
    pub(super) fn open(&self, books: &mut RouteBooks) -> bool {
        let admissions = self.admissions.load(Ordering::Relaxed); // nobody else writes: the lock is held
        self.admissions.store(admissions + 1, Ordering::Release);
        let counted = books.rules.route.has_slots();
        books.in_flight += u32::from(counted);
        counted
    }

    /// Locks the levels to look at them.
    pub(super) fn lock(&self) -> MutexGuard<'_, RouteBooks> {
        self.books.lock()
    }

    /// Ends what [`open`](Route::open) counted.
    pub(super) fn close(&self) {
        let mut books = self.books.lock();
        debug_assert!(books.in_flight > 0, "a request ends once");
        books.in_flight = books.in_flight.saturating_sub(1);
    }
}

impl RouteBooks {
    /// The route as a subject of a decision.
    #[inline]
    pub(super) fn subject(&mut self) -> Subject<'_> {
        let RouteBooks { rules, levels, in_flight } = self;
        Subject { per: Per::Route, rules: &rules.route, levels, in_flight: *in_flight }
    }

    /// Forgetting the route would change no decision.
    pub(super) fn idle(&self, now_us: u64) -> bool {
        self.in_flight == 0 && level::idle(&self.rules.route.rates, &self.levels, now_us)
    }
}
