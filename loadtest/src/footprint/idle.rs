//! Idle: memory under a small policy, before there is any load.

use super::outcome::Idle;
use super::problem::Problem;
use super::stage::Stage;

const TENANTS: u32 = 3;

/// Starts a gateway and leaves it alone.
///
/// # Errors
/// See [`Problem`].
pub fn measure(stage: &Stage) -> Result<Idle, Problem> {
    Ok(Idle { bytes: stage.set(TENANTS)?.resident()? })
}
