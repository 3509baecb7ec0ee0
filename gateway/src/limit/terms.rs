//! What policy agrees with a caller: limits, what they count, and per what.

use super::calendar::Calendar;
use super::measure::Measure;
use super::money::Currency;
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
    /// Does it count the requests for a model?
    pub fn is_of_model(self) -> bool {
        matches!(self, Per::Model | Per::TenantModel)
    }

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
    /// At most `burst + rate * t` in any stretch of `t`; see [`meter`](super::meter).
    TokenBucket,
    /// At most twice the limit in any period; see [`window::Fixed`](super::window::Fixed).
    FixedWindow,
    /// At most the limit in any period; see [`window::Sliding`](super::window::Sliding).
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
        /// Of money; [`Currency::NONE`] for tokens.
        currency: Currency,
        /// Which days or months.
        calendar: Arc<Calendar>,
    },
}

impl Amount {
    /// May an answer spend it in its middle?
    pub fn grows_with_answers(&self) -> bool {
        matches!(self.unit(), Unit::Tokens | Unit::CompletionTokens | Unit::Money)
    }

    /// What it counts.
    pub fn unit(&self) -> Unit {
        match self {
            Amount::Requests { .. } => Unit::Requests,
            Amount::Concurrent(_) => Unit::Places,
            Amount::Tokens { measure, .. } | Amount::Budget { measure, .. } => measure.unit(),
        }
    }

    /// Does it count what requests cost?
    pub fn is_spending(&self) -> bool {
        matches!(self, Amount::Tokens { .. } | Amount::Budget { .. })
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
