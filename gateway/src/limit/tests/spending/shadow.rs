//! A shadow refuses nobody and counts what it would have let through, were it in force.

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Ask(Order),
    Progress(usize, Tokens),
    Settle(usize, Tokens),
    Drop(usize),
    Wait(u64),
    /// Other limits come and go before it, in both worlds.
    Reload(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let order = (0..2usize, 0..2usize, 0..2usize, 0..2usize, 0..40u64, 0..40u64);
    let order = order.prop_map(|(tenant, user, route, model, prompt, most)| Order {
        caller: Some((tenant, user)),
        route,
        model,
        prompt,
        completion_max: Some(most),
        choices: 1,
        clamp: false,
    });
    let costs = || (0..40u64, 0..60u64).prop_map(|(prompt, completion)| cost(prompt, completion));
    let one = prop_oneof![
        8 => order.prop_map(Step::Ask),
        4 => (0..64usize, costs()).prop_map(|(i, cost)| Step::Progress(i, cost)),
        3 => (0..64usize, costs()).prop_map(|(i, cost)| Step::Settle(i, cost)),
        1 => (0..64usize).prop_map(Step::Drop),
        3 => (0..20_000_000u64).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::Reload),
    ];
    prop::collection::vec(one, 1..100)
}

fn amounts() -> impl Strategy<Value = Amount> {
    prop_oneof![
        (1..200u32, 1..150u32).prop_map(|(n, burst)| tokens(n, MINUTE, burst, Measure::Total)),
        (1..300u64).prop_map(|most| budget(most, Measure::Completion, "UTC")),
        (1_000..500_000u64).prop_map(|most| budget(most, Measure::Money, "Asia/Shanghai")),
        (1..8u32, 1..6u32).prop_map(|(n, burst)| requests(Algorithm::TokenBucket, n, MINUTE, burst)),
        (1..8u32).prop_map(|n| requests(Algorithm::SlidingWindow, n, MINUTE, n)),
        (1..5u32).prop_map(|n| Amount::Concurrent(std::num::NonZeroU32::new(n).expect("at least one"))),
    ]
}

fn book(per: Per, amount: &Amount, shadow: bool, more: bool) -> Rulebook {
    let ample = |name| Limit { shadow: true, ..limit(name, per, tpm(1)) };
    let tested = Limit { shadow, ..limit("tested", per, amount.clone()) };
    let limits = if more { vec![ample("p0"), ample("p1"), tested] } else { vec![tested, ample("p1")] };
    match per {
        Per::Route => Rulebook { route: limits, ..Rulebook::default() },
        Per::Model => Rulebook { model: limits, ..Rulebook::default() },
        _ => Rulebook::of_plan(limits),
    }
}

/// What the limit under test counts, wherever it does; and of whom it was refused, or would have been.
fn counted(shop: &Shop, now: Now) -> (Vec<LimitState>, u64) {
    let levels = shop.levels(now).into_iter().map(|(_, limit)| LimitState { shadow: false, ..limit });
    let levels = levels.filter(|limit| &*limit.limit == "tested" && limit.used > 0);
    let mut levels: Vec<LimitState> = levels.collect();
    levels.sort_by_key(|limit| (limit.model.clone(), limit.route.clone())); // else by their addresses
    let totals = shop.registry.totals(now);
    let tested = totals.iter().filter(|total| &*total.limit == "tested");
    (levels, tested.map(|total| total.counts.refused + total.counts.would_refuse).sum())
}

proptest! {
    #![proptest_config(crate::proptests::cases(300))]

    #[test]
    fn it_counts_what_its_twin_in_force_does_in_a_world_of_the_same_arrivals(
        per in prop::sample::select(vec![Per::Tenant, Per::User, Per::TenantRoute, Per::TenantModel, Per::Route, Per::Model]),
        amount in amounts(),
        steps in steps(),
    ) {
        let (mut now, mut more) = (later(0), false);
        let mut shadow = Shop::open(&book(per, &amount, true, more), now);
        let mut twin = Shop::open(&book(per, &amount, false, more), now);
        let mut open: Vec<(Permit, Option<Permit>, Tokens)> = Vec::new();
        for step in steps {
            let at = |i: usize| (!open.is_empty()).then(|| i % open.len());
            match step {
                Step::Ask(order) => {
                    let permit = shadow.admit(order, now);
                    prop_assert!(permit.is_ok(), "a shadow refused");
                    let Ok(permit) = permit else { continue };
                    open.push((permit, twin.admit(order, now).ok(), Tokens::default()));
                }
                Step::Progress(i, more) => {
                    let Some(i) = at(i) else { continue };
                    let (one, other, so_far) = &mut open[i];
                    *so_far = cost(so_far.prompt + more.prompt, so_far.completion + more.completion);
                    let _ = one.progress(*so_far, now);
                    other.as_mut().map(|permit| permit.progress(*so_far, now));
                }
                Step::Settle(i, actual) => {
                    let Some(i) = at(i) else { continue };
                    let (mut one, other, _) = open.swap_remove(i);
                    one.settle(actual, now);
                    if let Some(mut other) = other {
                        other.settle(actual, now);
                    }
                }
                Step::Drop(i) => drop(at(i).map(|i| open.swap_remove(i))),
                Step::Wait(us) => now = now.after(Duration::from_micros(us)),
                Step::Reload(to) => {
                    more = to;
                    shadow.reload(&book(per, &amount, true, more), now);
                    twin.reload(&book(per, &amount, false, more), now);
                }
            }
            prop_assert_eq!(counted(&shadow, now), counted(&twin, now));
        }
    }
}

#[test]
fn a_shadow_that_is_enforced_goes_on_with_what_it_counted() {
    for held in [true, false] {
        let mut shop = Shop::open(&book(Per::Tenant, &tpm(100), true, false), later(0));
        let mut first = shop.admit(prompt(60), later(0)).expect("room");
        let skipped = shop.admit(prompt(60), later(0)).expect("a shadow refuses nobody");
        if !held {
            first.settle(cost(60, 0), later(0));
        }
        shop.reload(&book(Per::Tenant, &tpm(100), false, true), later(0));
        assert!(shop.admit(prompt(41), later(0)).is_err(), "60 of 100 are used");
        drop(skipped);
        assert!(shop.admit(prompt(41), later(0)).is_err(), "who was not held gives nothing back");
        drop(first);
        assert_eq!(shop.admit(prompt(41), later(0)).is_ok(), held);
    }
}

#[test]
fn what_a_shadow_of_places_would_have_refused_takes_none_of_them() {
    for (at, per) in PLACES {
        let book = |shadow| {
            let mut book = Rulebook::default();
            let tested = Limit { shadow, ..limit("tested", per, concurrent(2)) };
            book.written_at(at).push(tested);
            book
        };
        let mut shop = Shop::open(&book(true), later(0));
        let ask = || shop.admit(prompt(1), later(0)).expect("a shadow refuses nobody");
        let mut open: Vec<Permit> = (0..5).map(|_| ask()).collect();
        drop(open.remove(0));
        open.push(ask()); // the second of two, though the fifth that is open
        let [state] = &counted(&shop, later(0)).0[..] else { panic!("one level") };
        assert_eq!((state.used, counted(&shop, later(0)).1), (2, 3), "{per:?}");
        drop(open);
        let open: Vec<Permit> = (0..3).map(|_| ask()).collect();
        assert_eq!(counted(&shop, later(0)).1, 4, "{per:?}: who was not counted takes no place along");
        shop.reload(&book(false), later(0));
        assert!(shop.admit(prompt(1), later(0)).is_err(), "in force, it counts all that are open");
        drop(open);
        assert!(shop.admit(prompt(1), later(0)).is_ok());
    }
}
