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

mod about;
mod admin;
mod interrupt;
mod problem;

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::generate;
use crate::measure::{About, Report};
use crate::oracle;
use crate::scenario::Setup;
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
