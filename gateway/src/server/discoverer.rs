//! Asks what backends there are, and gives pools those that were found; on the main thread, never on a worker.
//!
//! One task for each feed. They follow the policy: a reload starts and stops tasks, and what they have found stays.

use crate::clock;
use crate::policy::{Snapshot, Store};
use crate::upstream::discover::{Means, follow};
use crate::upstream::seen_by_workers;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;

/// Between two looks at the policy and at what was found.
const LOOK: Duration = Duration::from_millis(50);
/// How long a start waits for the first answers. Pools without one answer 503 until it comes.
const FIRST_WAIT: Duration = Duration::from_secs(3);

/// Runs until the runtime ends.
pub async fn keep(policy: Arc<Store>, means: Arc<Means>) {
    let mut interval = tokio::time::interval(LOOK);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tasks = HashMap::new();
    let mut seen = 0;
    loop {
        interval.tick().await;
        let snapshot = policy.current();
        if snapshot.version != seen {
            seen = snapshot.version;
            start_missing(&mut tasks, &snapshot, &means);
        }
        supply(&policy, &snapshot);
    }
}

/// Waits until every source has answered once, well or badly, or [`FIRST_WAIT`] is over. [`keep`] has to run.
pub async fn first_answers(policy: Arc<Store>) {
    let snapshot = policy.current();
    let all_have =
        || snapshot.supplies.iter().flat_map(|supply| supply.feeds()).all(|feed| feed.has_answered());
    let wait = async {
        while !all_have() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    if tokio::time::timeout(FIRST_WAIT, wait).await.is_err() {
        tracing::warn!("some backends are not found out yet: their pools answer 503; see `/backends`");
    }
    supply(&policy, &snapshot);
}

fn supply(policy: &Store, snapshot: &Snapshot) {
    let now_ms = seen_by_workers(clock::mono_us() / 1_000);
    snapshot.supplies.iter().for_each(|supply| supply.update(&policy.live().backends, now_ms));
}

/// Stops when dropped.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts what is missing, and stops what is no longer asked for.
fn start_missing(tasks: &mut HashMap<u64, Task>, snapshot: &Snapshot, means: &Arc<Means>) {
    let feeds = || snapshot.supplies.iter().flat_map(|supply| supply.feeds());
    tasks.retain(|id, _| feeds().any(|feed| feed.id == *id));
    for feed in feeds() {
        let start = || Task(tokio::spawn(follow(feed.clone(), means.clone())).abort_handle());
        tasks.entry(feed.id).or_insert_with(start);
    }
}
