//! Many threads at once: exactly what the limit says, at every level, reloads or not.

use super::*;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const THREADS: usize = 64;
const N: u32 = 100;

/// 64 threads ask 50 times each; returns how many were admitted, and lets go of their permits at the end only.
fn rush(world: &World, ask: impl Fn(usize) -> Ask + Sync) -> usize {
    let (admitted, start) = (AtomicUsize::new(0), Barrier::new(THREADS));
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (admitted, start, ask) = (&admitted, &start, &ask);
            scope.spawn(move || {
                start.wait();
                let permits: Vec<_> = (0..50).filter_map(|_| world.admit(ask(thread), 1_000).ok()).collect();
                admitted.fetch_add(permits.len(), Ordering::SeqCst);
                start.wait();
                drop(permits);
            });
        }
    });
    admitted.into_inner()
}

fn tight(per: Per, amount: Amount) -> (Vec<Limit>, Vec<Limit>) {
    let loose = |per| limit("loose", per, bucket(1_000_000, SECOND));
    let mut plan = vec![loose(Per::Tenant), loose(Per::User), loose(Per::TenantRoute)];
    let mut route = vec![loose(Per::Route), limit("open", Per::Route, concurrent(1_000_000))];
    if per == Per::Route { &mut route } else { &mut plan }.push(limit("tight", per, amount));
    (plan, route)
}

/// As many subjects as the level leaves alone each get N: `acme` alone, or both tenants on one route.
fn asks(per: Per, thread: usize) -> Ask {
    match per {
        Per::Tenant => Ask { user: thread % 2, route: thread / 2 % 2, ..ALICE },
        Per::User => Ask { route: thread % 2, ..ALICE },
        Per::Route => Ask { tenant: thread % 2, user: thread / 2 % 2, ..ALICE },
        Per::TenantRoute => Ask { user: thread % 2, ..ALICE },
        Per::Model | Per::TenantModel => unreachable!("these requests name no model"),
    }
}

#[test]
fn sixty_four_threads_get_exactly_n_at_every_level() {
    let day = 1440 * MINUTE;
    let amounts = [
        bucket(N, day),
        requests(Algorithm::FixedWindow, N, day, N),
        requests(Algorithm::SlidingWindow, N, day, N),
        concurrent(N),
    ];
    for per in [Per::Tenant, Per::User, Per::Route, Per::TenantRoute] {
        for amount in &amounts {
            let (plan, route) = tight(per, amount.clone());
            let world = world(&plan, &route);
            assert_eq!(rush(&world, |thread| asks(per, thread)), N as usize, "{per:?} {amount:?}");
            let (_, routes) = world.state(1_000);
            let open = routes.iter().flat_map(|route| &route.limits).filter(|limit| &*limit.limit == "open");
            assert_eq!(open.map(|limit| limit.used).sum::<u64>(), 0, "every place came back");
        }
    }
}

#[test]
fn a_reload_in_the_middle_refills_nothing() {
    for per in [Per::Tenant, Per::User, Per::Route, Per::TenantRoute] {
        let (plan, route) = tight(per, bucket(N, 1440 * MINUTE));
        let mut other = plan.clone();
        other.insert(0, limit("new", Per::Tenant, bucket(1_000_000, SECOND)));
        other.push(limit("places", Per::User, concurrent(1_000_000)));
        let world = world(&plan, &route);
        let done = AtomicBool::new(false);
        let admitted = std::thread::scope(|scope| {
            scope.spawn(|| {
                for plan in [&other, &plan].into_iter().cycle() {
                    apply(&world.registry, plan, &route, 1_000);
                    if done.load(Ordering::SeqCst) {
                        break;
                    }
                    std::thread::yield_now();
                }
            });
            let admitted = rush(&world, |thread| asks(per, thread));
            done.store(true, Ordering::SeqCst);
            admitted
        });
        assert_eq!(admitted, N as usize, "{per:?}");
    }
}

#[test]
fn places_are_never_overdrawn_while_threads_come_and_go() {
    let (plan, route) = tight(Per::Tenant, concurrent(3));
    let world = world(&plan, &route);
    let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (world, inside, most) = (&world, &inside, &most);
            scope.spawn(move || {
                for i in 0..2_000 {
                    let ask = Ask { tenant: 0, user: i % 2, route: thread % 2 };
                    let Ok(permit) = world.admit(ask, i as u64) else { continue };
                    most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(permit);
                }
            });
        }
    });
    assert!((1..=3).contains(&most.into_inner()));
    let again: Vec<_> = (0..5).map_while(|_| world.admit(ALICE, 2_000).ok()).collect();
    assert_eq!(again.len(), 3, "all came back");
}

#[test]
fn a_permit_may_travel() {
    fn travels<T: Send + Sync + 'static>() {}
    travels::<Permit>();
    travels::<Registry>();
    travels::<Guard>();
}
