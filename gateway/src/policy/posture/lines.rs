//! Limits, prices, ceilings, queues and sizes, each in a line for people.

use crate::fair::Config;
use crate::limit::money::Money;
use crate::limit::price::Price;
use crate::limit::{Algorithm, Amount, Per};
use crate::policy::check::{Fallback, Limit, Plan, Pool, Retry};
use crate::policy::snapshot::Ceilings;
use humantime::format_duration;

/// `user-rpm: 20 requests in 1m per user, 20 at once`
pub fn limit_line(limit: &Limit) -> String {
    let Limit { rule, zone, currency } = limit;
    let per = match rule.per {
        Per::Tenant => "tenant",
        Per::User => "user",
        Per::Route => "route",
        Per::TenantRoute => "tenant and route",
        Per::Model => "model",
        Per::TenantModel => "tenant and model",
    };
    let mut line = match &rule.amount {
        Amount::Tokens { tokens, period, burst, measure } => {
            let (what, period) = (measure.name(), format_duration(*period));
            format!("{tokens} {what} in {period} per {per}, {burst} at once")
        }
        Amount::Budget { most, measure, calendar, .. } => {
            let what = currency.map_or_else(|| measure.name().to_string(), |currency| currency.to_string());
            let (most, unit) = (measure.amount(*most), calendar.unit().name());
            format!("{most} {what} in every {unit} ({}) per {per}", zone.as_deref().unwrap_or("UTC"))
        }
        Amount::Concurrent(most) => format!("{most} requests at a time per {per}"),
        Amount::Requests { requests, period, burst, algorithm } => {
            let how = match algorithm {
                Algorithm::TokenBucket => format!("{burst} at once"),
                Algorithm::FixedWindow => "fixed window".into(),
                Algorithm::SlidingWindow => "sliding window".into(),
            };
            format!("{requests} requests in {} per {per}, {how}", format_duration(*period))
        }
    };
    if rule.cut && !rule.shadow && rule.amount.grows_with_answers() {
        line += "; cuts streams when spent";
    }
    if rule.shadow {
        line += "; shadow: refuses nobody";
    }
    format!("{}: {line}", rule.name)
}

/// Of a million tokens each, so that prices compare.
pub fn price_line(price: &Price) -> String {
    const MILLION: u64 = 1_000_000;
    let [prompt, completion] = [price.cost(MILLION, 0), price.cost(0, MILLION)].map(|nano| Money { nano });
    let currency = price.currency();
    format!(
        "{prompt} {currency} for a million prompt tokens, {completion} {currency} for a million completion tokens"
    )
}

/// None without any.
pub fn ceilings_line(ceilings: &Ceilings) -> Option<String> {
    let Ceilings { prompt_tokens, completion_tokens, clamp, clamp_to_budget } = ceilings;
    let excess = if *clamp { "cut down to it" } else { "refused beyond" };
    let lines = [
        prompt_tokens.map(|most| format!("{most} prompt tokens, refused beyond")),
        completion_tokens.map(|most| format!("{most} completion tokens, {excess}")),
        clamp_to_budget.then(|| "completion tokens cut down to what is left of the caller's limits".into()),
    ];
    let lines: Vec<String> = lines.into_iter().flatten().collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}

/// `64 requests at a time, 10 % of it for tenants below their share; up to 200 wait: interactive 5s, batch 5m`
pub fn queue_line(queue: &Config) -> String {
    let most = [
        queue.in_flight_max.map(|most| format!("{most} requests")),
        queue.tokens_max.map(|most| format!("{most} tokens")),
    ];
    let most: Vec<String> = most.into_iter().flatten().collect();
    let most = match (most.is_empty(), queue.adapt) {
        (true, _) => "as much as the upstream takes".into(),
        (false, Some(_)) => format!("{} at a time, fewer while the upstream refuses", most.join(" and ")),
        (false, None) => format!("{} at a time", most.join(" and ")),
    };
    let class = |class: &crate::fair::Class| {
        let kept = match class.holdback_percent {
            0 => String::new(),
            percent => format!(" with {percent} % kept free for it"),
        };
        format!("{} {}{kept}", class.name, format_duration(class.wait_max))
    };
    let classes: Vec<String> = queue.classes.iter().map(class).collect();
    let headroom = match queue.headroom_percent {
        0 => String::new(),
        percent => format!(", {percent} % of it for tenants below their share"),
    };
    match queue.queue_max {
        0 => format!("{most}{headroom}; nobody waits"),
        waiting => format!("{most}{headroom}; up to {waiting} wait: {}", classes.join(", ")),
    }
}

/// `weight 3, class interactive`
pub fn share_line(plan: &Plan, queue: &Config) -> String {
    let known = queue.classes.iter().find(|class| plan.class.as_deref() == Some(&*class.name));
    let class = known.or(queue.classes.last()).map_or("standard", |class| &*class.name);
    format!("weight {}, class {class}", plan.weight)
}

/// `2 attempts after connect, 503, paid by 20 % of the requests; then pool maas with model pangu-small`
pub fn retry_line(Retry { rule, fallback }: &Retry, pools: &[Pool]) -> String {
    let on: Vec<&str> = rule.on.iter().map(|reason| reason.name()).collect();
    let percent = rule.budget_percent;
    let mut line =
        format!("{} attempts after {}, paid by {percent} % of the requests", rule.attempts, on.join(", "));
    if let Some(Fallback { pool, model }) = fallback {
        line += &format!("; then pool {}", pools[*pool].name);
        if let Some((model, _)) = model {
            line += &format!(" with model {model}");
        }
    }
    line
}

/// `512 KiB`
pub fn bytes(n: u64) -> String {
    match n {
        n if n >= 1 << 20 && n % (1 << 20) == 0 => format!("{} MiB", n >> 20),
        n if n >= 1 << 10 && n % (1 << 10) == 0 => format!("{} KiB", n >> 10),
        n => format!("{n} B"),
    }
}
