//! A refusal at any level moves no level, and says the truth about the one that refused.

use super::*;
use proptest::prelude::*;

/// A tight limit of each kind in turn, among loose ones at all levels.
fn tight_at(per: Per, amount: Amount) -> (Vec<Limit>, Vec<Limit>) {
    let mut plan: Vec<Limit> = [Per::Tenant, Per::User, Per::TenantRoute]
        .iter()
        .flat_map(|&per| {
            let algorithms = [Algorithm::TokenBucket, Algorithm::FixedWindow, Algorithm::SlidingWindow];
            let loose = algorithms
                .map(|how| limit(&format!("loose {how:?}"), per, requests(how, 1000, MINUTE, 1000)));
            loose.into_iter().chain([limit("loose places", per, concurrent(1000))])
        })
        .collect();
    let mut route: Vec<Limit> = [Per::Route, Per::TenantRoute]
        .iter()
        .flat_map(|&per| [limit("loose", per, bucket(1000, MINUTE)), limit("places", per, concurrent(1000))])
        .collect();
    if per == Per::Route { &mut route } else { &mut plan }.push(limit("tight", per, amount));
    (plan, route)
}

#[test]
fn a_refusal_moves_no_level_at_every_level_and_in_every_order() {
    let amounts = [
        bucket(3, MINUTE),
        requests(Algorithm::FixedWindow, 3, MINUTE, 3),
        requests(Algorithm::SlidingWindow, 3, MINUTE, 3),
        concurrent(3),
    ];
    for per in [Per::Tenant, Per::User, Per::Route, Per::TenantRoute] {
        for amount in &amounts {
            for reversed in [false, true] {
                let (mut plan, mut route) = tight_at(per, amount.clone());
                if reversed {
                    plan.reverse();
                    route.reverse();
                }
                let world = world(&plan, &route);
                let permits: Vec<_> =
                    (0..3).map(|_| world.admit(ALICE, 5).expect("room for three")).collect();
                let before = world.state(5);
                for _ in 0..100 {
                    let limited = world.admit(ALICE, 5).err().expect("no room for a fourth");
                    assert_eq!((limited.full.per, &*limited.full.limit), (per, "tight"));
                    assert_eq!((limited.full.used, limited.full.most), (3, 3));
                }
                assert_eq!(world.state(5), before, "{per:?} {amount:?}");
                drop(permits);
            }
        }
    }
}

/// Before its body is read, as after.
#[test]
fn a_refusal_ahead_of_the_body_tells_the_longest_wait_too() {
    let plan =
        [limit("fast", Per::User, bucket(1, SECOND)), limit("slow", Per::TenantRoute, bucket(1, MINUTE))];
    let world = world(&plan, &[]);
    assert_eq!(world.drain(ALICE, 0), 1);
    let before = world.state(0);
    let Enrolled { tenant, users } = &world.applied.tenants[0];
    let route = &world.applied.routes[0];
    let asking = Asking { caller: Some((tenant, users[0])), route, metered: None, report: false };
    tenant.denial.forget(); // what is remembered tells it in any case
    let limited = check(&asking, at_us(0)).expect_err("spent");
    assert_eq!((&*limited.full.limit, limited.retry_after), ("slow", MINUTE));
    assert_eq!(world.state(0), before, "nothing moves");
}

#[test]
fn a_body_is_not_read_for_whom_any_limit_has_no_room() {
    for per in [Per::Tenant, Per::User, Per::Route] {
        let (plan, route) = tight_at(per, bucket(1, MINUTE));
        let world = world(&plan, &route);
        let Enrolled { tenant, users } = &world.applied.tenants[0];
        let caller = Some((tenant, users[0]));
        let asking = Asking { caller, route: &world.applied.routes[0], metered: None, report: false };
        assert_eq!(check(&asking, at_us(0)), Ok(()));
        assert_eq!(world.drain(ALICE, 0), 1);
        tenant.denial.forget();
        let limited = check(&asking, at_us(0)).expect_err("spent");
        assert_eq!((limited.full.per, &*limited.full.limit), (per, "tight"));
    }
}

#[test]
fn levels_count_whom_they_say() {
    let others = |per| {
        let (plan, route) = tight_at(per, bucket(1, MINUTE));
        let world = world(&plan, &route);
        assert_eq!(world.drain(ALICE, 0), 1);
        let (bob, embed) = (Ask { user: 1, ..ALICE }, Ask { route: 1, ..ALICE });
        [bob, embed, Ask { tenant: 1, ..ALICE }].map(|ask| world.drain(ask, 0))
    };
    assert_eq!(others(Per::Tenant), [0, 0, 1], "tenant: only another tenant has room");
    assert_eq!(others(Per::User), [1, 0, 1], "user: on every route");
    assert_eq!(others(Per::Route), [0, 1, 0], "route: whoever asks");
    assert_eq!(others(Per::TenantRoute), [0, 1, 1], "tenant+route: another route, another tenant");
}

#[test]
fn a_limit_per_tenant_and_route_may_stand_in_the_plan_and_at_the_route() {
    let both = [limit("same name", Per::TenantRoute, bucket(5, MINUTE))];
    let tighter = [limit("same name", Per::TenantRoute, bucket(2, MINUTE))];
    assert_eq!(world(&both, &tighter).drain(ALICE, 0), 2);
    assert_eq!(world(&tighter, &both).drain(ALICE, 0), 2);
    assert_eq!(world(&[], &tighter).drain(ALICE, 0), 2);
}

#[test]
fn anybody_meets_the_limits_per_route_alone() {
    let plan = [limit("t", Per::Tenant, bucket(1, MINUTE))];
    let route = [limit("r", Per::Route, bucket(3, MINUTE)), limit("tr", Per::TenantRoute, bucket(1, MINUTE))];
    let world = world(&plan, &route);
    let chat = &world.applied.routes[0];
    let anybody = Asking { caller: None, route: chat, metered: None, report: true };
    let admitted: Vec<_> = (0..9).map_while(|_| admit(&anybody, at_us(0)).ok()).collect();
    assert_eq!(admitted.len(), 3);
    assert_eq!(admitted[0].standings().requests.as_ref().map(|s| s.remaining), Some(2));
    let limited = admit(&anybody, at_us(0)).err().expect("none left");
    let full = &limited.full;
    assert_eq!((full.per, &full.tenant, full.route.as_deref()), (Per::Route, &None, Some("chat")));
}

#[test]
fn the_longest_wait_among_the_failing_limits_is_told() {
    let plan = [
        limit("per second", Per::Tenant, bucket(1, SECOND)),
        limit("per day", Per::User, bucket(1, 1440 * MINUTE)),
        limit("per minute", Per::TenantRoute, bucket(1, MINUTE)),
    ];
    let world = world(&plan, &[limit("places", Per::Route, concurrent(1))]);
    let permit = world.admit(ALICE, 0);
    let limited = world.admit(ALICE, 10).err().expect("all four refuse");
    assert_eq!((&*limited.full.limit, limited.full.per), ("per day", Per::User));
    assert_eq!(limited.retry_after, Duration::from_micros(86_400_000_000 - 10));
    assert_eq!(limited.full.user.as_deref(), Some("alice"));
    drop(permit);
}

/// However long it would have had the request wait.
#[test]
fn nobody_is_refused_in_the_name_of_a_shadow() {
    for ghost in [bucket(1, 1440 * MINUTE), concurrent(1)] {
        let ghost = Limit { shadow: true, ..limit("ghost", Per::Tenant, ghost) };
        let burst_of_one = requests(Algorithm::TokenBucket, 10, SECOND, 1);
        let world = world(&[ghost, limit("real", Per::User, burst_of_one)], &[]);
        let permit = world.admit(ALICE, 0);
        let limited = world.admit(ALICE, 0).err().expect("both are full");
        assert_eq!((&*limited.full.limit, limited.retry_after), ("real", SECOND / 10));
        drop(permit);
    }
}

#[test]
fn places_come_back_when_permits_drop_anywhere_also_in_a_panic() {
    for per in [Per::Tenant, Per::User, Per::Route, Per::TenantRoute] {
        let (plan, route) = tight_at(per, concurrent(2));
        let world = world(&plan, &route);
        let permits: Vec<_> = (0..2).map(|_| world.admit(ALICE, 0).expect("a place")).collect();
        let limited = world.admit(ALICE, 0).err().expect("both taken");
        assert_eq!((limited.full.concurrent(), limited.retry_after), (true, SECOND));
        let panicked = std::thread::spawn(move || {
            let _permits = permits;
            std::panic::resume_unwind(Box::new("the request's task dies"));
        });
        assert!(panicked.join().is_err());
        let again: Vec<_> = (0..5).map_while(|_| world.admit(ALICE, 0).ok()).collect();
        assert_eq!(again.len(), 2, "{per:?}");
    }
}

#[test]
fn a_remembered_refusal_is_the_same_refusal() {
    let world = world(&[limit("u", Per::User, bucket(1, MINUTE))], &[]);
    assert_eq!(world.drain(ALICE, 0), 1);
    let refused = |ask, now_us| world.admit(ask, now_us).err().expect("refused");
    let first = refused(ALICE, 1_000);
    assert_eq!(refused(ALICE, 1_000), first);
    let later = refused(ALICE, 2_000);
    assert_eq!(later.retry_after, first.retry_after - Duration::from_millis(1));
    assert_eq!(later.reset, first.reset - Duration::from_millis(1));
    let bob = Ask { user: 1, ..ALICE };
    assert_eq!(world.drain(bob, 2_000), 1, "it was alice's alone");
    assert_eq!(refused(bob, 2_000).full.user.as_deref(), Some("bob"));
}

/// Those that are under way borrow what is remembered, more of them than a thread can lend at a time.
#[test]
fn refusals_outlive_what_is_remembered() {
    let world = world(&[limit("u", Per::User, bucket(1, MINUTE))], &[]);
    let refused = |ask, now_us| world.admit(ask, now_us).err().expect("refused");
    let bob = Ask { user: 1, ..ALICE };
    assert_eq!(world.drain(ALICE, 0), 1);
    let alices: Vec<_> = (1..50).map(|now_us| refused(ALICE, now_us)).collect();
    assert_eq!(world.drain(bob, 100), 1, "forgets alice's");
    let bobs: Vec<_> = (101..150).map(|now_us| refused(bob, now_us)).collect();
    let copies = alices.clone();
    drop(world);
    for (refusals, user) in [(alices, "alice"), (bobs, "bob"), (copies, "alice")] {
        assert!(refusals.iter().all(|refused| refused.full.user.as_deref() == Some(user)), "{user}");
    }
}

#[test]
fn a_remembered_refusal_does_not_hide_a_wait_that_grew() {
    let (once, twice) = (bucket(1, SECOND), bucket(2, MINUTE));
    let (bob, stranger) = (Ask { user: 1, ..ALICE }, Ask { tenant: 1, ..ALICE });
    for (shared, other) in [(Per::Tenant, bob), (Per::TenantRoute, bob), (Per::Route, stranger)] {
        let (plan, route): (Vec<_>, Vec<_>) =
            [limit("u", Per::User, once.clone()), limit("s", shared, twice.clone())]
                .into_iter()
                .partition(|l| l.per != Per::Route);
        let world = world(&plan, &route);
        let wait_us = |now_us| {
            let limited = world.admit(ALICE, now_us).err().expect("refused");
            (limited.full.per, limited.retry_after.as_micros())
        };
        assert!(world.admit(ALICE, 0).is_ok());
        assert_eq!(wait_us(10), (Per::User, 999_990));
        assert!(world.admit(other, 20).is_ok());
        assert_eq!(wait_us(30), (shared, 29_999_970), "another has taken the last of what they share");
    }
}

proptest! {
    /// Alone, admitted at `now + d` and refused at `now + d - 1 us`; whatever was refused before.
    #[test]
    fn a_lone_caller_is_admitted_when_told_and_not_before(
        limits in prop::collection::vec((0..4usize, 1..=8u32, 0..3usize, 1..=8u32), 1..6),
        asks in prop::collection::vec((0..2usize, 0..400_000u64), 1..60),
    ) {
        let named = limits.into_iter().enumerate().map(|(i, (per, n, how, burst))| {
            let per = [Per::Tenant, Per::User, Per::Route, Per::TenantRoute][per];
            let how = [Algorithm::TokenBucket, Algorithm::FixedWindow, Algorithm::SlidingWindow][how];
            limit(&format!("l{i}"), per, requests(how, n, SECOND, burst))
        });
        let (route, plan): (Vec<_>, Vec<_>) = named.partition(|limit| limit.per == Per::Route);
        let world = world(&plan, &route);
        let mut now_us = 0;
        for (user, gap_us) in asks {
            now_us += gap_us;
            let ask = Ask { user, ..ALICE };
            let Err(limited) = world.admit(ask, now_us) else { continue };
            let wait_us = limited.retry_after.as_micros() as u64;
            prop_assert!(wait_us > 0);
            prop_assert!(world.admit(ask, now_us + wait_us - 1).is_err(), "minimal");
            prop_assert!(world.admit(ask, now_us + wait_us).is_ok(), "sound");
            now_us += wait_us;
        }
    }

    /// The standing is that of the limit with the least share left; nothing left means the next is refused by it.
    #[test]
    fn the_standing_tells_what_is_left(n in 1..=30u32, m in 1..=30u32, gaps in prop::collection::vec(0..100_000u64, 1..60)) {
        let plan = [limit("n", Per::Tenant, bucket(n, SECOND)), limit("m", Per::User, bucket(m, SECOND))];
        let world = world(&plan, &[]);
        let mut now_us = 0;
        for gap_us in gaps {
            now_us += gap_us;
            let Ok(permit) = world.admit(ALICE, now_us) else { continue };
            let standing = permit.standings().requests.clone().expect("asked for");
            let (left, _) = world.state(now_us);
            let limits = left[0].limits.iter().filter(|limit| limit.user.as_deref() != Some("bob"));
            let least = limits.map(|limit| limit.remaining as f64 / limit.most as f64).fold(1.0, f64::min);
            prop_assert_eq!(standing.remaining as f64 / standing.most as f64, least);
            prop_assert_eq!(standing.remaining == 0, world.admit(ALICE, now_us).is_err());
        }
    }
}
