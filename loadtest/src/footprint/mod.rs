//! Footprint: what does the gateway hold in memory, and how soon does a change of its policy take effect?
//!
//! Asked by `pangu-loadtest footprint`. Each [`Part`] starts a gateway of its own with one worker, and in this process
//! the mock behind it. Memory is the resident set that the kernel counts; times are taken from outside, from the rename
//! of a file to the first answer by the new policy.
//!
//! *Not here.* Processor time and latency (`compare`); whether limits hold across reloads (`run reload_under_load`).

mod bars;
mod connection;
mod idle;
mod memory;
mod outcome;
mod policy;
mod problem;
mod reloads;
mod revision;
mod stage;
mod table;
mod tenants;

mod connections;

use std::path::{Path, PathBuf};

use crate::compare;
use crate::rig::about;
pub use outcome::{Connections, Idle, Outcome, Reloads, Tenants};
pub use problem::Problem;
use stage::Stage;

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Memory under a small policy, before anybody called.
    Idle,
    /// Memory and times with many tenants.
    Tenants,
    /// Memory of connections that have served a request and wait for the next.
    Connections,
    /// Policies written again and again under load.
    Reloads,
}

impl Part {
    /// All, in the order of tables.
    pub const ALL: [Part; 4] = [Part::Idle, Part::Tenants, Part::Connections, Part::Reloads];

    /// As arguments name it.
    pub fn name(self) -> &'static str {
        match self {
            Part::Idle => "idle",
            Part::Tenants => "tenants",
            Part::Connections => "connections",
            Part::Reloads => "reloads",
        }
    }
}

/// What to measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Which of it.
    pub parts: Vec<Part>,
    /// Tenants of the large policy.
    pub tenants: u32,
    /// Idle connections.
    pub connections: u32,
    /// Policies written under load.
    pub reloads: u32,
    /// The gateway. Default: the one beside this program.
    pub gateway: Option<PathBuf>,
    /// The command line, for the result.
    pub command: String,
}

/// Measures. Says on standard error how it goes; a signal ends the program and the gateway with exit code 130.
///
/// # Errors
/// See [`Problem`].
pub fn run(options: &Options) -> Result<Outcome, Problem> {
    let stage = Stage::new(options.gateway.clone())?;
    let mut outcome = Outcome {
        date: compare::today(),
        commit: about::commit(),
        command: options.command.clone(),
        machine: about::machine(),
        ..Outcome::default()
    };
    for part in &options.parts {
        eprintln!("footprint: {}", part.name());
        match part {
            Part::Idle => outcome.idle = Some(idle::measure(&stage)?),
            Part::Tenants => outcome.tenants = Some(tenants::measure(&stage, options.tenants)?),
            Part::Connections => {
                outcome.connections = Some(connections::measure(&stage, options.connections)?);
            }
            Part::Reloads => outcome.reloads = Some(reloads::measure(&stage, options.reloads)?),
        }
    }
    Ok(outcome)
}

/// The result as people read it, in Markdown.
pub fn text(outcome: &Outcome) -> String {
    table::whole(outcome)
}

/// Writes the result into ARCHITECTURE.md of the tree in `root`.
///
/// # Errors
/// The document is missing or has no place for it.
pub fn write(outcome: &Outcome, root: &Path) -> Result<(), compare::Problem> {
    compare::write_between(&root.join("ARCHITECTURE.md"), "footprint", &table::whole(outcome))
}
