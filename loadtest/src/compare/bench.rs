//! Bench: all peers running at once, the load going from one to the next.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use super::callers::{self, Caller};
use super::case::Case;
use super::check;
use super::cpu::Reading;
use super::load::{self, Done, Target, Unfit};
use super::origin::{Kind, Origin};
use super::peer::{Peer, Programs};
use super::problem::{Context, Problem};
use super::process::{self, Cores, Process};
use super::proxy::{Lines, LogReader, Proxy, Site, free_addresses};

/// Looks at the counts after a load, 50 ms apart, until they agree.
const SETTLE_POLLS: u32 = 60;
const SETTLE_EVERY: Duration = Duration::from_millis(50);
/// The longest time from a request to its line.
const LOG_DELAY: Duration = Duration::from_millis(1500);

/// One peer under one load.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Requests, all answered well.
    pub requests: u64,
    /// What processor time is divided by: requests, events of streams, messages, or MiB.
    pub units: u64,
    /// How long, seconds.
    pub lasted_s: f64,
    /// Processor time of the proxy per unit, us; none for the origin itself.
    pub cpu_us: Option<f64>,
    /// Share of its core that the proxy used.
    pub busy: Option<f64>,
    /// Median of the latency (of streams: of the time to the first event), us, if the case is timed.
    pub p50_us: Option<f64>,
    /// 99th percentile of the same.
    pub p99_us: Option<f64>,
}

/// Everything that runs during a comparison; dropping it ends it all.
#[derive(Debug)]
pub struct Bench<'a> {
    proxies: Vec<Proxy>,
    origin: Origin,
    origin_addresses: [SocketAddr; 3],
    cores: Cores,
    programs: &'a Programs,
    directory: TempDir,
}

impl<'a> Bench<'a> {
    /// Starts the peers and checks that they do the same.
    ///
    /// # Errors
    /// One is missing, does not start, or does not do what the others do.
    pub fn start(peers: &[Peer], cores: Cores, programs: &'a Programs) -> Result<Bench<'a>, Problem> {
        let directory =
            tempfile::Builder::new().prefix("bench-").tempdir().while_doing("make a directory")?;
        furnish(directory.path(), programs)?;
        let origin_addresses = free_addresses()?;
        let mock = Kind::Mock { record: true };
        let origin = Origin::start(mock, origin_addresses, cores.load, programs, directory.path())?;
        let [address, _, echo] = origin_addresses;
        let site = Site { directory: directory.path(), origin: address, echo, core: cores.proxy, programs };
        let proxies = peers.iter().map(|peer| Proxy::start(*peer, &site)).collect::<Result<Vec<_>, _>>()?;
        check::policy(&proxies, &origin, &directory.path().join("certs/ca.crt"))?;
        Ok(Bench { proxies, origin, origin_addresses, cores, programs, directory })
    }

    /// Puts the origin of a case in place.
    ///
    /// # Errors
    /// It does not start.
    pub fn prepare(&mut self, case: Case) -> Result<(), Problem> {
        let kind = if case.wants_mock() { Kind::Mock { record: false } } else { Kind::Fixed };
        if self.origin.kind() != kind {
            // The old one has to let go of the address first.
            self.origin.end();
            let directory = self.directory.path();
            self.origin =
                Origin::start(kind, self.origin_addresses, self.cores.load, self.programs, directory)?;
        }
        Ok(())
    }

    /// Keeps both cores awake while times are measured.
    ///
    /// # Errors
    /// The system refuses.
    pub fn keep_awake(&self, case: Case) -> Result<Vec<Process>, Problem> {
        let cores = if case.is_timed() { vec![self.cores.load, self.cores.proxy] } else { Vec::new() };
        cores.into_iter().map(|core| process::keep_awake(core, self.directory.path())).collect()
    }

    /// Puts one peer under the load of a case.
    ///
    /// # Errors
    /// The counts do not agree, an answer was not good, or a program has ended: then there is no result.
    pub fn measure(&self, case: Case, peer: Peer, seconds: u64) -> Result<Run, Problem> {
        let run = self.load_and_count(case, peer, seconds);
        let lost = || self.proxies.iter().find_map(Proxy::fate).or_else(|| self.origin.fate());
        // A program that has ended explains whatever else is wrong.
        lost().map_or(run, Err)
    }

    fn load_and_count(&self, case: Case, peer: Peer, seconds: u64) -> Result<Run, Problem> {
        let spoilt = |what| Problem::Spoilt { case: case.title(), peer: peer.name(), what };
        let unfit = |unfit| match unfit {
            Unfit::Late(what) => Problem::Late { case: case.title(), peer: peer.name(), what },
            Unfit::Wrong(what) => spoilt(what),
        };
        let Some(proxy) = self.proxies.iter().find(|proxy| proxy.peer == peer) else {
            let done = load::run(case, &self.target(self.origin_addresses[0]), seconds)?.map_err(unfit)?;
            return Ok(result(&done, None));
        };

        proxy.empty_log()?;
        let arrived_before = self.origin.arrived(case)?;
        let cpu_before = Reading::of(proxy.id())?;
        let address = proxy.address(case);
        let done = match load::run(case, &self.target(address), seconds)? {
            Ok(done) => done,
            Err(Unfit::Wrong(what)) => {
                std::thread::sleep(LOG_DELAY);
                return Err(spoilt(format!("{what}\nin the access log: {:?}", proxy.log()?.lines()?)));
            }
            Err(late) => {
                // Its last lines must not be taken for those of the next run.
                std::thread::sleep(LOG_DELAY);
                return Err(unfit(late));
            }
        };
        let log = if peer.knows_requests() { Some(proxy.log()?) } else { None };
        let seen = self.settle(case, &done, log, arrived_before)?;
        let cpu = Reading::of(proxy.id())?.since(&cpu_before).map_err(spoilt)?;
        seen.agrees_with(&done, case.status()).map_err(spoilt)?;
        Ok(result(&done, Some(cpu)))
    }

    /// Waits until what the load has caused is over: the lines are written, and what that costs belongs to the run.
    fn settle(
        &self,
        case: Case,
        done: &Done,
        mut log: Option<LogReader>,
        arrived_before: u64,
    ) -> Result<Seen, Problem> {
        let mut seen = Seen::default();
        for poll in 1..=SETTLE_POLLS {
            std::thread::sleep(SETTLE_EVERY);
            let lines = log.as_mut().map(|log| log.lines().cloned()).transpose()?;
            seen = Seen { forwarded: self.origin.arrived(case)? - arrived_before, lines };
            if seen.is_complete(case, done, SETTLE_EVERY * poll) {
                break;
            }
        }
        Ok(seen)
    }

    fn target(&self, address: SocketAddr) -> Target {
        Target {
            address,
            code: Caller(0).code(),
            codes: self.directory.path().join("codes"),
            authority: self.directory.path().join("certs/ca.crt"),
            core: self.cores.load,
        }
    }
}

/// What others say of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Seen {
    forwarded: u64,
    /// Of the access log, if the peer writes one.
    lines: Option<Lines>,
}

impl Seen {
    /// Whether nothing more is to come, so long after the load. Of streams that end with their connection a peer may log
    /// some that the origin never saw: until all that were open have a line, as many lines as the origin saw requests may
    /// be chance, and the lines still to come would be taken for those of the next run.
    fn is_complete(&self, case: Case, done: &Done, waited: Duration) -> bool {
        let lines = self.lines.as_ref().map_or(self.forwarded, Lines::all);
        let is_all =
            || !case.is_multiplexed() || lines == done.requests + done.open_max || waited >= LOG_DELAY;
        self.forwarded >= done.requests && lines == self.forwarded && is_all()
    }

    /// Requests done, forwarded and logged are the same, but for those that were open when the load ended.
    fn agrees_with(&self, done: &Done, status: u16) -> Result<(), String> {
        let of_log = self.lines.iter().flat_map(|lines| {
            [
                ("lines in the access log", lines.all()),
                ("lines with the status of success", lines.with(status)),
            ]
        });
        for (what, count) in [("requests at the origin", self.forwarded)].into_iter().chain(of_log) {
            if !(done.requests..=done.requests + done.open_max).contains(&count) {
                return Err(format!(
                    "{} requests (and up to {} open at the end), but {count} {what}: {self:?}",
                    done.requests, done.open_max
                ));
            }
        }
        Ok(())
    }
}

fn result(done: &Done, cpu: Option<Duration>) -> Run {
    let lasted_s = done.lasted.as_secs_f64();
    Run {
        requests: done.requests,
        units: done.units,
        lasted_s,
        cpu_us: cpu.map(|cpu| cpu.as_secs_f64() * 1e6 / done.units as f64),
        busy: cpu.map(|cpu| cpu.as_secs_f64() / lasted_s),
        p50_us: done.times.map(|times| times.0),
        p99_us: done.times.map(|times| times.1),
    }
}

/// Certificates, callers, and a place for logs: the gateway watches the directory around its policy, so they are not
/// in it.
fn furnish(directory: &Path, programs: &Programs) -> Result<(), Problem> {
    for name in ["certs", "policy", "logs"] {
        std::fs::create_dir(directory.join(name)).while_doing("make a directory")?;
    }
    let certificates = directory.join("certs");
    let made = Command::new(programs.find(Peer::Gateway)?).arg("dev-certs").arg(&certificates).output();
    let made = made.while_doing("make certificates")?;
    let read = |name: &str| std::fs::read(certificates.join(name)).while_doing(format!("read {name}"));
    if !made.status.success() {
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        return Err(std::io::Error::other(said)).while_doing("make certificates");
    }
    // haproxy wants both in one file.
    let both = [read("localhost.crt")?, read("localhost.key")?].concat();
    std::fs::write(certificates.join("localhost.pem"), both).while_doing("write localhost.pem")?;
    callers::write(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(requests: u64, open_max: u64) -> Done {
        Done {
            requests,
            units: requests * 2,
            open_max,
            lasted: Duration::from_secs(2),
            times: Some((40.0, 60.0)),
        }
    }

    fn seen(forwarded: u64, all: u64, good: u64) -> Seen {
        Seen { forwarded, lines: Some(Lines::from([(200, good), (499, all - good)])) }
    }

    #[test]
    fn counts_agree_up_to_what_was_open() {
        assert_eq!(seen(100, 100, 100).agrees_with(&done(100, 0), 200), Ok(()));
        assert_eq!(seen(164, 164, 100).agrees_with(&done(100, 64), 200), Ok(()));
        for bad in [
            seen(99, 100, 100),
            seen(100, 99, 99),
            seen(100, 100, 99),
            seen(165, 165, 101),
            seen(100, 165, 100),
        ] {
            assert!(bad.agrees_with(&done(100, 64), 200).is_err(), "{bad:?}");
        }
        assert!(seen(101, 101, 101).agrees_with(&done(100, 0), 200).is_err());
    }

    #[test]
    fn who_writes_no_log_is_held_to_what_the_origin_saw() {
        let seen = |forwarded| Seen { forwarded, lines: None };
        assert_eq!(seen(100).agrees_with(&done(100, 0), 200), Ok(()));
        assert!(
            seen(99).agrees_with(&done(100, 0), 200).is_err()
                && seen(101).agrees_with(&done(100, 0), 200).is_err()
        );
        assert!(seen(100).is_complete(Case::Get, &done(100, 0), SETTLE_EVERY));
        assert!(!seen(99).is_complete(Case::Get, &done(100, 0), LOG_DELAY));
    }

    #[test]
    fn lines_of_streams_the_origin_never_saw_are_waited_for() {
        let (soon, late) = (SETTLE_EVERY, LOG_DELAY);
        let complete = |seen: &Seen, case, waited| seen.is_complete(case, &done(100, 80), waited);
        assert!(!complete(&seen(99, 99, 99), Case::Get, late), "one is still to come to the origin");
        assert!(!complete(&seen(130, 129, 100), Case::Get, late), "one has no line yet");
        assert!(complete(&seen(130, 130, 100), Case::Get, soon), "one after the other on a connection");
        for case in [Case::H2, Case::Grpc] {
            assert!(!complete(&seen(170, 170, 150), case, soon), "ten more may come");
            assert!(complete(&seen(170, 170, 150), case, late));
            assert!(complete(&seen(180, 180, 150), case, soon), "all have one");
        }
    }

    #[test]
    fn processor_time_is_divided_by_units() {
        let run = result(&done(100, 0), Some(Duration::from_millis(1)));
        assert_eq!((run.cpu_us, run.busy, run.p99_us), (Some(5.0), Some(0.0005), Some(60.0)));
        assert_eq!(result(&done(100, 0), None).cpu_us, None);
    }
}
