//! Oracle: did the gateway keep its policy?
//!
//! Asked after a run. [`judge`] sets the samples of the callers beside the mock's journal, reads the policy itself, and
//! shares no code with the limiter it judges. [`probe`] asks a running gateway about the one thing that a finished run
//! cannot show, whether `Retry-After` is true.
//!
//! *The argument.* A request was admitted after its caller sent it and before it arrived at the mock; both moments are
//! read from one clock. So a window that holds both holds the admission ([`window`]): no allowance for delays is
//! needed, and a bound that is exceeded was exceeded in truth. The other way round, a level was never higher than if
//! everything that may have been admitted was, and as late as can be ([`ceiling`]): who was refused below that
//! was refused wrongly. In both directions, the less is known, the less is claimed; a correct limiter is never accused.
//!
//! *Assumes* that the gateway was fresh (or idle for a period of each limit) when the run began, that nobody else used
//! its limits, and that limits were the same all the time; other reloads are welcome.
//!
//! *Cost.* `O(n log n)` in the requests of each level; about 400 bytes of memory a request while judging.

pub mod policy;

pub mod limit;
pub mod price;

pub mod evidence;
pub mod level;

pub mod cost;

mod once;
mod refused;
mod sound;
mod spent;

pub mod ceiling;
mod peak;
pub mod window;

pub mod probe;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use crate::clock;
use crate::measure::{Check, Sample, Verdict};
use crate::mock::journal::Journal;
use crate::scenario::Scenario;

use evidence::Evidence;
use level::Levels;
use policy::Policy;

/// Judges a run. `samples_complete`: every request that was sent has a sample.
///
/// What cannot be judged is in the verdict as a check without evidence, with the reason.
///
/// # Errors
/// [`Unreadable`]: there is nothing to judge by.
pub fn judge(
    policy_dir: &Path,
    scenario: &Scenario,
    samples: &[Sample],
    samples_complete: bool,
    journal: &Journal,
) -> Result<Verdict, Unreadable> {
    judge_by(&Policy::read(policy_dir)?, scenario, samples, samples_complete, journal)
}

/// The same by a policy that was read already, as for the probe: ten thousand tenants take a while.
///
/// # Errors
/// As of [`judge`].
pub fn judge_by(
    policy: &Policy,
    scenario: &Scenario,
    samples: &[Sample],
    samples_complete: bool,
    journal: &Journal,
) -> Result<Verdict, Unreadable> {
    let wall_us = i64::try_from(clock::since_epoch().as_micros()).unwrap_or(i64::MAX);
    let wall_ahead_us = wall_us.saturating_sub_unsigned(clock::mono_us());
    let evidence = Evidence::gather(scenario, samples, samples_complete, journal, wall_ahead_us)?;
    Ok(judge_evidence(policy, scenario, &evidence, journal))
}

fn judge_evidence(policy: &Policy, scenario: &Scenario, evidence: &Evidence, journal: &Journal) -> Verdict {
    let levels = Levels::of(policy, scenario, evidence);
    let mut checks = sound::checks(&levels, evidence);
    if let Some(per_address) = policy.per_address {
        let claim = format!("guard: admits at most {per_address}/s per address");
        checks.push(not_judged(&claim, "it asks before the limits do; only its refusals are allowed for"));
    }
    checks.push(refused::check(policy, &levels, evidence));
    checks.extend(once::checks(scenario, evidence, journal));
    Verdict { checks }
}

/// Why there is nothing to judge by.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// A file or folder of the policy cannot be read.
    #[error("{}: {error}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file of the policy is not what a policy is.
    #[error("{}: {what}; check it with `pangu-gateway check`", .path.display())]
    Policy {
        /// Which.
        path: PathBuf,
        /// Where and why.
        what: String,
    },
    /// The journal had no room for all requests.
    #[error("the mock's journal lacks {dropped} requests; start the mock with a larger --journal-max")]
    Gaps {
        /// How many are missing.
        dropped: u64,
    },
    /// A sample does not belong to the scenario.
    #[error(
        "request {number} is of a caller or kind that the scenario does not have; were scenario and samples mixed up?"
    )]
    Stranger {
        /// Number of the request.
        number: u64,
    },
}

impl Unreadable {
    fn file(path: &Path, error: io::Error) -> Unreadable {
        Unreadable::File { path: path.to_owned(), error }
    }
}

/// A check that shows nothing, and why.
fn not_judged(claim: &str, why: &str) -> Check {
    Check {
        claim: format!("{claim}: not judged, {why}"),
        evidence: 0,
        tightest: None,
        violations: Vec::new(),
    }
}

/// What broke a claim: the first few in words, the rest as a number.
#[derive(Default)]
struct Violations {
    told: Vec<String>,
    further: u64,
}

impl Violations {
    const TOLD_MAX: usize = 10;

    fn add(&mut self, violation: impl FnOnce() -> String) {
        if self.told.len() < Violations::TOLD_MAX {
            self.told.push(violation());
        } else {
            self.further += 1;
        }
    }

    fn list(mut self) -> Vec<String> {
        if self.further > 0 {
            self.told.push(format!("and {} more", self.further));
        }
        self.told
    }
}
