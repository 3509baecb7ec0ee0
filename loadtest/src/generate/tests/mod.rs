//! The generator against the mock, over real sockets.

mod answers;

mod tls;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use http::Method;

use super::progress::Progress;
use super::queue::Job;
use super::*;
use crate::clock;
use crate::measure::Totals;
use crate::mock::behaviour::{Behaviour, Span};
use crate::mock::count::{Outcome as Fate, Stats};
use crate::mock::{self, Mock};
use crate::scenario::{
    Arrivals, BodyKind, Caller, Connections, Credential, Group, Http, Leave, Phase, Request,
};

/// One caller that sends small GETs: 100 of them, evenly over half a second.
pub(super) fn scenario() -> Scenario {
    Scenario {
        name: "test".to_owned(),
        about: "A test.".to_owned(),
        seed: 1,
        load: open(200.0, 500),
        connections: Connections {
            http: Http::One,
            tls: false,
            open_max: 8,
            streams_max: 1,
            keep_alive: true,
        },
        callers: vec![caller("u0", 0)],
        requests: vec![bytes()],
        groups: vec![Group { name: "g0".to_owned(), callers: 1 }],
        time_max: Duration::from_secs(20),
        requests_max: 1_000_000,
    }
}

fn caller(user: &str, group: u16) -> Caller {
    Caller {
        tenant: "t".to_owned(),
        user: user.to_owned(),
        group,
        weight: 1.0,
        credential: Credential::None,
        sends: vec![(0, 1.0)],
    }
}

fn bytes() -> Request {
    Request {
        name: "bytes".to_owned(),
        route: "r".to_owned(),
        method: Method::GET,
        target: "/mock/bytes/8".to_owned(),
        body_bytes: 0,
        body: BodyKind::Empty,
        stream: false,
        max_tokens: None,
        read_bytes_per_s: None,
        leave: None,
        headers: vec![("x-mock-tokens".to_owned(), "5".to_owned())],
    }
}

/// A stream of 5 tokens.
fn chat() -> Request {
    Request {
        name: "chat".to_owned(),
        method: Method::POST,
        target: "/v1/chat/completions".to_owned(),
        body_bytes: 500,
        body: BodyKind::Chat,
        stream: true,
        ..bytes()
    }
}

fn open(per_s: f64, ms: u64) -> Load {
    let phase = Phase { lasts: Duration::from_millis(ms), from_per_s: per_s, to_per_s: per_s };
    Load::Open { arrivals: Arrivals::Constant, phases: vec![phase] }
}

fn closed(in_flight: u32, ms: u64) -> Load {
    Load::Closed { in_flight, lasts: Duration::from_millis(ms) }
}

fn mock(behaviour: Behaviour) -> Mock {
    Mock::start(&mock::Options { behaviour, ..mock::Options::default() }).unwrap()
}

fn with_latency(ms: f64) -> Mock {
    mock(Behaviour { latency_ms: Span::fixed(ms), ..Behaviour::default() })
}

fn with_fault(fault: &str) -> Mock {
    mock(Behaviour { faults: mock::fault::parse_rules(fault).unwrap(), ..Behaviour::default() })
}

fn drive(scenario: &Scenario, mock: &Mock) -> Outcome {
    drive_with(scenario, mock, 1)
}

fn drive_with(scenario: &Scenario, mock: &Mock, threads: usize) -> Outcome {
    let options = Options { threads, keep_samples: 100_000, ..Options::to(mock.address()) };
    let outcome = run(scenario, &options).unwrap();
    let Totals { sent, ok, refused, rejected, failed, left, .. } = outcome.report.totals;
    assert_eq!(sent, ok + refused + rejected + failed + left, "every request ends in one way");
    assert_eq!(outcome.samples.len() as u64, sent);
    assert_eq!(of_seconds(&outcome, |second| &second.sent), sent);
    assert_eq!(of_seconds(&outcome, |second| &second.ok), ok);
    assert_eq!(of_seconds(&outcome, |second| &second.refused), refused);
    assert_eq!(of_seconds(&outcome, |second| &second.failed), rejected + failed);
    outcome
}

fn of_seconds(outcome: &Outcome, which: fn(&crate::measure::Second) -> &Vec<u64>) -> u64 {
    outcome.report.seconds.iter().flat_map(which).sum()
}

/// Waits until the mock's counters satisfy `claim`.
fn eventually(mock: &Mock, claim: impl Fn(&Stats) -> bool) -> Stats {
    for _ in 0..5_000 {
        if claim(&mock.stats()) {
            return mock.stats();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("not within 5 s: {:?}", mock.stats());
}

#[test]
fn an_open_load_sends_what_the_schedule_says_with_any_number_of_threads() {
    let mut scenario = scenario();
    scenario.callers = vec![caller("u0", 0), caller("u1", 1)];
    scenario.callers[1].weight = 3.0;
    scenario.groups.push(Group { name: "g1".to_owned(), callers: 1 });
    let mut choices = Vec::new();
    for threads in [1, 3] {
        let mock = mock(Behaviour::default());
        let outcome = drive_with(&scenario, &mock, threads);
        let totals = &outcome.report.totals;
        assert_eq!((totals.sent, totals.ok, totals.bytes_in), (100, 100, 800));
        assert_eq!(totals.statuses, [(200, 100)]);
        assert_eq!(totals.latency.count, 100);
        assert_eq!(mock.stats().requests, 100);
        assert_eq!(totals.connections, mock.stats().connections);
        assert!(totals.connections <= 8, "{}", totals.connections);
        assert_eq!(outcome.report.lateness.as_ref().unwrap().count, 100);
        let numbers: Vec<_> = outcome.samples.iter().map(|sample| sample.number).collect();
        assert_eq!(numbers, (1..=100).collect::<Vec<_>>());
        let groups = &outcome.report.groups;
        assert_eq!(groups.iter().map(|group| group.totals.sent).sum::<u64>(), 100);
        assert!(groups[1].totals.sent > groups[0].totals.sent);
        choices.push(outcome.samples.iter().map(|s| (s.caller, s.request)).collect::<Vec<_>>());

        let sent: BTreeSet<u64> = outcome.samples.iter().map(|sample| sample.number).collect();
        let arrived = mock.requests(100).iter().map(number_of).collect::<BTreeSet<u64>>();
        assert_eq!(sent, arrived, "the mock saw the numbers");
    }
    assert_eq!(choices[0], choices[1]);
}

fn number_of(record: &mock::record::Record) -> u64 {
    let number = record.headers.iter().find(|(name, _)| name == "x-loadtest-request");
    number.unwrap().1.parse().unwrap()
}

#[test]
fn latency_counts_from_the_due_time_and_service_from_sending() {
    let mock = with_latency(200.0);
    let mut scenario = scenario();
    scenario.connections.open_max = 1;
    scenario.load = open(20.0, 400); // 8 requests, 50 ms apart, on a connection that takes 5 a second
    let outcome = drive(&scenario, &mock);
    let totals = &outcome.report.totals;
    assert_eq!(totals.ok, 8);
    // Request k is due at 50 k ms and ends at 200 (k + 1) ms, or later: the last 1250 ms after it was due.
    assert!(totals.latency.max_us >= 1_250_000, "{}", totals.latency.max_us);
    assert!(totals.latency.min_us >= 200_000 && totals.latency.min_us < totals.latency.max_us / 2);
    assert!(totals.service.min_us >= 200_000, "{}", totals.service.min_us);
    assert!(totals.service.max_us < totals.latency.max_us / 2, "{}", totals.service.max_us);
    let lateness = outcome.report.lateness.unwrap();
    assert!(lateness.max_us < 1_000_000, "a wait for a connection is not lateness: {}", lateness.max_us);
}

#[test]
fn a_closed_load_keeps_exactly_so_many_under_way() {
    for (http, open_max, streams_max) in [(Http::One, 8, 1), (Http::Two, 2, 4)] {
        let mock = with_latency(20.0);
        let mut scenario = scenario();
        scenario.load = closed(6, 300);
        scenario.connections = Connections { http, open_max, streams_max, ..scenario.connections };
        let outcome = drive_with(&scenario, &mock, 2);
        assert_eq!(mock.stats().max_in_flight, 6, "{http:?}");
        assert_eq!(mock.stats().connections, u64::from(open_max.min(6)));
        assert!(outcome.report.totals.ok >= 12, "each at least twice: {}", outcome.report.totals.ok);
        assert_eq!(outcome.report.lateness, None);
        assert_eq!(outcome.report.void, Vec::<String>::new());
    }
}

#[test]
fn a_closed_load_ends_with_its_count() {
    let mock = mock(Behaviour::default());
    let mut scenario = scenario();
    scenario.load = closed(4, 20_000);
    scenario.requests_max = 50;
    assert_eq!(drive_with(&scenario, &mock, 2).report.totals.ok, 50);
    assert_eq!(mock.stats().requests, 50);
}

#[test]
fn an_open_load_ends_with_its_count_and_its_time() {
    let mock = mock(Behaviour::default());
    let mut scenario = scenario();
    scenario.requests_max = 7;
    assert_eq!(drive(&scenario, &mock).report.totals.sent, 7);
    scenario.requests_max = 1_000;
    scenario.time_max = Duration::from_millis(100);
    assert_eq!(drive(&scenario, &mock).report.totals.sent, 20);
}

#[test]
fn http_2_with_prior_knowledge_shares_a_connection() {
    let mock = with_latency(100.0);
    let mut scenario = scenario();
    scenario.connections =
        Connections { http: Http::Two, open_max: 1, streams_max: 50, ..scenario.connections };
    scenario.load = open(500.0, 100);
    let outcome = drive(&scenario, &mock);
    let stats = mock.stats();
    assert_eq!((outcome.report.totals.ok, stats.connections), (50, 1));
    assert!(stats.max_in_flight > 25, "{}", stats.max_in_flight);
    assert!(mock.requests(50).iter().all(|record| record.version == "HTTP/2.0"));
}

#[test]
fn a_connection_per_request_is_one() {
    for http in [Http::One, Http::Two] {
        let mock = mock(Behaviour::default());
        let mut scenario = scenario();
        scenario.connections.http = http;
        scenario.connections.keep_alive = false;
        let totals = drive(&scenario, &mock).report.totals;
        assert_eq!((totals.ok, totals.connections, mock.stats().connections), (100, 100, 100), "{http:?}");
        eventually(&mock, |stats| stats.open_connections == 0);
    }
}

#[test]
fn a_target_slower_than_the_load_voids_the_report() {
    let mock = with_fault("hang-head");
    let mut scenario = scenario();
    scenario.connections.open_max = 1;
    scenario.load = open(1_000_000.0, 200);
    scenario.requests[0].leave = Some(Leave { share: 1.0, after: Duration::from_millis(500) });
    let report = drive(&scenario, &mock).report;
    assert!(report.void[0].contains("the target is slower than the load"), "{:?}", report.void);
    assert!(report.void[0].contains("of 200000 requests were due"), "{:?}", report.void);
}

#[test]
fn samples_are_bounded_and_progress_follows() {
    let mock = mock(Behaviour::default());
    let progress = Arc::new(Progress::default());
    let progress_of_run = Some(Arc::clone(&progress));
    let options =
        Options { keep_samples: 30, threads: 2, progress: progress_of_run, ..Options::to(mock.address()) };
    let outcome = run(&scenario(), &options).unwrap();
    assert_eq!((outcome.samples.len(), outcome.samples_dropped), (30, 70));
    let reading = progress.read();
    assert_eq!((reading.sent, reading.ok, reading.refused, reading.failed), (100, 100, 0, 0));
    assert!(reading.p99_us > 0);
}

#[test]
fn a_scenario_that_cannot_be_driven_says_why() {
    let problem = |change: fn(&mut Scenario)| {
        let mut scenario = scenario();
        change(&mut scenario);
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        run(&scenario, &Options::to(address)).unwrap_err().to_string()
    };
    assert!(problem(|s| s.callers.clear()).contains("nobody calls"));
    assert!(problem(|s| s.callers[0].group = 1).contains("user `u0` is in a group"));
    assert!(problem(|s| s.connections.tls = true).contains("certificate authority"));
    assert!(problem(|s| s.connections.open_max = 0).contains("`open_max` must be at least 1"));
    assert!(problem(|s| s.load = closed(9, 1)).contains("9 requests cannot be under way on 8 connections"));
}

/// Dispatches 100 jobs over half a second, with a task beside that keeps the thread busy for `busy` at a time.
fn void_beside(busy: Duration) -> Vec<String> {
    let plan = Plan::new(&scenario(), &Options::to(SocketAddr::from(([127, 0, 0, 1], 1)))).unwrap();
    let record = RefCell::new(plan.record());
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async {
        tokio::task::spawn_local(async move {
            loop {
                std::thread::sleep(busy);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        let start_us = clock::mono_us();
        let mut jobs = (0..100).map(|number| Job { number, due_us: start_us + number * 5_000 });
        open::dispatch(&mut jobs, &record, |_| true).await.unwrap();
    });
    void::reasons(&plan, &record.into_inner(), 0)
}

#[test]
fn a_generator_that_is_kept_from_sending_says_that_it_was_late() {
    let void = void_beside(Duration::from_millis(60));
    assert!(void.iter().any(|reason| reason.contains("the generator was late")), "{void:?}");
    assert!(void.iter().any(|reason| reason.contains("lower the rate")), "{void:?}");
}
