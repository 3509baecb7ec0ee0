//! Requests that many tests send.

use harness::certs::Authority;
use harness::gateway::{ALICE_SK, CHAT_API_KEY};
use harness::sign::Keys;
use harness::{Gateway, Mock, Request, Setup};
use std::time::Duration;

pub const OPENAI_CHAT: &str = "/v1/chat/completions";
pub const PANGU_CHAT: &str = "/v1/p1/deployments/d1/chat/completions";
pub const ALICE: Keys<'static> = Keys { access_key: "AKACMEALICE", secret_key: ALICE_SK };

/// A mock and a gateway in front of it under the base policy.
pub fn start() -> (Mock, Gateway) {
    let mock = Mock::start();
    let gateway = Setup::new(&mock).start();
    (mock, gateway)
}

/// Those under a policy of the test's own.
pub fn start_with(policy: &str) -> (Mock, Gateway) {
    let mock = Mock::start();
    let gateway = Setup::new(&mock).policy(policy).start();
    (mock, gateway)
}

/// Those under the base policy, over TLS as well, with a certificate of the authority's for `gateway.test`.
pub fn start_https() -> (Mock, Authority, Gateway) {
    let (mock, authority) = (Mock::start(), Authority::new());
    let setup = Setup::new(&mock).https();
    authority.issue("one", &["gateway.test"]).write(&setup.certs(), "gateway");
    let gateway = setup.start();
    (mock, authority, gateway)
}

/// An OpenAI-style chat request, not yet authenticated.
pub fn chat() -> Request {
    Request::post(OPENAI_CHAT, r#"{"model":"m","messages":[{"role":"user","content":"hello"}]}"#)
}

/// The same with the API key of `acme/chat`.
pub fn keyed_chat() -> Request {
    bearer(chat(), CHAT_API_KEY)
}

/// A streamed chat of `tokens` tokens, one every `every`.
pub fn keyed_stream(tokens: u32, every: Duration) -> Request {
    let body = r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hello"}]}"#;
    bearer(Request::post(OPENAI_CHAT, body), CHAT_API_KEY)
        .header("x-mock-tokens", tokens.to_string())
        .header("x-mock-token-every-ms", every.as_millis().to_string())
}

pub fn bearer(request: Request, key: &str) -> Request {
    request.header("authorization", format!("Bearer {key}"))
}

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The middle one.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// An amount as the admin pages show it: a count, or money such as `0.5 CNY` in billionths; nothing is 0.
pub fn amount(shown: &serde_json::Value) -> u64 {
    let Some(text) = shown.as_str() else { return shown.as_u64().unwrap_or(0) };
    let number = text.split(' ').next().unwrap_or_default();
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    format!("{whole}{part:0<9}").parse().unwrap_or_else(|_| panic!("no amount: {text}"))
}
