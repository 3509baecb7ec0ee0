//! `/explain`, `/limits` and `/forecast`: names from the query, state from the levels.

use super::query::Query;
use super::shown::{self, Amount, Explained, Missing};
use crate::clock::Now;
use crate::limit::money::Currency;
use crate::limit::price::Price;
use crate::limit::{self, LimitState, Question, Unit};
use crate::policy::{Caller, Ceilings, Model, Route, Snapshot, Store};
use std::sync::Arc;

/// How many names an answer to an unknown one lists at most.
const NAMES_MAX: usize = 20;
/// The longest name that is looked for among the known ones, in characters; policy has none of this length.
const NAME_MAX: usize = 128;

/// Why there is no page.
pub enum No {
    /// The query does not say enough: what to write.
    Unclear(&'static str),
    /// There is nothing of this name.
    Missing(Missing),
}

/// Every level that a request would meet, and what would become of it.
///
/// # Errors
/// [`No`]
pub fn explain(policy: &Store, query: Query<'_>, now: Now) -> Result<Explained, No> {
    let tenant = query.get("tenant");
    let Some(route) = query.get("route") else {
        return Err(No::Unclear(
            "name a route: /explain?route=NAME[&tenant=NAME][&user=NAME][&model=NAME]\n",
        ));
    };
    let policy = policy.current();
    let callers = tenant.as_deref().map_or(Ok(Vec::new()), |tenant| callers(&policy, tenant))?;
    let route = find_route(&policy, &route)?;
    if callers.is_empty() && (route.auth.is_some() || query.get("user").is_some()) {
        return Err(No::Unclear("name a tenant: /explain?tenant=NAME&route=NAME[&user=NAME][&model=NAME]\n"));
    }
    let user = query.get("user").map(|name| user(&callers, &name)).transpose()?;
    let model = model(&policy, route, query.get("model").as_deref())?;
    let caller = callers.first().filter(|_| route.auth.is_some());
    let user = user.filter(|_| caller.is_some());
    let question = Question {
        tenant: caller.map(|caller| &caller.tenant),
        user: user.map(|caller| caller.user),
        route: &route.limits,
        model: model.map(|model| (&model.limits, model.price)),
    };
    let answer = limit::explain(&question, now);
    let of_plan = caller.filter(|_| model.is_some()).map(|caller| caller.terms.ceilings);
    let ceilings = [of_plan, model.map(|model| model.ceilings)];
    Ok(Explained {
        now: shown::time(now.wall_ms),
        tenant: caller.map(|caller| caller.tenant_name().to_string()),
        user: user.map(|caller| caller.user_name.to_string()),
        route: route.name.to_string(),
        model: model.map(|model| model.name.to_string()),
        limits: limits(&answer.limits, &policy),
        ceilings: shown_ceilings(ceilings.into_iter().flatten().fold(route.ceilings, Ceilings::and)),
        price: model.and_then(|model| shown_price(model.price)),
        estimate: model.map(|model| estimate(model, answer.completion)),
        one_token: shown::Verdict::new(answer.refused.as_ref(), now.wall_ms),
    })
}

/// Every level of a tenant, a route or a model.
///
/// # Errors
/// [`No`]
pub fn limits_of(policy: &Store, query: Query<'_>, now: Now) -> Result<shown::Limits, No> {
    let (snapshot, levels) = (policy.current(), &policy.live().limits);
    let shown = |name: &str, states: &[LimitState]| shown::Limits {
        name: name.to_owned(),
        limits: limits(states, &snapshot),
    };
    if let Some(name) = query.get("tenant") {
        let state = levels.tenant_state(&name, now).ok_or_else(|| no_tenant(&snapshot, &name))?;
        return Ok(shown(&state.tenant, &state.limits));
    }
    if let Some(name) = query.get("route") {
        let state = levels.route_state(&name, now).ok_or_else(|| no_route(&snapshot, &name))?;
        return Ok(shown(&state.name, &state.limits));
    }
    if let Some(name) = query.get("model") {
        let state = levels.model_state(&name, now).ok_or_else(|| no_model(&snapshot, &name))?;
        return Ok(shown(&state.name, &state.limits));
    }
    Err(No::Unclear("name one: /limits?tenant=NAME, /limits?route=NAME or /limits?model=NAME\n"))
}

/// What is to be expected of a tenant's budgets.
///
/// # Errors
/// [`No`]
pub fn forecast(policy: &Store, query: Query<'_>, now: Now) -> Result<shown::Forecast, No> {
    let Some(name) = query.get("tenant") else {
        return Err(No::Unclear("name a tenant: /forecast?tenant=NAME\n"));
    };
    let snapshot = policy.current();
    let forecast = policy.live().limits.forecast(&name, now).ok_or_else(|| no_tenant(&snapshot, &name))?;
    let currency = currency(&snapshot);
    Ok(shown::Forecast {
        now: shown::time(now.wall_ms),
        tenant: forecast.tenant.to_string(),
        budgets: forecast.budgets.iter().map(|budget| shown::Budget::new(budget, currency)).collect(),
    })
}

/// All users of a tenant; at least one.
fn callers<'p>(policy: &'p Snapshot, tenant: &str) -> Result<Vec<&'p Arc<Caller>>, No> {
    let callers: Vec<_> = policy.callers.iter().filter(|caller| &**caller.tenant_name() == tenant).collect();
    if callers.is_empty() { Err(no_tenant(policy, tenant)) } else { Ok(callers) }
}

fn user<'p>(callers: &[&'p Arc<Caller>], name: &str) -> Result<&'p Arc<Caller>, No> {
    let found = callers.iter().find(|caller| &*caller.user_name == name).copied();
    found.ok_or_else(|| missing("user of this tenant", name, callers.iter().map(|caller| &*caller.user_name)))
}

fn find_route<'p>(policy: &'p Snapshot, name: &str) -> Result<&'p Arc<Route>, No> {
    policy.routes.iter().find(|route| &*route.name == name).ok_or_else(|| no_route(policy, name))
}

/// The model that a request which names `name` is for; None where nothing is metered.
fn model<'p>(
    policy: &'p Snapshot,
    route: &'p Route,
    name: Option<&str>,
) -> Result<Option<&'p Arc<Model>>, No> {
    let named = name.map(|name| find_model(policy, name)).transpose()?;
    let Some(metering) = &route.metering else { return Ok(None) };
    let named = named.filter(|_| !metering.fixed);
    Ok(Some(named.or(metering.model.as_ref()).unwrap_or(policy.models.other())))
}

/// By a name that requests give it. A request for an unknown model is for `other`; an operator who asks for one has
/// more likely misspelt it.
fn find_model<'p>(policy: &'p Snapshot, name: &str) -> Result<&'p Arc<Model>, No> {
    let (found, other) = (policy.models.find(name), policy.models.other());
    let known = !Arc::ptr_eq(found, other) || name == &*other.name;
    if known { Ok(found) } else { Err(no_model(policy, name)) }
}

fn no_tenant(policy: &Snapshot, name: &str) -> No {
    let mut names: Vec<&str> = policy.callers.iter().map(|caller| &**caller.tenant_name()).collect();
    names.dedup(); // callers stand in the order of tenants
    missing("tenant", name, names.into_iter())
}

fn no_route(policy: &Snapshot, name: &str) -> No {
    missing("route", name, policy.routes.iter().map(|route| &*route.name))
}

fn no_model(policy: &Snapshot, name: &str) -> No {
    missing("model", name, policy.models.all().iter().map(|model| &*model.name))
}

/// Says what is missing and what there is: the nearest name, or the first few.
fn missing<'n>(what: &str, name: &str, names: impl Iterator<Item = &'n str> + Clone) -> No {
    let name: String = name.chars().take(NAME_MAX).collect();
    let near = names.clone().map(|known| (strsim::damerau_levenshtein(&name, known), known)).min();
    let count = names.clone().count();
    let mut list: Vec<String> = names.take(NAMES_MAX).map(|known| format!("`{known}`")).collect();
    if count > NAMES_MAX {
        list.push(format!("and {} more", count - NAMES_MAX));
    }
    let help = match near {
        Some((distance, near)) if distance <= 1 + name.len() / 4 => format!("did you mean `{near}`? "),
        _ => String::new(),
    };
    let error = format!("no {what} is named `{}`", name.escape_debug());
    No::Missing(Missing { error, help: format!("{help}there is {}", list.join(", ")) })
}

/// The one that all prices of a policy are in.
fn currency(policy: &Snapshot) -> Option<Currency> {
    let mut currencies = policy.models.all().iter().map(|model| model.price.currency());
    currencies.find(|currency| *currency != Currency::NONE)
}

fn limits(states: &[LimitState], policy: &Snapshot) -> Vec<shown::Limit> {
    let currency = currency(policy);
    states.iter().map(|state| shown::Limit::new(state, currency)).collect()
}

fn shown_ceilings(ceilings: Ceilings) -> shown::Ceilings {
    shown::Ceilings {
        prompt_tokens: ceilings.prompt_tokens,
        completion_tokens: ceilings.completion_tokens,
        on_excess: if ceilings.clamp { "clamp" } else { "refuse" }.into(),
        clamp_to_budget: ceilings.clamp_to_budget,
    }
}

fn shown_price(price: Price) -> Option<shown::Price> {
    let amount = |n| Amount::new(n, Unit::Money, Some(price.currency()));
    (price.currency() != Currency::NONE).then(|| shown::Price {
        prompt_per_million: amount(price.cost(1_000_000, 0)),
        completion_per_million: amount(price.cost(0, 1_000_000)),
    })
}

fn estimate(model: &Model, completion: Option<u64>) -> shown::Estimate {
    let estimator = model.limits.estimator();
    let [per_ascii_byte, per_other_byte, per_message, per_prompt] = estimator.coefficients();
    let margin = estimator.margin();
    shown::Estimate { per_ascii_byte, per_other_byte, per_message, per_prompt, margin, completion }
}
