//! The oracle's power: a correct limiter is never accused, and each way of being wrong is found.
//!
//! [`world`] plays callers, a gateway with a limiter of its own, and the mock, in virtual time with random delays. Each
//! test gives the gateway one defect. [`spender`] is such a world for tokens.

mod correct;
mod defects;
mod retry;
mod spender;
mod spending;
mod world;

use crate::measure::{Check, Verdict};
use world::World;

/// Judges what a world left behind.
fn judged(world: &World) -> Verdict {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("policy.yaml"), world.policy()).unwrap();
    let run = world.run();
    super::judge(dir.path(), &run.scenario, &run.samples, true, &run.journal).unwrap()
}

fn broken(verdict: &Verdict) -> Vec<&Check> {
    verdict.checks.iter().filter(|check| !check.violations.is_empty()).collect()
}

/// The check of this claim is the one that is broken, whatever else is.
fn assert_found(world: &World, claim: &str) {
    let verdict = judged(world);
    let found = broken(&verdict).iter().any(|check| check.claim.contains(claim));
    assert!(found, "`{claim}` should be broken: {verdict:#?}");
}
