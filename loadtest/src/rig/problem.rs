//! Why there was no run.

use std::io;
use std::path::{Path, PathBuf};

use crate::generate::RunError;
use crate::oracle::Unreadable;

/// Why there was no run, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// A file or program.
    #[error("{}: {}", .0.display(), .1)]
    File(PathBuf, io::Error),
    /// There is no gateway to start.
    #[error("{} is not a program; build it, or name it: --gateway PROGRAM", .0.display())]
    NoProgram(PathBuf),
    /// The gateway did not start.
    #[error("the gateway does not start: {0}")]
    Gateway(String),
    /// The mock did not start.
    #[error("the mock does not start: {0}")]
    Mock(io::Error),
    /// The target's URL.
    #[error("--target {0}: {1}")]
    Target(String, String),
    /// The authority to trust.
    #[error("--ca {}: {}", .0.display(), .1)]
    Authority(PathBuf, String),
    /// Something that only a gateway of the rig's own can do.
    #[error("scenario `{0}` rewrites the policy while it runs; leave --target out")]
    ReloadOfOthers(String),
    /// The admin listener does not answer.
    #[error("the gateway's admin listener: {0}")]
    Admin(io::Error),
    /// The mock's control port does not answer.
    #[error("--mock-control {0}: {1}")]
    Control(String, io::Error),
    /// The policy could not be rewritten.
    #[error("rewriting the policy: {0}")]
    Reload(io::Error),
    /// A thread.
    #[error("no thread: {0}")]
    Thread(io::Error),
    /// The generator.
    #[error(transparent)]
    Generator(RunError),
    /// The oracle.
    #[error("the oracle cannot judge: {0}")]
    Oracle(Unreadable),
}

impl Problem {
    /// For `map_err`: something is wrong with this file.
    pub fn file(path: &Path) -> impl FnOnce(io::Error) -> Problem {
        let path = path.to_owned();
        move |error| Problem::File(path, error)
    }
}
