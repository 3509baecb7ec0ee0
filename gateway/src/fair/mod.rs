//! Whose turn is it? A gate before a pool, shared by all workers.
//!
//! Asked by the proxy once the limiter has admitted a request and its pool is known. The limiter says what a
//! tenant may spend; the gate says who goes first while the pool has less room than all want together.
//!
//! *Model.* A pool takes so many requests at once, and so many tokens (prompts and the outputs expected of
//! them). A request that does not fit waits. When there is room, the highest class that waits is served, and
//! in it the tenant that has been served least by its weight: virtual token counters, after "Fairness in
//! Serving Large Language Models" (OSDI'24). A tenant's requests of one class keep their order.
//!
//! *Fairness.* Two tenants of one class that wait all the time get the same service by their weights, up to
//! `2 * U + B` in any stretch of time, whatever the others do. `U` is the most that one of them can owe for
//! what it has in flight: its largest prompt, and twice the outputs of its requests in flight ([`account`]
//! has the cost). `B` is what a tenant may be behind when it returns from idling: `burst` requests, at
//! what its own have cost of late (those of others, while none of its own has been served). Beyond that, who
//! does not wait saves nothing up.
//!
//! *Who keeps to its share* hardly notices those who do not. Turns alone would not do. Requests come in waves,
//! and a wave is more than the share of the moment: hence the burst, so that a tenant's share is that of a
//! longer stretch of time. And when a pool is always full, even who is next waits for somebody to end, which
//! those that began together do together: hence the headroom. It is left free by tenants that are not
//! behind, as long as another one that was has asked in the last ten seconds; else a pool with waiting
//! requests has no free place. `tests/noise.rs` has figures.
//!
//! *Classes.* A lower class waits while a higher one does; it starves if that goes on, and no request waits
//! longer than the `wait_max` of its class. What a class holds back stays free of the classes below it.
//!
//! *Bounds.* The queue is bounded in requests and in bytes of bodies. When it is full, somebody of the
//! lowest class is turned away, of the tenant that fills most of it ([`room`]). A request that could not be
//! served in time is refused at once. `Retry-After` is the expected wait ([`pace`]), never zero.
//!
//! *Adaptive.* An upstream that answers 429 or 503 gets less at a time, and more again while it answers well
//! ([`adapt`]). While it has asked to be left alone, or does nothing but refuse, only those wait for it that
//! have nowhere else to go; the others take what places it has, which finds out when that is over.
//!
//! *Time* is a parameter. Somebody calls [`Gate::tick`] ten times a second; no request has a timer.
//!
//! *Cost.* While nobody waits: one lock, one look-up, and no allocation but for a tenant's first request;
//! under 100 ns to enter and leave. While somebody does, a turn costs the logarithm of the number of
//! tenants that wait, and a newcomer looks at each of them once.
//!
//! *Memory.* About 130 bytes for each tenant and class with something in flight or waiting, and for a minute
//! after it unless it has its whole burst again; 200 for each request that waits.
//!
//! *Not here.* The keys of policy (`policy`), status and body of the refusal (`reject`), metrics
//! (`observe`). N gateways before one pool have a gate each, and learn their shares from its refusals.

mod gate;
mod ticket;

mod registry;

mod scheduler;

mod flight;
mod lane;

pub mod account;

mod line;
pub mod room;

mod capacity;

pub mod adapt;
pub mod pace;

mod inspect;

#[cfg(test)]
mod tests;

pub use gate::{Entry, Gate, Pass};
pub use inspect::{ClassState, RefusedState, State, TenantShare};
pub use registry::Gates;
pub use ticket::Ticket;

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

/// Numbers of one gate. All may change at any time; who waits keeps its place and its deadline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Most requests in flight. None: as many as the upstream takes.
    pub in_flight_max: Option<NonZeroU32>,
    /// Most tokens in flight: prompts and the outputs expected of them. A request above it goes alone. None:
    /// any.
    pub tokens_max: Option<NonZeroU64>,
    /// Most requests that wait; 0: none.
    pub queue_max: u32,
    /// Most bytes of bodies that wait.
    pub queue_bytes_max: u64,
    /// Highest first. A request of a class beyond the last belongs to the last; none at all: one that waits
    /// 10 s.
    pub classes: Vec<Class>,
    /// Requests that a tenant may be behind when it returns from idling; 0: none.
    pub burst: u32,
    /// Percent of the capacity that is left free for tenants that are behind; 0 to 100.
    pub headroom_percent: u8,
    /// How capacity follows the upstream. None: it does not.
    pub adapt: Option<Adapt>,
}

/// One class of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// As written in policy.
    pub name: Arc<str>,
    /// Longest wait; what waits longer is refused.
    pub wait_max: Duration,
    /// Percent of the capacity that lower classes leave free; 0 to 100.
    pub holdback_percent: u8,
}

/// How capacity follows the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adapt {
    /// Percent of the requests in flight that stay after a refusal, such as 70; at most 99.
    pub keep_percent: u8,
    /// Longest `Retry-After` of the upstream that is obeyed.
    pub pause_max: Duration,
    /// Slow down when the time to first token, per token of the prompt, is so many times its long-time
    /// minimum. None: it does not matter.
    pub first_token_factor: Option<NonZeroU32>,
}

/// What a gate is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Who asks.
    pub tenant: TenantKey,
    /// Its share, by that of others.
    pub weight: NonZeroU32,
    /// 0 is the highest; see [`Config::classes`].
    pub class: u8,
    /// Tokens of the prompt, estimated.
    pub prompt: u64,
    /// Tokens of the output, estimated.
    pub output: u64,
    /// Bytes held while it waits.
    pub body_bytes: u64,
    /// Somebody else would take it: it does not wait for an upstream that refuses.
    pub elsewhere: bool,
}

/// Tells tenants apart; the gate knows nothing else of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct TenantKey(pub u64);

/// Why a request does not get through, and when to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}; try again in {} s", .reason.sentence(), .retry_after.as_millis().div_ceil(1000))]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// Expected wait of a request that comes now; never zero.
    pub retry_after: Duration,
}

/// Why a request does not get through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The queue is full, and nobody in it is to go instead.
    QueueFull,
    /// It waited, until the queue was full and its tenant, or its class, was the one to give way.
    Displaced,
    /// It would wait longer than its class may.
    Hopeless,
    /// It has waited as long as its class may.
    TimedOut,
}

impl Reason {
    /// All of them, in the order of their discriminants.
    pub const ALL: [Reason; 4] = [Reason::QueueFull, Reason::Displaced, Reason::Hopeless, Reason::TimedOut];

    /// Name in metrics and logs.
    pub fn code(self) -> &'static str {
        match self {
            Reason::QueueFull => "queue_full",
            Reason::Displaced => "displaced",
            Reason::Hopeless => "hopeless",
            Reason::TimedOut => "timed_out",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Reason::QueueFull => "too many requests wait for this model",
            Reason::Displaced => "the request gave way to others that wait for this model",
            Reason::Hopeless => "the model is too busy to serve the request in time",
            Reason::TimedOut => "the request waited for this model as long as it may",
        }
    }
}

impl Default for Adapt {
    /// 70 %, 30 s, and the time to first token does not matter.
    fn default() -> Adapt {
        Adapt { keep_percent: 70, pause_max: Duration::from_secs(30), first_token_factor: None }
    }
}

impl Config {
    /// The class a request counts as.
    fn class(&self, class: u8) -> usize {
        usize::from(class).min(self.classes.len().saturating_sub(1))
    }

    fn wait_max_us(&self, class: usize) -> u64 {
        let wait_max = self.classes.get(class).map_or(Duration::from_secs(10), |class| class.wait_max);
        u64::try_from(wait_max.as_micros()).unwrap_or(u64::MAX)
    }
}
