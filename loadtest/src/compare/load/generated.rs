//! The package's own generator: requests at a pace, one at a time, on new connections, and streams.

use std::time::Duration;

use super::{Done, Target, Unfit};
use crate::compare::ask;
use crate::compare::case::Case;
use crate::compare::origin::ANSWER_BYTES;
use crate::compare::problem::{Context, Problem};
use crate::generate;
use crate::measure::{Distribution, Report, Totals};
use crate::scenario::{
    Arrivals, BodyKind, Caller, Connections, Credential, Group, Http, Load, Phase, Request, Scenario,
};

/// Streams that are open at once, once the first ones end: each lasts a second, and so many begin in one.
const STREAMS: u32 = 256;
/// The same where times are measured: at 256 streams generator and origin fill their core, and events wait for them.
const FEW_STREAMS: u32 = 16;
/// Events of a stream, 10 ms apart.
const EVENTS: u64 = 100;
/// Handshakes under way at once.
const HANDSHAKES: u32 = 16;
const PER_SECOND: f64 = 2000.0;

/// Runs the generator to its end, on the core that this thread is on.
pub fn run(case: Case, target: &Target, seconds: u64) -> Result<Result<Done, Unfit>, Problem> {
    let tls = ask::trusting(&target.authority).while_doing("read the authority's certificate")?;
    let options = generate::Options {
        host: format!("localhost:{}", target.address.port()),
        tls: case.tls().then(|| tls.into()),
        ..generate::Options::to(target.address)
    };
    let outcome = generate::run(&scenario(case, &target.code, seconds), &options);
    let outcome = outcome.map_err(std::io::Error::other).while_doing("run the generator")?;
    Ok(judge(case, &outcome.report))
}

/// What the generator has done, if every request was answered well and none was late.
fn judge(case: Case, report: &Report) -> Result<Done, Unfit> {
    match report.void.first() {
        Some(reason) => Err(Unfit::Late(reason.clone())),
        None => count(case, report).map_err(Unfit::Wrong),
    }
}

fn count(case: Case, report: &Report) -> Result<Done, String> {
    let totals = &report.totals;
    answered(totals)?;
    if case == Case::Handshake && totals.connections != totals.ok {
        return Err(format!("{} connections for {} requests", totals.connections, totals.ok));
    }
    let units = match case {
        Case::Sse | Case::First => events(report)?,
        _ => totals.ok,
    };
    let times = match case {
        Case::First => Some(&totals.first_token),
        Case::Latency1 | Case::Latency2000 => Some(&totals.latency),
        _ => None,
    };
    Ok(Done {
        requests: totals.ok,
        units,
        open_max: 0,
        lasted: Duration::from_secs_f64(report.about.lasted_s.max(0.001)),
        times: times.map(|times| (at(times, 50.0), at(times, 99.0))),
    })
}

/// Requests that were answered, if all that were sent were answered well.
pub fn answered(totals: &Totals) -> Result<u64, String> {
    if totals.ok == 0 || totals.ok != totals.sent || totals.statuses != [(200, totals.ok)] {
        return Err(format!(
            "{} requests were sent, and {} answered well: statuses {:?}, failures {:?}",
            totals.sent, totals.ok, totals.statuses, totals.failures
        ));
    }
    Ok(totals.ok)
}

/// Events that arrived: of each stream all, or the run is none.
fn events(report: &Report) -> Result<u64, String> {
    let totals = &report.totals;
    let arrived = totals.first_token.count + totals.token_gap.count;
    let sent = totals.ok * EVENTS;
    if arrived != sent {
        return Err(format!("{arrived} events arrived where {} streams have {sent}", totals.ok));
    }
    Ok(arrived)
}

/// The value at a percentile, or just above it.
pub fn at(times: &Distribution, percentile: f64) -> f64 {
    let point = times.percentiles.iter().find(|(at, _)| *at >= percentile);
    point.map_or(times.max_us, |(_, us)| *us) as f64
}

fn scenario(case: Case, code: &str, seconds: u64) -> Scenario {
    // In the first second streams only gather.
    let lasts = Duration::from_secs(if case.streams() { seconds + 1 } else { seconds });
    let (load, open_max) = load(case, lasts);
    Scenario {
        name: case.name().to_owned(),
        about: case.title().to_owned(),
        seed: 0,
        load,
        connections: Connections {
            http: Http::One,
            tls: case.tls(),
            open_max,
            streams_max: 1,
            keep_alive: case != Case::Handshake,
        },
        callers: vec![Caller {
            tenant: "tenant-0".into(),
            user: "user-0".into(),
            group: 0,
            weight: 1.0,
            credential: Credential::AppCode(code.to_owned()),
            sends: vec![(0, 1.0)],
        }],
        requests: vec![request(case.streams())],
        groups: vec![Group { name: "all".into(), callers: 1 }],
        time_max: lasts + Duration::from_secs(5),
        requests_max: 10_000_000,
    }
}

/// The load, and most connections that it opens.
fn load(case: Case, lasts: Duration) -> (Load, u32) {
    let constant = |per_s| {
        let phase = Phase { lasts, from_per_s: per_s, to_per_s: per_s };
        Load::Open { arrivals: Arrivals::Constant, phases: vec![phase] }
    };
    match case {
        Case::Handshake => (Load::Closed { in_flight: HANDSHAKES, lasts }, HANDSHAKES),
        Case::Latency2000 => (constant(PER_SECOND), super::CONNECTIONS),
        Case::Sse => (constant(STREAMS.into()), 2 * STREAMS),
        Case::First => (constant(FEW_STREAMS.into()), 2 * FEW_STREAMS),
        _ => (Load::Closed { in_flight: 1, lasts }, 1),
    }
}

fn request(stream: bool) -> Request {
    let target = if stream {
        format!("/mock/sse?chunks={EVENTS}&every=10")
    } else {
        format!("/mock/bytes/{ANSWER_BYTES}")
    };
    Request {
        name: "bench".into(),
        route: "bench".into(),
        method: http::Method::GET,
        target,
        body_bytes: 0,
        body: BodyKind::Empty,
        stream,
        max_tokens: None,
        read_bytes_per_s: None,
        leave: None,
        headers: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::About;

    fn report(sent: u64, ok: u64) -> Report {
        let times = |count, us| Distribution {
            count,
            max_us: 9,
            percentiles: vec![(0.0, 1), (50.0, us), (99.1, us + 1), (100.0, 9)],
            ..Distribution::default()
        };
        let totals = Totals {
            sent,
            ok,
            statuses: vec![(200, ok)],
            connections: ok,
            latency: times(ok, 4),
            first_token: times(ok, 6),
            token_gap: times(ok * (EVENTS - 1), 2),
            ..Totals::default()
        };
        let about = About { lasted_s: 2.5, ..About::default() };
        Report {
            about,
            void: vec![],
            totals,
            groups: vec![],
            seconds: vec![],
            lateness: None,
            oracle: None,
            upstream: None,
            reloads: None,
        }
    }

    #[test]
    fn a_good_run_has_times_and_units() {
        let done = judge(Case::Latency1, &report(10, 10)).unwrap();
        assert_eq!((done.requests, done.units, done.open_max, done.times), (10, 10, 0, Some((4.0, 5.0))));
        assert_eq!(done.lasted, Duration::from_millis(2500));
        let done = judge(Case::First, &report(10, 10)).unwrap();
        assert_eq!((done.requests, done.units, done.times), (10, 1000, Some((6.0, 7.0))));
        assert_eq!(judge(Case::Sse, &report(10, 10)).unwrap().times, None);
        assert_eq!(judge(Case::Handshake, &report(10, 10)).unwrap().times, None);
    }

    fn wrong(judged: Result<Done, Unfit>) -> String {
        match judged {
            Err(Unfit::Wrong(what)) => what,
            other => panic!("not wrong: {other:?}"),
        }
    }

    #[test]
    fn anything_less_is_no_run() {
        assert!(judge(Case::Latency1, &report(11, 10)).is_err());
        assert!(judge(Case::Latency1, &report(0, 0)).is_err());
        let mut late = report(10, 10);
        late.void.push("the generator was late".into());
        let judged = judge(Case::Latency1, &late);
        assert_eq!(judged, Err(Unfit::Late("the generator was late".into())));
        let mut other = report(10, 10);
        other.totals.statuses = vec![(204, 10)];
        assert!(judge(Case::Latency1, &other).is_err());
        let mut kept = report(10, 10);
        kept.totals.connections = 9;
        assert!(judge(Case::Latency1, &kept).is_ok());
        assert!(wrong(judge(Case::Handshake, &kept)).contains("9 connections for 10 requests"));
        let mut cut = report(10, 10);
        cut.totals.token_gap.count -= 1;
        assert!(wrong(judge(Case::Sse, &cut)).contains("999 events arrived where 10 streams have 1000"));
    }

    #[test]
    fn streams_overlap_as_many_as_they_should() {
        let Load::Open { phases, .. } = scenario(Case::Sse, "code", 3).load else { panic!("not open") };
        assert_eq!((phases[0].from_per_s, phases[0].lasts), (STREAMS.into(), Duration::from_secs(4)));
        assert!(Case::Sse.title().contains(&format!(" {STREAMS} streams")));
        assert!(Case::First.title().contains(&format!(" {FEW_STREAMS} streams")));
    }
}
