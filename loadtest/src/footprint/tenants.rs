//! Tenants: a policy of very many, loaded, and loaded again while the first is in force.

use super::outcome::Tenants;
use super::problem::Problem;
use super::revision;
use super::stage::Stage;

/// Starts a gateway with so many tenants, and changes its policy.
///
/// # Errors
/// See [`Problem`].
pub fn measure(stage: &Stage, tenants: u32) -> Result<Tenants, Problem> {
    let scene = stage.set(tenants)?;
    let loaded_bytes = scene.resident()?;
    let mut connection = scene.connect()?;
    let effect = revision::effect(&scene, &mut connection, 1)?;
    scene.call(&mut connection, tenants - 1)?;
    Ok(Tenants {
        tenants,
        ready_ms: scene.ready_after.as_secs_f64() * 1e3,
        loaded_bytes,
        effect_ms: effect.as_secs_f64() * 1e3,
        reloaded_bytes: scene.resident()?,
    })
}
