//! What one call costs.

use super::memory::allocations;
use super::setting::{AMPLE, Setting, apply, at, number, rpm, tenants, tpm};
use super::table::Row;
use super::timing::{BATCH, batches, once, singles};
use governor::clock::FakeRelativeClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use pangu_gateway::limit::estimate::Estimator;
use pangu_gateway::limit::meter::Meter;
use pangu_gateway::limit::{Algorithm, Guard, Per, Permit, Registry, quota};
use pangu_gateway::usage::{Text, Tokens};
use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const ROUNDS: usize = 20_000;

/// Small, for millions of them to fit.
const SO_FAR: Tokens = Tokens { prompt: 9, completion: 1 };
const IN_ALL: Tokens = Tokens { prompt: 9, completion: 3 };

/// Says so before anything is timed.
pub fn nothing_allocates() {
    let (six, refusing) = (Setting::six_meters(), Setting::refusing());
    let check = |what: &str, run: &dyn Fn(u64)| {
        run(1);
        let before = allocations();
        (2..1_000).for_each(run);
        assert_eq!(allocations() - before, 0, "{what} allocates");
    };
    check("a request from admission to its end", &|now| {
        let mut permit = six.ask(now, true).expect("room");
        let _ = permit.progress(SO_FAR, at(now));
        permit.settle(IN_ALL, at(now));
    });
    check("a request that is dropped", &|now| drop(six.ask(now, true)));
    check("a remembered refusal", &|now| drop(refusing.ask(now, false)));
}

pub fn rows() -> Vec<Row> {
    let mut rows = vec![fast_deny(), one_meter()];
    rows.extend(admission());
    rows.extend(the_rest_of_a_request());
    rows.extend(two_threads());
    rows.push(estimator());
    rows.extend(reload());
    rows.push(guard());
    rows.extend(governor());
    rows
}

fn fast_deny() -> Row {
    let refusing = Setting::refusing();
    drop(refusing.ask(10, false));
    let times = batches(ROUNDS, || (), |(), _| drop(black_box(refusing.ask(black_box(10), false))));
    Row::ns("a refusal that is remembered", times.median()).at_most("25 ns")
}

fn one_meter() -> Row {
    let quota =
        quota::Quota::new(number(AMPLE), Duration::from_secs(60), number(AMPLE), Algorithm::TokenBucket);
    let (mut meter, mut now) = (Meter::default(), 0);
    let times = batches(
        ROUNDS,
        || (),
        |(), _| {
            now += 1;
            assert!(meter.fits(&quota, black_box(14), now));
            meter.hold(14);
            meter.release(14);
            meter.charge(&quota, black_box(12), now);
        },
    );
    Row::ns("one meter: admission and settlement", times.median()).at_most("40 ns")
}

/// Room for a batch of permits.
fn seats() -> Vec<Option<Permit>> {
    (0..BATCH).map(|_| None).collect()
}

fn admission() -> Vec<Row> {
    let (one, six) = (Setting::one_level(), Setting::six_meters());
    let mut now = 0;
    let ends = batches(
        ROUNDS,
        || (),
        |(), _| {
            now += 1;
            drop(black_box(one.ask(now, false)));
        },
    );
    let times = batches(ROUNDS, seats, |seats, i| {
        now += 1;
        seats[i] = Some(six.ask(now, true).expect("room"));
    });
    let tail = singles(
        ROUNDS * 10,
        || None,
        |seat| {
            now += 1;
            *seat = Some(six.ask(now, true).expect("room"));
        },
    );
    vec![
        Row::ns("one level: admission and end", ends.median()),
        Row::ns("3 levels, 6 meters, under the lock: admission, p50", times.median()).at_most("120 ns"),
        Row::ns("the same, p99", tail.permille(990)).at_most("400 ns"),
    ]
}

fn the_rest_of_a_request() -> Vec<Row> {
    let six = Setting::six_meters();
    let admitted =
        || -> Vec<Option<Permit>> { (0..BATCH).map(|_| Some(six.ask(1, true).expect("room"))).collect() };
    let progress = batches(ROUNDS, admitted, |seats, i| {
        let _ = seats[i].as_mut().map(|permit| permit.progress(SO_FAR, at(2)));
    });
    let settle = batches(ROUNDS, admitted, |seats, i| {
        let _ = seats[i].as_mut().map(|permit| permit.settle(IN_ALL, at(2)));
    });
    let settled = || {
        let mut seats = admitted();
        seats.iter_mut().flatten().for_each(|permit| permit.settle(IN_ALL, at(2)));
        seats
    };
    let end = batches(ROUNDS, settled, |seats, i| drop(seats[i].take()));
    vec![
        Row::ns("settlement", settle.median()).at_most("80 ns"),
        Row::ns("progress", progress.median()).at_most("60 ns"),
        Row::ns("end, after settlement", end.median()),
    ]
}

fn two_threads() -> Vec<Row> {
    let six = Setting::six_meters();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                drop(black_box(six.ask(1, true)));
            }
        });
        let times =
            singles(ROUNDS * 50, || None, |seat| *seat = Some(six.ask(black_box(1), true).expect("room")));
        done.store(true, Ordering::Relaxed);
        vec![
            Row::ns("admission while another thread has the same tenant admit and end, p50", times.median())
                .at_most("350 ns"),
            Row::ns("the same, p99.9", times.permille(999)).at_most("5 us"),
        ]
    })
}

fn estimator() -> Row {
    let body: Vec<u8> = "盘古 answers in both languages. ".bytes().cycle().take(16 << 10).collect();
    let estimator = Estimator::default();
    let times = batches(
        ROUNDS / 10,
        || (),
        |(), _| {
            black_box(estimator.reserve(Text::plain(black_box(&body)), 3));
        },
    );
    Row::ns("estimate of a body of 16 KB", times.median()).at_most("2 us")
}

fn reload() -> Vec<Row> {
    const TENANTS: usize = 100_000;
    let per =
        |of_tenant: u32| [(Per::Tenant, rpm(of_tenant)), (Per::Tenant, tpm(AMPLE)), (Per::User, rpm(AMPLE))];
    let (old, new) = (tenants(TENANTS, 1, &per(AMPLE)), tenants(TENANTS, 1, &per(AMPLE / 2)));
    let registry = Registry::default();
    let _in_force = apply(&registry, &old);
    let same = once(|| (), |()| drop(apply(&registry, &old)));
    let edited = once(|| drop(apply(&registry, &old)), |()| drop(apply(&registry, &new)));
    vec![
        Row::ms("reload of 100,000 tenants, nothing changed", same).at_most("50 ms"),
        Row::ms("reload of 100,000 tenants, their plan edited", edited).at_most("50 ms"),
        Row::ns("the same, per tenant and lock", edited * 1e6 / TENANTS as f64).at_most("1 us"),
    ]
}

fn guard() -> Row {
    let (guard, mut i) = (Guard::default(), 0u32);
    let times = batches(
        ROUNDS,
        || (),
        |(), _| {
            i = i.wrapping_add(2_654_435_761);
            let _ = black_box(guard.admit(Ipv4Addr::from_bits(i).into(), 100, at(u64::from(i) >> 20)));
        },
    );
    Row::ns("flood guard, a new address each", times.median())
}

type KeyedLevel = RateLimiter<u32, HashMapStateStore<u32>, FakeRelativeClock, NoOpMiddleware<Nanos>>;

fn governor() -> Vec<Row> {
    let clock = FakeRelativeClock::default();
    let quota = Quota::per_minute(number(AMPLE));
    let level = || KeyedLevel::new(quota, HashMapStateStore::default(), clock.clone());
    let levels: [KeyedLevel; 6] = std::array::from_fn(|_| level());
    let one = batches(
        ROUNDS,
        || (),
        |(), _| {
            let _ = black_box(levels[0].check_key(black_box(&7)));
        },
    );
    let six = batches(
        ROUNDS,
        || (),
        |(), _| {
            black_box(levels.iter().all(|level| level.check_key(black_box(&7)).is_ok()));
        },
    );
    vec![
        Row::ns("governor: one keyed check, nothing held", one.median()),
        Row::ns("governor: six keyed checks, not all or none", six.median()),
    ]
}
