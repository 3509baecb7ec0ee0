//! Probe: is `Retry-After` true? Asked of a gateway that runs, as a caller that nobody else is.
//!
//! The probe uses a limit up until it is refused, and takes the refusal at its word. *Long enough*: a caller that waits as
//! long as it was told, from when it was told, is admitted. *No longer than needed*: the wait may carry up to a tenth of
//! jitter and is rounded up to a millisecond, so the shortest true wait follows from what was said; a request that
//! was answered before that time has passed since the refused one was *sent* must be refused as well. What came too
//! late to show that, on a busy machine say, shows nothing and is tried again.

mod choice;
mod line;

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use tokio::time::sleep;

pub use choice::{Choice, choose};

use super::not_judged;
use crate::clock::mono_us;
use crate::measure::Check;
use line::{Line, Refusal, Wait};

const LONG_ENOUGH: &str = "who waits as long as Retry-After says is admitted";
const NOT_LONGER: &str = "Retry-After is no longer than needed, a tenth of jitter aside";

/// Times that each claim is shown, if it can be.
const SHOWN: u64 = 3;
/// Attempts at that.
const ROUNDS_MAX: u32 = 12;
/// How much earlier than the last possible moment the too early request is sent, at least.
const EARLIER_US: u64 = 3_000;

/// What is sent, and how long it may take.
pub struct Ask<F> {
    /// The gateway's plain HTTP listener.
    pub gateway: SocketAddr,
    /// Method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Gives the headers of one request, credentials included; asked anew for each, since signatures age.
    pub headers: F,
    /// Body.
    pub body: Bytes,
    /// Longest `Retry-After` that is waited for. Default for callers of [`choose`]: 5 s.
    pub wait_max: Duration,
    /// Requests after which it is given up that one is refused.
    pub requests_max: u32,
}

/// Checks `Retry-After`. Never fails: what went wrong is in the checks, without evidence.
pub async fn retry_after<F>(ask: &Ask<F>) -> Vec<Check>
where
    F: Fn() -> Vec<(HeaderName, HeaderValue)>,
{
    let mut found = Found::default();
    let end = found.run(ask).await;
    let check = |claim: &str, evidence: u64, violations: Vec<String>| match &end {
        Err(why) if evidence == 0 && violations.is_empty() => not_judged(claim, why),
        Ok(()) if evidence == 0 => not_judged(claim, "no answer came early enough to show it"),
        _ => Check { claim: claim.to_owned(), evidence, tightest: None, violations },
    };
    vec![check(LONG_ENOUGH, found.waited, found.too_short), check(NOT_LONGER, found.knocked, found.too_long)]
}

/// The checks of [`retry_after`] when nobody was asked, and why.
pub fn unasked(why: &str) -> Vec<Check> {
    vec![not_judged(LONG_ENOUGH, why), not_judged(NOT_LONGER, why)]
}

#[derive(Default)]
struct Found {
    waited: u64,
    too_short: Vec<String>,
    knocked: u64,
    too_long: Vec<String>,
}

impl Found {
    async fn run<F>(&mut self, ask: &Ask<F>) -> Result<(), String>
    where
        F: Fn() -> Vec<(HeaderName, HeaderValue)>,
    {
        let mut line = Line::new(ask);
        for _ in 0..ROUNDS_MAX {
            if self.waited < SHOWN {
                let refusal = line.exhaust().await?;
                self.wait_it_out(&mut line, &refusal).await?;
            }
            if self.knocked < SHOWN {
                let refusal = line.exhaust().await?;
                self.knock_early(&mut line, &refusal).await?;
            }
            if self.waited >= SHOWN && self.knocked >= SHOWN {
                break;
            }
        }
        Ok(())
    }

    async fn wait_it_out<F>(&mut self, line: &mut Line<'_, F>, refusal: &Refusal) -> Result<(), String>
    where
        F: Fn() -> Vec<(HeaderName, HeaderValue)>,
    {
        sleep_until(refusal.answered_us + refusal.wait.ms * 1_000).await;
        let answer = line.send().await?;
        self.waited += 1;
        if answer.status == 429 {
            let after_ms = (answer.sent_us - refusal.answered_us) as f64 / 1e3;
            let wait_ms = refusal.wait.ms;
            self.too_short.push(format!("told to wait {wait_ms} ms, and refused after {after_ms:.3} ms"));
        }
        Ok(())
    }

    async fn knock_early<F>(&mut self, line: &mut Line<'_, F>, refusal: &Refusal) -> Result<(), String>
    where
        F: Fn() -> Vec<(HeaderName, HeaderValue)>,
    {
        // What is said is at most the true wait and a tenth, rounded up.
        let Wait { ms, step_ms } = refusal.wait;
        let least_us = ms.saturating_sub(step_ms) * 10_000 / 11;
        let opens_us = refusal.sent_us + least_us;
        let earlier_us = EARLIER_US.max(3 * (refusal.answered_us - refusal.sent_us)).min(least_us / 2);
        sleep_until(opens_us - earlier_us).await;
        let answer = line.send().await?;
        if answer.answered_us >= opens_us {
            return Ok(());
        }
        self.knocked += 1;
        if answer.status != 429 {
            let after_ms = (answer.answered_us - refusal.sent_us) as f64 / 1e3;
            let wait_ms = refusal.wait.ms;
            self.too_long.push(format!("told to wait {wait_ms} ms, and admitted after {after_ms:.3} ms"));
        }
        Ok(())
    }
}

async fn sleep_until(due_us: u64) {
    // The runtime's timer rounds to milliseconds, up; what is left is slept again.
    while let Some(left_us) = due_us.checked_sub(mono_us()).filter(|&left_us| left_us > 0) {
        sleep(Duration::from_micros(left_us)).await;
    }
}
