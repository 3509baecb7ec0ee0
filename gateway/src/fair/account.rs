//! What one tenant has been given in one class, and the arithmetic of it.
//!
//! The cost of a request is that of the VTC paper: one for a token of the prompt, two for one of the output,
//! divided by the tenant's weight. Prompts are charged when a request is let in, outputs as they come.

use super::TenantKey;
use super::line::Queue;
use std::num::NonZeroU32;

/// What a token of the prompt costs.
pub const PROMPT_COST: u64 = 1;
/// What a token of the output costs.
pub const OUTPUT_COST: u64 = 2;
/// Fractions of a cost that a counter can tell apart. Sixteen bits leave room for 10^14 tokens, years of a
/// pool's work.
const SCALE: u64 = 1 << 16;
/// More tokens than any request has; keeps sums far from overflow whatever a caller claims.
pub(super) const TOKENS_MAX: u64 = u32::MAX as u64;

/// One tenant in one class. Lives while it has something in flight or waiting, or has had more than whoever comes anew.
pub(super) struct Account {
    pub(super) tenant: TenantKey,
    /// As of its last request; every request is charged by its own.
    pub(super) weight: NonZeroU32,
    /// Service received, by weight. Whoever waits with the least is next.
    pub(super) counter: u64,
    /// What its requests usually cost at a weight of one; None: none of them has been served yet.
    pub(super) usual: Option<u64>,
    /// What it may be behind when it returns, as of its last request.
    pub(super) burst: u64,
    /// Its requests that wait.
    pub(super) queue: Queue,
    /// Bytes of their bodies.
    pub(super) waiting_bytes: u64,
    /// Tokens that they will take in flight.
    pub(super) waiting_tokens: u64,
    pub(super) in_flight: u32,
    /// Tokens in flight.
    pub(super) tokens: u64,
    /// When it last had something to do.
    pub(super) seen_us: u64,
}

impl Account {
    pub(super) fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.queue.is_empty()
    }
}

/// What has been charged for one request.
///
/// The charge is worked out from the totals, so that it does not depend on how many pieces an answer came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Charge {
    pub(super) prompt: u64,
    pub(super) output: u64,
}

impl Charge {
    /// As counted, and no more than any request has.
    pub(super) fn of(prompt: u64, output: u64) -> Charge {
        Charge { prompt: prompt.min(TOKENS_MAX), output: output.min(TOKENS_MAX) }
    }

    /// What it adds to a counter.
    pub(super) fn scaled(self, weight: NonZeroU32) -> u64 {
        (PROMPT_COST * self.prompt + OUTPUT_COST * self.output) * SCALE / u64::from(weight.get())
    }
}

/// A running mean of costs after one more: each counts for a sixteenth.
pub(super) fn moved(mean: u64, cost: u64) -> u64 {
    mean - mean / 16 + cost / 16
}
