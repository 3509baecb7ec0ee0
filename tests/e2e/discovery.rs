//! Backends that are found out: a file, and the instances of a ModelArts service. What comes, what goes, and what stays
//! when nobody answers as he should.

use crate::support::*;
use harness::certs::write_whole;
use harness::gateway::BASE;
use harness::{Conn, Gateway, Mock, Setup, eventually, now};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

const FOUND: &str = "discover: {file: backends.json}\n    networks: [127.0.0.0/8]";

/// The base policy with other keys in its pool.
fn policy(keys: &str) -> String {
    let backends = "    backends: [{url: \"http://127.0.0.1:9100\"}]\n";
    assert!(BASE.contains(backends));
    BASE.replace(backends, &format!("    {keys}\n"))
}

/// The keys of a pool that asks `api` for the instances of a service.
fn service(api: &Mock, more: &str) -> String {
    format!(
        "discover: {{modelarts_service: s1, project_id: p1, endpoint: \"http://{}\", every: 3s, \
         credential: {{ak_sk: {{access_key: {{env: API_AK}}, secret_key: {{env: API_SK}}}}}}}}\n    {more}",
        api.address
    )
}

fn setup(keys: &str) -> Setup {
    let setup = Setup::in_front_of(([127, 0, 0, 1], 1).into()).policy(&policy(keys));
    setup.env("API_AK", "APIKEY").env("API_SK", "canary-secret-of-the-api")
}

/// The list that another program would write.
fn list(mocks: &[(&Mock, u32)]) -> String {
    let entry =
        |(mock, weight): &(&Mock, u32)| json!({"address": mock.address.to_string(), "weight": weight});
    Value::from(mocks.iter().map(entry).collect::<Vec<_>>()).to_string()
}

/// The one source of the one pool, as operators see it.
fn source(gateway: &Gateway) -> Value {
    gateway.admin("/backends").json()[0]["sources"][0].clone()
}

fn asks_well(conn: &mut Conn) {
    conn.send(keyed_chat().to_bytes());
    let answer = conn.response().expect("no connection is dropped");
    assert_eq!(answer.status, 200, "no request fails: {}", answer.text());
}

/// Sends requests without a pause while `change` runs; every one is answered well. How many there were.
fn under_load(gateway: &Gateway, change: impl FnOnce()) -> u64 {
    let (done, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut conn = Conn::open(gateway.http);
                while !done.load(Relaxed) {
                    asks_well(&mut conn);
                    sent.fetch_add(1, Relaxed);
                }
            });
        }
        change();
        done.store(true, Relaxed);
    });
    sent.load(Relaxed)
}

fn gets_requests(mock: &Mock) {
    mock.reset();
    eventually("it gets requests", secs(10), || (mock.requests() > 0).then_some(()));
}

fn gets_no_more(mock: &Mock) {
    eventually("it gets no more requests", secs(10), || {
        mock.reset();
        std::thread::sleep(ms(100));
        (mock.requests() == 0).then_some(())
    });
}

#[test]
fn a_list_that_another_program_writes_is_followed_and_a_bad_one_is_not() {
    let [one, other] = [Mock::start(), Mock::start()];
    let setup = setup(FOUND);
    write_whole(&setup.policies(), "backends.json", &list(&[(&one, 1)]));
    let gateway = setup.start();
    let mut conn = Conn::open(gateway.http);
    asks_well(&mut conn);
    let write = |text: &str| write_whole(&gateway.policies(), "backends.json", text);
    under_load(&gateway, || {
        write(&list(&[(&one, 1), (&other, 3)]));
        gets_requests(&other);
        write(&list(&[(&other, 1)]));
        gets_no_more(&one);
        for bad in ["[{\"addr", "[]", "- address: somewhere:80", "[{\"address\": \"169.254.169.254:80\"}]"] {
            let failures = source(&gateway)["failures"].as_u64().expect("a count");
            write(bad);
            let failed = || source(&gateway)["failures"].as_u64().expect("a count") > failures;
            eventually("a bad list is noticed", secs(5), || failed().then_some(()));
        }
        gets_requests(&other);
    });
    let source = source(&gateway);
    assert!(source["error"].as_str().expect("told").contains("169.254.169.254"), "{source}");
    write(&list(&[(&one, 2), (&other, 1)]));
    under_load(&gateway, || gets_requests(&one));
    one.reset();
    other.reset();
    for _ in 0..30 {
        asks_well(&mut conn);
    }
    assert_eq!((one.requests(), other.requests()), (20, 10), "by the weights of the list");
    assert_eq!(self::source(&gateway)["error"], Value::Null);
}

#[test]
fn instances_of_a_service_come_and_go_under_load() {
    let [api, one, other] = [Mock::start(), Mock::start(), Mock::start()];
    api.instances_are(&[one.address]);
    let gateway = setup(&service(&api, "networks: [127.0.0.0/8]")).start();
    let sent = under_load(&gateway, || {
        gets_requests(&one);
        api.instances_are(&[one.address, other.address]);
        gets_requests(&other);
        api.instances_are(&[other.address]);
        gets_no_more(&one);
    });
    assert!(sent > 100, "{sent} requests");
    let asked = api.instances_asked();
    assert_eq!(asked["target"], "/v1/p1/services/s1/predict/endpoints?type=host_endpoints");
    let headers = asked["headers"].to_string();
    assert!(
        headers.contains("SDK-HMAC-SHA256 Access=APIKEY, SignedHeaders=host;x-nonce;x-sdk-date"),
        "{headers}"
    );
    let source = source(&gateway);
    assert_eq!((source["backends"].as_u64(), &source["error"]), (Some(1), &Value::Null), "{source}");
    assert!(source["age_ms"].as_u64().expect("an age") < 4_000, "{source}");
    assert!(!gateway.logs().contains("canary"));
}

#[test]
fn the_api_may_want_an_iam_token() {
    let [api, model] = [Mock::start(), Mock::start()];
    api.instances_are(&[model.address]);
    let token = format!(
        "{{iam_token: {{endpoint: \"http://{}\", password: {{user: gateway, domain: acme, password: {{env: \
         IAM_PASSWORD}}}}, project: cn-southwest-2}}}}",
        api.address
    );
    let pair = "{ak_sk: {access_key: {env: API_AK}, secret_key: {env: API_SK}}}";
    let keys = service(&api, "networks: [127.0.0.0/8]");
    assert!(keys.contains(pair));
    let gateway = setup(&keys.replace(pair, &token)).env("IAM_PASSWORD", "password-of-gateway").start();
    assert_eq!(keyed_chat().send(gateway.http).status, 200, "{}", source(&gateway));
    assert!(api.instances_asked()["headers"].to_string().contains("x-auth-token"));
}

#[test]
fn the_last_good_set_stays_while_the_api_fails_and_through_reloads() {
    let [api, model] = [Mock::start(), Mock::start()];
    api.instances_are(&[model.address]);
    let keys = service(&api, "networks: [127.0.0.0/8]");
    let gateway = setup(&keys).start();
    let fails = |knobs: Value, told: &str| {
        let calls = api.instances_asked()["calls"].as_u64().expect("a count");
        api.instances_answer(&knobs);
        eventually("the API is asked again", secs(30), || {
            let asked = api.instances_asked()["calls"].as_u64().expect("a count") > calls;
            let error = source(&gateway)["error"].as_str().unwrap_or_default().to_owned();
            (asked && error.contains(told)).then_some(())
        });
    };
    under_load(&gateway, || {
        fails(json!({"status": 500, "body": "canary of an error page"}), "answers 500");
        gateway.write_policy(&policy(&format!("{keys}\n    balance: least_requests")));
        let reloaded = || gateway.admin("/policy").json()["version"] == 2;
        eventually("the policy is in force", secs(3), || reloaded().then_some(()));
        fails(json!({"body": "{\"data\": {\"canary-value\": 1}}"}), "`data`");
    });
    let text = gateway.admin("/metrics").text();
    let line = |name: &str| {
        let wanted = format!("{name}{{pool=\"models\",source=\"modelarts_service s1\"}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&wanted));
        value.unwrap_or_else(|| panic!("no {wanted}: {text}")).parse::<f64>().expect("a number")
    };
    assert!(line("gateway_discovery_failures_total") >= 2.0);
    assert!(line("gateway_discovery_age_seconds") >= 2.0);
    assert_eq!(line("gateway_discovery_backends") as u64, 1);
    assert!(!gateway.logs().contains("canary"), "what an API says is not repeated");
}

#[test]
fn a_pool_without_its_first_set_answers_503_until_it_comes() {
    let [api, model] = [Mock::start(), Mock::start()];
    api.instances_answer(&json!({"status": 403}));
    let gateway = setup(&service(&api, "networks: [127.0.0.0/8]")).start();
    let answer = keyed_chat().send(gateway.http);
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.text().contains("known yet"), "{}", answer.text());
    assert!(source(&gateway)["error"].as_str().expect("told").contains("credential"));
    api.instances_are(&[model.address]);
    eventually("requests are served", secs(10), || {
        (keyed_chat().send(gateway.http).status == 200).then_some(())
    });
}

#[test]
fn addresses_outside_the_networks_are_not_used() {
    let [api, model] = [Mock::start(), Mock::start()];
    let outside: SocketAddr = ([127, 0, 0, 2], model.address.port()).into();
    api.instances_are(&[model.address, outside]);
    let gateway = setup(&service(&api, "networks: [127.0.0.1/32]")).start();
    for _ in 0..10 {
        assert_eq!(keyed_chat().send(gateway.http).status, 200);
    }
    let seen = source(&gateway);
    assert_eq!((seen["backends"].as_u64(), seen["refused"].as_u64()), (Some(1), Some(1)), "{seen}");
    // Without `networks` only private ones are used: this machine is none.
    let gateway = setup(&service(&api, "")).start();
    assert_eq!(keyed_chat().send(gateway.http).status, 503);
    assert!(source(&gateway)["error"].as_str().expect("told").contains("networks"));
}

#[test]
fn however_many_pools_ask_the_budget_of_their_credential_holds() {
    let [api, model] = [Mock::start(), Mock::start()];
    api.instances_are(&[model.address]);
    let keys = service(&api, "networks: [127.0.0.0/8]");
    let more: String = (0..30).map(|n| format!("  - name: more-{n}\n    {keys}\n")).collect();
    let all = policy(&keys).replace("\nplans:", &format!("{more}\nplans:"));
    let begun = now();
    let gateway = setup("backends: [{url: \"http://127.0.0.1:1\"}]").policy(&all).start();
    eventually("ten seconds are over", secs(20), || (begun.elapsed() > secs(10)).then_some(()));
    let calls = api.instances_asked()["calls"].as_u64().expect("a count");
    let most = 5 + begun.elapsed().as_secs() / 4 + 1;
    assert!((5..=most).contains(&calls), "{calls} calls in {:?}", begun.elapsed());
    drop(gateway);
}
