//! Plan: a scenario made ready to be driven. Threads share it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use crate::clock;
use crate::scenario::{Http, Load, Scenario};

use super::Options;
use super::ask::{Asker, Unsendable};
use super::choose::{BadWeights, Chooser};
use super::connect::{Dialer, NoDialer};
use super::progress::Progress;
use super::record::Record;
use super::schedule::Schedule;

/// Time for the threads to start before the first request is due.
const LEAD: Duration = Duration::from_millis(10);

/// Everything the threads need to know.
pub struct Plan {
    /// What is driven.
    pub scenario: Scenario,
    /// Who sends what.
    pub chooser: Chooser,
    /// Makes requests.
    pub asker: Asker,
    /// Makes connections.
    pub dialer: Dialer,
    /// When second 0 begins, of [`clock::mono_us`].
    pub start_us: u64,
    /// Threads that drive it.
    pub threads: usize,
    /// Single requests kept by each thread.
    pub samples_max: usize,
    /// What the progress bar reads.
    pub progress: Option<Arc<Progress>>,
    /// Set when one thread has found that going on makes no sense.
    pub stop: AtomicBool,
    /// Next number of a closed load.
    pub turn: Arc<AtomicU64>,
}

/// Why a scenario cannot be driven.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadPlan {
    /// Nobody, or nothing, to choose.
    #[error(transparent)]
    Weights(#[from] BadWeights),
    /// Not HTTP.
    #[error(transparent)]
    Unsendable(#[from] Unsendable),
    /// TLS does not go with what is known.
    #[error(transparent)]
    NoDialer(#[from] NoDialer),
    /// A caller's group does not exist.
    #[error("user `{0}` is in a group that does not exist")]
    Group(String),
    /// A closed load wants more under way than there is room for.
    #[error("{in_flight} requests cannot be under way on {room}: raise `open_max` (or `streams_max`)")]
    TooFewConnections {
        /// Requests under way at once.
        in_flight: u32,
        /// Connections, or their streams, in words.
        room: String,
    },
    /// No connection, stream or request is allowed at all.
    #[error("`{0}` must be at least 1")]
    Zero(&'static str),
}

impl Plan {
    /// Checks what driving it depends on, and makes everything that can be made beforehand.
    ///
    /// # Errors
    /// [`BadPlan`] says what to change.
    pub fn new(scenario: &Scenario, options: &Options) -> Result<Plan, BadPlan> {
        check(scenario)?;
        let connections = scenario.connections;
        let most_threads = match scenario.load {
            Load::Closed { in_flight, .. } => in_flight.min(connections.open_max),
            Load::Open { .. } => connections.open_max,
        };
        let slow_readers = scenario.requests.iter().any(|request| request.read_bytes_per_s.is_some());
        let (host, tls) = (options.host.as_str(), options.tls.as_ref());
        Ok(Plan {
            chooser: Chooser::new(scenario)?,
            asker: Asker::new(scenario, host)?,
            dialer: Dialer::new(options.address, host, tls, connections, slow_readers)?,
            scenario: scenario.clone(),
            threads: options.threads.clamp(1, most_threads as usize),
            samples_max: options.keep_samples,
            progress: options.progress.clone(),
            stop: AtomicBool::new(false),
            turn: Arc::new(AtomicU64::new(1)),
            start_us: clock::mono_us() + LEAD.as_micros() as u64,
        })
    }

    /// An empty record, for one thread or to merge all threads'.
    pub fn record(&self) -> Record {
        Record::new(self.scenario.groups.len(), self.start_us, self.samples_max, self.progress.clone())
    }

    /// Streams on each connection.
    pub fn streams_max(&self) -> usize {
        let connections = self.scenario.connections;
        if connections.http == Http::Two && connections.keep_alive {
            connections.streams_max as usize
        } else {
            1
        }
    }

    /// Connections of one thread: number `c` belongs to thread `c % threads`.
    pub fn connections(&self, thread: usize) -> usize {
        (thread..self.scenario.connections.open_max as usize).step_by(self.threads).count()
    }

    /// Of the requests that a closed load has under way, those of one thread: they are dealt to the connections in turn,
    /// so that no thread gets more than its connections can carry.
    pub fn in_flight(&self, in_flight: u32, thread: usize) -> usize {
        let open_max = self.scenario.connections.open_max;
        (0..in_flight).filter(|lane| (lane % open_max) as usize % self.threads == thread).count()
    }

    /// How long requests are sent, in microseconds from the start.
    pub fn lasts_us(&self) -> u64 {
        lasts(&self.scenario).as_micros() as u64
    }
}

/// How long requests of a scenario are sent, unless `requests_max` ends that sooner.
pub fn lasts(scenario: &Scenario) -> Duration {
    let load = match &scenario.load {
        Load::Open { arrivals, phases } => {
            Duration::from_micros(Schedule::new(*arrivals, phases, scenario.seed).lasts_us())
        }
        Load::Closed { lasts, .. } => *lasts,
    };
    load.min(scenario.time_max)
}

fn check(scenario: &Scenario) -> Result<(), BadPlan> {
    let connections = scenario.connections;
    let lost = scenario.callers.iter().find(|c| usize::from(c.group) >= scenario.groups.len());
    if let Some(caller) = lost {
        return Err(BadPlan::Group(caller.user.clone()));
    }
    if connections.open_max == 0 {
        return Err(BadPlan::Zero("open_max"));
    }
    if connections.http == Http::Two && connections.streams_max == 0 {
        return Err(BadPlan::Zero("streams_max"));
    }
    let Load::Closed { in_flight, .. } = scenario.load else { return Ok(()) };
    if in_flight == 0 {
        return Err(BadPlan::Zero("in_flight"));
    }
    let streams =
        if connections.http == Http::Two && connections.keep_alive { connections.streams_max } else { 1 };
    if connections.open_max.saturating_mul(streams) < in_flight {
        let room = match streams {
            1 => format!("{} connections", connections.open_max),
            _ => format!("{} connections of {streams} streams", connections.open_max),
        };
        return Err(BadPlan::TooFewConnections { in_flight, room });
    }
    Ok(())
}
