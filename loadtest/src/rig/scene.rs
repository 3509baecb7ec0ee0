//! Scene: what stands while a scenario is played, and what can be learnt from it afterwards.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use super::gateway::{self, Gateway, Slot};
use super::reload::Reloader;
use super::target::Target;
use super::{Problem, admin};
use crate::clock::mono_us;
use crate::measure::Upstream;
use crate::mock::count::Stats;
use crate::mock::journal::Journal;
use crate::mock::{Mock, Options};
use crate::scenario::{Setup, policy};

/// So long a mock may be busy with requests whose callers have left.
const SETTLE_MAX: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(10);
/// Requests of the oracle's own, after the load.
const PROBES_MAX: u64 = 10_000;

/// What stands while a scenario is played.
#[derive(Debug)]
pub struct Scene {
    /// Where requests go.
    pub target: Target,
    /// Where the target takes requests in the clear, if it does.
    pub plain: Option<SocketAddr>,
    /// Directory of the policy in force, if it is known.
    pub policy: Option<PathBuf>,
    /// Ends before the mock does: fields are dropped in order.
    gateway: Option<Gateway>,
    mock: Witness,
    /// When it was set, on the machine's monotonic clock.
    since_us: u64,
}

/// Who can tell what reached the upstream.
#[derive(Debug)]
enum Witness {
    Own(Mock),
    Given(SocketAddr),
    Nobody,
}

impl Scene {
    /// A gateway and a mock of the rig's own.
    ///
    /// # Errors
    /// One of them does not start.
    pub fn own(setup: &Setup, plan: &gateway::Plan, slot: &Slot) -> Result<Scene, Problem> {
        let scenario = &setup.scenario;
        let mock = Mock::start(&Options {
            record: None,
            journal: Some(scenario.requests_max + PROBES_MAX),
            behaviour: setup.upstream.clone(),
            ..Options::default()
        })
        .map_err(Problem::Mock)?;
        let write = |dir: &Path| policy::write(setup, &mock.url(), dir);
        let gateway = Gateway::start(plan, scenario.connections.tls, slot, write)?;
        Ok(Scene {
            target: Target::local(gateway.address, gateway.authority.as_deref(), scenario.connections.http)?,
            plain: Some(gateway.plain),
            policy: Some(gateway.policy.clone()),
            gateway: Some(gateway),
            mock: Witness::Own(mock),
            since_us: mono_us(),
        })
    }

    /// What somebody else has started. `evidence` is the policy's directory and the mock's control address.
    ///
    /// # Errors
    /// The target cannot be driven, or the scenario needs a gateway of the rig's own.
    pub fn given(
        setup: &Setup,
        url: &str,
        authority: Option<&Path>,
        evidence: Option<(PathBuf, SocketAddr)>,
    ) -> Result<Scene, Problem> {
        let scenario = &setup.scenario;
        if setup.reload_every.is_some() {
            return Err(Problem::ReloadOfOthers(scenario.name.clone()));
        }
        let (policy, control) = evidence.unzip();
        let target = Target::given(url, authority, scenario.connections.http)?;
        Ok(Scene {
            plain: target.tls.is_none().then_some(target.address),
            target,
            policy,
            gateway: None,
            mock: control.map_or(Witness::Nobody, Witness::Given),
            since_us: mono_us(),
        })
    }

    /// Begins to rewrite the policy, if the scenario wants it.
    ///
    /// # Errors
    /// The gateway does not tell what it counts.
    pub fn reloader(&self, setup: &Setup) -> Result<Option<Reloader>, Problem> {
        let (Some(every), Some(gateway), Witness::Own(mock)) =
            (setup.reload_every, &self.gateway, &self.mock)
        else {
            return Ok(None);
        };
        Reloader::start(setup, &mock.url(), gateway.policy.clone(), every, gateway.admin).map(Some)
    }

    /// What reached the upstream since the scene was set, once it has nothing left to do; None if nobody knows.
    ///
    /// # Errors
    /// The mock of somebody else does not answer, or keeps no journal.
    pub fn testimony(&self) -> Result<Option<(Stats, Journal)>, Problem> {
        let by_us = mono_us() + SETTLE_MAX.as_micros() as u64;
        loop {
            let Some(stats) = self.stats()? else { return Ok(None) };
            if stats.in_flight == 0 || mono_us() > by_us {
                return Ok(self.journal()?.map(|journal| (stats, journal)));
            }
            sleep(LOOK);
        }
    }

    /// What the report shows of the upstream: of the rig's own only, since another's has counted before.
    pub fn upstream(&self, stats: &Stats, journal: &Journal) -> Option<Upstream> {
        matches!(self.mock, Witness::Own(_)).then(|| Upstream {
            requests: stats.requests,
            completed: stats.completed,
            cancelled: stats.cancelled,
            faulted: stats.faulted,
            connections: stats.connections,
            tenants: journal.tenants.len() as u64,
        })
    }

    fn stats(&self) -> Result<Option<Stats>, Problem> {
        match &self.mock {
            Witness::Own(mock) => Ok(Some(mock.stats())),
            Witness::Given(control) => {
                let read = || Ok(serde_json::from_slice(&admin::get(*control, "/mock/stats")?)?);
                read().map(Some).map_err(at(*control))
            }
            Witness::Nobody => Ok(None),
        }
    }

    fn journal(&self) -> Result<Option<Journal>, Problem> {
        match &self.mock {
            Witness::Own(mock) => Ok(mock.journal()),
            Witness::Given(control) => {
                let read = || Journal::read(&admin::get(*control, "/mock/journal")?[..]);
                let mut journal = read().map_err(at(*control))?;
                // Of earlier runs, whose numbers are the same.
                journal.arrivals.retain(|arrival| arrival.arrived_us >= self.since_us);
                Ok(Some(journal))
            }
            Witness::Nobody => Ok(None),
        }
    }
}

fn at(control: SocketAddr) -> impl FnOnce(io::Error) -> Problem {
    move |error| Problem::Control(control.to_string(), error)
}
