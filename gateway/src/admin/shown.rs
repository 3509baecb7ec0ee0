//! What the pages say, as JSON: written by the gateway, read back by `pangu-gateway explain`.
//!
//! Times are RFC 3339. Money is a text with its currency, such as `"12.5 CNY"`, exact to a billionth; all else that is
//! counted is a number.

use crate::limit::money::{Currency, Money};
use crate::limit::{BudgetForecast, LimitState, Limited, Outlook, Unit};
use serde::{Deserialize, Serialize};
use std::fmt;

/// So much of what a limit counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Amount {
    /// Requests, places or tokens.
    Count(u64),
    /// Money with its currency.
    Money(String),
}

impl Amount {
    /// `n` in `unit`; money in `currency`, if any price has one.
    pub fn new(n: u64, unit: Unit, currency: Option<Currency>) -> Amount {
        match (unit, currency) {
            (Unit::Money, Some(currency)) => Amount::Money(format!("{} {currency}", Money { nano: n })),
            (Unit::Money, None) => Amount::Money(Money { nano: n }.to_string()),
            _ => Amount::Count(n),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Amount::Count(n) => write!(f, "{n}"),
            Amount::Money(money) => f.write_str(money),
        }
    }
}

/// One limit, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Name of the limit.
    pub limit: String,
    /// What it is counted per, as policy writes it.
    pub per: String,
    /// Whose use it is, for a limit per user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// On which route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// For which model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What it counts.
    pub unit: String,
    /// So much per window, or at the same time.
    pub quota: Amount,
    /// Length of the window in milliseconds (a month counts as 30 days); absent for a limit on concurrency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_ms: Option<u64>,
    /// It comes back with the next day or month, and not bit by bit.
    pub budget: bool,
    /// Most at once.
    pub most: Amount,
    /// What counts now, holds included.
    pub used: Amount,
    /// The part of it that is held by requests whose cost is not known yet.
    pub held: Amount,
    /// What would be admitted now.
    pub remaining: Amount,
    /// What was spent beyond `most`.
    pub debt: Amount,
    /// Milliseconds until nothing counts any more; absent for a limit on concurrency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_ms: Option<u64>,
    /// `enforce` or `shadow`.
    pub mode: String,
    /// `finish` or `cut`.
    pub on_exhausted: String,
}

impl Limit {
    /// What is shown of `state`.
    pub fn new(state: &LimitState, currency: Option<Currency>) -> Limit {
        let amount = |n| Amount::new(n, state.unit, currency);
        Limit {
            limit: state.limit.to_string(),
            per: state.per.name().into(),
            user: state.user.as_deref().map(str::to_owned),
            route: state.route.as_deref().map(str::to_owned),
            model: state.model.as_deref().map(str::to_owned),
            unit: state.unit.name().into(),
            quota: amount(state.quota),
            window_ms: state.window_ms,
            budget: state.budget,
            most: amount(state.most),
            used: amount(state.used),
            held: amount(state.held),
            remaining: amount(state.remaining),
            debt: amount(state.debt),
            reset_ms: state.reset_ms,
            mode: mode(state.shadow).into(),
            on_exhausted: if state.cut { "cut" } else { "finish" }.into(),
        }
    }
}

/// `/limits`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The tenant, route or model.
    pub name: String,
    /// Every limit that counts it.
    pub limits: Vec<Limit>,
}

/// `/explain`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// When this was so.
    pub now: String,
    /// Who asks; null where anybody may, and limits per tenant and user do not count.
    pub tenant: Option<String>,
    /// Which of its users; null: one that has used nothing yet.
    pub user: Option<String>,
    /// The route.
    pub route: String,
    /// The model; null where nothing is metered.
    pub model: Option<String>,
    /// In the order in which they are asked.
    pub limits: Vec<Limit>,
    /// How much one request may ask for.
    pub ceilings: Ceilings,
    /// What tokens of the model cost; null: nothing.
    pub price: Option<Price>,
    /// What would be held for a request; null where nothing is metered.
    pub estimate: Option<Estimate>,
    /// What a request of one token meets.
    pub one_token: Verdict,
}

/// The strictest of route, plan and model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ceilings {
    /// Most prompt tokens.
    pub prompt_tokens: Option<u64>,
    /// Most completion tokens of one choice.
    pub completion_tokens: Option<u64>,
    /// What becomes of a request for more: `refuse` or `clamp`.
    pub on_excess: String,
    /// Completion tokens are cut down to what is left of limits and budgets.
    pub clamp_to_budget: bool,
}

/// Of a million tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Prompt tokens.
    pub prompt_per_million: Amount,
    /// Completion tokens.
    pub completion_per_million: Amount,
}

/// How tokens are estimated before they are known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Prompt tokens for each ASCII byte, as learned from the model's answers.
    pub per_ascii_byte: f32,
    /// For each other byte.
    pub per_other_byte: f32,
    /// For each message.
    pub per_message: f32,
    /// For each prompt.
    pub per_prompt: f32,
    /// All of it times this is held.
    pub margin: f32,
    /// Completion tokens that are held for each choice, unless less is asked for: nine of ten of the tenant's answers
    /// have fewer. Null: the caller is not known.
    pub completion: Option<u64>,
}

/// Would it be let in?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Now.
    pub admitted: bool,
    /// The limit that has no room for the longest time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// What it is counted per.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<String>,
    /// What the caller would be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Milliseconds until it has room; an estimate where that depends on when other requests end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The same as a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

impl Verdict {
    /// What is shown of a refusal, or of none.
    pub fn new(refused: Option<&Limited>, now_ms: u64) -> Verdict {
        let Some(limited) = refused else {
            return Verdict {
                admitted: true,
                limit: None,
                per: None,
                why: None,
                retry_after_ms: None,
                at: None,
            };
        };
        let wait_ms = limited.retry_after.as_micros().div_ceil(1000) as u64;
        Verdict {
            admitted: false,
            limit: Some(limited.full.limit.to_string()),
            per: Some(limited.full.per.name().into()),
            why: Some(limited.to_string()),
            retry_after_ms: Some(wait_ms),
            at: Some(time(now_ms.saturating_add(wait_ms))),
        }
    }
}

/// `/forecast`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forecast {
    /// When this was so.
    pub now: String,
    /// The tenant.
    pub tenant: String,
    /// Its budgets, then those of its users, then those on routes and for models it has used.
    pub budgets: Vec<Budget>,
}

/// A budget of a day or month, and what is to be expected of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Name of the limit.
    pub limit: String,
    /// What it is counted per.
    pub per: String,
    /// Whose use it is, for a limit per user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// On which route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// For which model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What it counts.
    pub unit: String,
    /// `enforce` or `shadow`.
    pub mode: String,
    /// Spent in this period; holds aside.
    pub used: Amount,
    /// Held by requests whose cost is not known yet.
    pub held: Amount,
    /// The budget.
    pub most: Amount,
    /// When the period began.
    pub begins: String,
    /// When the next begins.
    pub ends: String,
    /// At the mean rate of the period so far.
    pub so_far: Expected,
    /// At the rate of about the last hour.
    pub last_hour: Expected,
}

/// What becomes of a budget at one rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// The rate.
    pub per_hour: Amount,
    /// When it is spent; null: not within this period.
    pub spent_at: Option<String>,
    /// What will be used when the period ends, were nobody refused.
    pub used_at_end: Amount,
}

impl Budget {
    /// What is shown of `forecast`.
    pub fn new(forecast: &BudgetForecast, currency: Option<Currency>) -> Budget {
        let amount = |n| Amount::new(n, forecast.unit, currency);
        let expected = |outlook: &Outlook| Expected {
            per_hour: amount(outlook.per_hour),
            spent_at: outlook.spent_at_ms.map(time),
            used_at_end: amount(outlook.used_at_end),
        };
        Budget {
            limit: forecast.limit.to_string(),
            per: forecast.per.name().into(),
            user: forecast.user.as_deref().map(str::to_owned),
            route: forecast.route.as_deref().map(str::to_owned),
            model: forecast.model.as_deref().map(str::to_owned),
            unit: forecast.unit.name().into(),
            mode: mode(forecast.shadow).into(),
            used: amount(forecast.used),
            held: amount(forecast.held),
            most: amount(forecast.most),
            begins: time(forecast.begins_ms),
            ends: time(forecast.ends_ms),
            so_far: expected(&forecast.so_far),
            last_hour: expected(&forecast.lately),
        }
    }
}

/// No page for this name: what there is instead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// What is missing.
    pub error: String,
    /// What to ask for.
    pub help: String,
}

fn mode(shadow: bool) -> &'static str {
    if shadow { "shadow" } else { "enforce" }
}

/// RFC 3339, in UTC; a time that has no date is shown as its milliseconds.
pub fn time(wall_ms: u64) -> String {
    let stamp = i64::try_from(wall_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    stamp.map_or_else(|| format!("{wall_ms} ms"), |stamp| stamp.to_string())
}
