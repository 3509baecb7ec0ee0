//! Arguments of `compare`.

use std::path::PathBuf;

use clap::Args;

use pangu_loadtest::compare::{Case, Options, Peer, Programs};

/// Arguments of `compare`.
#[derive(Debug, Args)]
pub struct CompareArgs {
    /// Compare with this one only; may be repeated [default: nginx, haproxy, envoy, pingora, relay]
    #[arg(long, value_name = "NAME", value_parser = peer)]
    peer: Vec<Peer>,
    /// Measure the gateway alone: of the peers' programs, only those that make the loads or answer them are needed
    #[arg(long, conflicts_with = "peer")]
    alone: bool,
    /// Measure only this load; may be repeated
    ///
    /// get, keys, post, coded and signed (of the gateway alone, beside one another), tls, handshake, h2, tcp, latency1, latency2000, sse, first, grpc, websocket
    #[arg(long, value_name = "NAME", value_parser = case)]
    case: Vec<Case>,
    /// Rounds of each load
    ///
    /// Many short ones: what else a machine does comes and goes within seconds, and the median is of the rounds.
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Load on each peer in a round, seconds
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
    /// 2 rounds of 1 s: does it work at all?
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    quick: bool,
    /// Put the result into README.md and ARCHITECTURE.md of this directory; takes a whole run
    #[arg(long, conflicts_with_all = ["quick", "peer", "alone", "case"])]
    pub write: bool,
    /// Write every run as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// The gateway [default: pangu-gateway beside this program]
    #[arg(long, value_name = "PROGRAM")]
    gateway: Option<PathBuf>,
    /// envoy [default: .venv-peers/bin/envoy, else the one on the path]
    #[arg(long, value_name = "PROGRAM")]
    envoy: Option<PathBuf>,
    /// The proxy on pingora-proxy [default: in loadtest/peers/pingora/target/release]
    #[arg(long, value_name = "PROGRAM")]
    pingora: Option<PathBuf>,
}

impl CompareArgs {
    /// Turns the arguments into options.
    pub fn options(&self) -> Options {
        let (rounds, seconds) = if self.quick { (2, 1) } else { (self.rounds, self.seconds) };
        Options {
            others: if self.alone { Vec::new() } else { chosen(&Peer::OTHERS, &self.peer) },
            cases: chosen(&Case::ALL, &self.case),
            rounds,
            seconds,
            programs: Programs {
                gateway: self.gateway.clone(),
                envoy: self.envoy.clone(),
                pingora: self.pingora.clone(),
                loadtest: None,
            },
            command: self.command(rounds, seconds),
        }
    }

    /// The command line that leads to the same result; paths of this machine mean nothing elsewhere.
    fn command(&self, rounds: u32, seconds: u64) -> String {
        let peers = self.peer.iter().map(|peer| format!(" --peer {}", peer.name()));
        let cases = self.case.iter().map(|case| format!(" --case {case}"));
        let choice: String = peers.chain(cases).collect();
        let alone = if self.alone { " --alone" } else { "" };
        format!("pangu-loadtest compare{alone}{choice} --rounds {rounds} --seconds {seconds}")
    }
}

/// Those that were named, or all, in the order of all.
fn chosen<T: Copy + PartialEq>(all: &[T], named: &[T]) -> Vec<T> {
    all.iter().copied().filter(|one| named.is_empty() || named.contains(one)).collect()
}

fn peer(name: &str) -> Result<Peer, String> {
    let found = Peer::OTHERS.into_iter().find(|peer| peer.name() == name);
    found.ok_or_else(|| format!("write one of {}", Peer::OTHERS.map(Peer::name).join(", ")))
}

fn case(name: &str) -> Result<Case, String> {
    let found = Case::ALL.into_iter().find(|case| case.name() == name);
    found.ok_or_else(|| format!("write one of {}", Case::ALL.map(Case::name).join(", ")))
}
