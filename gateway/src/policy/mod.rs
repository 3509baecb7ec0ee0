//! Policy files in, one immutable [`Snapshot`] out. (contract; the policy owner replaces this)

mod snapshot;

pub use snapshot::{Api, Caller, Caps, Route, Snapshot, Timeouts};

use std::path::PathBuf;
use std::sync::Arc;

/// State that outlives every snapshot: levels, replay caches, backends.
#[derive(Default)]
pub struct Live {
    pub limits: crate::limit::Registry,
    pub auth: crate::auth::Live,
    pub backends: crate::upstream::Registry,
}

/// Something wrong in a policy: `file:line:column: path: what` and `help`.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Problem {
    pub file: String,
    pub line: u32,
    pub column: u32,
    pub path: String,
    pub what: String,
    pub help: String,
}

/// The policy in force, and what became of the last attempt to change it.
pub struct Store;

/// What the admin page says of the policy.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Status {
    pub version: u64,
    pub digest: String,
    pub loaded_ms: u64,
    pub reloads: u64,
    pub failures: u64,
    /// Empty when the files on disk are in force.
    pub problems: Vec<Problem>,
}

impl Store {
    /// Loads the directory for the first time.
    ///
    /// # Errors
    /// every problem found
    pub fn open(_dir: PathBuf) -> Result<Arc<Store>, Vec<Problem>> {
        todo!()
    }
    /// Hot path: the snapshot in force.
    pub fn current(&self) -> Arc<Snapshot> {
        todo!()
    }
    pub fn live(&self) -> &Live {
        todo!()
    }
    /// Reads the directory again and puts it in force if it is whole and different.
    pub fn reload(&self) {
        todo!()
    }
    pub fn status(&self) -> Status {
        todo!()
    }
    /// Watches the directory (inotify and a slow poll) on a thread of its own until the guard drops.
    pub fn watch(self: &Arc<Store>) -> Watch {
        todo!()
    }
}

/// Ends the watch when dropped.
pub struct Watch;
