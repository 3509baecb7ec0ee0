//! What the caller is told: rate headers on answers and refusals, and the sentence that explains a refusal.
//!
//! Two dialects side by side: `x-ratelimit-*-requests` as OpenAI's SDKs and their users know them, and `RateLimit`
//! with `RateLimit-Policy` of the IETF draft (draft-ietf-httpapi-ratelimit-headers). Both tell of one limit, the
//! most constrained. `Retry-After` is never 0, never earlier than the limit has room, and never earlier than
//! the `t` beside it.

use super::constrained::Standings;
use super::money::{Currency, Money};
use super::{Full, Limited, Per, Standing, Unit};
use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use std::fmt::{self, Display, Write};
use std::sync::Arc;
use std::time::Duration;

/// `retry-after-ms`: what OpenAI's SDKs prefer to `Retry-After`.
pub const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
/// Requests per window.
pub const LIMIT_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-limit-requests");
/// Requests left at once.
pub const REMAINING_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-remaining-requests");
/// Until nothing counts any more, such as `6m0s`.
pub const RESET_REQUESTS: HeaderName = HeaderName::from_static("x-ratelimit-reset-requests");
/// Tokens per window.
pub const LIMIT_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-limit-tokens");
/// Tokens left at once, after what this request holds.
pub const REMAINING_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-remaining-tokens");
/// Until no token counts any more, such as `6m0s`.
pub const RESET_TOKENS: HeaderName = HeaderName::from_static("x-ratelimit-reset-tokens");
/// IETF: the limit.
pub const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// IETF: where it stands.
pub const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Puts the rate headers of an admitted request on its answer.
pub fn admitted(standings: &Standings, headers: &mut HeaderMap) {
    if let Some(standing) = &standings.requests {
        rate_headers(standing, standing.reset, headers);
    }
    if let Some(standing) = &standings.tokens {
        rate_headers(standing, standing.reset, headers);
    }
}

/// Puts the rate headers and when to try again on a refusal. `spread` is any number that differs from refusal to
/// refusal (the low bits of a request id will do): see [`RetryAfter::new`].
pub fn refused(limited: &Limited, spread: u16, headers: &mut HeaderMap) {
    rate_headers(&limited.standing(), limited.retry_after, headers);
    RetryAfter::new(limited.retry_after, spread).put(headers);
}

/// `t` is when there is more than now: on a refusal the first place, else all of them. The IETF's headers have no
/// unit for tokens, and nobody has one for money.
fn rate_headers(standing: &Standing, t: Duration, headers: &mut HeaderMap) {
    let [limit, remaining, reset] = match standing.unit {
        Unit::Requests | Unit::Places => [LIMIT_REQUESTS, REMAINING_REQUESTS, RESET_REQUESTS],
        Unit::Tokens | Unit::PromptTokens | Unit::CompletionTokens => {
            [LIMIT_TOKENS, REMAINING_TOKENS, RESET_TOKENS]
        }
        Unit::Money => return,
    };
    headers.insert(limit, HeaderValue::from(standing.quota));
    headers.insert(remaining, HeaderValue::from(standing.remaining));
    headers.insert(reset, ascii(format_args!("{}", GoDuration(standing.reset))));
    if standing.unit.is_tokens() {
        return;
    }
    let name = Quoted(&standing.limit);
    let q = standing.quota;
    let policy = match whole_seconds(standing.window) {
        0 => ascii(format_args!("{name};q={q};qu=\"concurrent-requests\"")),
        w => ascii(format_args!("{name};q={q};w={w}")),
    };
    headers.insert(RATELIMIT_POLICY, policy);
    let (r, t) = (standing.remaining, whole_seconds(t));
    headers.insert(RATELIMIT, ascii(format_args!("{name};r={r};t={t}")));
}

/// When to try again, as both headers say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryAfter {
    /// `Retry-After`; at least 1.
    pub seconds: u64,
    /// `retry-after-ms`; at least 1.
    pub milliseconds: u64,
}

impl RetryAfter {
    /// Adds up to a tenth to `wait`, as `spread` says (0: nothing, 65535: a tenth), so that those refused together do not
    /// come back together; then rounds up.
    pub fn new(wait: Duration, spread: u16) -> RetryAfter {
        let wait_us = wait.as_micros();
        let later_us = wait_us + wait_us * u128::from(spread) / (10 * u128::from(u16::MAX));
        let rounded_up = |unit_us| u64::try_from(later_us.div_ceil(unit_us)).unwrap_or(u64::MAX).max(1);
        RetryAfter { seconds: rounded_up(1_000_000), milliseconds: rounded_up(1_000) }
    }

    /// Puts both headers.
    pub fn put(self, headers: &mut HeaderMap) {
        headers.insert(RETRY_AFTER, HeaderValue::from(self.seconds));
        headers.insert(RETRY_AFTER_MS, HeaderValue::from(self.milliseconds));
    }
}

/// The sentence for the caller: which limit, at which level, how much, when.
pub(super) fn explain(limited: &Limited) -> impl Display + '_ {
    fmt::from_fn(move |f| {
        let Full { limit, unit, currency, quota, most, window, used, held, requested, budget, .. } =
            &*limited.full;
        let amount = |n: &u64| Amount(*n, *unit, *currency);
        let kind = match unit {
            _ if *budget => "Budget",
            Unit::Places => "Concurrency limit",
            Unit::Requests => "Rate limit",
            _ => "Token limit",
        };
        write!(f, "{kind} {limit} reached for {}: Limit {}", level(&limited.full), amount(quota))?;
        match unit {
            Unit::Places => write!(f, " at the same time")?,
            Unit::Requests => write!(f, " per {}", Period(*window))?,
            Unit::Tokens => write!(f, " tokens per {}", Period(*window))?,
            Unit::PromptTokens => write!(f, " prompt tokens per {}", Period(*window))?,
            Unit::CompletionTokens => write!(f, " completion tokens per {}", Period(*window))?,
            Unit::Money => write!(f, " per {}", Period(*window))?,
        }
        if most != quota {
            write!(f, " and {} at once", amount(most))?;
        }
        write!(f, ", used {}", amount(used))?;
        if *held > 0 {
            write!(f, " ({} of it held for requests under way)", amount(held))?;
        }
        if *requested > 0 {
            write!(f, ", requested {}", amount(requested))?;
        }
        write!(f, ". Please try again in {}.", GoDuration(limited.retry_after))
    })
}

/// So much of a unit: money as a decimal with its currency, all else as it is counted.
struct Amount(u64, Unit, Currency);

impl Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Unit::Money => write!(f, "{} {}", Money { nano: self.0 }, self.2),
            _ => self.0.fmt(f),
        }
    }
}

/// `tenant acme`, `user alice`, `route chat`, `model pangu`, `tenant acme on route chat`.
fn level(full: &Full) -> impl Display + '_ {
    fn name(of: &Option<Arc<str>>) -> &str {
        of.as_deref().unwrap_or_default()
    }
    let (tenant, user, route, model) =
        (name(&full.tenant), name(&full.user), name(&full.route), name(&full.model));
    fmt::from_fn(move |f| match full.per {
        Per::Tenant => write!(f, "tenant {tenant}"),
        Per::User => write!(f, "user {user}"),
        Per::Route => write!(f, "route {route}"),
        Per::TenantRoute => write!(f, "tenant {tenant} on route {route}"),
        Per::Model => write!(f, "model {model}"),
        Per::TenantModel => write!(f, "tenant {tenant} for model {model}"),
    })
}

/// A duration as OpenAI (and Go) writes it: `120ms`, `1.5s`, `6m0s`, `1h0m0s`; rounded up to a millisecond.
struct GoDuration(Duration);

impl Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all_ms = self.0.as_micros().div_ceil(1000);
        if (1..1000).contains(&all_ms) {
            return write!(f, "{all_ms}ms");
        }
        let (minutes, ms) = (all_ms / 60_000, all_ms % 60_000);
        match (minutes / 60, minutes % 60) {
            (0, 0) => {}
            (0, minutes) => write!(f, "{minutes}m")?,
            (hours, minutes) => write!(f, "{hours}h{minutes}m")?,
        }
        let fraction = format!("{:03}", ms % 1000);
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{}s", ms / 1000),
            fraction => write!(f, "{}.{fraction}s", ms / 1000),
        }
    }
}

/// A limit's period as a policy writes it: `1s`, `1m`, `1h`, `1d`; any other as a duration.
struct Period(Duration);

impl Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(30 * 86_400, "month"), (86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
        let whole =
            |(seconds, _): &&(u64, _)| self.0.as_micros().is_multiple_of(u128::from(*seconds) * 1_000_000);
        match units.iter().find(whole) {
            Some((seconds, "month")) if self.0.as_secs() == *seconds => f.write_str("month"),
            Some((seconds, unit)) => write!(f, "{}{unit}", self.0.as_secs() / seconds),
            None => GoDuration(self.0).fmt(f),
        }
    }
}

/// A name as a structured-field string (RFC 9651, section 3.3.3), which is printable ASCII; `_` for anything else.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                ' '..='~' => f.write_char(c)?,
                _ => f.write_char('_')?,
            }
        }
        f.write_char('"')
    }
}

fn whole_seconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

fn ascii(text: fmt::Arguments<'_>) -> HeaderValue {
    HeaderValue::try_from(text.to_string()).expect("digits, names quoted as printable ASCII")
}
