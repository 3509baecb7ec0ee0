//! Single claims, over all numbers.

use super::*;
use proptest::prelude::*;

fn measures() -> impl Strategy<Value = Measure> {
    prop::sample::select(vec![Measure::Total, Measure::Prompt, Measure::Completion])
}

fn amounts() -> impl Strategy<Value = Amount> {
    measures().prop_flat_map(amounts_of)
}

fn amounts_of(measure: Measure) -> impl Strategy<Value = Amount> {
    let period = prop::sample::select(vec![SECOND, MINUTE, 60 * MINUTE]);
    prop_oneof![
        2 => (1..500u32, period, 1..500u32).prop_map(move |(n, period, burst)| tokens(n, period, burst, measure)),
        1 => (1..500u64).prop_map(move |most| budget(most, measure, "UTC")),
    ]
}

/// Two of one measure.
fn pairs_of_amounts() -> impl Strategy<Value = (Amount, Amount)> {
    measures().prop_flat_map(|measure| (amounts_of(measure), amounts_of(measure)))
}

fn measured(amount: &Amount) -> Measure {
    match amount {
        Amount::Tokens { measure, .. } | Amount::Budget { measure, .. } => *measure,
        _ => unreachable!("limits on spending"),
    }
}

/// A request that the measure counts as `n`.
fn worth(n: u64, measure: Measure) -> Order {
    match measure {
        Measure::Completion => Order { completion_max: Some(n), ..BY_ALICE },
        _ => prompt(n),
    }
}

fn spent(n: u64, measure: Measure) -> Tokens {
    if measure == Measure::Completion { cost(0, n) } else { cost(n, 0) }
}

fn shop(per: Per, amount: &Amount) -> Shop {
    Shop::open(&book(per, amount), later(0))
}

fn book(per: Per, amount: &Amount) -> Rulebook {
    let limits = vec![limit("p0", per, amount.clone())];
    match per {
        Per::Route => Rulebook { route: limits, ..Rulebook::default() },
        Per::Model => Rulebook { model: limits, ..Rulebook::default() },
        _ => Rulebook::of_plan(limits),
    }
}

fn pers() -> impl Strategy<Value = Per> {
    prop::sample::select(vec![
        Per::Tenant,
        Per::User,
        Per::Route,
        Per::TenantRoute,
        Per::Model,
        Per::TenantModel,
    ])
}

proptest! {
    #[test]
    fn any_cost_is_admitted_by_an_idle_limit(per in pers(), amount in amounts(), cost in 0..10_000_000_000u64, wait_us in any::<u32>()) {
        let order = Order { completion_max: Some(cost), ..prompt(cost) };
        prop_assert!(shop(per, &amount).admit(order, later(u64::from(wait_us))).is_ok());
    }

    /// Nothing remains exactly when a request of one more is refused.
    #[test]
    fn nothing_remains_exactly_when_one_more_is_refused(
        per in pers(),
        amount in amounts(),
        steps in prop::collection::vec((1..80u64, 0..120u64, any::<bool>(), 0..20_000_000u64), 1..40),
    ) {
        let (shop, measure) = (shop(per, &amount), measured(&amount));
        let (mut now, mut open) = (later(0), Vec::new());
        for (hold, actual, ends, gap_us) in steps {
            now = now.after(Duration::from_micros(gap_us));
            if let Ok(mut permit) = shop.admit(worth(hold, measure), now) {
                if ends { permit.settle(spent(actual, measure), now) } else { open.push(permit) }
            }
            if open.len() > 2 {
                drop(open.remove(0));
            }
            let refused = shop.admit(worth(1, measure), now).is_err();
            prop_assert_eq!(shop.level(now).remaining == 0, refused, "{:?}", shop.level(now));
        }
    }

    #[test]
    fn what_remains_grows_by_no_more_than_the_limit(
        per in pers(),
        (old, new) in pairs_of_amounts(),
        costs in prop::collection::vec((1..80u64, 0..120u64, any::<bool>()), 1..12),
        gap_us in 0..20_000_000u64,
    ) {
        let measure = measured(&old);
        let (mut shop, mut open) = (shop(per, &old), Vec::new());
        for (hold, actual, ends) in costs {
            let Ok(mut permit) = shop.admit(worth(hold, measure), later(0)) else { continue };
            if ends { permit.settle(spent(actual, measure), later(0)) } else { open.push(permit) }
        }
        let now = later(gap_us);
        let before = shop.level(now);
        shop.reload(&book(per, &new), now);
        let Some(after) = shop.any_level(now) else {
            prop_assert_eq!(before.used, 0, "forgotten");
            return Ok(());
        };
        prop_assert_eq!((after.used, after.held), (before.used, before.held));
        prop_assert!(after.remaining <= before.remaining + after.most.saturating_sub(before.most));
        prop_assert_eq!(after.remaining, after.most.saturating_sub(before.used));
    }

    #[test]
    fn the_same_policy_again_changes_nothing(
        per in pers(),
        amount in amounts(),
        shadow in any::<bool>(),
        steps in prop::collection::vec((1..80u64, 0..120u64, any::<bool>(), 0..20_000_000u64), 1..40),
    ) {
        let mut book = book(per, &amount);
        [&mut book.plan, &mut book.route, &mut book.model].into_iter().flatten().for_each(|limit| limit.shadow = shadow);
        let (mut reloaded, alone) = (Shop::open(&book, later(0)), Shop::open(&book, later(0)));
        let (measure, mut now, mut open) = (measured(&amount), later(0), Vec::new());
        for (hold, actual, ends, gap_us) in steps {
            now = now.after(Duration::from_micros(gap_us));
            reloaded.reload(&book, now);
            let permits = [&reloaded, &alone].map(|shop| shop.admit(worth(hold, measure), now));
            // How long requests take is forgotten with an idle level; that is a guess, and no decision.
            let full = permits.each_ref().map(|permit| permit.as_ref().err().map(|limited| &limited.full));
            prop_assert_eq!(full[0], full[1]);
            for mut permit in permits.into_iter().flatten() {
                if ends { permit.settle(spent(actual, measure), now) } else { open.push(permit) }
            }
            if open.len() > 6 {
                open.drain(..2);
            }
            prop_assert_eq!(used(&reloaded, now), used(&alone, now));
        }
    }

    /// Whoever always costs thrice what was held gets the rate, the burst, and once what it cost too much.
    #[test]
    fn in_the_long_run_nobody_gets_more_than_the_rate(n in 1..2_000u32, burst in 1..2_000u32, hold in 1..200u64, gap_us in 0..3_000_000u64) {
        let shop = shop(Per::Tenant, &tokens(n, MINUTE, burst, Measure::Total));
        let (mut now, mut sum) = (later(0), 0);
        for _ in 0..300 {
            now = now.after(Duration::from_micros(gap_us));
            if let Ok(mut permit) = shop.admit(prompt(hold), now) {
                permit.settle(cost(3 * hold, 0), now);
                sum += 3 * hold;
            }
        }
        let flown = u64::from(n) * now.mono_us / 60_000_000;
        prop_assert!(sum <= u64::from(burst) + flown + 1 + 3 * hold, "{sum}");
    }
}

fn used(shop: &Shop, now: Now) -> Vec<(Arc<str>, u64, u64)> {
    let levels = shop.levels(now).into_iter().map(|(_, limit)| limit);
    levels.filter(|limit| limit.used > 0).map(|limit| (limit.limit, limit.used, limit.held)).collect()
}

#[test]
fn where_only_holds_block_the_wait_is_that_of_a_typical_request() {
    for amount in [tpm(100), budget(100, Measure::Total, "UTC")] {
        let shop = shop(Per::Tenant, &amount);
        let wait = |now| shop.admit(prompt(100), now).err().map(|limited| limited.retry_after);
        let mut first = shop.admit(prompt(100), later(0)).expect("room");
        assert_eq!(wait(later(0)), Some(SECOND), "nothing is known of how long they take");
        first.settle(cost(0, 0), later(5_000_000));
        drop(first);
        let second = shop.admit(prompt(100), later(5_000_000)).expect("room");
        assert_eq!(wait(later(6_000_000)), Some(5 * SECOND));
        let a_day_later = later(86_400_000_000 + 6_000_000);
        assert_eq!(wait(a_day_later), Some(5 * SECOND), "and so it is when another day has begun");
        drop(second);
    }
}

#[test]
fn a_refusal_for_one_model_is_none_for_another() {
    for per in [Per::TenantModel, Per::Model] {
        let shop = shop(per, &bucket(1, MINUTE));
        let other = Order { model: 1, ..BY_ALICE };
        assert!(shop.admit(BY_ALICE, later(0)).is_ok());
        assert!(shop.admit(BY_ALICE, later(1)).is_err());
        assert_eq!(unread(&shop, later(2)), Ok(()), "{per:?}: the body may name another");
        assert!(shop.admit(other, later(2)).is_ok(), "{per:?}");
        let limited = shop.admit(other, later(3)).err().expect("one a minute");
        assert_eq!(limited.full.model.as_deref(), Some("other"));
        assert_eq!(limited.retry_after, Duration::from_micros(60_000_000 - 1));
    }
}

/// Before its body is read, what it asks for is not known.
fn unread(shop: &Shop, now: Now) -> Result<(), Limited> {
    let Enrolled { tenant, users } = &shop.applied.tenants[0];
    let (caller, route) = (Some((tenant, users[0])), &shop.applied.routes[0]);
    check(&Asking { caller, route, metered: None, report: false }, now)
}

#[test]
fn a_remembered_refusal_hides_no_longer_wait_of_a_dearer_request() {
    let one = Order { completion_max: Some(1), ..prompt(1) };
    let fitted = Order { completion_max: None, clamp: true, ..prompt(1) };
    for (cheap, dear) in [
        (one, Order { prompt: 60, ..one }),
        (one, Order { completion_max: Some(59), ..one }),
        (one, Order { choices: 59, ..one }),
        (fitted, Order { clamp: false, ..fitted }),
    ] {
        let limits = vec![limit("p0", Per::Tenant, bucket(1, SECOND)), limit("p1", Per::Tenant, tpm(60))];
        let shop = Shop::open(&Rulebook::of_plan(limits), later(0));
        shop.admit(prompt(30), later(0)).expect("room").settle(cost(30, 0), later(0));
        let wait = |order| shop.admit(order, later(0)).err().map(|limited| limited.retry_after);
        assert_eq!(wait(cheap), Some(SECOND));
        assert_eq!(wait(dear), Some(30 * SECOND), "{dear:?}");
        assert_eq!(wait(cheap), Some(SECOND));
    }
}

/// What is under way was let in before the refusal, and costs more than was thought after it.
#[test]
fn a_remembered_refusal_does_not_hide_what_is_charged_after_it() {
    let stranger = Some((1, 0));
    for (at, per, by) in
        [(0, Per::Tenant, BY_ALICE.caller), (1, Per::Route, stranger), (2, Per::Model, stranger)]
    {
        let mut book = Rulebook::of_plan(vec![limit("p0", Per::User, bucket(1, SECOND))]);
        book.written_at(at).push(limit("p1", per, tpm(60)));
        let shop = Shop::open(&book, later(0));
        let wait = || shop.admit(prompt(10), later(0)).err().map(|limited| limited.retry_after);
        let mut open =
            shop.admit(Order { caller: by.map(|(tenant, _)| (tenant, 1)), ..prompt(10) }, later(0));
        shop.admit(prompt(0), later(0)).expect("room").settle(cost(0, 0), later(0));
        assert_eq!(wait(), Some(SECOND));
        open.as_mut().expect("room").settle(cost(60, 0), later(0));
        assert_eq!(wait(), Some(10 * SECOND), "{per:?}");
    }
}

#[test]
fn a_remembered_refusal_does_not_hide_that_answers_have_become_longer() {
    let limits = vec![limit("p0", Per::Tenant, bucket(2, SECOND)), limit("p1", Per::Tenant, tpm(600))];
    let shop = Shop::open(&Rulebook::of_plan(limits), later(0));
    let order = Order { completion_max: None, ..BY_ALICE };
    let wait = || shop.admit(order, later(0)).err().map(|limited| limited.retry_after);
    shop.admit(prompt(200), later(0)).expect("room").settle(cost(200, 0), later(0));
    let mut open = shop.admit(prompt(0), later(0)).expect("room");
    open.settle(cost(0, 0), later(0));
    assert_eq!(wait(), Some(SECOND / 2), "256 of 400 are expected");
    open.learn(10_000);
    assert!(wait() > Some(SECOND), "more than 400 are");
}

#[test]
fn a_count_that_falls_gives_nothing_back_before_the_end() {
    let shop = shop(Per::Tenant, &tpm(1_000));
    let other = shop.admit(prompt(500), later(0)).expect("room");
    let mut permit = shop.admit(prompt(100), later(0)).expect("room");
    let counts = [(80, 0, 600), (20, 10, 600), (50, 5, 600), (90, 0, 600), (90, 60, 650), (90, 5, 650)];
    for (prompt, completion, used) in counts {
        let _ = permit.progress(cost(prompt, completion), later(0));
        let level = shop.level(later(0));
        assert_eq!((level.held >= 500, level.used), (true, used), "other's hold is its own");
    }
    for actual in [cost(10, 10), cost(90, 90)] {
        permit.settle(actual, later(0)); // the first is the end
        assert_eq!((shop.level(later(0)).held, shop.level(later(0)).used), (500, 520));
    }
    drop(other);
}

/// The tenant leaves while a request of its is open, the model's limit goes and comes back, the tenant returns.
#[test]
fn a_tenant_that_missed_a_policy_charges_and_lets_go_of_what_it_holds() {
    let limited = book(Per::TenantModel, &tpm(1_000));
    let without = Rulebook { gone: [Some(0), None, None], ..Rulebook::default() };
    let limited = Rulebook { model: limited.plan, ..Rulebook::default() };
    let mut shop = Shop::open(&limited, later(0));
    let mut open = shop.admit(prompt(100), later(0)).expect("room");
    shop.reload(&without, later(0));
    shop.reload(&limited, later(0));
    assert_eq!((shop.level(later(0)).held, shop.level(later(0)).used), (100, 100), "nothing is given back");
    open.settle(cost(30, 0), later(0));
    drop(open);
    assert_eq!((shop.level(later(0)).held, shop.level(later(0)).used), (0, 30));
}
