//! What one limit decision costs: admitted at one and at three levels, refused, with a neighbour on the same tenant;
//! governor's keyed check beside it. Time is given to both.
//!
//! Each admission includes its end, the permit's drop. Before anything is timed, it is shown that neither an
//! admission nor its end nor a repeated refusal allocates.

use criterion::{Criterion, criterion_group, criterion_main};
use governor::clock::FakeRelativeClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use pangu_gateway::clock::Now;
use pangu_gateway::limit::{
    Algorithm, Amount, Enrolled, Limit, Per, Permit, Plan, Registry, Route, RoutePlan, TenantSpec, admit,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: hands every call on to the system's allocator, unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const AMPLE: u32 = 1_000_000_000;

/// A tenant with one user on one route.
struct Setting {
    tenant: Enrolled,
    route: Arc<Route>,
}

impl Setting {
    fn new(plan: &[(Per, Amount)], route: &[(Per, Amount)]) -> Setting {
        let named = |limits: &[(Per, Amount)]| -> Vec<Limit> {
            let limits = limits.iter().enumerate();
            limits.map(|(i, &(per, amount))| Limit { name: format!("l{i}").into(), per, amount }).collect()
        };
        let spec = TenantSpec {
            name: "acme".into(),
            plan: Arc::new(Plan { name: "gold".into(), limits: named(plan) }),
            users: vec!["alice".into()],
        };
        let routes = [("chat".into(), Arc::new(RoutePlan { limits: named(route) }))];
        let mut applied = Registry::default().apply(&[spec], &routes, Now::default());
        Setting { tenant: applied.tenants.remove(0), route: applied.routes.remove(0) }
    }

    fn one_level() -> Setting {
        Setting::new(&[(Per::Tenant, bucket(AMPLE))], &[])
    }

    /// Tenant, user and route, and a cap on the tenant's concurrency: the usual policy.
    fn three_levels() -> Setting {
        let inflight = Amount::Concurrent(number(AMPLE));
        let plan = [(Per::Tenant, bucket(AMPLE)), (Per::User, bucket(AMPLE)), (Per::Tenant, inflight)];
        Setting::new(&plan, &[(Per::Route, bucket(AMPLE))])
    }

    fn refusing() -> Setting {
        let setting = Setting::new(&[(Per::Tenant, bucket(1)), (Per::User, bucket(AMPLE))], &[]);
        drop(setting.ask(0, false));
        setting
    }

    fn ask(&self, mono_us: u64, report: bool) -> Result<Permit, impl Sized + use<>> {
        let caller = Some((&self.tenant.tenant, self.tenant.users[0]));
        admit(caller, &self.route, Now { mono_us, wall_ms: 0 }, report)
    }
}

fn number(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("not zero")
}

fn bucket(n: u32) -> Amount {
    let period = Duration::from_secs(60);
    Amount::Requests { requests: number(n), period, burst: number(n), algorithm: Algorithm::TokenBucket }
}

fn allocates_nothing(what: &str, mut run: impl FnMut(u64)) {
    run(1);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    (2..1_000).for_each(&mut run);
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0, "{what} allocates");
}

fn decisions(c: &mut Criterion) {
    let (one, three, refusing) = (Setting::one_level(), Setting::three_levels(), Setting::refusing());
    allocates_nothing("admitting", |now| drop(three.ask(now, false)));
    allocates_nothing("admitting with a standing", |now| drop(three.ask(now, true)));
    allocates_nothing("refusing again", |now| drop(refusing.ask(now, false)));

    let mut group = c.benchmark_group("limit_admit");
    let mut now = 0;
    let mut tick = || {
        now += 1;
        now
    };
    group.bench_function("one level", |b| b.iter(|| one.ask(tick(), false)));
    group.bench_function("three levels and a place", |b| b.iter(|| three.ask(tick(), false)));
    group.bench_function("three levels and a place, with the standing", |b| {
        b.iter(|| three.ask(tick(), true));
    });
    let refused_at = 10;
    drop(refusing.ask(refused_at, false));
    group.bench_function("refused, remembered", |b| b.iter(|| refusing.ask(black_box(refused_at), false)));
    let places = Setting::new(&[(Per::Tenant, Amount::Concurrent(number(1)))], &[]);
    let taken = places.ask(0, false);
    group.bench_function("refused under the lock", |b| b.iter(|| places.ask(black_box(1), false)));
    drop(taken);
    group.finish();
}

fn two_threads(c: &mut Criterion) {
    let three = Setting::three_levels();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                drop(black_box(three.ask(1, false)));
            }
        });
        c.bench_function("limit_admit/three levels and a place, two threads on one tenant", |b| {
            b.iter(|| three.ask(black_box(1), false));
        });
        done.store(true, Ordering::Relaxed);
    });
}

type KeyedLevel = RateLimiter<u32, HashMapStateStore<u32>, FakeRelativeClock, NoOpMiddleware<Nanos>>;

fn governor_beside(c: &mut Criterion) {
    let clock = FakeRelativeClock::default();
    let quota = Quota::per_minute(number(AMPLE));
    let level = || KeyedLevel::new(quota, HashMapStateStore::default(), clock.clone());
    let levels = [level(), level(), level()];
    c.bench_function("governor/one keyed check", |b| b.iter(|| levels[0].check_key(black_box(&7))));
    c.bench_function("governor/three keyed checks", |b| {
        b.iter(|| levels.iter().all(|level| level.check_key(black_box(&7)).is_ok()));
    });
}

criterion_group!(benches, decisions, two_threads, governor_beside);
criterion_main!(benches);
