//! Model tokens: what an exchange costs is what it is charged, whoever tells, however it ends; and limits on it hold.

mod charged;
mod include_usage;
mod over_http2;

mod ceilings;
mod kinds;
mod spending;

mod leaving;
mod reloading;

use crate::support::*;
use harness::gateway::CHAT_API_KEY;
use harness::{Gateway, Mock, Request, Response, Setup, eventually};
use serde_json::Value;
use std::net::SocketAddr;

const PANGU_TEXT: &str = "/v1/p1/deployments/d1/text/completions";
const EMBEDDINGS: &str = "/v1/embeddings";
const SERVICE: &str = "/v1/infers/s1/predict";
const ECHO: &str = "/mock/echo";
const GUS_API_KEY: &str = "canary-api-key-of-gus";

/// The policy with something written in the places it has for it.
fn policy(places: &[(&str, &str)]) -> String {
    places.iter().fold(include_str!("tokens/policy.yaml").to_owned(), |text, (place, what)| {
        let mark = format!("# more {place}\n");
        assert!(text.contains(&mark), "no place for more {place}");
        text.replace(&mark, &format!("{what}\n"))
    })
}

/// The policy with further limits in the plan.
fn limited(limits: &str) -> String {
    policy(&[("limits", limits)])
}

fn gateway_at(upstream: SocketAddr, policy: &str) -> Gateway {
    Setup::in_front_of(upstream).policy(policy).env("GUS_API_KEY", GUS_API_KEY).start()
}

fn start_metered(policy: &str) -> (Mock, Gateway) {
    let mock = Mock::start();
    let gateway = gateway_at(mock.address, policy);
    (mock, gateway)
}

/// A request of `acme`.
fn post(target: &str, body: &str) -> Request {
    bearer(Request::post(target, body), CHAT_API_KEY)
}

/// One of `globex`.
fn post_of_globex(target: &str, body: &str) -> Request {
    bearer(Request::post(target, body), GUS_API_KEY)
}

/// A body that asks `hello` and more.
fn hello(more: &str) -> String {
    format!(r#"{{"messages":[{{"role":"user","content":"hello"}}]{more}}}"#)
}

/// The same that names a model, as OpenAI's format demands.
fn hello_m(more: &str) -> String {
    hello(&format!(r#","model":"m"{more}"#))
}

/// Prompt and completion tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Cost {
    prompt: u64,
    completion: u64,
}

impl Cost {
    fn of(prompt: u64, completion: u64) -> Cost {
        Cost { prompt, completion }
    }
}

/// The state of a tenant's limits, as operators see it.
fn levels(gateway: &Gateway, tenant: &str) -> Vec<Value> {
    let state = gateway.admin(&format!("/limits?tenant={tenant}")).json();
    state["limits"].as_array().unwrap_or_else(|| panic!("no limits: {state}")).clone()
}

/// One of them; of equal names the first.
fn level(gateway: &Gateway, tenant: &str, limit: &str) -> Value {
    let all = levels(gateway, tenant);
    let found = all.iter().find(|level| level["limit"] == limit);
    found.unwrap_or_else(|| panic!("no {limit} in {all:#?}")).clone()
}

fn number(level: &Value, key: &str) -> u64 {
    amount(&level[key])
}

/// What `acme` has been charged, once none of its requests holds anything.
fn charged(gateway: &Gateway) -> Cost {
    eventually("all holds end", secs(10), || {
        let holds = levels(gateway, "acme").iter().map(|level| number(level, "held")).sum::<u64>();
        (holds == 0).then_some(())
    });
    let used = |limit| number(&level(gateway, "acme", limit), "used");
    Cost::of(used("prompt"), used("completion"))
}

/// What the access log says that a request cost.
fn logged(gateway: &Gateway, answer: &Response) -> (Cost, Value) {
    let id = answer.header("x-request-id").expect("every answer has an id").to_owned();
    let line = gateway.access_line("its line is written", |line| line["request_id"] == id.as_str());
    (cost_in(&line), line)
}

fn cost_in(line: &Value) -> Cost {
    let tokens = &line["tokens"];
    let part = |key: &str| tokens[key].as_u64().unwrap_or_else(|| panic!("no tokens in {line}"));
    Cost::of(part("prompt"), part("completion"))
}

/// What the metrics say that was charged: told by the upstream (`yes`) or counted by the gateway (`no`).
fn metered(gateway: &Gateway, told: &str) -> Cost {
    let text = gateway.admin("/metrics").text();
    let sum = |kind: &str| {
        let (told, kind) = (format!("told=\"{told}\""), format!("kind=\"{kind}\""));
        let lines = text.lines().filter(|line| {
            line.starts_with("gateway_model_tokens_total") && line.contains(&told) && line.contains(&kind)
        });
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    };
    Cost::of(sum("prompt"), sum("completion"))
}

/// Tokens that the gateway makes of text that nobody counted, before it has learned anything of a model.
fn counted(text: &str) -> u64 {
    let wide = text.bytes().filter(|byte| !byte.is_ascii()).count();
    (0.27 * (text.len() - wide) as f64 + 0.25 * wide as f64).ceil() as u64
}

/// The data of each event of a stream.
fn events(stream: &str) -> Vec<&str> {
    stream.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim).collect()
}

/// What a stream has said in `choices[0]`.
fn said(stream: &str) -> String {
    let text = |event: &&str| {
        let event: Value = serde_json::from_str(event).ok()?;
        let choice = &event["choices"][0];
        let text = choice["delta"]["content"].as_str().or(choice["message"]["content"].as_str());
        text.map(str::to_owned)
    };
    events(stream).iter().filter_map(text).collect()
}
