//! Compare: what does the gateway cost, and what would people pay who took something else?
//!
//! All proxies run at once under one policy, each with one worker on a core that nothing else is given; the generator
//! and the origin share the other. In every round each peer gets the same load for a few seconds while the others
//! idle; who begins rotates. Results are ratios and differences within a round, so what drifts from round to round
//! touches both sides. A comparison that would not be one ends with a [`Problem`]: peers that answer, forward or log
//! differently, or a run of which generator, origin and access log do not say the same.
//!
//! *Not here*: the configurations (`loadtest/peers`, whose README says what each peer does and does not do), the
//! generator ([`crate::generate`]).

mod ask;
mod bars;
mod bench;
mod callers;
mod case;
mod check;
mod cpu;
pub(crate) mod load;
pub(crate) mod origin;
mod outcome;
pub(crate) mod peer;
pub(crate) mod problem;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod ratio;
pub mod relay;
pub(crate) mod surroundings;
pub(crate) mod table;
mod template;
pub(crate) mod write;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bench::{Bench, Run};
pub use case::Case;
pub use outcome::{Entry, Outcome};
pub use peer::{Peer, Programs};
pub use problem::Problem;
use process::Cores;
pub(crate) use ratio::Spread;
pub(crate) use surroundings::today;
pub(crate) use table::short;
pub(crate) use write::write as write_between;

use crate::rig::about;

/// Runs before a late generator ends the comparison. On two cores, one program too many is enough to make it late.
const ATTEMPTS: u32 = 7;

/// What to compare, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Compared with the gateway.
    pub others: Vec<Peer>,
    /// Kinds of load.
    pub cases: Vec<Case>,
    /// Rounds of each.
    pub rounds: u32,
    /// Load on each peer in a round, seconds.
    pub seconds: u64,
    /// Where programs are.
    pub programs: Programs,
    /// The command line, for the result.
    pub command: String,
}

/// Compares. Says on standard error how it goes; `stop` ends it after the run that is under way.
///
/// From then on the calling thread stays on the first core.
///
/// # Errors
/// See [`Problem`].
pub fn run(options: &Options, stop: &AtomicBool) -> Result<Outcome, Problem> {
    let cores = Cores::split()?;
    let machine = about::machine();
    if machine.load_average > 1.0 {
        eprintln!("compare: the load average is {:.1}; other work disturbs all peers", machine.load_average);
    }
    process::pin_this_thread(cores.load)?;
    let versions = surroundings::versions(options)?;
    let proxies: Vec<Peer> = [Peer::Gateway].into_iter().chain(options.others.iter().copied()).collect();
    let mut bench = Bench::start(&proxies, cores, &options.programs)?;
    let mut runs = Vec::new();
    // The last ones ask most of the machine: if it is too busy for them, better to know at once.
    for case in options.cases.iter().rev() {
        let turns = turns(*case, &proxies, &options.cases);
        if turns.is_empty() {
            continue;
        }
        bench.prepare(*case)?;
        let _awake = bench.keep_awake(*case)?;
        runs.extend(rounds(&bench, &turns, options, stop)?);
    }
    Ok(Outcome {
        date: surroundings::today(),
        commit: about::commit(),
        command: options.command.clone(),
        machine,
        versions,
        rounds: options.rounds,
        seconds: options.seconds,
        runs,
    })
}

/// Writes the result into the documents of the tree in `root`.
///
/// # Errors
/// A document is missing or has no place for it.
pub fn write(outcome: &Outcome, root: &Path) -> Result<(), Problem> {
    write::write(&root.join("ARCHITECTURE.md"), "bench", &table::whole(outcome))?;
    write::write(&root.join("README.md"), "bench", &table::headline(outcome))
}

/// The result as people read it, in Markdown.
pub fn text(outcome: &Outcome) -> String {
    table::whole(outcome)
}

/// Which load a round puts on whom, of this case and those that are measured beside it; none if that is the other's turn.
fn turns(case: Case, proxies: &[Peer], chosen: &[Case]) -> Vec<(Case, Peer)> {
    match case.beside() {
        Some(beside) if chosen.contains(&beside) => Vec::new(),
        Some(beside) => vec![(beside, Peer::Gateway), (case, Peer::Gateway)],
        None => {
            let direct = case.is_timed().then_some(Peer::Direct);
            let guests = chosen.iter().filter(|guest| guest.beside() == Some(case));
            let own = proxies.iter().copied().chain(direct).filter(|peer| case.is_for(*peer));
            let own = own.map(|peer| (case, peer));
            own.chain(guests.map(|guest| (*guest, Peer::Gateway))).collect()
        }
    }
}

/// How long to leave the machine to whatever else runs there before a void run is made again: twice as long each time.
fn pause_after(attempt: u32) -> Duration {
    Duration::from_secs(1 << attempt.min(5))
}

fn wait(pause: Duration, stop: &AtomicBool) {
    let step = Duration::from_millis(100);
    for _ in 0..pause.as_millis() / step.as_millis() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(step);
    }
}

/// All rounds of one case, after a second of each load that does not count.
fn rounds(
    bench: &Bench<'_>,
    turns: &[(Case, Peer)],
    options: &Options,
    stop: &AtomicBool,
) -> Result<Vec<Entry>, Problem> {
    let mut entries = Vec::new();
    // Ctrl-C reaches the programs too: whatever a run says then, it was ended.
    let ended = |run| if stop.load(Ordering::Relaxed) { Err(Problem::Ended) } else { run };
    let measure = |(case, peer): (Case, Peer), seconds| {
        for attempt in 1..ATTEMPTS {
            match ended(bench.measure(case, peer, seconds)) {
                Err(late @ Problem::Late { .. }) => {
                    let pause = pause_after(attempt);
                    eprintln!("{late}; once more in {} s", pause.as_secs());
                    wait(pause, stop);
                }
                run => return run,
            }
        }
        ended(bench.measure(case, peer, seconds))
    };
    for turn in turns {
        eprintln!("{}: warm-up of {}", turn.0.title(), turn.1.name());
        measure(*turn, 1)?;
    }
    for round in 0..options.rounds {
        let mut order = turns.to_vec();
        order.rotate_left(round as usize % turns.len());
        for (case, peer) in order {
            let run = measure((case, peer), options.seconds)?;
            eprintln!(
                "{}: round {} of {}: {} {}",
                case.title(),
                round + 1,
                options.rounds,
                peer.name(),
                shown(&run)
            );
            entries.push(Entry { case, round, peer, run });
        }
    }
    Ok(entries)
}

fn shown(run: &Run) -> String {
    let mut text = format!("{:.0}/s", run.units as f64 / run.lasted_s);
    if let (Some(cpu_us), Some(busy)) = (run.cpu_us, run.busy) {
        text += &format!(", {cpu_us:.2} us at {:.0} % of the core", busy * 100.0);
    }
    if let (Some(p50_us), Some(p99_us)) = (run.p50_us, run.p99_us) {
        text += &format!(", p50 {p50_us:.0} us, p99 {p99_us:.0} us");
    }
    text
}

/// Writes every run as JSON.
///
/// # Errors
/// The file cannot be written.
pub fn write_json(outcome: &Outcome, file: &PathBuf) -> Result<(), Problem> {
    use problem::Context;
    let text = serde_json::to_vec_pretty(outcome).map_err(std::io::Error::other);
    text.and_then(|text| std::fs::write(file, text)).while_doing(format!("write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_websockets_are_measured_of_nginx_alone() {
        let all: Vec<Peer> = [Peer::Gateway].into_iter().chain(Peer::OTHERS).collect();
        for case in [Case::Grpc, Case::WebSocket] {
            assert_eq!(turns(case, &all, &Case::ALL), [(case, Peer::Gateway), (case, Peer::Nginx)]);
        }
    }

    #[test]
    fn signing_is_measured_in_the_rounds_of_what_it_is_compared_with() {
        let proxies = [Peer::Gateway, Peer::Nginx];
        let (coded, signed) = ((Case::Coded, Peer::Gateway), (Case::Signed, Peer::Gateway));
        assert_eq!(turns(Case::Coded, &proxies, &[Case::Coded]), [coded]);
        assert_eq!(turns(Case::Coded, &proxies, &Case::ALL), [coded, signed]);
        assert_eq!(turns(Case::Signed, &proxies, &Case::ALL), []);
        assert_eq!(turns(Case::Signed, &proxies, &[Case::Signed]), [coded, signed]);
        assert_eq!(
            turns(Case::Tcp, &proxies, &Case::ALL),
            [(Case::Tcp, Peer::Gateway)],
            "nginx has no stream"
        );
        assert_eq!(
            turns(Case::First, &[Peer::Gateway], &Case::ALL).last(),
            Some(&(Case::First, Peer::Direct))
        );
    }
}
