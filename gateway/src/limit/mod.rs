//! 3. How much? May this caller send one more request on this route now?
//!
//! Asked by the proxy once the caller is known; the [`Guard`] is asked before that, by address.
//!
//! *Model.* A limit lets so many requests through in a period, or so many at the same time, counted per
//! tenant, user, route, or tenant on a route. What one of these has used of one limit is a level. [`admit`]
//! looks at every level that concerns a request and then moves all of them, or none: a refusal costs
//! nothing anywhere. What it grants is a [`Permit`]; dropping it gives the places it took back.
//!
//! *Accuracy.* Exact within one process, at any concurrency: the levels of a tenant lie under one lock, those
//! of a route under another, taken in this order and held together while deciding. What each way of counting
//! promises is said in [`meter`] and [`window`]. N gateways let N times the limit through.
//!
//! *Time* is a parameter, and only its monotonic part is read. A clock that steps back gives no credit.
//!
//! *Reload.* [`Registry::apply`] keeps levels by the names of tenants, users, routes and limits. What was used
//! stays used under the new numbers; what has gone from policy is forgotten when it is idle.
//!
//! *Memory.* A tenant takes about 250 bytes and 32 for each limit, a user 24 and 32 for each limit. Only
//! policy makes tenants, users and routes; traffic makes nothing but a tenant's levels on a route it uses
//! for the first time. Strangers meet the guard only, which is of constant size.
//!
//! *Cost.* Under 100 ns for three levels, end included, and no allocation; watched by `benches/limit_admit.rs`.
//!
//! *Not here.* Reading limits from files (`policy`), status and body of the 429 (`reject`), metrics (`observe`).

mod admit;
mod decide;
mod denial;

mod permit;

mod tenant;

mod pairs;
mod users;

mod common;

mod level;
mod levels;
mod recent;
mod spend;

pub mod calendar;
pub mod estimate;
pub mod measure;
pub mod money;
pub mod price;
pub mod quantile;

pub mod meter;
pub mod quota;
pub mod window;

mod rules;

mod registry;

mod save;
mod tally;

mod explain;
mod forecast;
mod inspect;
mod totals;

mod guard;

pub mod headers;

#[cfg(test)]
mod tests;

pub use admit::{Asking, Metered, admit, check};
pub use common::Common;
pub use explain::{Answer, Question, explain};
pub use forecast::{BudgetForecast, Outlook, Rate, TenantForecast};
pub use guard::Guard;
pub use inspect::{CommonState, Gauges, LimitState, TenantState};
pub use permit::{Permit, Standings};
pub use registry::{Applied, Enrolled, Policy, Registry, TenantSpec};
pub use save::Saved;
pub use tally::{Counts, Tally};
pub use tenant::Tenant;
pub use totals::Totals;
pub use users::UserIx;

use calendar::Calendar;
use measure::Measure;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// What a limit is counted per.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// All requests of a tenant.
    Tenant,
    /// Those of one of its users.
    User,
    /// All requests on a route, whoever sends them.
    Route,
    /// Those of one tenant on one route.
    #[serde(rename = "tenant+route")]
    TenantRoute,
    /// All requests for a model, whoever sends them and on whatever route.
    Model,
    /// Those of one tenant for one model.
    #[serde(rename = "tenant+model")]
    TenantModel,
}

impl Per {
    /// As policy writes it.
    pub fn name(self) -> &'static str {
        match self {
            Per::Tenant => "tenant",
            Per::User => "user",
            Per::Route => "route",
            Per::TenantRoute => "tenant+route",
            Per::Model => "model",
            Per::TenantModel => "tenant+model",
        }
    }
}

/// How requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// At most `burst + rate * t` in any stretch of `t`; see [`meter`].
    TokenBucket,
    /// At most twice the limit in any period; see [`window::Fixed`].
    FixedWindow,
    /// At most the limit in any period; see [`window::Sliding`].
    SlidingWindow,
}

/// One compiled limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// Unique within its level; levels are kept by it across reloads.
    pub name: Arc<str>,
    /// What it is counted per.
    pub per: Per,
    /// How much it lets through.
    pub amount: Amount,
    /// Counted and reported, but nobody is refused (`mode: shadow`).
    pub shadow: bool,
    /// Ends a stream in its middle once it is spent (`on_exhausted: cut`); tokens and budgets only.
    pub cut: bool,
}

impl Limit {
    /// A limit that refuses, and lets what it has admitted finish.
    pub fn new(name: impl Into<Arc<str>>, per: Per, amount: Amount) -> Limit {
        Limit { name: name.into(), per, amount, shadow: false, cut: false }
    }
}

/// How much a limit lets through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amount {
    /// `requests` in every `period` (1 s, 1 min, 1 h, 1 day); `burst` at once (token bucket only).
    Requests {
        /// Requests per period.
        requests: NonZeroU32,
        /// Length of the period; counted in whole microseconds, at least one.
        period: Duration,
        /// Most requests at once; read for a token bucket only.
        burst: NonZeroU32,
        /// How they are counted.
        algorithm: Algorithm,
    },
    /// This many at the same time.
    Concurrent(NonZeroU32),
    /// A token bucket of model tokens: `tokens` in every `period`, `burst` at once.
    Tokens {
        /// Tokens per period.
        tokens: NonZeroU32,
        /// Length of the period.
        period: Duration,
        /// Most tokens at once.
        burst: NonZeroU32,
        /// Which tokens.
        measure: Measure,
    },
    /// `most` in every day or month of a calendar: tokens, or money in billionths of the currency.
    Budget {
        /// Tokens, or billionths of the currency.
        most: u64,
        /// Which tokens, or money.
        measure: Measure,
        /// Which days or months.
        calendar: Arc<Calendar>,
    },
}

impl Amount {
    /// What it counts.
    pub fn unit(&self) -> Unit {
        match self {
            Amount::Requests { .. } => Unit::Requests,
            Amount::Concurrent(_) => Unit::Places,
            Amount::Tokens { measure, .. } | Amount::Budget { measure, .. } => measure.unit(),
        }
    }
}

/// The limits of a plan (per tenant, user, tenant+route, tenant+model).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// As written in policy.
    pub name: Arc<str>,
    /// In the order written. A limit per route or model has no meaning here and is not counted.
    pub limits: Vec<Limit>,
}

/// The limits written at a route (per route, tenant+route) or a model (per model, tenant+model).
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CommonPlan {
    /// In the order written. A limit per tenant or user has no meaning here and is not counted.
    pub limits: Vec<Limit>,
}

/// What a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Requests in a period.
    Requests,
    /// Requests at the same time.
    Places,
    /// Prompt and completion tokens.
    Tokens,
    /// Prompt tokens.
    PromptTokens,
    /// Completion tokens.
    CompletionTokens,
    /// Billionths of the currency that prices are in.
    Money,
}

impl Unit {
    /// One word for it.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Requests => "requests",
            Unit::Places => "places",
            Unit::Tokens => "tokens",
            Unit::PromptTokens => "prompt_tokens",
            Unit::CompletionTokens => "completion_tokens",
            Unit::Money => "money",
        }
    }

    /// Is it one of the kinds of tokens?
    pub fn is_tokens(self) -> bool {
        matches!(self, Unit::Tokens | Unit::PromptTokens | Unit::CompletionTokens)
    }
}

/// Where one limit stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Name of the limit.
    pub limit: Arc<str>,
    /// What it counts.
    pub unit: Unit,
    /// So much of it per window; for a concurrency limit, at the same time.
    pub quota: u64,
    /// Most at once: the burst of a token bucket, else `quota`.
    pub most: u64,
    /// The period; zero for a concurrency limit.
    pub window: Duration,
    /// What counts against `most` now, holds included; above it in debt, or after a reload to less.
    pub used: u64,
    /// The part of `used` that is held by requests whose cost is not known yet.
    pub held: u64,
    /// `most - used`, at least 0.
    pub remaining: u64,
    /// Until it is full again; the expected wait for a concurrency limit.
    pub reset: Duration,
    /// A budget: it comes back with the next day or month, and not bit by bit.
    pub budget: bool,
}

/// A refusal that explains itself: of all limits that had no room, the one with the longest wait.
///
/// Its `Display` is the sentence for the caller. Small, and cheap to make again while the same limit is full.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", headers::explain(self))]
pub struct Limited {
    /// The limit; nothing was charged to it.
    pub full: Arc<Full>,
    /// Until nothing counts against it any more; the expected wait for a concurrency limit.
    pub reset: Duration,
    /// Wait before jitter and rounding; never zero. Exact for request limits: alone, the caller would be admitted
    /// then and not a microsecond before. An estimate for concurrency, where others decide when to leave.
    pub retry_after: Duration,
}

/// A limit without room for one more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Full {
    /// Name of the limit.
    pub limit: Arc<str>,
    /// The level it is counted at.
    pub per: Per,
    /// The tenant, if the level is one of its own.
    pub tenant: Option<Arc<str>>,
    /// The user, if the level is a user's.
    pub user: Option<Arc<str>>,
    /// The route, if the level is counted by route.
    pub route: Option<Arc<str>>,
    /// The model, if the level is counted by model.
    pub model: Option<Arc<str>>,
    /// What it counts.
    pub unit: Unit,
    /// A limit of days or months of a calendar.
    pub budget: bool,
    /// How much of it the request asked for.
    pub requested: u64,
    /// See [`Standing::quota`].
    pub quota: u64,
    /// See [`Standing::most`].
    pub most: u64,
    /// See [`Standing::window`].
    pub window: Duration,
    /// See [`Standing::used`].
    pub used: u64,
    /// See [`Standing::held`].
    pub held: u64,
}

impl Full {
    /// A limit on requests at the same time.
    pub fn concurrent(&self) -> bool {
        self.unit == Unit::Places
    }
}

impl Limited {
    /// Where the limit stands.
    pub fn standing(&self) -> Standing {
        let Full { limit, unit, budget, quota, most, window, used, held, .. } = &*self.full;
        Standing {
            limit: Arc::clone(limit),
            unit: *unit,
            quota: *quota,
            most: *most,
            window: *window,
            used: *used,
            held: *held,
            remaining: most.saturating_sub(*used),
            reset: self.reset,
            budget: *budget,
        }
    }
}
