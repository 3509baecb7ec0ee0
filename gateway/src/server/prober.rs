//! Asks backends whether they are ready, and looks after what comes of it; on the main thread, never on a worker.
//!
//! One task for each backend and each way of asking it, however many pools have both. They follow the policy: a reload
//! starts and stops tasks, and what they found out stays with the backends.

use crate::clock;
use crate::policy::{Snapshot, Store};
use crate::upstream::health::Change;
use crate::upstream::health::rules::Probe;
use crate::upstream::{Backend, Pool, ProbeFailure, probe, seen_by_workers};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;

/// Between two looks at the policy, at ejections that end and at panic.
const LOOK: Duration = Duration::from_millis(100);
/// Looks after which backends are gone through though the policy is the same: a pool may have got other ones.
const LOOKS_PER_ROUND: u64 = 10;
/// The first probes of a policy are spread over this, or `every` where that is shorter.
const SPREAD: Duration = Duration::from_millis(250);

/// Runs until the runtime ends.
pub async fn keep(policy: Arc<Store>) {
    let mut interval = tokio::time::interval(LOOK);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tasks = Tasks::default();
    let mut seen = 0;
    for look in 0_u64.. {
        interval.tick().await;
        let snapshot = policy.current();
        if snapshot.version != seen || look % LOOKS_PER_ROUND == 0 {
            seen = snapshot.version;
            tasks.follow(&snapshot, &policy);
        }
        let now_ms = now_ms();
        for backend in tasks.backends.values().filter(|backend| backend.health.is_back(now_ms)) {
            tracing::info!(backend = %backend.address, "the ejection of a backend has ended");
        }
        review(&snapshot.pools, now_ms);
    }
}

fn review(pools: &[Arc<Pool>], now_ms: u64) {
    pools.iter().for_each(|pool| pool.review(seen_by_workers(now_ms)));
}

fn now_ms() -> u64 {
    clock::mono_us() / 1_000
}

/// What is asked now, and of whom.
#[derive(Default)]
struct Tasks {
    running: HashMap<(u64, Arc<Probe>), Task>,
    /// Of all pools, probed or not, by their ids.
    backends: HashMap<u64, Arc<Backend>>,
}

/// Stops when dropped.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Tasks {
    /// Starts what is missing, and stops what is no longer asked for.
    fn follow(&mut self, snapshot: &Snapshot, policy: &Arc<Store>) {
        let mut wanted: HashMap<u64, (Arc<Backend>, Vec<Arc<Probe>>)> = HashMap::new();
        for pool in &snapshot.pools {
            for (backend, _) in pool.backends() {
                let (_, probes) = wanted.entry(backend.id).or_insert_with(|| (backend, Vec::new()));
                probes.extend(pool.rules().probe.clone().filter(|probe| !probes.contains(probe)));
            }
        }
        let is_wanted =
            |id: &u64, probe: &Arc<Probe>| wanted.get(id).is_some_and(|(_, probes)| probes.contains(probe));
        self.running.retain(|(id, probe), _| is_wanted(id, probe));
        for (id, (backend, probes)) in &wanted {
            backend.health.keep_only(probes);
            for probe in probes {
                backend.health.join(Some(probe), false);
                let start =
                    || Task(tokio::spawn(ask(backend.clone(), probe.clone(), policy.clone())).abort_handle());
                self.running.entry((*id, probe.clone())).or_insert_with(start);
            }
        }
        self.backends = wanted.into_iter().map(|(id, (backend, _))| (id, backend)).collect();
    }
}

/// Asks one backend in one way, again and again.
async fn ask(backend: Arc<Backend>, question: Arc<Probe>, policy: Arc<Store>) {
    let chance = ahash::RandomState::new();
    let part = |number: u64, of: Duration| of * (chance.hash_one(number) % 1_024) as u32 / 1_024;
    tokio::time::sleep(part(0, SPREAD.min(question.every))).await;
    for number in 1.. {
        let begun_ms = now_ms();
        let result = probe(&backend, &question).await;
        let now_ms = now_ms();
        if let Some(change) = backend.health.probed(&question, result, now_ms) {
            review(&policy.current().pools, now_ms);
            tell(&backend, &question, change, result.err());
        }
        // A little early at times, so that many backends, or many gateways, do not fall into step.
        let wait = question.every - part(number, question.every / 10);
        tokio::time::sleep(wait.saturating_sub(Duration::from_millis(now_ms - begun_ms))).await;
    }
}

fn tell(backend: &Backend, question: &Probe, change: Change, why: Option<ProbeFailure>) {
    let (address, path) = (&backend.address, &question.path);
    match change {
        Change::Opened => tracing::info!(backend = %address, path = %path, "backend is ready"),
        Change::Shut => {
            let why = why.map_or_else(String::new, |failure| failure.to_string());
            tracing::warn!(backend = %address, path = %path, why, "backend is not well: it gets no requests");
        }
    }
}
