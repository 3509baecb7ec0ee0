//! The mock model endpoints, and what they saw.

use crate::clock::eventually;
use crate::http1::Request;
use crate::process::Process;
use pangu_loadtest::mock::journal::{Arrival, Journal};
use pangu_loadtest::mock::record::Record;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;

/// A running mock.
pub struct Mock {
    /// Where models answer.
    pub address: SocketAddr,
    /// Where plain TCP is echoed.
    pub tcp: SocketAddr,
    control: SocketAddr,
    process: Process,
    _dir: tempfile::TempDir,
}

/// A request as it reached the mock.
#[derive(Debug, Clone)]
pub struct Seen {
    pub method: String,
    /// Path and query, as on the wire.
    pub target: String,
    pub headers: Vec<(String, String)>,
    /// Did its body come to its proper end?
    pub complete: bool,
}

impl Seen {
    /// Every value of a header.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let same = |(have, _): &&(String, String)| have.eq_ignore_ascii_case(name);
        self.headers.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }
}

impl Mock {
    pub fn start() -> Mock {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let args = "mock --listen 127.0.0.1:0 --control 127.0.0.1:0 --tcp 127.0.0.1:0 --journal-max 100000"
            .split(' ');
        let mut process = Process::start("pangu-loadtest", args, &[], dir.path());
        let mut address = |label: &str| -> SocketAddr {
            eventually("the mock prints its addresses", Duration::from_secs(10), || {
                assert!(process.exited().is_none(), "the mock ended: {}", process.stderr());
                let printed = process.stdout();
                let line = printed.lines().find(|line| line.starts_with(label))?;
                let address = line.rsplit(' ').next()?;
                address.trim_start_matches("http://").trim_end_matches('/').parse().ok()
            })
        };
        let (listen, control) = (address("mock listening on"), address("mock control on"));
        let tcp = address("mock TCP echo on");
        Mock { address: listen, tcp, control, process, _dir: dir }
    }

    /// A counter of `/mock/stats`.
    pub fn count(&self, name: &str) -> u64 {
        let stats = Request::get("/mock/stats").send(self.control).json();
        stats[name].as_u64().unwrap_or_else(|| panic!("no counter {name} in {stats}"))
    }

    /// Requests whose head arrived.
    pub fn requests(&self) -> u64 {
        self.count("requests")
    }

    /// The last requests, oldest first.
    pub fn last(&self, n: usize) -> Vec<Seen> {
        let answer = Request::get(&format!("/mock/requests?last={n}")).send(self.control).json();
        let list = answer.as_array().or_else(|| answer["requests"].as_array());
        list.unwrap_or_else(|| panic!("no list: {answer}")).iter().map(seen).collect()
    }

    /// The last requests with their bodies, oldest first.
    pub fn records(&self, n: usize) -> Vec<Record> {
        let answer = Request::get(&format!("/mock/requests?last={n}")).send(self.control);
        serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {}", answer.text()))
    }

    /// Every request that arrived, with the tokens that were sent of its answer.
    pub fn journal(&self) -> Vec<Arrival> {
        let answer = Request::get("/mock/journal").send(self.control);
        Journal::read(&answer.body[..]).unwrap_or_else(|error| panic!("{error}: {}", answer.text())).arrivals
    }

    /// Completion tokens that were sent, once no request is open any more.
    pub fn tokens_sent(&self) -> u64 {
        eventually("the mock has no open request", Duration::from_secs(10), || {
            (self.count("in_flight") == 0).then_some(())
        });
        self.journal().iter().map(|arrival| u64::from(arrival.completion_tokens)).sum()
    }

    /// Requests that arrived whole, of the last hundred.
    pub fn whole(&self) -> usize {
        self.last(100).iter().filter(|seen| seen.complete).count()
    }

    /// Sets knobs of its behaviour, such as `{"faults": ["status:503"]}`, and leaves the others.
    pub fn behave(&self, knobs: &str) {
        let answer = Request::post("/mock/behaviour", knobs).send(self.control);
        assert!(answer.status < 300, "behave: {}", answer.text());
    }

    /// Forgets what it saw.
    pub fn reset(&self) {
        let answer = Request::post("/mock/reset", "").send(self.control);
        assert!(answer.status < 300, "reset: {}", answer.text());
    }

    /// What the API answers that tells a service's instances: knobs such as `{"status": 429}`; what is left out goes back
    /// to its default.
    pub fn instances_answer(&self, knobs: &Value) {
        let answer = Request::post("/mock/instances", knobs.to_string()).send(self.control);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// The same, with instances at these addresses, which speak plain HTTP.
    pub fn instances_are(&self, addresses: &[SocketAddr]) {
        let list: Vec<Value> = addresses
            .iter()
            .map(|at| serde_json::json!({"schema": "http", "ip": at.ip().to_string(), "port": at.port()}))
            .collect();
        let body = serde_json::json!({"endpoints": list}).to_string();
        self.instances_answer(&serde_json::json!({"body": body}));
    }

    /// Calls of that API, and the last one: `calls`, `target`, `headers`.
    pub fn instances_asked(&self) -> Value {
        Request::get("/mock/instances").send(self.control).json()
    }

    /// A token of `account`'s `user` for its project cn-southwest-2.
    pub fn token(&self, account: &str, user: &str) -> String {
        let identity = serde_json::json!({"methods": ["password"], "password": {"user": {
            "name": user, "password": format!("password-of-{user}"), "domain": {"name": account}}}});
        let scope = serde_json::json!({"project": {"name": "cn-southwest-2"}});
        let body = serde_json::json!({"auth": {"identity": identity, "scope": scope}}).to_string();
        let answer = Request::post("/v3/auth/tokens", body).send(self.address);
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.header("x-subject-token").expect("a token").to_owned()
    }

    /// How often IAM was asked for a token, and about one.
    pub fn iam_calls(&self) -> (u64, u64) {
        let counts = Request::get("/mock/iam").send(self.control).json();
        (counts["issue"].as_u64().expect("a count"), counts["check"].as_u64().expect("a count"))
    }

    /// Sets how IAM behaves; what is left out goes back to its default.
    pub fn iam_behaves(&self, knobs: &str) {
        let answer = Request::post("/mock/iam/behaviour", knobs).send(self.control);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Ends a token before its time; all of them, if it is empty.
    pub fn revoke(&self, token: &str) {
        let answer = Request::post("/mock/iam/revoke", token).send(self.control);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        self.process.signal(name);
    }
}

fn seen(request: &Value) -> Seen {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let headers = request["headers"].as_array().into_iter().flatten();
    Seen {
        method: text(&request["method"]),
        target: text(&request["target"]),
        complete: request["complete"].as_bool().unwrap_or_default(),
        headers: headers.map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
    }
}
