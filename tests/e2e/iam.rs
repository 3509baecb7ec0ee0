//! IAM tokens, as callers show them and as backends want to see them.

use crate::support::*;
use harness::{Gateway, Mock, Request, Response, Setup, eventually, now};
use std::collections::HashSet;
use std::thread;

/// `CACHE` stands for more of `iam`.
const POLICY: &str = r#"
iam:
  endpoint: "http://127.0.0.1:9100"
  password: {user: gateway, domain: acme, password: {env: IAM_PASSWORD}}
  project: cn-southwest-2
  CACHE
pools: [{name: models, backends: [{url: "http://127.0.0.1:9100"}]}]
plans: {wide: [{name: tenant-rps, per: tenant, requests: 100000/s}]}
tenants:
  - name: acme
    plan: wide
    iam: {project: cn-southwest-2, domain: acme}
    users:
      - {name: alice, iam: {user: alice}}
      - {name: others, iam: any}
routes:
  - name: chat
    match: {path: /v1/chat/completions}
    api: openai
    auth: [iam_token, api_key]
    pool: models
    tenant_header: x-tenant
    limits: [{name: rps, per: route, requests: 100000/s}]
"#;

/// A mock and a gateway whose own token is there.
fn start_iam(cache: &str) -> (Mock, Gateway) {
    let mock = Mock::start();
    let gateway = gateway(&mock, &POLICY.replace("CACHE", cache));
    eventually("the gateway has its own token", secs(10), || (mock.iam_calls().0 > 0).then_some(()));
    // The mock has counted the call; its answer may still be on the way.
    thread::sleep(ms(100));
    (mock, gateway)
}

fn gateway(mock: &Mock, policy: &str) -> Gateway {
    let password = "password-of-gateway";
    Setup::new(mock)
        .policy(policy)
        .env("IAM_PASSWORD", password)
        .env("IAM_AK", "AK-acme-gateway")
        .env("IAM_SK", "sk-of-gateway")
        .start()
}

fn ask(gateway: &Gateway, token: &str) -> Response {
    chat().header("x-auth-token", token).send(gateway.http)
}

fn forged(n: usize) -> String {
    format!("MIIEforged{n:022}")
}

#[test]
fn a_token_names_its_caller_and_ends_at_the_gateway() {
    let (mock, gateway) = start_iam("");
    for (user, name) in [("alice", "alice"), ("bob", "others")] {
        let token = mock.token("acme", user);
        assert_eq!(ask(&gateway, &token).status, 200, "{user}");
        let seen = mock.last(1).remove(0);
        assert_eq!(seen.values("x-tenant"), ["acme"]);
        assert!(seen.values("x-auth-token").is_empty(), "it is not the backend's affair");
        gateway.access_line("the caller", |line| line["user"] == name && line["tenant"] == "acme");
    }
}

#[test]
fn a_forged_one_is_refused_and_not_asked_about_twice() {
    let (mock, gateway) = start_iam("");
    let (_, before) = mock.iam_calls();
    for _ in 0..5 {
        let answer = ask(&gateway, &forged(0));
        assert_eq!((answer.status, &answer.json()["error_code"]), (401, &"APIG.0301".into()));
    }
    assert_eq!(mock.iam_calls().1 - before, 1);
    assert_eq!(mock.requests(), 0);
}

#[test]
fn a_stranger_with_a_good_token_may_not_call() {
    // Another account's project has the same name. The mock's IAM shows its tokens to its own users only.
    let policy = POLICY.replace("CACHE", "").replace("domain: acme, password", "domain: other, password");
    let mock = Mock::start();
    let gateway = gateway(&mock, &policy);
    let token = mock.token("other", "alice");
    let answer = eventually("IAM can be asked", secs(5), || {
        Some(ask(&gateway, &token)).filter(|answer| answer.status != 503)
    });
    assert_eq!((answer.status, &answer.json()["error_code"]), (403, &"APIG.0302".into()));
    assert_eq!(mock.requests(), 0);
}

#[test]
fn many_requests_with_one_new_token_are_one_question() {
    let (mock, gateway) = start_iam("");
    let token = mock.token("acme", "alice");
    mock.iam_behaves(r#"{"latency_ms": 300}"#);
    let (_, before) = mock.iam_calls();
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| assert_eq!(ask(&gateway, &token).status, 200));
        }
    });
    assert_eq!(mock.iam_calls().1 - before, 1);
    assert_eq!(mock.requests(), 50);
}

#[test]
fn a_revoked_token_is_refused_within_the_ttl() {
    let (mock, gateway) = start_iam("cache: {ttl: 1s}");
    let token = mock.token("acme", "alice");
    assert_eq!(ask(&gateway, &token).status, 200);
    mock.revoke(&token);
    assert_eq!(ask(&gateway, &token).status, 200, "until the ttl");
    thread::sleep(ms(1_050));
    assert_eq!(ask(&gateway, &token).status, 401);
}

#[test]
fn a_token_ends_when_it_says_whatever_the_ttl() {
    let (mock, gateway) = start_iam("cache: {ttl: 1h}");
    mock.iam_behaves(r#"{"lifetime_ms": 1000}"#);
    let token = mock.token("acme", "alice");
    assert_eq!(ask(&gateway, &token).status, 200);
    thread::sleep(ms(1_100));
    let (_, before) = mock.iam_calls();
    let answer = ask(&gateway, &token);
    assert_eq!(answer.status, 401);
    assert!(answer.text().contains("expired"), "{}", answer.text());
    assert_eq!(mock.iam_calls().1, before, "there is nothing to ask about");
}

#[test]
fn while_iam_is_away_nobody_known_notices_and_nobody_unknown_is_called_a_forger() {
    let (mock, gateway) = start_iam("cache: {ttl: 1s, stale: 3s}");
    let known = mock.token("acme", "alice");
    let unknown = mock.token("acme", "bob");
    assert_eq!(ask(&gateway, &known).status, 200);
    mock.iam_behaves(r#"{"status": 503}"#);
    for _ in 0..20 {
        assert_eq!(ask(&gateway, &known).status, 200, "known");
        let answer = ask(&gateway, &unknown);
        assert_eq!(answer.status, 503, "unknown: {}", answer.text());
        assert!(answer.header("retry-after").is_some());
        thread::sleep(ms(100));
    }
    thread::sleep(ms(2_500));
    assert_eq!(ask(&gateway, &known).status, 503, "nobody has vouched for it for longer than ttl and stale");
    mock.iam_behaves("{}");
    eventually("the gateway sees that IAM is back", secs(10), || {
        (ask(&gateway, &known).status == 200 && ask(&gateway, &unknown).status == 200).then_some(())
    });
}

#[test]
fn a_flood_of_made_up_tokens_is_no_flood_for_iam() {
    let (mock, gateway) = start_iam("unknown: 20/s\n  unknown_per_address: 10/s");
    let known = mock.token("acme", "alice");
    assert_eq!(ask(&gateway, &known).status, 200);
    let (_, before) = mock.iam_calls();
    let began = now();
    let statuses: Vec<u16> = (0..400).map(|n| ask(&gateway, &forged(n)).status).collect();
    let asked = mock.iam_calls().1 - before;
    let seen: HashSet<u16> = statuses.iter().copied().collect();
    assert_eq!(seen, HashSet::from([401, 503]), "refused by IAM, or never asked about");
    // An address gets less than twice its number in any second.
    let most = 20 * (began.elapsed().as_secs() + 1);
    assert!(asked <= most, "{asked} questions, {most} at most");
    assert_eq!(ask(&gateway, &known).status, 200, "the known one goes on");
    assert_eq!(mock.requests(), 2);
}

#[test]
fn a_gateway_whose_own_token_has_died_gets_another_and_blames_no_caller() {
    let (mock, gateway) = start_iam("");
    mock.revoke("");
    let token = mock.token("acme", "alice");
    eventually("it has a new token", secs(10), || {
        let status = ask(&gateway, &token).status;
        assert_ne!(status, 401, "IAM's no was to the gateway");
        (status == 200).then_some(())
    });
}

#[test]
fn what_is_known_survives_a_reload() {
    let (mock, gateway) = start_iam("");
    let token = mock.token("acme", "alice");
    assert_eq!(ask(&gateway, &token).status, 200);
    let (issued, checked) = mock.iam_calls();
    gateway.write_policy(&POLICY.replace("CACHE", "").replace("100000/s", "99999/s"));
    thread::sleep(ms(500)); // the reload
    mock.iam_behaves(r#"{"status": 503}"#);
    assert_eq!(ask(&gateway, &token).status, 200);
    assert_eq!(mock.iam_calls(), (issued, checked));
}

#[test]
fn no_token_and_no_password_is_told_to_anybody() {
    let (mock, gateway) = start_iam("");
    let token = mock.token("acme", "alice");
    ask(&gateway, &token);
    ask(&gateway, &forged(7));
    mock.iam_behaves(r#"{"status": 500}"#);
    ask(&gateway, &forged(8));
    let told = gateway.logs() + &gateway.admin("/metrics").text() + &gateway.admin("/policy").text();
    assert!(told.contains("gateway_iam_calls_total"), "{told}");
    for secret in [&*token, "MIIE", "password-of-gateway"] {
        assert!(!told.contains(secret), "{secret}");
    }
}

#[test]
fn a_request_without_a_token_is_told_how_to_send_one() {
    let (_mock, gateway) = start_iam("");
    let answer = Request::post(OPENAI_CHAT, "{}").send(gateway.http);
    assert_eq!(answer.status, 401);
    assert!(answer.text().contains("X-Auth-Token"), "{}", answer.text());
}

/// Backends that want a token; callers show an API key.
const UPSTREAM: &str = r#"
pools:
  - name: models
    backends: [{url: "http://127.0.0.1:9100"}]
    credential:
      iam_token:
        endpoint: "http://127.0.0.1:9100"
        LOGIN
        project: cn-southwest-2
plans: {wide: [{name: tenant-rps, per: tenant, requests: 100000/s}]}
tenants: [{name: acme, plan: wide, users: [{name: chat, api_key: {env: CHAT_API_KEY}}]}]
routes:
  - name: chat
    match: {path: /v1/chat/completions}
    api: openai
    auth: [api_key]
    pool: models
    limits: [{name: rps, per: route, requests: 100000/s}]
"#;

const AK_SK: &str = "hw_ak_sk: {access_key: {env: IAM_AK}, secret_key: {env: IAM_SK}}";

/// A mock whose tokens live so long, and a gateway that has one.
fn start_upstream(login: &str, lifetime_ms: u32) -> (Mock, Gateway) {
    let mock = Mock::start();
    mock.iam_behaves(&format!(r#"{{"lifetime_ms": {lifetime_ms}}}"#));
    let gateway = gateway(&mock, &UPSTREAM.replace("LOGIN", login));
    eventually("there is a token", secs(10), || {
        (keyed_chat().send(gateway.http).status == 200).then_some(())
    });
    (mock, gateway)
}

/// The token of the last request that the model has seen.
fn shown(mock: &Mock) -> String {
    let seen = mock.last(1).remove(0);
    let tokens = seen.values("x-auth-token");
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    tokens[0].to_owned()
}

/// The user that a token of the mock's stands for.
fn user_of(mock: &Mock, token: &str) -> String {
    let asked =
        Request::get("/v3/auth/tokens").header("x-auth-token", token).header("x-subject-token", token);
    let answer = asked.send(mock.address);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["token"]["user"]["name"].as_str().expect("a name").to_owned()
}

#[test]
fn a_backend_is_shown_the_gateways_token_and_no_callers() {
    let password = "password: {user: gateway, domain: acme, password: {env: IAM_PASSWORD}}";
    let agency = format!("{password}\n        agency: {{domain: other, name: models}}");
    for (login, user) in [(AK_SK, "gateway"), (password, "gateway"), (&agency, "acme/models")] {
        let (mock, gateway) = start_upstream(login, 3_600_000);
        let request = keyed_chat().header("x-auth-token", "a-callers-own");
        assert_eq!(request.send(gateway.http).status, 200);
        assert_eq!(user_of(&mock, &shown(&mock)), user, "{login}");
    }
}

#[test]
fn a_token_is_renewed_before_its_end() {
    let (mock, gateway) = start_upstream(AK_SK, 2_000);
    let mut tokens = HashSet::new();
    for _ in 0..25 {
        assert_eq!(keyed_chat().send(gateway.http).status, 200);
        let token = shown(&mock);
        user_of(&mock, &token); // it is still good
        tokens.insert(token);
        thread::sleep(ms(200));
    }
    assert!((3..=5).contains(&tokens.len()), "{} tokens in 5 s", tokens.len());
}

#[test]
fn the_next_token_is_there_while_the_last_one_is_still_good() {
    let (mock, gateway) = start_upstream(AK_SK, 6_000);
    let first = shown(&mock);
    eventually("another one, after 85 % of its life at most", ms(5_400), || {
        assert_eq!(keyed_chat().send(gateway.http).status, 200);
        (shown(&mock) != first).then_some(())
    });
}

#[test]
fn a_token_outlives_an_outage_of_iam_up_to_its_own_end_and_then_there_is_a_503() {
    let begun = harness::now();
    let (mock, gateway) = start_upstream(AK_SK, 6_000);
    mock.iam_behaves(r#"{"status": 503, "lifetime_ms": 6000}"#);
    // Another one was due after 5.1 s at most.
    while begun.elapsed() < ms(5_600) {
        assert_eq!(keyed_chat().send(gateway.http).status, 200, "its token is good");
        thread::sleep(ms(100));
    }
    let refused = eventually("the token ends", secs(10), || {
        Some(keyed_chat().send(gateway.http)).filter(|answer| answer.status != 200)
    });
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.text().contains("IAM token") && refused.header("retry-after").is_some());
    let requests = mock.requests();
    assert_eq!(keyed_chat().send(gateway.http).status, 503);
    assert_eq!(mock.requests(), requests, "nothing goes without a token");
    let metrics = gateway.admin("/metrics").text();
    assert!(metrics.contains(r#"gateway_rejects_total{route="chat",reason="no_iam_token"}"#), "{metrics}");
    mock.iam_behaves("{}");
    eventually("IAM is back", secs(20), || (keyed_chat().send(gateway.http).status == 200).then_some(()));
}

#[test]
fn a_reload_keeps_the_token() {
    let (mock, gateway) = start_upstream(AK_SK, 3_600_000);
    let token = shown(&mock);
    gateway.write_policy(&UPSTREAM.replace("LOGIN", AK_SK).replace("100000/s", "99999/s"));
    thread::sleep(ms(500)); // the reload
    assert_eq!(keyed_chat().send(gateway.http).status, 200);
    assert_eq!((shown(&mock), mock.iam_calls().0), (token, 1));
}

/// Callers show tokens, and the backend wants one too.
#[test]
fn iam_is_down_for_a_minute_and_nothing_fails() {
    let mock = Mock::start();
    // Both are due for renewal within the minute: what is known of the callers', and the gateway's own for the backend.
    mock.iam_behaves(r#"{"lifetime_ms": 70000}"#);
    let credential = UPSTREAM.split_once("    credential:").and_then(|(_, rest)| rest.split_once("plans:"));
    let credential =
        format!("    credential:{}", credential.expect("a credential").0.replace("LOGIN", AK_SK));
    let policy = POLICY.replace("CACHE", "cache: {ttl: 5s}").replace(
        r#"pools: [{name: models, backends: [{url: "http://127.0.0.1:9100"}]}]"#,
        &format!(
            "pools:\n  - name: models\n    backends: [{{url: \"http://127.0.0.1:9100\"}}]\n{credential}"
        ),
    );
    let gateway = gateway(&mock, &policy);
    let callers: Vec<String> = ["alice", "bob"].map(|user| mock.token("acme", user)).into();
    for token in &callers {
        eventually("both tokens are there", secs(10), || (ask(&gateway, token).status == 200).then_some(()));
    }
    mock.iam_behaves(r#"{"status": 503, "lifetime_ms": 70000}"#);
    let (issued, checked) = mock.iam_calls();
    let began = now();
    let mut requests = 0;
    while began.elapsed() < secs(60) {
        for token in &callers {
            assert_eq!(ask(&gateway, token).status, 200, "after {:?}", began.elapsed());
            requests += 1;
        }
        thread::sleep(ms(100));
    }
    let (issued, checked) = (mock.iam_calls().0 - issued, mock.iam_calls().1 - checked);
    assert!(
        issued > 0 && checked > 0,
        "IAM was missed: {issued} times for a token, {checked} times about one"
    );
    assert!(requests > 500, "{requests}");
}
