//! The policy in force, and what became of the last attempt to change it.

use super::problem::Problem;
use super::snapshot::Snapshot;
use super::{Live, Read, environment, install, load, watch};
use crate::clock::Now;
use crate::memory;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Holds one snapshot and replaces it whole, or not at all.
pub struct Store {
    dir: PathBuf,
    live: Live,
    current: ArcSwap<Snapshot>,
    /// Of `current`; never ahead of it. What workers look at once per request.
    version: AtomicU64,
    /// Snapshots that requests may still read. Kept here so that none is taken apart on a worker.
    retired: Mutex<Vec<Arc<Snapshot>>>,
    /// Memory was given back lately, and perhaps not all: of two threads that do so at once the allocator lets one pass.
    give_more: AtomicBool,
    /// Held for a whole reload: one at a time.
    reloading: Mutex<()>,
    last: Mutex<Last>,
}

/// What became of the last reading. Its lock is held for moments only.
struct Last {
    /// Of the policy in force.
    fingerprint: [u8; 32],
    /// Files outside the directory that the last reading looked at.
    depends: Vec<PathBuf>,
    problems: Vec<Problem>,
    reloads: u64,
    failures: u64,
}

/// What the admin page says of the policy.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Status {
    /// 1 at start, one more for each policy that took effect.
    pub version: u64,
    /// As in [`Snapshot::digest`].
    pub digest: String,
    /// Wall time when it took effect.
    pub loaded_ms: u64,
    /// Policies that took effect after the first.
    pub reloads: u64,
    /// Policies that were refused.
    pub failures: u64,
    /// Policies out of force that are still in memory: a request reads them, or did until a second ago.
    pub retired: usize,
    /// Empty when the files on disk are in force.
    pub problems: Vec<Problem>,
}

impl Store {
    /// Loads the directory for the first time. `live`: what an earlier run has left.
    ///
    /// # Errors
    /// every problem found
    pub fn open(dir: PathBuf, live: Live) -> Result<Arc<Store>, Vec<Problem>> {
        let Read { fingerprint, depends, result } = load(&dir, &environment);
        let loaded = result?;
        let snapshot = install::install(loaded.checked, &live, 1, loaded.digest, Now::read());
        warn_of_budgets(&snapshot, &live);
        warn_of_listeners(&snapshot, &live);
        memory::give_back();
        Ok(Arc::new(Store {
            dir,
            live,
            current: ArcSwap::from_pointee(snapshot),
            version: AtomicU64::new(1),
            retired: Mutex::default(),
            give_more: AtomicBool::new(false),
            reloading: Mutex::new(()),
            last: Mutex::new(Last { fingerprint, depends, problems: Vec::new(), reloads: 0, failures: 0 }),
        }))
    }

    /// The version in force. Hot path: one load; whoever keeps a snapshot of the same version has the one in force.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Takes apart the snapshots that nobody reads any more, and gives back what a reload has left. Call it off the workers,
    /// now and then.
    pub fn sweep(&self) {
        let mut retired = self.retired.lock();
        let before = retired.len();
        retired.retain(|snapshot| Arc::strong_count(snapshot) > 1);
        let fewer = retired.len() < before;
        if self.give_more.swap(fewer, Ordering::Relaxed) || fewer {
            memory::give_back();
        }
    }

    /// The snapshot in force. No lock, one reference count.
    pub fn current(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// State that outlives snapshots.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Reads the directory again and puts it in force if it is whole and different.
    ///
    /// Takes as long as compiling does: call it off the workers. Calls wait for one another.
    pub fn reload(&self) {
        let _one_at_a_time = self.reloading.lock();
        let Read { fingerprint, depends, result } = load(&self.dir, &environment);
        let in_force = {
            let mut last = self.last.lock();
            last.depends = depends;
            last.fingerprint
        };
        match result {
            Err(problems) => self.refused(problems),
            Ok(_) if fingerprint == in_force => self.last.lock().problems.clear(),
            Ok(loaded) => {
                let version = self.current.load().version + 1;
                let snapshot =
                    install::install(loaded.checked, &self.live, version, loaded.digest, Now::read());
                let snapshot = Arc::new(snapshot);
                let before = self.current.swap(Arc::clone(&snapshot));
                self.version.store(version, Ordering::Release);
                tracing::info!(version, digest = %snapshot.digest, "policy in force");
                warn_of_budgets(&snapshot, &self.live);
                warn_of_listeners(&snapshot, &self.live);
                self.retired.lock().push(before);
                let mut last = self.last.lock();
                last.fingerprint = fingerprint;
                last.problems.clear();
                last.reloads += 1;
            }
        }
        memory::give_back();
        self.give_more.store(true, Ordering::Relaxed);
    }

    fn refused(&self, problems: Vec<Problem>) {
        let version = self.current.load().version;
        let mut last = self.last.lock();
        if last.problems == problems {
            return; // the same bad files, seen again
        }
        for problem in &problems {
            tracing::warn!(%problem, "policy refused");
        }
        tracing::warn!(version, problems = problems.len(), "still serving the policy before");
        last.problems = problems;
        last.failures += 1;
    }

    /// What is in force and what stands in the way of the files on disk.
    pub fn status(&self) -> Status {
        let last = self.last.lock();
        let snapshot = self.current.load();
        Status {
            version: snapshot.version,
            digest: snapshot.digest.to_string(),
            loaded_ms: snapshot.loaded_ms,
            reloads: last.reloads,
            failures: last.failures,
            retired: self.retired.lock().len(),
            problems: last.problems.clone(),
        }
    }

    /// Watches the directory, and the secret and authority files it names, until the guard drops.
    pub fn watch(self: &Arc<Store>) -> watch::Watch {
        let paths = {
            let store = Arc::downgrade(self);
            move || {
                let Some(store) = store.upgrade() else { return Vec::new() };
                let mut paths = store.last.lock().depends.clone();
                paths.insert(0, store.dir.clone());
                paths
            }
        };
        let store = Arc::downgrade(self);
        let on_change = move || {
            if let Some(store) = store.upgrade() {
                store.reload();
            }
        };
        watch::watch("policy-watch", paths, on_change)
    }
}

fn warn_of_budgets(snapshot: &Snapshot, live: &Live) {
    if snapshot.budgets && !live.budgets_saved {
        tracing::warn!(
            "budgets per day and month are counted in memory only, and begin anew with a restart; \
             set `state_dir` in gateway.yaml to keep them"
        );
    }
}

/// A policy does not know the settings, so what does not fit them can only be said when both are there.
fn warn_of_listeners(snapshot: &Snapshot, live: &Live) {
    for stream in &snapshot.streams.all {
        if !live.tcp_listeners.iter().any(|name| **name == *stream.listener) {
            tracing::warn!(
                "stream `{}` is for listener `{}`, and gateway.yaml has no listener of that name with `tcp: true`: \
                 nobody can reach it",
                stream.name,
                stream.listener
            );
        }
    }
    for name in &live.tcp_listeners {
        if snapshot.streams.of(name).is_none() {
            tracing::warn!(
                "listener `{name}` is for plain TCP, and no stream is for it: its connections are refused"
            );
        }
    }
}
