//! Reload: levels go by names, what was used stays used, nothing in use is forgotten and nothing else is kept.

use super::*;
use proptest::prelude::*;

const PERS: [Per; 4] = [Per::Tenant, Per::User, Per::Route, Per::TenantRoute];

fn at(per: Per, amount: Amount) -> (Vec<Limit>, Vec<Limit>) {
    let limit = vec![limit("l", per, amount)];
    if per == Per::Route { (Vec::new(), limit) } else { (limit, Vec::new()) }
}

fn any_amount() -> impl Strategy<Value = Amount> {
    let how =
        prop::sample::select(vec![Algorithm::TokenBucket, Algorithm::FixedWindow, Algorithm::SlidingWindow]);
    let period = prop::sample::select(vec![SECOND, MINUTE, 60 * MINUTE, 1440 * MINUTE]);
    (how, 1..=40u32, period, 1..=40u32).prop_map(|(how, n, period, burst)| requests(how, n, period, burst))
}

fn used_and_most(world: &World, now_us: u64) -> Option<(u64, u64)> {
    let (tenants, routes) = world.state(now_us);
    let mut all = routes[0].limits.iter().chain(&tenants[0].limits).filter(|limit| &*limit.limit == "l");
    all.next().map(|limit| (limit.used, limit.most))
}

proptest! {
    #[test]
    fn the_used_count_is_kept_whatever_changes(
        per in prop::sample::select(PERS.to_vec()),
        old in any_amount(),
        new in any_amount(),
        asks in 1..50u64,
        gap_us in 0..400_000u64,
    ) {
        let (plan, route) = at(per, old);
        let mut world = world(&plan, &route);
        let mut now_us = 10_000_000;
        for _ in 0..asks {
            now_us += gap_us;
            let _ = world.admit(ALICE, now_us);
        }
        let before = used_and_most(&world, now_us);
        let (plan, route) = at(per, new);
        world.reload(&plan, &route, now_us);
        let after = used_and_most(&world, now_us);
        let Some((used, _)) = before.filter(|(used, _)| *used > 0) else { return Ok(()) };
        let (used_after, most) = after.expect("the limit is still there");
        prop_assert_eq!(used_after, used);
        prop_assert_eq!(world.drain(ALICE, now_us) as u64, most.saturating_sub(used));
    }

    #[test]
    fn the_same_policy_again_changes_nothing(old in any_amount(), per in prop::sample::select(PERS.to_vec()), gaps in prop::collection::vec(0..3_000_000u64, 1..60)) {
        let (plan, route) = at(per, old);
        let (mut reloaded, left_alone) = (world(&plan, &route), world(&plan, &route));
        let mut now_us = 10_000_000;
        for gap_us in gaps {
            now_us += gap_us;
            reloaded.reload(&plan, &route, now_us);
            let one = reloaded.admit(ALICE, now_us).map(|permit| permit.standings().requests.clone());
            let other = left_alone.admit(ALICE, now_us).map(|permit| permit.standings().requests.clone());
            prop_assert_eq!(one, other);
        }
    }
}

#[test]
fn an_edit_neither_refills_nor_freezes() {
    for per in PERS {
        let (plan, route) = at(per, bucket(100, MINUTE));
        let mut world = world(&plan, &route);
        for _ in 0..90 {
            let _ = world.admit(ALICE, 0).expect("room").standings();
        }
        for (n, left) in [(100, 10), (120, 30), (80, 0), (100, 10)] {
            let (plan, route) = at(per, bucket(n, MINUTE));
            world.reload(&plan, &route, 0);
            let (used, most) = used_and_most(&world, 0).expect("kept");
            assert_eq!((used, most.saturating_sub(used)), (90, left), "{per:?}");
        }
        assert_eq!(world.drain(ALICE, 60_000_000), 100, "{per:?}: it goes on leaking");
    }
}

#[test]
fn a_remembered_refusal_does_not_outlive_a_reload() {
    let mut world = world(&[limit("l", Per::Tenant, bucket(1, MINUTE))], &[]);
    assert_eq!(world.drain(ALICE, 0), 1);
    assert!(world.admit(ALICE, 1).is_err());
    world.reload(&[limit("l", Per::Tenant, bucket(3, MINUTE))], &[], 2);
    assert_eq!(world.drain(ALICE, 3), 2);
    assert!(world.admit(ALICE, 3).is_err());
    world.reload(&[], &[], 4);
    assert!(world.admit(ALICE, 5).is_ok());
}

#[test]
fn permits_of_a_limit_that_has_gone_give_their_places_back() {
    for per in PERS {
        let (plan, route) = at(per, concurrent(2));
        let mut world = world(&plan, &route);
        let open: Vec<_> = (0..2).map(|_| world.admit(ALICE, 0).expect("a place")).collect();
        world.reload(&[], &[], 0);
        assert!(world.admit(ALICE, 0).is_ok(), "no limit any more");
        world.reload(&plan, &route, 0);
        assert!(world.admit(ALICE, 0).is_err(), "{per:?}: both are still taken");
        drop(open);
        let open: Vec<_> = (0..5).map_while(|_| world.admit(ALICE, 0).ok()).collect();
        assert_eq!(open.len(), 2, "{per:?}");
    }
}

fn tenants(registry: &Registry, lists: &[(&str, &[&str])], plan: &[Limit], now_us: u64) -> Vec<Enrolled> {
    let plan = Arc::new(Plan { name: "gold".into(), limits: plan.to_vec() });
    let specs: Vec<_> = lists
        .iter()
        .map(|(name, users)| TenantSpec {
            name: (*name).into(),
            plan: Arc::clone(&plan),
            users: users.iter().map(|&user| user.into()).collect(),
        })
        .collect();
    let routes = [("chat".into(), Arc::default())];
    registry.apply(&Policy { tenants: &specs, routes: &routes, models: &[] }, at_us(now_us)).tenants
}

fn drain(registry: &Registry, enrolled: &Enrolled, user: usize, now_us: u64) -> usize {
    let route = registry.look(|known| Arc::clone(&known.routes["chat"]));
    let caller = Some((&enrolled.tenant, enrolled.users[user]));
    let asking = Asking { caller, route: &route, metered: None, report: false };
    (0..).take_while(|_| admit(&asking, at_us(now_us)).is_ok()).count()
}

#[test]
fn users_keep_their_levels_by_name_through_any_order() {
    let registry = Registry::default();
    let plan = [limit("u", Per::User, bucket(3, MINUTE))];
    let first = tenants(&registry, &[("acme", &["alice", "bob", "carol"])], &plan, 0);
    assert_eq!(drain(&registry, &first[0], 0, 0), 3, "alice uses hers up");

    let second = tenants(&registry, &[("acme", &["dave", "carol", "alice"])], &plan, 1);
    let left = |of: &Enrolled, now_us| [0, 1, 2].map(|user| drain(&registry, of, user, now_us));
    assert_eq!(left(&second[0], 1), [3, 3, 0], "alice is last now, and still empty");
    assert_eq!(drain(&registry, &first[0], 0, 1), 0, "so she is for a request that began before");
    assert_eq!(drain(&registry, &first[0], 2, 1), 0, "and carol too");

    let third = tenants(&registry, &[("acme", &["carol", "alice", "dave"])], &plan, 120_000_001);
    assert_eq!(left(&third[0], 120_000_001), [3, 3, 3], "two minutes later all have room");
}

#[test]
fn a_place_is_not_mistaken_for_its_next_owners() {
    let registry = Registry::default();
    let plan = [limit("u", Per::User, bucket(1, MINUTE)), limit("t", Per::Tenant, bucket(5, MINUTE))];
    let old = tenants(&registry, &[("acme", &["alice"])], &plan, 0);
    let new = tenants(&registry, &[("acme", &["bob"])], &plan, 0);
    assert_ne!(old[0].users, new[0].users);
    assert_eq!(drain(&registry, &new[0], 0, 0), 1, "bob has one of his own");
    assert_eq!(drain(&registry, &old[0], 0, 0), 4, "alice is forgotten; her tenant's limit holds");
}

#[test]
fn a_user_with_an_open_request_is_not_forgotten() {
    let registry = Registry::default();
    let plan = [limit("u", Per::User, concurrent(1))];
    let first = tenants(&registry, &[("acme", &["alice", "bob"])], &plan, 0);
    let route = registry.look(|known| Arc::clone(&known.routes["chat"]));
    let ask = |of: &Enrolled, user: usize| {
        let caller = Some((&of.tenant, of.users[user]));
        admit(&Asking { caller, route: &route, metered: None, report: false }, at_us(0))
    };
    let open = ask(&first[0], 0).expect("a place");

    let second = tenants(&registry, &[("acme", &["bob"])], &plan, 0);
    assert!(ask(&second[0], 0).is_ok());
    let third = tenants(&registry, &[("acme", &["bob", "alice"])], &plan, 0);
    assert!(ask(&third[0], 1).is_err(), "alice is back, and her place is still taken");
    drop(open);
    assert!(ask(&third[0], 1).is_ok());
}

#[test]
fn what_is_gone_is_forgotten_when_idle_and_not_before() {
    let plan = [limit("t", Per::Tenant, bucket(1, MINUTE)), limit("tr", Per::TenantRoute, bucket(1, MINUTE))];
    let mut world = world(&plan, &[limit("r", Per::Route, concurrent(9))]);
    let open = world.admit(ALICE, 0).expect("room");
    let names = |world: &World| {
        let Gauges { tenants, users, tenant_routes, routes, .. } = world.registry.gauges();
        (tenants, users, tenant_routes, routes)
    };
    assert_eq!(names(&world), (2, 4, 1, 2));

    world.applied = world.registry.apply(&Policy::default(), at_us(1));
    world.registry.sweep(at_us(1));
    assert_eq!(names(&world), (1, 2, 1, 1), "acme and chat are in use");
    let mut back = apply(&world.registry, &plan, &[], 2);
    let acme = back.tenants.swap_remove(0);
    let caller = Some((&acme.tenant, acme.users[0]));
    let again = admit(&Asking { caller, route: &back.routes[0], metered: None, report: false }, at_us(2));
    assert!(again.is_err(), "coming back refills nothing");
    drop((acme, back));

    world.registry.sweep(at_us(60_000_000));
    assert_eq!(names(&world), (0, 0, 0, 1), "the tenant is idle, its request still open on the route");
    drop(open);
    world.registry.sweep(at_us(60_000_000));
    assert_eq!(names(&world), (0, 0, 0, 0));
}

#[test]
fn forgetting_an_idle_pair_is_no_refill() {
    let plan = [limit("tr", Per::TenantRoute, bucket(2, MINUTE))];
    let mut world = world(&plan, &[]);
    assert_eq!(world.drain(ALICE, 0), 2);
    world.reload(&plan, &[], 59_999_999);
    assert_eq!(world.registry.gauges().tenant_routes, 1);
    world.reload(&plan, &[], 60_000_000);
    assert_eq!(world.registry.gauges().tenant_routes, 0);
    assert_eq!(world.drain(ALICE, 60_000_000), 2);
}
