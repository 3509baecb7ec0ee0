//! Random walks over everything at once: every decision is the oracle's, a refusal moves nothing, a `Retry-After` is
//! sound and minimal, and the places taken are those of the live permits.

use super::oracle::{Oracle, Verdict};
use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Ask { ask: Ask, gap_us: u64 },
    End(usize),
    Reload,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let gap = prop_oneof![4 => Just(0u64), 4 => 0..300_000u64, 1 => 0..5_000_000u64];
    let ask = (0..2usize, 0..2usize, 0..2usize, gap)
        .prop_map(|(tenant, user, route, gap_us)| Step::Ask { ask: Ask { tenant, user, route }, gap_us });
    prop::collection::vec(
        prop_oneof![8 => ask, 3 => (0..64usize).prop_map(Step::End), 1 => Just(Step::Reload)],
        1..80,
    )
}

fn amounts() -> impl Strategy<Value = Amount> {
    let algorithms = prop::sample::select(vec![
        Algorithm::TokenBucket,
        Algorithm::TokenBucket,
        Algorithm::FixedWindow,
        Algorithm::SlidingWindow,
    ]);
    let periods = prop::sample::select(vec![SECOND, MINUTE]);
    prop_oneof![
        3 => (algorithms, 1..=12u32, periods, 1..=6u32).prop_map(|(how, n, period, burst)| requests(how, n, period, burst)),
        1 => (1..=3u32).prop_map(concurrent),
    ]
}

fn limits(levels: &'static [Per], prefix: &'static str) -> impl Strategy<Value = Vec<Limit>> {
    let one = (prop::sample::select(levels), amounts());
    prop::collection::vec(one, 0..4).prop_map(move |limits| {
        let named = limits.into_iter().enumerate();
        named.map(|(i, (per, amount))| limit(&format!("{prefix}{i}"), per, amount)).collect()
    })
}

const OF_PLANS: &[Per] = &[Per::Tenant, Per::User, Per::TenantRoute];
const OF_ROUTES: &[Per] = &[Per::Route, Per::TenantRoute];

proptest! {
    #![proptest_config(crate::proptests::cases(400))]

    #[test]
    fn every_decision_is_the_oracles(plan in limits(OF_PLANS, "l"), route in limits(OF_ROUTES, "l"), steps in steps()) {
        let mut world = world(&plan, &route);
        let all: Vec<Limit> = plan.iter().chain(&route).cloned().collect();
        let (mut oracle, mut permits, mut now_us) = (Oracle::default(), Vec::new(), 1_000_000);
        for step in steps {
            match step {
                Step::Ask { ask, gap_us } => {
                    now_us += gap_us;
                    let verdict = oracle.verdict(&all, ask, now_us);
                    let before = world.state(now_us);
                    match world.admit(ask, now_us) {
                        Ok(permit) => {
                            prop_assert_ne!(verdict, Verdict::No);
                            oracle.admitted(&all, ask, now_us);
                            permits.push((ask, permit));
                        }
                        Err(limited) => {
                            prop_assert_ne!(verdict, Verdict::Yes, "{}", limited);
                            prop_assert_eq!(without_fresh(world.state(now_us)), without_fresh(before));
                            sound_and_minimal(&world, ask, now_us, &limited)?;
                            let then_us = now_us + limited.retry_after.as_micros() as u64;
                            prop_assert_ne!(oracle.verdict_of_rates(&all, ask, then_us), Verdict::No, "too early");
                        }
                    }
                }
                Step::End(i) if !permits.is_empty() => {
                    let i = i % permits.len();
                    drop(permits.swap_remove(i));
                    oracle.ended(i);
                }
                Step::End(_) => {}
                Step::Reload => world.reload(&plan, &route, now_us),
            }
            places_are_the_permits(&world, &permits, now_us)?;
        }
        permits.clear();
        places_are_the_permits(&world, &permits, now_us)?;
    }
}

/// A first use makes levels that nothing was charged to; those are no change.
fn without_fresh(
    (mut tenants, routes): (Vec<TenantState>, Vec<CommonState>),
) -> (Vec<TenantState>, Vec<CommonState>) {
    for tenant in &mut tenants {
        tenant.limits.retain(|limit| limit.used > 0);
    }
    (tenants, routes)
}

/// Probing at `now + d - 1 us` must be refused, and so changes nothing. With places taken nobody can promise a time.
fn sound_and_minimal(world: &World, ask: Ask, now_us: u64, limited: &Limited) -> Result<(), TestCaseError> {
    prop_assert!(!limited.retry_after.is_zero());
    prop_assert_eq!(limited.standing().remaining, 0);
    if limited.full.concurrent() {
        return Ok(());
    }
    let wait_us = limited.retry_after.as_micros() as u64;
    let early = world.admit(ask, now_us + wait_us - 1);
    prop_assert!(early.is_err(), "refused until {wait_us} us later");
    let Err(early) = early else { return Ok(()) };
    if !early.full.concurrent() {
        prop_assert_eq!(early.retry_after, Duration::from_micros(1), "{}", early);
    }
    Ok(())
}

fn places_are_the_permits(
    world: &World,
    permits: &[(Ask, Permit)],
    now_us: u64,
) -> Result<(), TestCaseError> {
    let (tenants, routes) = world.state(now_us);
    let index = |name: &str, of: [&str; 2]| of.iter().position(|&known| known == name);
    for (t, tenant) in tenants.iter().enumerate() {
        for limit in tenant.limits.iter().filter(|limit| limit.window_ms.is_none()) {
            let user = limit.user.as_deref().and_then(|name| index(name, ["alice", "bob"]));
            let route = limit.route.as_deref().and_then(|name| index(name, ["chat", "embed"]));
            let open = permits.iter().filter(|(ask, _)| {
                ask.tenant == t && user.is_none_or(|u| ask.user == u) && route.is_none_or(|r| ask.route == r)
            });
            prop_assert_eq!(limit.used, open.count() as u64, "{:?}", limit);
        }
    }
    for (r, route) in routes.iter().enumerate() {
        for limit in route.limits.iter().filter(|limit| limit.window_ms.is_none()) {
            let open = permits.iter().filter(|(ask, _)| ask.route == r);
            prop_assert_eq!(limit.used, open.count() as u64, "{:?}", limit);
        }
    }
    Ok(())
}
