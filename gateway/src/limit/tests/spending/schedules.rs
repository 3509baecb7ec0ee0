//! The order of the locks, under a scheduler that tries thousands of interleavings of a few threads: nobody waits for
//! ever, nothing is admitted twice, every hold is given back, and a reload in the middle keeps what was used.
//!
//! Real threads ([`threads`](super::threads)) race for longer, but meet only the schedules that the machine deals out.
//! The last tests do what must not be done, and are found out.

use super::*;
use crate::limit::tests::stand_ins::explore;
use shuttle::thread::{JoinHandle, spawn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

const SCHEDULES: usize = 1_200;
const DAY: Duration = Duration::from_secs(86_400);

/// A bucket that nothing flows out of while a test lasts.
fn purse(n: u32) -> Amount {
    tokens(n, DAY, n, Measure::Total)
}

/// One limit of each kind of subject, `tight` among them; reversed, with one more, in an edited policy.
fn book(tight: Per, edited: bool) -> Rulebook {
    let limits = |prefix: &str, pers: &[Per]| -> Vec<Limit> {
        let amount = |per| purse(if per == tight { 30 } else { 1_000 });
        let mut limits: Vec<Limit> =
            pers.iter().map(|&per| limit(&format!("{prefix} {per:?}"), per, amount(per))).collect();
        if edited {
            limits.insert(0, limit(&format!("{prefix} new"), pers[0], concurrent(1_000)));
            limits.reverse();
        }
        limits
    };
    Rulebook {
        plan: limits("p", &[Per::Tenant, Per::User, Per::TenantRoute, Per::TenantModel]),
        route: limits("r", &[Per::Route, Per::TenantRoute]),
        model: limits("m", &[Per::Model, Per::TenantModel]),
        gone: [edited.then_some(1), None, None],
    }
}

/// Everything else that takes locks: a reload there and back, and whoever looks on.
fn meddle(shop: Arc<Shop>, tight: Per) -> JoinHandle<()> {
    spawn(move || {
        for edited in [true, false] {
            drop(put(&shop.registry, &book(tight, edited), later(0)));
            shop.registry.sweep(later(0));
        }
    })
}

fn look_on(shop: Arc<Shop>) -> JoinHandle<()> {
    spawn(move || {
        let Applied { tenants, routes, models } = &shop.applied;
        let question = Question {
            tenant: Some(&tenants[0].tenant),
            user: Some(tenants[0].users[0]),
            route: &routes[0],
            model: Some((&models[0], Price::default())),
        };
        let _ = explain(&question, later(0));
        // Nobody's question takes no tenant's lock: where it meets a request, the route's and the model's order counts.
        let _ = explain(&Question { tenant: None, user: None, ..question }, later(0));
        let _ = (shop.registry.totals(later(0)), shop.registry.unsaved(), shop.levels(later(0)));
    })
}

fn join<T>(threads: Vec<JoinHandle<T>>) -> Vec<T> {
    threads.into_iter().map(|thread| thread.join().expect("it ends")).collect()
}

/// Used and held, over everybody, of the limits of this name.
fn sums(shop: &Shop, name: &str) -> (u64, u64) {
    let levels = shop.levels(later(0));
    let of_name = levels.iter().filter(|(_, limit)| &*limit.limit == name);
    of_name.fold((0, 0), |(used, held), (_, limit)| (used + limit.used, held + limit.held))
}

fn exactly_as_many_as_fit<const TIGHT: usize>() {
    const PERS: [Per; 6] =
        [Per::Tenant, Per::User, Per::TenantRoute, Per::TenantModel, Per::Route, Per::Model];
    let tight = PERS[TIGHT];
    let shop = Arc::new(Shop::open(&book(tight, false), later(0)));
    let asks = (0..3).map(|_| {
        let shop = Arc::clone(&shop);
        spawn(move || (0..2).filter_map(|_| shop.admit(prompt(10), later(0)).ok()).collect::<Vec<_>>())
    });
    let asks: Vec<_> = asks.collect();
    let meddler = meddle(Arc::clone(&shop), tight);
    let permits: Vec<Permit> = join(asks).into_iter().flatten().collect();
    join(vec![meddler]);
    assert_eq!(permits.len(), 3, "thirty, ten each: {tight:?}");
    drop(permits);
    let at = match tight {
        Per::Route => "r",
        Per::Model => "m",
        _ => "p",
    };
    assert_eq!(sums(&shop, &format!("{at} {tight:?}")), (0, 0), "all was given back: {tight:?}");
}

#[test]
fn six_requests_get_the_three_places_there_are_at_every_level_through_a_reload() {
    for test in [
        exactly_as_many_as_fit::<0>,
        exactly_as_many_as_fit::<1>,
        exactly_as_many_as_fit::<2>,
        exactly_as_many_as_fit::<3>,
        exactly_as_many_as_fit::<4>,
        exactly_as_many_as_fit::<5>,
    ] {
        explore(SCHEDULES / 6, test);
    }
}

/// Every way a request ends, beside a reload and onlookers; what it cost is counted once, at every level.
fn every_end_is_counted_once() {
    let shop = Arc::new(Shop::open(&book(Per::Tenant, false), later(0)));
    let ends: [fn(&mut Permit); 3] = [
        |permit| permit.settle(cost(4, 0), later(0)),
        |permit| {
            permit.progress(cost(3, 0), later(0));
        },
        |permit| {
            permit.progress(cost(2, 0), later(0));
            permit.settle(cost(15, 0), later(0));
        },
    ];
    let costs = [4, 3, 15];
    let asks = ends.into_iter().zip(costs).map(|(end, cost)| {
        let shop = Arc::clone(&shop);
        spawn(move || {
            let Ok(mut permit) = shop.admit(prompt(10), later(0)) else { return 0 };
            end(&mut permit);
            cost
        })
    });
    let asks: Vec<_> = asks.collect();
    let others = vec![meddle(Arc::clone(&shop), Per::Tenant), look_on(Arc::clone(&shop))];
    let spent = join(asks).into_iter().sum();
    join(others);
    for name in [
        "p Tenant",
        "p User",
        "p TenantRoute",
        "p TenantModel",
        "r Route",
        "r TenantRoute",
        "m Model",
        "m TenantModel",
    ] {
        assert_eq!(sums(&shop, name), (spent, 0), "{name}");
    }
}

#[test]
fn every_cost_is_charged_once_and_every_hold_ends_whatever_comes_between() {
    explore(SCHEDULES, every_end_is_counted_once);
}

fn a_refusal_is_not_remembered_past_a_reload() {
    let rpm = |n| Rulebook::of_plan(vec![limit("p0", Per::Tenant, bucket(n, MINUTE))]);
    let shop = Arc::new(Shop::open(&rpm(1), later(0)));
    drop(shop.admit(prompt(1), later(0)));
    let asks = (0..2).map(|_| {
        let shop = Arc::clone(&shop);
        spawn(move || u64::from(shop.admit(prompt(1), later(1)).is_ok()))
    });
    let asks: Vec<_> = asks.collect();
    drop(put(&shop.registry, &rpm(4), later(1)));
    let admitted: u64 = join(asks).into_iter().sum();
    let more = (0..9).take_while(|_| shop.admit(prompt(1), later(1)).is_ok()).count();
    assert_eq!(admitted + more as u64, 3, "four a minute, one before");
}

#[test]
fn a_refusal_that_races_with_a_reload_is_not_remembered_past_it() {
    explore(SCHEDULES, a_refusal_is_not_remembered_past_a_reload);
}

/// A day's budget, made once: time zones are looked up by name.
fn daily() -> Amount {
    static DAILY: OnceLock<Amount> = OnceLock::new();
    DAILY.get_or_init(|| budget(1_000, Measure::Total, "UTC")).clone()
}

/// Whoever saves after all has been charged has it all, in this save or one before.
fn no_charge_misses_the_save() {
    let shop = Arc::new(Shop::open(&Rulebook::of_plan(vec![limit("p0", Per::Tenant, daily())]), later(0)));
    let asks = (0..2).map(|_| {
        let shop = Arc::clone(&shop);
        spawn(move || {
            let mut permit = shop.admit(prompt(10), later(0)).expect("room");
            permit.settle(cost(10, 0), later(0));
        })
    });
    let asks: Vec<_> = asks.collect();
    let mut saved = shop.registry.unsaved();
    join(asks);
    saved.extend(shop.registry.unsaved());
    assert_eq!(saved.last().map(|saved| saved.used), Some(20));
}

#[test]
fn a_charge_that_races_with_a_save_is_in_the_next() {
    explore(SCHEDULES, no_charge_misses_the_save);
}

/// Does the explorer find something, and say so in these words?
fn found_out(test: fn(), words: &str) -> bool {
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| explore(SCHEDULES, test))) else { return false };
    let said = panic.downcast_ref::<String>().cloned();
    let said = said.or_else(|| panic.downcast_ref::<&str>().map(|said| (*said).to_string()));
    said.is_some_and(|said| said.contains(words))
}

/// Locks a route, then a tenant, while requests lock the tenant, then the route.
fn a_reader_that_locks_in_the_wrong_order() {
    let shop = Arc::new(Shop::open(&book(Per::Tenant, false), later(0)));
    let request = {
        let shop = Arc::clone(&shop);
        spawn(move || drop(shop.admit(prompt(10), later(0))))
    };
    let route = shop.applied.routes[0].lock();
    let _ = shop.registry.tenant_state("acme", later(0));
    drop(route);
    join(vec![request]);
}

#[test]
fn locks_taken_in_the_wrong_order_are_found_to_deadlock() {
    assert!(found_out(a_reader_that_locks_in_the_wrong_order, "deadlock"));
}

/// Looks whether there is room, lets go of the lock, and takes the room.
fn an_admission_in_two_steps() {
    let shop = Arc::new(Shop::open(&Rulebook::of_plan(vec![limit("p0", Per::Tenant, purse(10))]), later(0)));
    let admitted = Arc::new(AtomicU64::new(0));
    let asks = (0..2).map(|_| {
        let (shop, admitted) = (Arc::clone(&shop), Arc::clone(&admitted));
        spawn(move || {
            let tenant = &shop.applied.tenants[0].tenant;
            let rule = tenant.books.lock().plan.tenant.spends[0].clone();
            if tenant.books.lock().levels.spends[0].has_room(&rule, 10, later(0)) {
                tenant.books.lock().levels.spends[0].hold(&rule, 10, later(0));
                admitted.fetch_add(1, Ordering::SeqCst);
            }
        })
    });
    join(asks.collect());
    assert!(admitted.load(Ordering::SeqCst) <= 1, "admitted more than there is room for");
}

#[test]
fn a_lock_let_go_between_looking_and_taking_is_found_to_admit_too_much() {
    assert!(found_out(an_admission_in_two_steps, "admitted more than there is room for"));
}
