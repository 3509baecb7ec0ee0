//! The load tester's oracle over real sockets: it clears the gateway, and convicts one that lets too much through.

use crate::support::*;
use harness::{Conn, Request, Setup};
use pangu_loadtest::clock::mono_us;
use pangu_loadtest::measure::{Check, Sample, Verdict};
use pangu_loadtest::mock::{Mock, Options};
use pangu_loadtest::oracle::probe::{self, Ask};
use pangu_loadtest::oracle::{self, policy::Policy};
use pangu_loadtest::scenario::{
    self, Arrivals, BodyKind, Caller, Connections, Credential, Group, Http, Load, Phase, Scenario,
};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const TENANTS: [&str; 2] = ["one", "two"];
const BODY: &str = r#"{"model":"m","messages":[{"role":"user","content":"hello"}]}"#;

fn policy() -> String {
    let tenant = |name: &&str| {
        format!("  - {{name: {name}, plan: small, users: [{{name: u, api_key: {{env: KEY_{name}}}}}]}}\n")
    };
    format!(
        "pools: [{{name: models, backends: [{{url: \"http://127.0.0.1:9100\"}}]}}]\n\
         routes:\n  - {{name: chat, match: {{path: {OPENAI_CHAT}}}, api: openai, auth: [api_key], pool: models, \
         tenant_header: x-tenant, limits: [{{name: all, per: route, requests: 150/s, burst: 15}}]}}\n\
         plans:\n  small:\n    - {{name: rps, per: tenant, requests: 100/s, burst: 10}}\n    \
         - {{name: slots, per: user, concurrent: 3}}\ntenants:\n{}",
        TENANTS.iter().map(tenant).collect::<String>()
    )
}

fn mock() -> Mock {
    Mock::start(&Options { record: None, journal: Some(100_000), ..Options::default() }).expect("free ports")
}

#[test]
fn the_oracle_clears_the_gateway() {
    let mock = mock();
    let mut setup = Setup::in_front_of(mock.address()).set("workers", "2").policy(&policy());
    for name in TENANTS {
        setup = setup.env(&format!("KEY_{name}"), &format!("key-{name}"));
    }
    let gateway = setup.start();
    let samples = load(gateway.http, 250);
    let journal = mock.journal().expect("kept");
    let verdict =
        oracle::judge(&gateway.policies(), &scenario(), &samples, true, &journal).expect("readable");
    assert_eq!(broken(&verdict), Vec::<&Check>::new());
    let (refused, admitted) = (count(&samples, 429), count(&samples, 200));
    assert!(refused > 100 && admitted > 30, "{refused} refused, {admitted} admitted");
    for check in &verdict.checks {
        assert!(check.evidence > 30, "{check:?}");
    }

    let policy = Policy::read(&gateway.policies()).expect("readable");
    let choice = probe::choose(&policy, &scenario(), secs(5));
    assert!(choice.is_err(), "10 ms are too short a wait to tell from a round trip: {choice:?}");
}

#[test]
fn the_oracle_clears_limits_on_a_service_that_tells_nothing() {
    const TARGET: &str = "/v1/infers/s1/predict";
    const ASK: &str = r#"{"stream":true}"#;
    let mock = mock();
    let text = policy()
        .replace(
            &format!("{{path: {OPENAI_CHAT}}}, api: openai"),
            "{path: \"/v1/infers/{id}/predict\"}, api: modelarts",
        )
        .replace(
            "{name: rps, per: tenant, requests: 100/s, burst: 10}",
            "{name: tps, per: tenant, tokens: 3k/s, burst: 4k}",
        );
    let mut setup = Setup::in_front_of(mock.address()).set("workers", "2").policy(&text);
    for name in TENANTS {
        setup = setup.env(&format!("KEY_{name}"), &format!("key-{name}"));
    }
    let gateway = setup.start();
    let ask = || {
        let request = Request::post(TARGET, ASK).header("x-mock-tokens", "20");
        request.header("x-mock-token-every-ms", "1")
    };
    let samples = load_of(gateway.http, 200, ask);
    let mut scenario = scenario();
    let request = &mut scenario.requests[0];
    TARGET.clone_into(&mut request.target);
    (request.stream, request.body, request.body_bytes) = (true, BodyKind::Filler, ASK.len() as u32);
    let journal = mock.journal().expect("kept");
    let verdict = oracle::judge(&gateway.policies(), &scenario, &samples, true, &journal).expect("readable");
    assert_eq!(broken(&verdict), Vec::<&Check>::new());
    let tokens = verdict.checks.iter().find(|check| check.claim.contains("limit tps")).expect("judged");
    assert!(tokens.evidence > 10 && tokens.tightest.is_some(), "{tokens:?}");
    assert!(count(&samples, 429) > 30, "{tokens:?}");
}

#[test]
fn retry_after_is_true_both_ways() {
    let mock = mock();
    let text = policy().replace("100/s, burst: 10", "10/s, burst: 2");
    let mut setup = Setup::in_front_of(mock.address()).policy(&text);
    for name in TENANTS {
        setup = setup.env(&format!("KEY_{name}"), &format!("key-{name}"));
    }
    let gateway = setup.start();
    let policy = Policy::read(&gateway.policies()).expect("readable");
    let choice = probe::choose(&policy, &scenario(), secs(5)).expect("10/s");
    let ask = Ask {
        gateway: gateway.http,
        method: http::Method::POST,
        target: OPENAI_CHAT.to_owned(),
        headers: || {
            let header = |name, value: &str| (name, value.parse().expect("printable"));
            let key = format!("Bearer key-{}", TENANTS[choice.caller]);
            vec![
                header(http::header::AUTHORIZATION, &key),
                header(http::header::CONTENT_TYPE, "application/json"),
            ]
        },
        body: BODY.into(),
        wait_max: secs(5),
        requests_max: choice.requests_max,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    for check in runtime.block_on(probe::retry_after(&ask)) {
        assert!(check.evidence > 0 && check.violations.is_empty(), "{check:?}");
    }
}

#[test]
fn the_oracle_convicts_a_gateway_without_limits() {
    let convicted = judged_behind(|_| true);
    for limit in ["limit rps", "limit slots", "limit all"] {
        assert!(convicted.iter().any(|check| check.claim.contains(limit)), "{limit}: {convicted:?}");
    }
}

#[test]
fn the_oracle_convicts_a_gateway_that_refuses_without_need() {
    let convicted = judged_behind(|number| number % 50 != 0 && number < 8);
    assert!(convicted.iter().any(|check| check.claim.contains("nobody was refused")), "{convicted:?}");
}

/// What the oracle finds wrong with a gateway that admits what it likes.
fn judged_behind(admits: fn(u64) -> bool) -> Vec<Check> {
    let mock = mock();
    let dir = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(dir.path().join("policy.yaml"), policy()).expect("directory is ours");
    let samples = load(fake_gateway(mock.address(), admits), 60);
    let journal = mock.journal().expect("kept");
    let verdict = judge(dir.path(), &samples, &journal);
    broken(&verdict).into_iter().cloned().collect()
}

fn judge(policy: &Path, samples: &[Sample], journal: &pangu_loadtest::mock::journal::Journal) -> Verdict {
    oracle::judge(policy, &scenario(), samples, true, journal).expect("readable")
}

fn broken(verdict: &Verdict) -> Vec<&Check> {
    verdict.checks.iter().filter(|check| !check.violations.is_empty()).collect()
}

fn count(samples: &[Sample], status: u16) -> usize {
    samples.iter().filter(|sample| sample.status == status).count()
}

fn load(gateway: SocketAddr, each: u64) -> Vec<Sample> {
    load_of(gateway, each, || Request::post(OPENAI_CHAT, BODY).header("x-mock-latency-ms", "2..6"))
}

/// Four callers of each tenant, each sending one request after the other.
fn load_of(gateway: SocketAddr, each: u64, ask: fn() -> Request) -> Vec<Sample> {
    let numbers = AtomicU64::new(1);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..8_u32)
            .map(|n| {
                let numbers = &numbers;
                scope.spawn(move || {
                    let mut conn = Conn::open(gateway);
                    let next = || numbers.fetch_add(1, Ordering::Relaxed);
                    (0..each).map(|_| sample(&mut conn, ask(), n % 2, next())).collect::<Vec<_>>()
                })
            })
            .collect();
        callers.into_iter().flat_map(|caller| caller.join().expect("a caller panicked")).collect()
    })
}

fn sample(conn: &mut Conn, request: Request, caller: u32, number: u64) -> Sample {
    let key = format!("key-{}", TENANTS[caller as usize]);
    let request = bearer(request, &key).header("x-loadtest-request", number.to_string());
    let sent_us = mono_us();
    conn.send(request.to_bytes());
    let answer = conn.response().expect("an answer");
    let ended_us = mono_us();
    let status = answer.status;
    Sample {
        number,
        caller,
        status,
        sent_us,
        answered_us: ended_us,
        ended_us,
        whole: answer.whole,
        tokens: answer.text().matches("\"service_id\"").count() as u32, // in each event of a service, and nowhere else
        ..Sample::default()
    }
}

/// Passes on what `admits` likes of the requests, which it numbers from 0, and refuses the rest.
fn fake_gateway(mock: SocketAddr, admits: fn(u64) -> bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let asked = Arc::new(AtomicU64::new(0));
    std::thread::spawn(move || {
        // Ends with the test's process; its callers are the eight of `load`.
        for downstream in listener.incoming().flatten() {
            let asked = Arc::clone(&asked);
            std::thread::spawn(move || {
                relay(downstream, mock, || admits(asked.fetch_add(1, Ordering::Relaxed)))
            });
        }
    });
    address
}

fn relay(mut downstream: std::net::TcpStream, mock: SocketAddr, admits: impl Fn() -> bool) {
    use std::io::{Read, Write};
    let mut upstream = Conn::open(mock);
    let mut piece = [0; 8 * 1024];
    let mut request = Vec::new();
    while let Ok(read @ 1..) = downstream.read(&mut piece) {
        request.extend_from_slice(&piece[..read]);
        if !request.ends_with(BODY.as_bytes()) {
            continue; // the rest of the only request it knows is under way
        }
        let (status, body) = if admits() {
            upstream.send(std::mem::take(&mut request));
            let answer = upstream.response().expect("the mock answers");
            (answer.status, answer.body)
        } else {
            request.clear();
            (429, Vec::new())
        };
        let head = format!("HTTP/1.1 {status} Fake\r\ncontent-length: {}\r\n\r\n", body.len());
        if downstream.write_all(&[head.as_bytes(), &body].concat()).is_err() {
            return;
        }
    }
}

fn scenario() -> Scenario {
    let caller = |tenant: &&str| Caller {
        tenant: (*tenant).to_owned(),
        user: "u".to_owned(),
        group: 0,
        weight: 1.0,
        credential: Credential::ApiKey(format!("key-{tenant}")),
        sends: vec![(0, 1.0)],
    };
    Scenario {
        name: "oracle".to_owned(),
        about: String::new(),
        seed: 0,
        load: Load::Open {
            arrivals: Arrivals::Constant,
            phases: vec![Phase { lasts: secs(1), from_per_s: 1.0, to_per_s: 1.0 }],
        },
        connections: Connections {
            http: Http::One,
            tls: false,
            open_max: 8,
            streams_max: 1,
            keep_alive: true,
        },
        callers: TENANTS.iter().map(caller).collect(),
        requests: vec![scenario::Request {
            name: "chat".to_owned(),
            route: "chat".to_owned(),
            method: http::Method::POST,
            target: OPENAI_CHAT.to_owned(),
            body_bytes: BODY.len() as u32,
            body: BodyKind::Chat,
            stream: false,
            max_tokens: None,
            read_bytes_per_s: None,
            leave: None,
            headers: Vec::new(),
        }],
        groups: vec![Group { name: "all".to_owned(), callers: 2 }],
        time_max: secs(60),
        requests_max: 10_000,
    }
}
