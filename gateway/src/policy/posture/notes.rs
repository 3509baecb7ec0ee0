//! What is missing in a policy, or worth a look.

use crate::limit::Amount;
use crate::limit::measure::Measure;
use crate::policy::check::{Checked, Limit, Plan, Pool, Route, Tenant};
use crate::policy::snapshot::Api;
use crate::upstream::Credential;
use humantime::format_duration;
use std::collections::BTreeSet;

/// Of the policy as a whole.
pub fn beyond_routes(checked: &Checked) -> Vec<String> {
    let mut notes = Vec::new();
    let named: BTreeSet<usize> = checked.tenants.iter().map(|tenant| tenant.plan).collect();
    for (_, plan) in checked.plans.iter().enumerate().filter(|(i, _)| !named.contains(i)) {
        notes.push(format!("plan `{}` is used by no tenant", plan.name));
    }
    let by_routes = checked.routes.iter().map(|route| route.pool);
    let named: BTreeSet<usize> = by_routes.chain(checked.streams.iter().map(|stream| stream.pool)).collect();
    for (_, pool) in checked.pools.iter().enumerate().filter(|(i, _)| !named.contains(i)) {
        notes.push(format!("pool `{}` is used by no route", pool.name));
    }
    let empty = |plan: &&Plan| plan.limits.is_empty() && plan.streams.is_empty();
    for plan in checked.plans.iter().filter(empty) {
        notes.push(format!("plan `{}` limits nothing", plan.name));
    }
    for plan in checked.plans.iter().filter(|plan| only_shadows(&plan.limits)) {
        notes.push(format!("plan `{}` refuses nobody: all its limits are shadows", plan.name));
    }
    notes.extend(free_of_budgets(checked));
    let nobody = |tenant: &&Tenant| tenant.users.is_empty() && !tenant.on_streams;
    for tenant in checked.tenants.iter().filter(nobody) {
        notes.push(format!("tenant `{}` has no users", tenant.name));
    }
    if checked.guard_per_address == 0 {
        notes.push("no guard: one address may send as many unauthenticated requests as it likes".into());
    }
    notes
}

/// Of one route.
pub fn of_route(route: &Route, pool: &Pool, callers: &[&Tenant], plans: &[&Plan]) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |text: String| notes.push(text);
    if let Some(reason) = &route.unlimited {
        note(format!("unlimited by permission: {reason}"));
    }
    match &route.auth {
        None => note("anybody may call (`auth: none`)".into()),
        Some(_) if callers.is_empty() => note("no tenant has a credential it takes: nobody may call".into()),
        Some(rules) => {
            if rules.unsigned_payload {
                note("UNSIGNED-PAYLOAD is accepted: a signature need not bind the body".into());
            }
            if !rules.refuse_replay {
                note(format!("a signature may be used again for {}", format_duration(rules.skew)));
            }
            if rules.double_encoded_path {
                note("doubly encoded paths are accepted in signatures".into());
            }
        }
    }
    let shown = route.credential.as_ref().unwrap_or(&pool.credential);
    if matches!(**shown, Credential::Pass) {
        note("callers' own credentials go on to the backends (`pass`)".into());
    }
    if shown.is_readable() && pool.backends.iter().any(|(backend, _)| backend.tls.is_none()) {
        note(format!("its `{}` for backends goes over plain `http`", shown.kind()));
    }
    if route.retry.as_ref().is_some_and(|retry| retry.rule.repeat_post) {
        note("a POST may be done, and paid for, twice (`retry.repeat_post`)".into());
    }
    for version in versions_without_requests(pool) {
        note(format!("version `{version}` gets nothing: it has no weight, and no rule names it"));
    }
    let concurrent = |limits: &[Limit]| {
        limits
            .iter()
            .filter(|limit| limit.counts(route.api))
            .any(|Limit { rule, .. }| !rule.shadow && matches!(rule.amount, Amount::Concurrent(_)))
    };
    if route.api != Api::Plain && !concurrent(&route.limits) {
        let without: Vec<&str> =
            plans.iter().filter(|plan| !concurrent(&plan.limits)).map(|plan| plan.name.as_ref()).collect();
        if !without.is_empty() {
            note(format!("no limit on concurrent requests for plan {}", without.join(", ")));
        } else if plans.is_empty() {
            note("no limit on concurrent requests".into());
        }
    }
    notes
}

fn versions_without_requests(pool: &Pool) -> impl Iterator<Item = &str> {
    let ruled: BTreeSet<usize> = pool.split.rules.iter().map(|rule| rule.version).collect();
    let idle = pool
        .versions
        .iter()
        .enumerate()
        .filter(move |(i, version)| version.weight == 0 && !ruled.contains(i));
    idle.filter_map(|(_, version)| version.name.as_deref())
}

fn only_shadows(limits: &[Limit]) -> bool {
    !limits.is_empty() && limits.iter().all(|limit| limit.rule.shadow)
}

/// Models that cost nothing where budgets in money are meant to hold.
fn free_of_budgets(checked: &Checked) -> Option<String> {
    let money = |limit: &Limit| matches!(limit.rule.amount, Amount::Budget { measure: Measure::Money, .. });
    let free: Vec<&str> = checked
        .models
        .iter()
        .filter(|model| model.price.is_none())
        .map(|model| model.name.as_ref())
        .collect();
    let counts = checked.limits().any(money) && !free.is_empty();
    counts.then(|| format!("budgets in money count nothing for models without a price: {}", free.join(", ")))
}
