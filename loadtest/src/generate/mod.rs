//! Generate: drives a scenario and measures what comes back.
//!
//! *A request's way.* `schedule` says when it is due (open load) or `queue` that it is its turn (closed load);
//! `open` and `closed` give it to a `lane`, which has `choose` name its caller and kind, `ask` make it, a
//! `wire` to send it on, and a `flight` to write down what happens. `record` counts, `summary` makes the report,
//! `void` says whether that may be used.
//!
//! *Honest latency.* In an open load a request is due at a time fixed beforehand, and its latency counts from then: if
//! every connection is busy it waits, and the wait is the target's. What the generator itself is late is recorded apart,
//! and voids the report if it is more than noise.
//!
//! *Threads.* Each has its own runtime, connections and record, and sends every so-manieth request of the one schedule.
//! Callers and kinds follow from seed and number, so that the number of threads changes nothing but the speed.
//!
//! *Bounds.* Time and number of requests by the scenario; 60 s per request; 10 s of waiting for the last answers; and
//! 50,000 requests that may wait for a connection.
//!
//! *Sent again.* A request that meets the end of a connection which had served before is sent once more on another: if
//! nothing of it had left, or if it is a GET. The mock may then see its number twice.

mod schedule;

mod queue;

mod timer;

mod open;

mod closed;

mod lanes;

mod lane;

pub mod choose;

pub mod ask;

mod wire;

mod connect;

mod alarm;

mod flight;

mod sse;

mod record;

mod tally;

mod summary;

mod void;

pub mod progress;

mod plan;

mod chance;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use rustls::ClientConfig;
use tokio::runtime::{Builder, LocalOptions};

use crate::measure::{Report, Sample};
use crate::scenario::{Load, Scenario};

pub use ask::NUMBER;
pub use plan::{BadPlan, lasts};

use plan::Plan;
use progress::Progress;
use record::Record;

/// Where a scenario is driven, and with what.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address of the target.
    pub address: SocketAddr,
    /// `Host` of the requests (HTTP/2: authority), and the name its certificate must have; a port is allowed.
    pub host: String,
    /// Whom to trust, if the scenario has TLS. ALPN is set to what the scenario speaks.
    pub tls: Option<Arc<ClientConfig>>,
    /// Threads that send; never more than connections. Default: 1.
    pub threads: usize,
    /// Single requests kept for the oracle at most; 0 for none, which is the default.
    pub keep_samples: usize,
    /// Counters for a progress bar. Default: none.
    pub progress: Option<Arc<Progress>>,
}

impl Options {
    /// The defaults, for a target whose host is its address.
    pub fn to(address: SocketAddr) -> Options {
        Options { address, host: address.to_string(), tls: None, threads: 1, keep_samples: 0, progress: None }
    }
}

/// What a run has seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The figures. Of `about`, commit, machine, target and command are left empty; no oracle was asked.
    pub report: Report,
    /// Single requests, by number.
    pub samples: Vec<Sample>,
    /// Requests of which no sample was kept.
    pub samples_dropped: u64,
}

/// Why a scenario was not driven to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It cannot be driven as it is written.
    #[error(transparent)]
    Plan(#[from] BadPlan),
    /// A thread, its runtime or its timer could not be made.
    #[error("cannot start the generator: {0}; are there file descriptors left (ulimit -n)?")]
    Start(#[from] io::Error),
    /// A thread has panicked; its message is on stderr.
    #[error("the generator has a defect: a thread panicked; its message is above")]
    Panicked,
}

/// Drives `scenario` against the target and returns when it is over.
///
/// # Errors
/// [`RunError`]. A target that fails is no error: the report counts it.
pub fn run(scenario: &Scenario, options: &Options) -> Result<Outcome, RunError> {
    raise_file_limit();
    let started = summary::now_text();
    let plan = Arc::new(Plan::new(scenario, options)?);
    let threads: Vec<_> = (0..plan.threads)
        .map(|index| {
            let plan = Arc::clone(&plan);
            thread::Builder::new().name(format!("generate-{index}")).spawn(move || drive(&plan, index))
        })
        .collect();
    if threads.iter().any(Result::is_err) {
        plan.stop.store(true, Relaxed);
    }
    let mut record = plan.record();
    let mut unsent = 0;
    for thread in threads {
        let (part, part_unsent) = thread?.join().map_err(|_| RunError::Panicked)??;
        record.merge(part);
        unsent += part_unsent;
    }
    let void = void::reasons(&plan, &record, unsent);
    let report = summary::report(&plan, started, &record, void);
    let mut samples = record.samples;
    samples.sort_unstable_by_key(|sample| sample.number);
    let too_many = samples.len().saturating_sub(options.keep_samples);
    samples.truncate(options.keep_samples);
    Ok(Outcome { report, samples, samples_dropped: record.samples_dropped + too_many as u64 })
}

/// One thread's part: what it has recorded, and how many requests it was to send and did not.
fn drive(plan: &Arc<Plan>, thread: usize) -> io::Result<(Record, u64)> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let record = Rc::new(RefCell::new(plan.record()));
    let unsent = runtime.block_on(async {
        match &plan.scenario.load {
            Load::Open { arrivals, phases } => open::drive(plan, thread, &record, *arrivals, phases).await,
            Load::Closed { in_flight, .. } => {
                closed::drive(plan, thread, &record, *in_flight).await;
                Ok(0)
            }
        }
    })?;
    drop(runtime);
    let mut record = Rc::into_inner(record).expect("tasks have ended with the runtime").into_inner();
    record.close();
    Ok((record, unsent))
}

/// Lets this process open as many connections as it may. That it may not have more shows as failed requests.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
