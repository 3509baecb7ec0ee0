//! Revision: a policy put in the place of another, and the time until callers notice.

use std::thread::sleep;
use std::time::Duration;

use super::connection::Connection;
use super::policy;
use super::problem::{Context, Problem};
use super::stage::Scene;
use crate::clock::mono_us;

/// An unoptimised gateway needs a while for ten thousand tenants.
const EFFECT_MAX: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(1);

/// Puts a revision in place and asks until it answers: the time from just before the rename to that answer.
///
/// # Errors
/// It is not in force after 60 s, or the gateway says something else than yes or no.
pub fn effect(scene: &Scene, connection: &mut Connection, revision: u32) -> Result<Duration, Problem> {
    let draft = policy::draft(&scene.gateway.policy, &scene.pool, revision).while_doing("write a policy")?;
    let path = policy::path(revision);
    let begun_us = mono_us();
    draft.put().while_doing("rename a policy")?;
    loop {
        let status = connection.get(&path, None).while_doing("ask which policy is in force")?;
        let passed = Duration::from_micros(mono_us() - begun_us);
        match status {
            200 => return Ok(passed),
            404 if passed < EFFECT_MAX => sleep(LOOK),
            404 => return Err(Problem::NoEffect { revision, waited_s: EFFECT_MAX.as_secs() }),
            _ => return Err(Problem::Status { what: path, status }),
        }
    }
}
