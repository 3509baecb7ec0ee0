//! What operators are told of a request that nobody sent: it is true, and asking moves nothing.

use super::*;
use crate::limit::calendar::{self, Calendar};
use crate::limit::measure::Measure;
use crate::limit::money::Currency;
use crate::limit::price::{Lot, Price};
use crate::usage::Tokens;

const HOUR_MS: u64 = 3_600_000;

/// One tenant with two users, one route, one model.
struct Place {
    registry: Registry,
    applied: Applied,
}

impl Place {
    fn new(plan: Vec<Limit>, route: Vec<Limit>, model: Vec<Limit>) -> Place {
        let registry = Registry::default();
        let applied = put(&registry, plan, route, model, 0);
        Place { registry, applied }
    }

    fn metered(&self, prompt: u64) -> Metered<'_> {
        Metered {
            model: &self.applied.models[0],
            price: price(),
            prompt,
            completion_max: Some(0),
            choices: 1,
            clamp: false,
        }
    }

    fn admit(&self, user: usize, prompt: u64, now: Now) -> Result<Permit, Limited> {
        self.admit_metered(user, self.metered(prompt), now)
    }

    fn admit_metered(&self, user: usize, metered: Metered<'_>, now: Now) -> Result<Permit, Limited> {
        let Enrolled { tenant, users } = &self.applied.tenants[0];
        let (caller, route) = (Some((tenant, users[user])), &self.applied.routes[0]);
        admit(&Asking { caller, route, metered: Some(metered), report: false }, now)
    }

    fn spend(&self, user: usize, prompt: u64, now: Now) {
        let mut permit = self.admit(user, prompt, now).expect("room");
        permit.settle(Tokens { prompt, completion: 0 }, now);
    }

    fn explain(&self, user: Option<usize>, now: Now) -> Answer {
        let Enrolled { tenant, users } = &self.applied.tenants[0];
        let question = Question {
            tenant: Some(tenant),
            user: user.map(|user| users[user]),
            route: &self.applied.routes[0],
            model: Some((&self.applied.models[0], price())),
        };
        explain(&question, now)
    }
}

fn put(registry: &Registry, plan: Vec<Limit>, route: Vec<Limit>, model: Vec<Limit>, now_us: u64) -> Applied {
    let plan = Arc::new(Plan { name: "gold".into(), limits: plan });
    let tenants = [TenantSpec { name: "acme".into(), plan, users: ["alice".into(), "bob".into()].into() }];
    let routes = [("chat".into(), Arc::new(CommonPlan { limits: route }))];
    let models = [("large".into(), Arc::new(CommonPlan { limits: model }))];
    registry.apply(&Policy { tenants: &tenants, routes: &routes, models: &models }, at_us(now_us))
}

fn price() -> Price {
    Price::new("8", "20", Lot::Million, Currency::parse("CNY").expect("a currency")).expect("a price")
}

fn tokens(n: u32) -> Amount {
    Amount::Tokens { tokens: some(n), period: MINUTE, burst: some(n), measure: Measure::Total }
}

fn budget(most: u64, measure: Measure) -> Amount {
    let calendar = Arc::new(Calendar::new(calendar::Unit::Day, "UTC").expect("a zone"));
    Amount::Budget { most, measure, currency: Currency::NONE, calendar }
}

fn shadow(limit: Limit) -> Limit {
    Limit { shadow: true, ..limit }
}

fn at_hour(hour: u64) -> Now {
    Now { mono_us: hour * HOUR_MS * 1000, wall_ms: hour * HOUR_MS }
}

fn everywhere() -> Place {
    let plan = vec![
        limit("inflight", Per::Tenant, concurrent(4)),
        limit("rpm", Per::Tenant, bucket(10, MINUTE)),
        limit("user-rpm", Per::User, bucket(2, MINUTE)),
        limit("each", Per::TenantRoute, bucket(7, MINUTE)),
        limit("tpm", Per::TenantModel, tokens(1000)),
    ];
    let route =
        vec![limit("each", Per::TenantRoute, bucket(8, MINUTE)), limit("all", Per::Route, concurrent(9))];
    let model = vec![limit("mine", Per::TenantModel, tokens(900)), limit("model", Per::Model, tokens(800))];
    Place::new(plan, route, model)
}

/// An answer has a token at least.
#[test]
fn a_limit_on_answers_that_is_spent_refuses_one_token() {
    let place =
        Place::new(vec![limit("answers", Per::Tenant, budget(7, Measure::Completion))], vec![], vec![]);
    assert!(place.explain(Some(0), at_hour(1)).refused.is_none());
    let mut permit = place.admit(0, 3, at_hour(1)).expect("room");
    permit.settle(Tokens { prompt: 3, completion: 7 }, at_hour(1));
    assert!(place.explain(Some(0), at_hour(1)).refused.is_some());
    let Enrolled { tenant, users } = &place.applied.tenants[0];
    let (caller, route) = (Some((tenant, users[0])), &place.applied.routes[0]);
    let unread = Asking { caller, route, metered: None, report: false };
    assert!(check(&unread, at_hour(1)).is_err(), "nor is its body read");
}

#[test]
fn a_request_that_is_not_metered_meets_no_limit_on_spending() {
    let plan = vec![
        limit("rpm", Per::Tenant, bucket(10, MINUTE)),
        limit("daily", Per::Tenant, budget(7, Measure::Total)),
        limit("tpm", Per::User, tokens(9)),
    ];
    let place = Place::new(plan, vec![], vec![]);
    place.spend(0, 20, at_hour(1));
    let Enrolled { tenant, users } = &place.applied.tenants[0];
    let question =
        Question { tenant: Some(tenant), user: Some(users[0]), route: &place.applied.routes[0], model: None };
    let answer = explain(&question, at_hour(1));
    let told: Vec<&str> = answer.limits.iter().map(|limit| &*limit.limit).collect();
    assert_eq!((told, answer.refused), (vec!["rpm"], None));
}

/// It counts, and `x-ratelimit-reset-tokens` is read from the same.
#[test]
fn what_is_held_takes_its_time_to_come_back() {
    let plan =
        vec![limit("tpm", Per::Tenant, tokens(60)), limit("daily", Per::Tenant, budget(70, Measure::Total))];
    let place = Place::new(plan, vec![], vec![]);
    let _permit = place.admit(0, 30, at_hour(1)).expect("room");
    let limits = place.explain(Some(0), at_hour(1)).limits;
    let told: Vec<_> = limits.iter().map(|limit| (limit.held, limit.reset_ms)).collect();
    assert_eq!(told, [(30, Some(30_000)), (30, Some(23 * HOUR_MS))]);
}

#[test]
fn every_level_is_told_in_the_order_it_is_asked() {
    let place = everywhere();
    let names = |answer: Answer| -> Vec<(String, Per, u64, Option<String>)> {
        let brief = |limit: &LimitState| {
            (limit.limit.to_string(), limit.per, limit.used, limit.user.as_deref().map(str::to_owned))
        };
        answer.limits.iter().map(brief).collect()
    };
    let expected = |used: [u64; 9], user: Option<&str>| -> Vec<(String, Per, u64, Option<String>)> {
        let order = [
            ("rpm", Per::Tenant),
            ("inflight", Per::Tenant),
            ("user-rpm", Per::User),
            ("each", Per::TenantRoute),
            ("each", Per::TenantRoute),
            ("tpm", Per::TenantModel),
            ("mine", Per::TenantModel),
            ("all", Per::Route),
            ("model", Per::Model),
        ];
        let whose = |per| user.filter(|_| per == Per::User).map(str::to_owned);
        order.into_iter().zip(used).map(|((name, per), used)| (name.into(), per, used, whose(per))).collect()
    };
    assert_eq!(
        names(place.explain(Some(0), at_us(0))),
        expected([0; 9], Some("alice")),
        "before any request"
    );
    let open = place.admit(0, 100, at_us(0)).expect("room");
    let used = [1, 1, 1, 1, 1, 100, 100, 1, 100];
    assert_eq!(names(place.explain(Some(0), at_us(0))), expected(used, Some("alice")));
    let others = [1, 1, 0, 1, 1, 100, 100, 1, 100];
    assert_eq!(names(place.explain(Some(1), at_us(0))), expected(others, Some("bob")));
    assert_eq!(names(place.explain(None, at_us(0))), expected(others, None), "nobody in particular");
    for limit in place.explain(Some(0), at_us(0)).limits {
        let of = (limit.user.is_some(), limit.route.as_deref(), limit.model.as_deref());
        let expected = match limit.per {
            Per::Tenant => (false, None, None),
            Per::User => (true, None, None),
            Per::Route | Per::TenantRoute => (false, Some("chat"), None),
            Per::Model | Per::TenantModel => (false, None, Some("large")),
        };
        assert_eq!(of, expected, "{limit:?}");
    }
    drop(open);
}

#[test]
fn asking_moves_nothing_counts_nothing_and_makes_nothing() {
    let place = everywhere();
    let look = || {
        let state = place.registry.tenant_state("acme", at_us(0));
        (state, place.registry.gauges(), place.registry.totals(at_us(0)))
    };
    let before = look();
    for _ in 0..50 {
        assert_eq!(place.explain(Some(0), at_us(0)).refused, None, "it would be let in");
    }
    assert_eq!(look(), before);
    for _ in 0..2 {
        place.spend(0, 1, at_us(0));
    }
    let before = look();
    for _ in 0..50 {
        assert!(place.explain(Some(0), at_us(0)).refused.is_some(), "alice has used hers");
    }
    assert_eq!(look(), before, "a refusal that was foretold was none");
}

#[test]
fn the_verdict_is_what_admission_says() {
    let place = everywhere();
    for step in 0..40 {
        let now = at_us(step * 3_000_000);
        for user in 0..2 {
            let foretold = place.explain(Some(user), now).refused;
            let one_token = Metered { completion_max: Some(1), ..place.metered(1) };
            let found = place.admit_metered(user, one_token, now).map(|mut permit| {
                permit.settle(Tokens { prompt: 400, completion: 0 }, now);
            });
            assert_eq!(foretold, found.err(), "user {user}, step {step}");
        }
    }
}

#[test]
fn a_route_that_is_open_to_anybody_has_only_limits_for_all() {
    let place = everywhere();
    let model = Some((&place.applied.models[0], price()));
    let question = Question { tenant: None, user: None, route: &place.applied.routes[0], model };
    let answer = explain(&question, at_us(0));
    let names: Vec<&str> = answer.limits.iter().map(|limit| &*limit.limit).collect();
    assert_eq!((names, answer.completion, answer.refused), (vec!["all", "model"], None, None));
}

#[test]
fn the_answers_of_a_tenant_teach_what_is_held_for_the_next() {
    let place = everywhere();
    assert_eq!(place.explain(None, at_us(0)).completion, Some(256), "before anything is known");
    for i in 0..60 {
        let permit = place.admit(0, 1, at_us(i * 60_000_000)).expect("room");
        permit.learn(40);
    }
    let last_us = 59 * 60_000_000;
    for (later_us, completion) in [(0, 40), (HOUR_MS * 1000 - 1, 40), (HOUR_MS * 1000, 256)] {
        place.registry.sweep(at_us(last_us + later_us));
        let found = place.explain(None, at_us(last_us + later_us)).completion;
        assert_eq!(found, Some(completion), "{later_us} us after the last of them");
    }
}

#[test]
fn totals_are_of_all_subjects_whoever_owes_and_holds() {
    let user = |per_user| limit("user", Per::User, tokens(per_user));
    let place = Place::new(vec![user(100)], vec![], vec![limit("model", Per::Model, tokens(1000))]);
    for (user, prompt) in [(0, 140), (1, 105)] {
        let mut permit = place.admit(user, 90, at_us(0)).expect("room");
        permit.settle(Tokens { prompt, completion: 0 }, at_us(0));
    }
    let totals = |name: &str, now| {
        let totals = place.registry.totals(now).into_iter().find(|totals| &*totals.limit == name);
        totals.map(|Totals { used, held, remaining, debt, .. }| (used, held, remaining, debt))
    };
    assert_eq!(totals("user", at_us(0)), Some((245, 0, 0, 45)));
    assert_eq!(totals("model", at_us(0)), Some((245, 0, 755, 0)));
    let now = at_us(60_000_000); // 100 each and 1000 have flowed out: 40 and 5 are left
    let mut open = [(0, 50), (1, 60)].map(|(user, prompt)| place.admit(user, prompt, now).expect("room"));
    assert_eq!(totals("user", now), Some((155, 110, 45, 0)));
    let other = place.admit(1, 35, now).expect("room");
    let _ = open[1].progress(Tokens { prompt: 70, completion: 0 }, now);
    assert_eq!(
        totals("user", now),
        Some((200, 85, 10, 0)),
        "75 are spent of bob's, and 35 held: no debt yet"
    );
    drop((open, other));
}

#[test]
fn totals_sum_subjects_and_a_limit_that_goes_takes_its_counts_along() {
    let per_user = || limit("user-rpm", Per::User, bucket(2, MINUTE));
    let ghost = || shadow(limit("ghost", Per::Tenant, tokens(10)));
    let mut place = Place::new(vec![per_user(), ghost()], vec![], vec![]);
    place.spend(0, 8, at_us(0));
    place.spend(0, 8, at_us(0));
    assert!(place.admit(0, 1, at_us(0)).is_err());
    place.spend(1, 1, at_us(0));
    let of = |place: &Place, name: &str| {
        let totals = place.registry.totals(at_us(0));
        totals.into_iter().find(|totals| &*totals.limit == name)
    };
    let user = of(&place, "user-rpm").expect("in force");
    assert_eq!((user.kind, &*user.of, user.per, user.unit), ("plan", "gold", Per::User, Unit::Requests));
    assert_eq!((user.used, user.remaining, user.debt), (3, 1, 0));
    assert_eq!((user.counts.refused, user.counts.would_refuse), (1, 0));
    let seen = of(&place, "ghost").expect("in force");
    assert_eq!((seen.counts.refused, seen.counts.would_refuse, seen.used), (0, 1, 9));

    place.applied = put(&place.registry, vec![per_user()], vec![], vec![], 0);
    assert_eq!(of(&place, "ghost"), None, "gone from policy, gone from the metrics");
    assert_eq!(of(&place, "user-rpm").map(|totals| totals.counts.refused), Some(1), "what stays goes on");
    place.applied = put(&place.registry, vec![per_user(), ghost()], vec![], vec![], 0);
    assert_eq!(
        of(&place, "ghost").map(|totals| totals.counts.would_refuse),
        Some(0),
        "what comes back is new"
    );
}

#[test]
fn a_limit_that_counts_something_else_counts_anew() {
    let mut place = Place::new(vec![limit("spend", Per::Tenant, tokens(10))], vec![], vec![]);
    let mut permit = place.admit(0, 1, at_us(0)).expect("room");
    for prompt in [20, 40] {
        let _ = permit.progress(Tokens { prompt, completion: 0 }, at_us(0));
    }
    permit.settle(Tokens { prompt: 50, completion: 0 }, at_us(0));
    drop(permit);
    let totals = place.registry.totals(at_us(0));
    assert_eq!((totals[0].unit, totals[0].debt, totals[0].counts.overshoot), (Unit::Tokens, 40, 49));
    let money = limit("spend", Per::Tenant, budget(1_000_000_000, Measure::Money));
    place.applied = put(&place.registry, vec![money], vec![], vec![], 0);
    let totals = place.registry.totals(at_us(0));
    assert_eq!(totals.len(), 1, "no limit stands there twice: {totals:?}");
    assert_eq!((totals[0].unit, totals[0].counts.overshoot), (Unit::Money, 0), "tokens are no money");
}

#[test]
fn budgets_are_foretold_by_the_period_and_by_the_last_hour() {
    let plan = vec![
        limit("rpm", Per::Tenant, bucket(1000, MINUTE)),
        limit("tpm", Per::Tenant, tokens(1_000_000)),
        limit("daily", Per::Tenant, budget(1000, Measure::Total)),
        shadow(limit("each", Per::User, budget(10_000_000, Measure::Money))),
        limit("model", Per::TenantModel, budget(10_000, Measure::Total)),
    ];
    let place = Place::new(plan, vec![], vec![]);
    assert!(place.registry.forecast("nobody", at_hour(0)).is_none());
    for hour in 24..30 {
        place.spend(0, 50, at_hour(hour)); // from midnight on
    }
    let now = at_hour(30);
    let found = place.registry.forecast("acme", now).expect("known");
    let brief = |budget: &BudgetForecast| {
        (budget.limit.to_string(), budget.user.as_deref().map(str::to_owned), budget.used, budget.so_far)
    };
    let daily = Outlook { per_hour: 50, spent_at_ms: Some(44 * HOUR_MS), used_at_end: 1200 };
    // 8 CNY for a million tokens: 8,000 billionths for each.
    let alice = Outlook { per_hour: 400_000, spent_at_ms: None, used_at_end: 9_600_000 };
    let bob = Outlook { per_hour: 0, spent_at_ms: None, used_at_end: 0 };
    let model = Outlook { per_hour: 50, spent_at_ms: None, used_at_end: 1200 };
    let expected = [
        ("daily".to_owned(), None, 300, daily),
        ("each".into(), Some("alice".into()), 2_400_000, alice),
        ("each".into(), Some("bob".into()), 0, bob),
        ("model".into(), None, 300, model),
    ];
    assert_eq!(found.budgets.iter().map(brief).collect::<Vec<_>>(), expected, "buckets are no budgets");
    let daily = &found.budgets[0];
    assert_eq!((daily.begins_ms, daily.ends_ms), (24 * HOUR_MS, 48 * HOUR_MS));
    // The last of 50 each hour is an hour old: 50 * (e^-1 + e^-2 + ...) = 29 of the last hour.
    assert_eq!((daily.lately.per_hour, daily.lately.spent_at_ms), (29, None));

    place.spend(0, 650, now); // a rush
    let rushed = &place.registry.forecast("acme", now).expect("known").budgets[0];
    let spent_in_ms = rushed.lately.spent_at_ms.expect("soon") - now.wall_ms;
    assert!(spent_in_ms < HOUR_MS / 4, "50 are left, 679 went in the last hour: {spent_in_ms} ms");

    let mut permit = place.admit(1, 10, at_hour(33)).expect("room");
    let _ = permit.progress(Tokens { prompt: 40, completion: 0 }, at_hour(33));
    let lately =
        |place: &Place| place.registry.forecast("acme", at_hour(33)).map(|all| all.budgets[2].lately);
    assert_eq!(lately(&place).map(|rate| rate.per_hour), Some(40 * 8_000));
    permit.settle(Tokens { prompt: 5, completion: 0 }, at_hour(33));
    assert_eq!(lately(&place).map(|rate| rate.per_hour), Some(5 * 8_000), "the rest was not spent after all");

    let next_day = place.registry.forecast("acme", at_hour(49)).expect("known");
    assert_eq!((next_day.budgets[0].used, next_day.budgets[0].begins_ms), (0, 48 * HOUR_MS), "a new day");
}

/// The cost of a scrape: printed, and bounded so loosely that only a mistake of an order of magnitude fails.
#[test]
fn a_hundred_thousand_tenants_are_summed_in_moments() {
    let limits = vec![
        limit("rpm", Per::Tenant, bucket(10, MINUTE)),
        limit("tpm", Per::Tenant, tokens(1000)),
        limit("daily", Per::Tenant, budget(1000, Measure::Total)),
        limit("user-rpm", Per::User, bucket(10, MINUTE)),
    ];
    let plan = Arc::new(Plan { name: "gold".into(), limits });
    let spec = |i: u32| TenantSpec {
        name: format!("tenant-{i}").into(),
        plan: Arc::clone(&plan),
        users: ["one".into()].into(),
    };
    let tenants: Vec<TenantSpec> = (0..100_000).map(spec).collect();
    let registry = Registry::default();
    let applied = registry.apply(&Policy { tenants: &tenants, ..Policy::default() }, at_us(0));
    let began_us = crate::clock::mono_us();
    let totals = registry.totals(at_us(0));
    let took_us = crate::clock::mono_us() - began_us;
    println!("{} tenants with 4 limits each: {took_us} us", applied.tenants.len());
    let rpm = totals.iter().find(|totals| &*totals.limit == "rpm").map(|totals| totals.remaining);
    assert_eq!((totals.len(), rpm), (4, Some(1_000_000)));
    assert!(took_us < 5_000_000, "{took_us} us");
}
