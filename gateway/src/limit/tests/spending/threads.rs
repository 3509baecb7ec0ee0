//! Many threads at once: no deadlock, no charge lost, nothing held in the end, and the bound in between.
//!
//! Threads race for real here, and for long; [`schedules`](super::schedules) tries the orders that they seldom take.

use super::*;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

const THREADS: u64 = 8;
const ROUNDS: u64 = 1_500;
const BURST: u64 = 20_000;

fn book(more: bool) -> Rulebook {
    let never = |name: &str, per| limit(name, per, budget(u64::MAX, Measure::Total, "UTC"));
    let mut plan = vec![
        limit("p0", Per::Tenant, tokens(1, 1440 * MINUTE, BURST as u32, Measure::Total)),
        never("p1", Per::User),
        never("p2", Per::TenantModel),
        limit("p3", Per::Tenant, concurrent(1_000_000)),
    ];
    if more {
        plan.insert(0, Limit { shadow: true, ..limit("p4", Per::Tenant, tpm(50)) });
        plan.reverse();
    }
    Rulebook {
        plan,
        route: vec![never("r0", Per::Route), limit("r1", Per::TenantRoute, concurrent(1_000_000))],
        model: vec![never("m0", Per::Model)],
        ..Rulebook::default()
    }
}

/// One thread's requests; returns what they cost.
fn rush(shop: &Shop, thread: u64) -> u64 {
    let (mut cost_in_all, mut kept) = (0, Vec::new());
    for round in 0..ROUNDS {
        let seed = (thread * ROUNDS + round).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let order = Order {
            caller: Some((0, (seed % 2) as usize)),
            route: (seed / 2 % 2) as usize,
            model: (seed / 4 % 2) as usize,
            completion_max: Some(10),
            ..prompt(10)
        };
        let Ok(mut permit) = shop.admit(order, later(0)) else { continue };
        let _ = permit.progress(cost(10, 0), later(0));
        cost_in_all += 10;
        match seed / 8 % 4 {
            0 => drop(permit),
            1 => kept.push(permit),
            _ => {
                permit.settle(cost(10, seed % 11), later(0));
                cost_in_all += seed % 11;
            }
        }
    }
    cost_in_all
}

#[test]
fn every_token_is_counted_once_whatever_races() {
    let (done, wait) = mpsc::channel();
    let race = std::thread::spawn(move || {
        let shop = Shop::open(&book(false), later(0));
        let (cost_in_all, running) = (AtomicU64::new(0), AtomicU64::new(THREADS));
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let (shop, cost_in_all, running) = (&shop, &cost_in_all, &running);
                scope.spawn(move || {
                    cost_in_all.fetch_add(rush(shop, thread), Ordering::SeqCst);
                    running.fetch_sub(1, Ordering::SeqCst);
                });
            }
            for more in [true, false].into_iter().cycle() {
                drop(put(&shop.registry, &book(more), later(0)));
                shop.registry.sweep(later(0));
                let _ = (shop.registry.unsaved(), shop.registry.totals(later(0)), shop.levels(later(0)));
                if running.load(Ordering::SeqCst) == 0 {
                    break;
                }
                std::thread::yield_now();
            }
        });
        drop(put(&shop.registry, &book(false), later(0)));
        check(&shop, cost_in_all.into_inner());
        let _ = done.send(());
    });
    let ended = wait.recv_timeout(Duration::from_secs(120));
    assert_ne!(ended, Err(mpsc::RecvTimeoutError::Timeout), "a deadlock");
    assert!(race.join().is_ok());
}

fn check(shop: &Shop, cost_in_all: u64) {
    let levels: Vec<LimitState> = shop.levels(later(0)).into_iter().map(|(_, limit)| limit).collect();
    let sum = |name: &str, of: fn(&LimitState) -> u64| -> u64 {
        levels.iter().filter(|limit| &*limit.limit == name).map(of).sum()
    };
    for name in ["p0", "p1", "p2", "r0", "m0"] {
        assert_eq!((name, sum(name, |limit| limit.held)), (name, 0));
        assert_eq!((name, sum(name, |limit| limit.used)), (name, cost_in_all));
    }
    for name in ["p3", "r1"] {
        assert_eq!((name, sum(name, |limit| limit.used)), (name, 0), "places");
    }
    assert!(
        cost_in_all <= BURST && cost_in_all > BURST / 2,
        "{cost_in_all} of {BURST}: all was held before it was spent"
    );
}
