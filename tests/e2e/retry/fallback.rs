//! Somebody else answers: another pool, another model.

use super::*;

fn fallback(on: &str, to: &str) -> String {
    format!("retry: {{on: {on}, fallback: {to}}}")
}

fn large() -> Request {
    let body = r#"{"n": 1, "model": "large", "messages": [{"role": "user", "content": "hello"}]}"#;
    bearer(Request::post(OPENAI_CHAT, body), harness::gateway::CHAT_API_KEY)
}

#[test]
fn another_model_answers_is_told_and_is_charged_at_its_own_price() {
    let (first, second, small) = (Mock::start(), Mock::start(), Mock::start());
    let rule = fallback("[connect, 503]", "{pool: small, model: \"pangu small\"}");
    // Not on the plain route, whose bodies name no model.
    let policy = include_str!("policy.yaml")
        .replace("FIRST", &first.address.to_string())
        .replace("SECOND", &second.address.to_string())
        .replace("SMALL", &small.address.to_string())
        .replace("# more chat", &rule);
    let gateway = Setup::in_front_of(first.address).policy(&policy).start();

    let answer = large().send(gateway.http);
    assert_eq!((answer.status, answer.header("x-gateway-fallback")), (200, None));
    assert_eq!(logged(&gateway, &answer)["model"], "large");
    let (prompt, completion) = (used(&gateway, "prompt"), used(&gateway, "completion"));
    assert_eq!(used(&gateway, "money"), prompt * 10_000 + completion * 40_000, "billionths of a yuan");

    for mock in [&first, &second] {
        mock.behave(r#"{"faults": ["status:503"]}"#);
    }
    let before = used(&gateway, "money");
    let expected_of_large = || {
        let told = gateway.admin("/explain?tenant=acme&route=chat&model=large").json();
        told["estimate"]["completion"].as_u64().expect("a number of tokens")
    };
    let expected_before = expected_of_large();
    let answer = large().send(gateway.http);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-gateway-fallback"), Some("pangu small"));
    let sent = small.records(1)[0].body().expect("a short body");
    let expected = r#"{"n": 1, "model": "pangu small", "messages": [{"role": "user", "content": "hello"}]}"#;
    assert_eq!(String::from_utf8_lossy(&sent), expected);
    let line = logged(&gateway, &answer);
    assert_eq!(
        (&line["model"], &line["fallback"], &line["attempts"]),
        (&"small".into(), &"pangu small".into(), &3.into())
    );
    let (more_prompt, more_completion) =
        (used(&gateway, "prompt") - prompt, used(&gateway, "completion") - completion);
    assert!(more_prompt > 0 && more_completion > 0);
    assert_eq!(used(&gateway, "money") - before, more_prompt * 1_000 + more_completion * 2_000);
    assert_eq!(expected_of_large(), expected_before, "how long its answers are, another's do not tell");
    assert_eq!(metric(&gateway, "gateway_fallbacks_total", &["reason=\"503\"", "outcome=\"ok\""]), 1);
}

#[test]
fn another_pool_answers_when_nobody_of_the_first_is_there() {
    let small = Mock::start();
    let rule = fallback("[connect]", "{pool: small}");
    let gateway = gateway(NOBODY, NOBODY, &small.address.to_string(), &rule);
    let answer = post().send(gateway.http);
    assert_eq!((answer.status, answer.header("x-gateway-fallback")), (200, Some("small")));
    assert_eq!(answer.text(), r#"{"a": 1}"#);
}

#[test]
fn a_post_that_may_have_been_done_is_not_done_by_another_pool_either() {
    let (first, small) = (Mock::start(), Mock::start());
    let rule = fallback("[connect, reset]", "{pool: small}");
    let gateway = gateway(&first.address.to_string(), NOBODY, &small.address.to_string(), &rule);
    first.behave(r#"{"faults": ["reset-head"]}"#);
    assert_eq!(post().send(gateway.http).status, 502);
    let keyed = post().header("idempotency-key", "k-1").send(gateway.http);
    assert_eq!(keyed.status, 502, "a key means something to the first pool only");
    assert_eq!(small.requests(), 0);
    assert_eq!(get().send(gateway.http).status, 200);
}
