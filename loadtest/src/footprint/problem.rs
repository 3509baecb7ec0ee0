//! Problem: why nothing could be measured.

use std::fmt::Display;
use std::io;

use crate::generate::RunError;
use crate::rig;

/// Why there is no result, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Gateway or mock do not start.
    #[error(transparent)]
    Rig(#[from] rig::Problem),
    /// The generator.
    #[error(transparent)]
    Generator(#[from] RunError),
    /// This process may not open enough connections.
    #[error(
        "{needed} files must be open at once, and {allowed} may be: raise `ulimit -n`, or ask for fewer connections"
    )]
    Files {
        /// Descriptors.
        needed: u64,
        /// The hard limit.
        allowed: u64,
    },
    /// A policy that was written is not in force in time.
    #[error(
        "revision {revision} of the policy is not in force after {waited_s} s; the gateway's log says why: run it with a policy of its own"
    )]
    NoEffect {
        /// The policy that was written.
        revision: u32,
        /// How long it was waited for.
        waited_s: u64,
    },
    /// The gateway does not answer as it should.
    #[error("the gateway answers {status} to {what}, where 200 is right")]
    Status {
        /// What it was asked.
        what: String,
        /// What it said.
        status: u16,
    },
    /// Connections were closed before they were counted.
    #[error("{open} of {wanted} connections are still open: the figure would say nothing")]
    Closed {
        /// Those that are.
        open: u64,
        /// Those that should be.
        wanted: u64,
    },
    /// The system refuses.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// Why not.
        source: io::Error,
    },
}

/// Says what was tried when the system refuses.
pub trait Context<T> {
    /// `doing` completes the words "cannot ...".
    ///
    /// # Errors
    /// The one that was there.
    fn while_doing(self, doing: impl Display) -> Result<T, Problem>;
}

impl<T> Context<T> for io::Result<T> {
    fn while_doing(self, doing: impl Display) -> Result<T, Problem> {
        self.map_err(|source| Problem::Io { doing: doing.to_string(), source })
    }
}
