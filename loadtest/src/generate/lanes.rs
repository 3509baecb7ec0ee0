//! Lanes: those of one thread, made when they are first needed.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::lane::Lane;
use super::plan::Plan;
use super::queue::Source;
use super::record::Record;
use super::wire::Shared;

/// How long answers are waited for after the last request was sent. Long enough for a slow stream, short enough for
/// somebody who waits for the end of the run.
pub const DRAIN: Duration = Duration::from_secs(10);

/// The lanes of one thread.
pub struct Lanes {
    plan: Arc<Plan>,
    record: Rc<RefCell<Record>>,
    source: Rc<Source>,
    /// Connections of HTTP/2, which lanes use in turn; empty if each lane has its own.
    shared: Vec<Shared>,
    lanes: JoinSet<()>,
    lanes_max: usize,
}

impl Lanes {
    /// No lane yet.
    pub fn new(plan: Arc<Plan>, thread: usize, record: Rc<RefCell<Record>>, source: Rc<Source>) -> Lanes {
        let (connections, streams_max) = (plan.connections(thread), plan.streams_max());
        let shared = if streams_max > 1 { connections } else { 0 };
        Lanes {
            plan,
            record,
            source,
            shared: (0..shared).map(|_| Shared::default()).collect(),
            lanes: JoinSet::new(),
            lanes_max: connections * streams_max,
        }
    }

    /// Adds a lane, unless there are as many as there may be.
    pub fn add(&mut self) {
        if self.lanes.len() == self.lanes_max {
            return;
        }
        let shared = match self.shared.len() {
            0 => None,
            count => Some(Rc::clone(&self.shared[self.lanes.len() % count])),
        };
        let lane = Lane::new(Arc::clone(&self.plan), Rc::clone(&self.record), shared);
        self.lanes.spawn_local(lane.run(Rc::clone(&self.source)));
    }

    /// Waits for the lanes to end, for at most `time`; then ends them, and with them the requests under way.
    pub async fn finish(mut self, time: Duration) {
        let all = async {
            while let Some(ended) = self.lanes.join_next().await {
                if let Err(panic) = ended.map_err(tokio::task::JoinError::into_panic) {
                    std::panic::resume_unwind(panic);
                }
            }
        };
        // Late or not: what is still there ends now.
        let _ = tokio::time::timeout(time, all).await;
        self.lanes.shutdown().await;
    }
}
