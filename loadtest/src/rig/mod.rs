//! Rig: sets the scene for a scenario, lets the generator play it, and asks the oracle.
//!
//! Asked by `pangu-loadtest run`. Without a target it starts a gateway and, in this process, the mock behind it;
//! both are gone when it returns, and when a signal ends the program. With a target it drives what is there.
//!
//! *Not here.* Sending (`generate`), judging (`oracle`), showing (`report`).

pub mod scene;

pub mod gateway;

pub mod target;

pub mod reload;

pub(crate) mod about;
pub(crate) mod admin;
pub(crate) mod interrupt;
mod probe;
mod problem;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::generate::progress::{self, Progress};
use crate::generate::{self, Outcome};
use crate::measure::{About, Report};
use crate::oracle::{self, policy::Policy};
use crate::scenario::{Scenario, Setup};
use gateway::Slot;
pub use problem::Problem;
use reload::Reloader;
use scene::Scene;

/// Where a scenario is played.
#[derive(Debug, Clone)]
pub enum Stage {
    /// A gateway and a mock of the rig's own.
    Own(gateway::Plan),
    /// What somebody else has started.
    Given {
        /// `http://HOST:PORT` or `https://HOST:PORT`; decides whether there is TLS, whatever the scenario says.
        url: String,
        /// PEM file of the authority to trust.
        authority: Option<PathBuf>,
        /// For the oracle: directory of the policy in force, and control address of the mock behind it.
        evidence: Option<(PathBuf, SocketAddr)>,
    },
}

/// How a scenario is played.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where.
    pub stage: Stage,
    /// Threads of the generator.
    pub threads: u16,
}

/// Plays a scenario and says what was seen.
///
/// # Errors
/// There was no run, or nobody could judge it. What went wrong *during* a run is in the report.
pub fn run(setup: &Setup, options: &Options) -> Result<Report, Problem> {
    let slot = Slot::default();
    interrupt::watch(&slot)?;
    let mut setup = setup.clone();
    let scene = match &options.stage {
        Stage::Own(plan) => Scene::own(&setup, plan, &slot)?,
        Stage::Given { url, authority, evidence } => {
            Scene::given(&setup, url, authority.as_deref(), evidence.clone())?
        }
    };
    setup.scenario.connections.tls = scene.target.tls.is_some();

    let reloader = scene.reloader(&setup)?;
    let about = about::about(&setup.scenario, &scene.target.url);
    let outcome = drive(&setup.scenario, &scene, options)?;
    let reloads = reloader.map(Reloader::stop).transpose()?;

    let mut report = outcome.report;
    report.about = About { started: report.about.started, lasted_s: report.about.lasted_s, ..about };
    report.reloads = reloads;
    if let (Some(policy), Some((stats, journal))) = (&scene.policy, scene.testimony()?) {
        let complete = outcome.samples_dropped == 0;
        let policy = Policy::read(policy).map_err(Problem::Oracle)?;
        let mut verdict = oracle::judge_by(&policy, &setup.scenario, &outcome.samples, complete, &journal)
            .map_err(Problem::Oracle)?;
        verdict.checks.extend(probe::retry_after(&policy, &setup.scenario, scene.plain)?);
        verdict.checks.extend(reloads.as_ref().map(reload::judge));
        report.upstream = scene.upstream(&stats, &journal);
        report.oracle = Some(verdict);
    }
    Ok(report)
}

fn drive(scenario: &Scenario, scene: &Scene, options: &Options) -> Result<Outcome, Problem> {
    let progress = Arc::<Progress>::default();
    let _drawing = progress::draw(Arc::clone(&progress), generate::lasts(scenario));
    let samples_max = usize::try_from(scenario.requests_max).unwrap_or(usize::MAX);
    let options = generate::Options {
        address: scene.target.address,
        host: scene.target.host.clone(),
        tls: scene.target.tls.clone(),
        threads: options.threads.into(),
        keep_samples: if scene.policy.is_some() { samples_max } else { 0 },
        progress: Some(progress),
    };
    generate::run(scenario, &options).map_err(Problem::Generator)
}
