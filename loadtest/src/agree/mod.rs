//! Agree: does the generator of this package see what wrk and h2load see?
//!
//! A load tester that nobody has checked is an opinion. Here all three load the same target in turn, each with the same
//! number of connections: the mock, alone on a core, that answers after a fixed wait. The wait makes the load light, so
//! that rate and latency are the target's and not those of whoever has the faster code. In every round each of them has
//! its turn, and who begins rotates; ratios are taken within a round, so what drifts from round to round touches both
//! sides.
//!
//! *Oracle.* The mock counts what arrives, and knows nothing of who says what: see [`disagreements`].
//!
//! *Not here*: processes, cores and counting ([`crate::compare`]), sending ([`crate::generate`]).

mod generator;
mod h2load;
mod judge;
mod ours;
mod outcome;
mod table;
mod wrk;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use generator::{Generator, Seen};
pub use judge::disagreements;
pub use outcome::{Entry, Outcome};

use crate::compare::Case;
use crate::compare::Problem;
use crate::compare::origin::{ANSWER_BYTES, Kind, Origin};
use crate::compare::peer::Programs;
use crate::compare::problem::Context;
use crate::compare::process::{self, Cores};
use crate::compare::write::write as between_markers;
use crate::compare::{proxy, surroundings};
use crate::rig::about;
use generator::Target;

/// Connections of each generator, with one request under way on each.
pub const CONNECTIONS: u32 = 64;
/// Wait of the mock before each answer.
pub const LATENCY_MS: u32 = 20;

/// Looks at the mock's count after a run, so far apart, until it stands still.
const SETTLE_POLLS: u32 = 60;
const SETTLE_EVERY: Duration = Duration::from_millis(50);

/// How much is measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Rounds, in each of which every generator has its turn.
    pub rounds: u32,
    /// Length of a turn, seconds.
    pub seconds: u64,
    /// The command line, for the result.
    pub command: String,
}

/// Lets the generators take turns. Says on standard error how it goes; `stop` ends it after the turn that is under way.
///
/// From then on the calling thread stays on the first core.
///
/// # Errors
/// A program is missing, does not start, or was not answered well. That generators disagree is no error here:
/// [`disagreements`] says so.
pub fn run(options: &Options, stop: &AtomicBool) -> Result<Outcome, Problem> {
    let cores = Cores::split()?;
    let machine = about::machine();
    if machine.load_average > 1.0 {
        eprintln!(
            "agree: the load average is {:.1}; other work may look like disagreement",
            machine.load_average
        );
    }
    if cfg!(debug_assertions) {
        eprintln!("agree: this is a debug build, whose generator is slow; build it with --release");
    }
    let versions = Generator::ALL.map(Generator::version).into_iter().collect::<Result<_, _>>()?;
    process::pin_this_thread(cores.load)?;
    let directory = tempfile::Builder::new().prefix("agree-").tempdir().while_doing("make a directory")?;
    let addresses = proxy::free_addresses()?;
    // The mock has the core that a proxy would have.
    let mock = Kind::Mock { record: false };
    let origin = Origin::start(mock, addresses, cores.proxy, &Programs::default(), directory.path())?;
    let target = Target {
        address: addresses[0],
        path: format!("/mock/bytes/{ANSWER_BYTES}"),
        core: cores.load,
        directory: directory.path().to_owned(),
    };
    Ok(Outcome {
        date: surroundings::today(),
        commit: about::commit(),
        command: options.command.clone(),
        machine,
        versions,
        rounds: options.rounds,
        seconds: options.seconds,
        runs: rounds(&origin, &target, options, stop)?,
    })
}

/// The result as people read it, in Markdown.
pub fn text(outcome: &Outcome) -> String {
    table::table(outcome)
}

/// Writes the result into the package's README of the tree in `root`.
///
/// # Errors
/// It is missing or has no place for the result.
pub fn write(outcome: &Outcome, root: &Path) -> Result<(), Problem> {
    between_markers(&root.join("loadtest/README.md"), "agree", &table::table(outcome))
}

fn rounds(
    origin: &Origin,
    target: &Target,
    options: &Options,
    stop: &AtomicBool,
) -> Result<Vec<Entry>, Problem> {
    let mut entries = Vec::new();
    for round in 0..options.rounds {
        let mut order = Generator::ALL;
        order.rotate_left(round as usize % Generator::ALL.len());
        for generator in order {
            let entry = turn(origin, target, generator, round, options.seconds);
            // Ctrl-C reaches the programs too: whatever a turn says then, it was ended.
            if stop.load(Ordering::Relaxed) {
                return Err(Problem::Ended);
            }
            // A mock that has ended explains whatever else is wrong.
            let entry = origin.fate().map_or(entry, Err)?;
            eprintln!("round {} of {}: {}", round + 1, options.rounds, table::line(&entry));
            entries.push(entry);
        }
    }
    Ok(entries)
}

/// One generator's turn, and what the mock has counted meanwhile.
fn turn(
    origin: &Origin,
    target: &Target,
    generator: Generator,
    round: u32,
    seconds: u64,
) -> Result<Entry, Problem> {
    let before = settled(origin)?;
    let spoilt = |what| Problem::Spoilt { case: "agree", peer: generator.name(), what };
    let seen = generator.run(target, seconds)?.map_err(spoilt)?;
    Ok(Entry { round, generator, arrived: settled(origin)? - before, seen })
}

/// The mock's count once it stands still: what was open when a generator left may arrive a little later.
fn settled(origin: &Origin) -> Result<u64, Problem> {
    let mut last = origin.arrived(Case::Get)?;
    for _ in 0..SETTLE_POLLS {
        std::thread::sleep(SETTLE_EVERY);
        let now = origin.arrived(Case::Get)?;
        if now == last {
            break;
        }
        last = now;
    }
    Ok(last)
}
