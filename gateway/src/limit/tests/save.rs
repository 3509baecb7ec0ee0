//! Counts that outlive the program: saved when they change, and back in their places at the next start.

use super::*;
use crate::limit::calendar::{Calendar, Unit};
use crate::limit::measure::Measure;
use crate::limit::money::Currency;
use crate::limit::price::Price;
use crate::usage::Tokens;

const DAY: u64 = 86_400_000;
/// Noon of the twenty-first of November 2026, UTC.
const NOON: u64 = 1_795_262_400_000;
const TODAY: u32 = 20_778;
const THIS_MONTH: u32 = 682;

fn at(wall_ms: u64) -> Now {
    Now { mono_us: wall_ms * 1000, wall_ms }
}

fn budget(name: &str, per: Per, unit: Unit) -> Limit {
    let calendar = Arc::new(Calendar::new(unit, "UTC").unwrap());
    limit(
        name,
        per,
        Amount::Budget { most: 100, measure: Measure::Total, currency: Currency::NONE, calendar },
    )
}

fn saved(key: &str, serial: u32, used: u64) -> Saved {
    Saved { key: key.into(), serial, used }
}

/// A run of the gateway: `acme` with `alice` and `bob`, one route and one model.
struct Run {
    registry: Registry,
    applied: Applied,
}

impl Run {
    fn start(before: &[Saved], plan: &[Limit], model: &[Limit], wall_ms: u64) -> Run {
        let registry = Registry::default();
        registry.restore(before.to_vec());
        let applied = Run::apply(&registry, plan, model, wall_ms);
        Run { registry, applied }
    }

    fn apply(registry: &Registry, plan: &[Limit], model: &[Limit], wall_ms: u64) -> Applied {
        let plan = Arc::new(Plan { name: "gold".into(), limits: plan.to_vec() });
        let tenant = TenantSpec { name: "acme".into(), plan, users: ["alice".into(), "bob".into()].into() };
        let model = Arc::new(CommonPlan { limits: model.to_vec() });
        let (routes, models) = ([("chat".into(), Arc::default())], [("pangu".into(), model)]);
        registry.apply(&Policy { tenants: &[tenant], routes: &routes, models: &models }, at(wall_ms))
    }

    /// Alice spends `tokens`.
    fn spend(&self, tokens: u64, wall_ms: u64) {
        let Enrolled { tenant, users } = &self.applied.tenants[0];
        let (model, price) = (&self.applied.models[0], Price::default());
        let (completion_max, choices, clamp) = (Some(0), 1, false);
        let metered = Metered { model, price, prompt: tokens, completion_max, choices, clamp };
        let (route, caller) = (&self.applied.routes[0], Some((tenant, users[0])));
        let asking = Asking { caller, route, metered: Some(metered), report: false };
        let mut permit = admit(&asking, at(wall_ms)).expect("room");
        permit.settle(Tokens { prompt: tokens, completion: 0 }, at(wall_ms));
    }

    fn unsaved(&self) -> Vec<Saved> {
        let mut all = self.registry.unsaved();
        all.sort_by(|a, b| a.key.cmp(&b.key));
        all
    }

    /// What is used of the tenant's first limit.
    fn used(&self, wall_ms: u64) -> u64 {
        self.registry.tenant_state("acme", at(wall_ms)).expect("acme").limits[0].used
    }
}

#[test]
fn a_count_is_saved_once_for_each_change_and_is_back_at_the_next_start() {
    let plan = [
        budget("daily", Per::Tenant, Unit::Day),
        budget("monthly", Per::User, Unit::Month),
        budget("each", Per::TenantModel, Unit::Day),
    ];
    let model = [budget("all", Per::Model, Unit::Day), budget("one", Per::TenantModel, Unit::Month)];
    let run = Run::start(&[], &plan, &model, NOON);
    assert_eq!(run.unsaved(), [], "nothing was spent");
    run.spend(7, NOON);
    let expected = [
        saved("model/pangu/all/Tokens/day", TODAY, 7),
        saved("tenant/acme/daily/Tokens/day", TODAY, 7),
        saved("tenant/acme/model/pangu/one/Tokens/month", THIS_MONTH, 7),
        saved("tenant/acme/plan/model/pangu/each/Tokens/day", TODAY, 7),
        saved("tenant/acme/user/alice/monthly/Tokens/month", THIS_MONTH, 7),
    ];
    assert_eq!(run.unsaved(), expected, "bob, who spent nothing, is not there");
    assert_eq!(run.unsaved(), [], "saved already");

    let next = Run::start(&expected, &plan, &model, NOON + 1);
    let state = next.registry.tenant_state("acme", at(NOON + 1)).expect("acme").limits;
    let used: Vec<_> = state.iter().map(|limit| (&*limit.limit, limit.user.as_deref(), limit.used)).collect();
    let of_model = next.registry.model_state("pangu", at(NOON + 1)).expect("pangu").limits;
    assert_eq!(
        used,
        [
            ("daily", None, 7),
            ("monthly", Some("alice"), 7),
            ("monthly", Some("bob"), 0),
            ("each", None, 7),
            ("one", None, 7)
        ]
    );
    assert_eq!((of_model.len(), of_model[0].used), (1, 7));
    assert_eq!(next.unsaved(), [], "what was read need not be written");
}

#[test]
fn a_limit_at_a_route_for_each_tenant_is_saved_though_the_plan_has_no_budget() {
    let registry = Registry::default();
    let route = Arc::new(CommonPlan { limits: vec![budget("daily", Per::TenantRoute, Unit::Day)] });
    let tenant = TenantSpec {
        name: "acme".into(),
        plan: Arc::default(),
        users: ["alice".into(), "bob".into()].into(),
    };
    let (routes, models) = ([("chat".into(), route)], [("pangu".into(), Arc::default())]);
    let policy = Policy { tenants: &[tenant], routes: &routes, models: &models };
    let applied = registry.apply(&policy, at(NOON));
    let run = Run { registry, applied };
    run.spend(7, NOON);
    assert_eq!(run.unsaved(), [saved("tenant/acme/route/chat/daily/Tokens/day", TODAY, 7)]);
}

#[test]
fn a_count_of_a_day_that_is_over_is_not_taken_over() {
    let plan = [budget("daily", Per::Tenant, Unit::Day)];
    let yesterday = [saved("tenant/acme/daily/Tokens/day", TODAY - 1, 99)];
    assert_eq!(Run::start(&yesterday, &plan, &[], NOON).used(NOON), 0);
}

#[test]
fn a_clock_that_stepped_back_before_the_start_credits_nothing() {
    let plan = [budget("daily", Per::Tenant, Unit::Day)];
    let tomorrow = [saved("tenant/acme/daily/Tokens/day", TODAY + 1, 99)];
    let run = Run::start(&tomorrow, &plan, &[], NOON);
    run.spend(1, NOON);
    let midnight = NOON + DAY / 2;
    let used = [NOON, midnight, midnight + DAY - 1, midnight + DAY].map(|wall_ms| run.used(wall_ms));
    assert_eq!(used, [100, 100, 100, 0], "until that day has ended");
    assert_eq!(run.unsaved(), [saved("tenant/acme/daily/Tokens/day", TODAY + 1, 100)]);
}

#[test]
fn a_limit_that_counts_otherwise_than_before_starts_anew() {
    let before =
        [saved("tenant/acme/daily/Tokens/day", TODAY, 99), saved("tenant/acme/daily/Money/month", 682, 99)];
    let monthly = [budget("daily", Per::Tenant, Unit::Month)];
    assert_eq!(Run::start(&before, &monthly, &[], NOON).used(NOON), 0);
}

#[test]
fn what_no_policy_asks_for_waits_for_one_that_does() {
    let before = [saved("tenant/acme/daily/Tokens/day", TODAY, 99)];
    let mut run = Run::start(&before, &[budget("other", Per::Tenant, Unit::Day)], &[], NOON);
    assert_eq!(run.used(NOON), 0);
    run.applied = Run::apply(&run.registry, &[budget("daily", Per::Tenant, Unit::Day)], &[], NOON + 1);
    assert_eq!(run.used(NOON + 1), 99);
}

#[test]
fn what_is_long_past_is_more_than_a_year_ago() {
    let newest = [saved("a/Tokens/day", TODAY + 9, 1), saved("a/Tokens/month", THIS_MONTH + 9, 1)];
    let dates = Dates::new(&newest, at(NOON));
    let past = |key: &str, serial| saved(key, serial, 1).is_long_past(&dates);
    let day = |serial| past("tenant/acme/daily/Tokens/day", serial);
    assert_eq!([0, TODAY - 401, TODAY - 400, TODAY, u32::MAX].map(day), [true, true, false, false, false]);
    let month = |serial| past("tenant/acme/daily/Tokens/month", serial);
    assert_eq!([0, 668, 669, THIS_MONTH, TODAY].map(month), [true, true, false, false, false]);
}

#[test]
fn of_two_counts_of_a_day_the_greater_is_taken_over() {
    for used in [[99, 5], [5, 99]] {
        let before = used.map(|used| saved("tenant/acme/daily/Tokens/day", TODAY, used));
        let run = Run::start(&before, &[budget("daily", Per::Tenant, Unit::Day)], &[], NOON);
        assert_eq!(run.used(NOON), 99);
    }
}

#[test]
fn a_count_of_the_day_after_tomorrow_is_back_when_that_comes() {
    let before = [saved("tenant/acme/daily/Tokens/day", TODAY + 2, 99)];
    let run = Run::start(&before, &[budget("daily", Per::Tenant, Unit::Day)], &[], NOON);
    assert_eq!(run.used(NOON), 0);
    run.registry.sweep(at(NOON + 2 * DAY));
    assert_eq!(run.used(NOON + 2 * DAY), 99);
}

#[test]
fn the_next_day_may_have_begun_elsewhere_and_the_one_after_not() {
    let ahead = |serial| saved("a/Tokens/day", serial, 1).is_ahead(at(NOON));
    assert_eq!([TODAY, TODAY + 1, TODAY + 2].map(ahead), [false, false, true]);
    let ahead = |serial| saved("a/Tokens/month", serial, 1).is_ahead(at(NOON));
    assert_eq!([THIS_MONTH, THIS_MONTH + 1, THIS_MONTH + 2].map(ahead), [false, false, true]);
}

#[test]
fn a_clock_that_is_far_ahead_makes_nothing_old() {
    let all = [saved("a/Tokens/day", TODAY - 399, 1), saved("a/Tokens/day", TODAY, 1)];
    let dates = Dates::new(&all, at(NOON + 4_000 * DAY));
    assert!(all.iter().all(|count| !count.is_long_past(&dates)));
}

#[test]
fn a_count_that_is_ahead_of_the_clock_waits_until_the_clock_is_right() {
    let plan = [
        budget("daily", Per::Tenant, Unit::Day),
        budget("of-user", Per::User, Unit::Day),
        budget("each", Per::TenantModel, Unit::Day),
    ];
    let model = [budget("all", Per::Model, Unit::Day)];
    let true_counts = {
        let run = Run::start(&[], &plan, &model, NOON);
        run.spend(99, NOON);
        run.unsaved()
    };
    let behind = NOON - 9_000 * DAY;
    let aside: Vec<Saved> = true_counts.iter().map(Saved::aside).collect();
    for before in [&true_counts, &aside] {
        let run = Run::start(before, &plan, &model, behind);
        run.spend(5, behind);
        assert_eq!(run.used(behind), 5, "what was spent is of another day");
        run.registry.sweep(at(behind + 1));
        assert_eq!(run.used(behind + 1), 5);
        run.registry.sweep(at(NOON));
        assert_eq!(run.used(NOON), 99, "the clock was put right while the gateway ran");
        let all = run.registry.model_state("pangu", at(NOON)).expect("pangu").limits;
        let state = run.registry.tenant_state("acme", at(NOON)).expect("acme").limits;
        let used: Vec<u64> = state.iter().chain(&all).map(|limit| limit.used).collect();
        assert_eq!(used, [99, 99, 0, 99, 99], "and bob has spent nothing");
        run.spend(1, NOON);
        assert!(run.unsaved().iter().all(|count| (count.serial, count.used) == (TODAY, 100)));
    }
}
