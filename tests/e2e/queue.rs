//! Before a pool that takes only so much at a time: whose turn it is, who gives up waiting, and who is told to.

mod capacity;
mod fairness;
mod fallback;
mod following;
mod leaving;
mod refusals;
mod shown;

use crate::support::*;
use harness::{Gateway, Mock, Reply, Request, Response, Script, Setup, eventually, now};
use serde_json::Value;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const ECHO: &str = "/mock/echo";
const TENANTS: [&str; 5] = ["acme", "globex", "hooli", "initech", "umbrella"];

/// The policy with this queue.
fn policy(queue: &str) -> String {
    include_str!("queue/policy.yaml").replace("QUEUE", queue)
}

/// The same with more keys in both plans; `acme` has the first, all others the second.
fn planned(queue: &str, first: &str, second: &str) -> String {
    let policy = policy(queue).replace("# more of the first plan", first);
    policy.replace("# more of the second plan", second)
}

fn setup(upstream: SocketAddr, policy: &str) -> Setup {
    let setup = Setup::in_front_of(upstream).policy(policy);
    let key = |name: &str| format!("KEY_{}", name.to_uppercase());
    TENANTS.iter().fold(setup, |setup, tenant| setup.env(&key(tenant), &key_of(tenant)))
}

fn key_of(tenant: &str) -> String {
    format!("canary-api-key-of-{tenant}")
}

fn start(policy: &str) -> (Mock, Gateway) {
    let mock = Mock::start();
    let gateway = setup(mock.address, policy).start();
    (mock, gateway)
}

/// A request of `tenant` that the mock takes so long to answer.
fn slow(target: &str, tenant: &str, latency: Duration) -> Request {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hello"}]}"#;
    let request = bearer(Request::post(target, body), &key_of(tenant));
    request.header("x-mock-latency-ms", latency.as_millis().to_string())
}

/// Refuses the first request, with this `Retry-After`.
fn busy_at_first(retry_after: impl Fn() -> String + Send + Sync + 'static) -> Script {
    Script::start(move |number| {
        let (status, more) = match number {
            0 => ("429 Too Many Requests", format!("retry-after: {}\r\n", retry_after())),
            _ => ("200 OK", String::new()),
        };
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{more}");
        Reply::keep(format!("{head}content-length: 2\r\n\r\n{{}}"))
    })
}

/// An answer, and when it was whole.
type Answered = (Response, Instant);

/// Sends a request from a thread of its own.
fn send(gateway: &Gateway, request: Request) -> JoinHandle<Answered> {
    let address = gateway.http;
    std::thread::spawn(move || (request.send(address), now()))
}

fn answer(sent: JoinHandle<Answered>) -> Response {
    answered(sent).0
}

fn answered(sent: JoinHandle<Answered>) -> Answered {
    sent.join().expect("it has an answer")
}

/// The gate, as operators see it.
fn gate(gateway: &Gateway) -> Value {
    let gates = gateway.admin("/queues").json();
    assert_eq!(gates[0]["pool"], "models", "{gates}");
    gates[0].clone()
}

/// Waits until so many are in the pool and so many wait.
fn until(gateway: &Gateway, in_flight: u64, waiting: u64) {
    eventually(&format!("{in_flight} in flight and {waiting} wait"), secs(5), || {
        let gate = gate(gateway);
        (gate["in_flight"] == in_flight && gate["waiting"] == waiting).then_some(())
    });
}

/// Sends one after the other and waits for each to be in the pool, or in the queue once `in_flight` are in the pool.
fn send_in_order(gateway: &Gateway, in_flight: u64, requests: Vec<Request>) -> Vec<JoinHandle<Answered>> {
    let numbered = requests.into_iter().zip(1_u64..);
    let sent = numbered.map(|(request, number)| {
        let sent = send(gateway, request);
        until(gateway, number.min(in_flight), number.saturating_sub(in_flight));
        sent
    });
    sent.collect()
}

/// The access-log line of an answer.
fn line(gateway: &Gateway, answer: &Response) -> Value {
    let id = answer.header("x-request-id").expect("every answer has an id").to_owned();
    gateway.access_line("its line is written", |line| line["request_id"] == id.as_str())
}

/// How long it waited, as the access log says; None: it did not.
fn queued(gateway: &Gateway, answer: &Response) -> Option<Duration> {
    line(gateway, answer)["queued_us"].as_u64().map(Duration::from_micros)
}

/// The tenants of the last requests, in the order in which they reached the mock.
fn arrivals(mock: &Mock, n: usize) -> Vec<String> {
    mock.last(n).iter().map(|seen| seen.values("x-tenant").concat()).collect()
}
