//! What loads, and what comes out.

use super::super::{Live, Posture, install};
use super::*;
use crate::clock::Now;
use crate::limit::{Algorithm, Amount, Per};
use crate::upstream::discover::Found;
use std::time::Duration;

#[test]
fn every_example_loads() {
    let mut examples = 0;
    for entry in std::fs::read_dir(repository("policies/examples")).unwrap() {
        let path = entry.unwrap().path();
        let loaded = load_dir(&path).map_err(|problems| lines(&problems));
        let posture = Posture::of(&loaded.unwrap_or_else(|problems| panic!("{problems}")).checked);
        assert!(!posture.to_string().is_empty());
        examples += 1;
    }
    assert!(examples >= 6, "only {examples} examples");
}

#[test]
fn the_policy_in_the_readme_is_one_of_the_examples() {
    let readme = std::fs::read_to_string(repository("README.md")).unwrap();
    let example = std::fs::read_to_string(repository("policies/examples/api-keys/policy.yaml")).unwrap();
    assert!(
        readme.contains(&format!("```yaml\n{}\n```", example.trim_end())),
        "README.md shows another policy"
    );
}

#[test]
fn the_development_policy_loads_without_its_examples() {
    let loaded = load_dir(&repository("policies")).map_err(|problems| lines(&problems)).unwrap();
    assert_eq!(loaded.files, 5);
    assert_eq!(loaded.checked.tenants.len(), 2);
    assert_eq!(loaded.checked.streams.len(), 1);
    assert_eq!(loaded.checked.routes.len(), 10);
}

#[test]
fn defaults_are_those_of_the_table() {
    let checked = load_text(GOOD).unwrap().checked;
    let route = &checked.routes[0];
    assert_eq!(route.caps.body_max, 1 << 20);
    assert_eq!(
        (route.caps.head_max, route.caps.headers_max, route.caps.target_max),
        (32 << 10, 100, 8 << 10)
    );
    let seconds = Duration::from_secs;
    assert_eq!((route.timeouts.first_byte, route.timeouts.idle), (seconds(60), seconds(60)));
    assert_eq!((route.timeouts.total, route.timeouts.write), (seconds(600), seconds(30)));
    let rules = route.auth.as_ref().unwrap();
    assert_eq!(rules.skew, seconds(900));
    assert!(rules.refuse_replay && !rules.unsigned_payload && !rules.double_encoded_path);
    assert_eq!(checked.pools[0].connect_timeout, seconds(3));
    assert_eq!(checked.guard_per_address, 0);
}

#[test]
fn limits_come_out_as_written() {
    let checked = load_text(GOOD).unwrap().checked;
    let limit = &checked.routes[0].limits[0].rule;
    assert_eq!((limit.name.as_ref(), limit.per), ("route-rps", Per::Route));
    let Amount::Requests { requests, period, burst, algorithm } = limit.amount else { panic!() };
    assert_eq!((requests.get(), period, burst.get()), (500, Duration::from_secs(1), 20));
    assert_eq!(algorithm, Algorithm::TokenBucket);
    let Amount::Requests { burst, .. } = checked.plans[0].limits[0].rule.amount else { panic!() };
    assert_eq!(burst.get(), 20, "without `burst`, as many at once as in a period");
}

#[test]
fn a_plan_may_be_a_list_or_say_more() {
    let text = GOOD.replace(
        "gold: [{name: user-rpm, per: user, requests: 20/min}]",
        "gold: {limits: [{name: user-rpm, per: user, requests: 20/min}], body_max: 4MiB}",
    );
    let checked = load_text(text).unwrap().checked;
    assert_eq!(checked.plans[0].body_max, Some(4 << 20));
    assert_eq!(load_text(GOOD).unwrap().checked.plans[0].body_max, None);
}

#[test]
fn json_is_yaml_and_documents_of_one_file_are_one_set() {
    let json = r#"{"routes": [{"name": "a", "match": {"path": "/a"}, "api": "plain", "auth": "none", "pool": "p"}],
        "pools": [{"name": "p", "backends": [{"url": "http://127.0.0.1:1"}]}]}"#;
    assert!(load_text(json).is_ok());
    let parts = GOOD.replace("pools:", "---\npools:").replace("tenants:", "---\ntenants:");
    assert!(load_text(parts).is_ok());
    assert!(load_text(format!("\u{feff}{GOOD}")).is_ok(), "a byte order mark is harmless");
    assert!(load_text(GOOD.replace('\n', "\r\n")).is_ok());
}

#[test]
fn an_anchor_may_be_used_again() {
    let text = GOOD.replace(
        "gold: [{name: user-rpm, per: user, requests: 20/min}]",
        "gold: &limits [{name: user-rpm, per: user, requests: 20/min}]\n  silver: *limits",
    );
    assert_eq!(load_text(text).unwrap().checked.plans.len(), 2);
}

#[test]
fn the_snapshot_numbers_callers_in_order() {
    let live = Live::default();
    let loaded = load_text(GOOD).unwrap();
    let snapshot = install::install(loaded.checked, &live, 7, loaded.digest, Now::default());
    assert_eq!(snapshot.version, 7);
    assert_eq!(snapshot.digest.len(), 12);
    let names: Vec<&str> = snapshot.callers.iter().map(|caller| caller.user_name.as_ref()).collect();
    assert_eq!(names, ["alice", "bob"]);
    let route = &snapshot.routes[0];
    assert!(route.pool.pick(&crate::upstream::Pick::default()).is_none(), "a name that is not looked up yet");
    let feed = snapshot.supplies[0].feeds().next().unwrap();
    feed.hear(Ok(vec![Found::at([10, 0, 0, 1].into(), None, 1)]), 0);
    snapshot.supplies[0].update(&live.backends, 0);
    let picked = route.pool.pick(&crate::upstream::Pick::default()).unwrap();
    assert_eq!(&*picked.backend.spec.base_path, "/base");
    assert_eq!(&*picked.backend.address, "maas.example.com@10.0.0.1:8443");
}

#[test]
fn posture_says_who_what_and_what_is_missing() {
    let text = GOOD.replace("pool: maas", "pool: maas\n    signing: {unsigned_payload: true, replay: allow}");
    let text = text
        .replace("plans:", "  - {name: spare, backends: [{url: \"http://10.0.0.1\"}]}\nplans:\n  lone: []");
    let posture = Posture::of(&load_text(text).unwrap().checked);
    let said = posture.to_string();
    for part in [
        "chat: POST /v1/chat/completions -> maas",
        "who may call    acme, by api_key, ak_sk",
        "route-rps: 500 requests in 1s per route, 20 at once",
        "limit of gold   user-rpm: 20 requests in 1m per user, 20 at once",
        "body 1 MiB, head 32 KiB, 100 headers, target 8 KiB",
        "UNSIGNED-PAYLOAD is accepted",
        "a signature may be used again for 15m",
        "no limit on concurrent requests for plan gold",
        "plan `lone` is used by no tenant",
        "pool `spare` is used by no route",
        "no guard",
    ] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    assert!(serde_json::to_value(&posture).unwrap()["routes"][0]["notes"].is_array());
}

#[test]
fn posture_tells_versions_and_who_gets_which() {
    let example = load_dir(&repository("policies/examples/grey-release"));
    let said =
        Posture::of(&example.unwrap_or_else(|problems| panic!("{}", lines(&problems))).checked).to_string();
    let expected = "  version         v1: 90 of 100 users, 2 backends
  version         v2: 10 of 100 users, 1 backend
  version by rule tenant testers: v2
  version by rule `x-preview: yes`: v2
";
    assert!(said.contains(expected), "{said}");

    let versions = "versions:
      - {name: v1, weight: 3, backends: [{url: \"https://a.example\"}], discover: {file: a.json}}
      - {name: v2, weight: 1, discover: {file: b.json}}
      - {name: v3, weight: 0, backends: [{url: \"https://c.example\"}]}
    split: {by: header X-Session}\n";
    let (before, rest) = GOOD.split_once("backends:").unwrap();
    let text = format!("{before}{versions}{}", rest.split_once('\n').unwrap().1);
    let posture = Posture::of(&load_text(&text).map_err(|problems| lines(&problems)).unwrap().checked);
    let said = posture.to_string();
    let expected =
        "  version         v1: 3 of 4 values of `x-session`, 1 backend and those that are found out
  version         v2: 1 of 4 values of `x-session`, backends that are found out
  version         v3: nobody by weight, 1 backend
  note            version `v3` gets nothing: it has no weight, and no rule names it
";
    assert!(said.contains(expected), "{said}");
    let json = serde_json::to_value(&posture).unwrap();
    assert_eq!(json["routes"][0]["versions"].as_array().map(Vec::len), Some(3), "{json}");
    let plain = Posture::of(&load_text(GOOD).unwrap().checked).to_string();
    assert!(!plain.contains("version"), "{plain}");
}

#[test]
fn a_hundred_thousand_tenants_load() {
    let mut text = GOOD.to_string();
    let tenants = if cfg!(debug_assertions) { 10_000 } else { 100_000 };
    for i in 0..tenants {
        text += &format!(
            "  - {{name: t{i}, plan: gold, users: [{{name: u, ak_sk: {{access_key: AK{i}, secret_key: {{env: KNOWN_{i}}}}}}}]}}\n"
        );
    }
    let begun = crate::clock::mono_us();
    let loaded = load_text(text).map_err(|problems| lines(&problems)).unwrap();
    assert_eq!(loaded.checked.tenants.len(), tenants + 1);
    eprintln!("{tenants} tenants in {} ms", (crate::clock::mono_us() - begun) / 1000);
}
