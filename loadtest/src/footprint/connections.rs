//! Connections: what one costs that has served a request and waits for the next.

use rustix::process::{Resource, getrlimit, setrlimit};

use super::outcome::Connections;
use super::problem::{Context, Problem};
use super::stage::Stage;

/// Requests before the first reading: what is made once must not count for the connections.
const WARM_UP: u32 = 100;
/// Descriptors of this process besides the connections.
const SPARE_FILES: u64 = 100;

/// Opens so many connections, one request on each, and leaves them open.
///
/// # Errors
/// See [`Problem`].
pub fn measure(stage: &Stage, connections: u32) -> Result<Connections, Problem> {
    allow_files(u64::from(connections) + SPARE_FILES)?;
    let scene = stage.set(1)?;
    let mut first = scene.connect()?;
    for _ in 0..WARM_UP {
        scene.call(&mut first, 0)?;
    }
    let before_bytes = scene.resident()?;
    let mut open = Vec::with_capacity(connections as usize);
    for _ in 0..connections {
        let mut connection = scene.connect()?;
        scene.call(&mut connection, 0)?;
        open.push(connection);
    }
    let after_bytes = scene.resident()?;
    let (still, wanted) = (scene.connections()?, u64::from(connections) + 1);
    if still < wanted {
        return Err(Problem::Closed { open: still, wanted });
    }
    Ok(Connections { connections, before_bytes, after_bytes })
}

/// For this process and the gateway that it starts.
fn allow_files(needed: u64) -> Result<(), Problem> {
    let mut limit = getrlimit(Resource::Nofile);
    let allowed = limit.maximum.unwrap_or(u64::MAX);
    if allowed < needed {
        return Err(Problem::Files { needed, allowed });
    }
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).map_err(std::io::Error::from).while_doing("open more files")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_files_than_allowed_are_said_beforehand() {
        allow_files(10).unwrap();
        let Some(allowed) = getrlimit(Resource::Nofile).maximum else { return };
        let said = allow_files(allowed + 1).unwrap_err().to_string();
        assert!(said.contains(&format!("and {allowed} may be: raise `ulimit -n`")), "{said}");
    }
}
