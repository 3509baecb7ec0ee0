//! What is said of typical mistakes, and what the built-in scenarios become.

use super::*;

const GOOD: &str = r#"about: A test.
load: {mode: open, phases: [{for: 2s, rate: 100/s}, {for: 2s, from: 100/s, to: 300/s}]}
tenants:
  - {name: a, count: 3, credential: api_key, sends: [chat], plan: [{name: rps, per: tenant, requests: 10/s}]}
requests:
  - {name: chat, api: openai, path: /v1/chat/completions}
"#;

fn good() -> Setup {
    read("good", "good.yaml", GOOD, &Adjust::default()).unwrap()
}

/// The problems of [`GOOD`] with one text in it replaced.
fn problems(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    read("bad", "bad.yaml", &GOOD.replace(from, to), &Adjust::default()).unwrap_err().to_string()
}

#[test]
fn defaults_are_bounded() {
    let scenario = good().scenario;
    assert_eq!(scenario.time_max, Duration::from_secs(5));
    assert!((600..=800).contains(&scenario.requests_max), "{}", scenario.requests_max);
    assert_eq!(scenario.connections.open_max, 64);
    assert_eq!(scenario.requests[0].body_bytes, 512);
    assert_eq!(scenario.groups, [Group { name: "a".to_owned(), callers: 3 }]);
}

#[test]
fn a_run_may_be_shorter_and_thinner_and_keeps_its_shape() {
    let adjust = Adjust { seed: Some(9), lasts: Some(Duration::from_secs(1)), rate_factor: 0.5 };
    let scenario = read("good", "good.yaml", GOOD, &adjust).unwrap().scenario;
    let Load::Open { phases, .. } = scenario.load else { panic!("{:?}", scenario.load) };
    let half = Duration::from_millis(500);
    assert_eq!(phases[0], Phase { lasts: half, from_per_s: 50.0, to_per_s: 50.0 });
    assert_eq!(phases[1], Phase { lasts: half, from_per_s: 50.0, to_per_s: 150.0 });
    assert_eq!(scenario.seed, 9);
    assert!(scenario.callers[0].credential != good().scenario.callers[0].credential);
}

#[test]
fn typical_mistakes_say_where_and_what_to_do() {
    for (from, to, expected) in [
        ("  - {name: chat, api", "  - {name: chat, boddy: chat, api", "bad.yaml:6:18: unknown field `boddy`"),
        ("rate: 100/s", "rate: 100", "bad.yaml:2:45: `100` is not a rate; write `200/s`"),
        ("for: 2s, rate", "for: 2, rate", "bad.yaml:2:35: `2` is not a duration; write `200ms`"),
        (
            "rate: 100/s",
            "from: 100/s",
            "bad.yaml:2:29: load.phases: a phase has either `rate`, or `from` and `to`",
        ),
        (
            "sends: [chat]",
            "sends: [chad]",
            "tenants.a.sends: no request is named `chad`\n help: there are: chat",
        ),
        ("sends: [chat]", "sends: chat", "bad.yaml:4:"),
        (
            ", plan: [{name: rps, per: tenant, requests: 10/s}]",
            "",
            "requests.chat: no limit covers it when `a` sends it\n help: give `tenants.a` a `plan`, or this request \
             `limits`, or `unlimited: \"the reason\"`",
        ),
        ("count: 3", "count: 0", "bad.yaml:4:5: tenants.a: has nobody in it"),
        ("count: 3", "count: 9000000", "tenants: 9000000 callers; 100000 are the most"),
        ("api_key", "none", "tenants.a.plan: nobody can be counted: these callers show no credential"),
        ("path: /v1", "path: v1", "requests.chat.path: is not a path"),
        ("for: 2s, rate", "for: 2h, rate", "time_max: the run would last 7203 s"),
        ("rate: 100/s", "rate: 900000000/min", "requests_max: the load asks for 30000400 requests"),
        ("mode: open", "mode: closed", "load.in_flight: a closed load needs it, above 0"),
        (
            "requests:\n",
            "connections: {streams: 5}\nrequests:\n",
            "connections.streams: HTTP/1.1 has no streams",
        ),
        ("requests:\n", "reload: {every: 10ms}\nrequests:\n", "reload.every: is below 50ms"),
        ("requests:\n", "upstream: {fault: [close]}\nrequests:\n", "unknown field `fault`"),
    ] {
        let said = problems(from, to);
        assert!(said.contains(expected), "{to}\n--- expected\n{expected}\n--- said\n{said}");
    }
}

#[test]
fn all_problems_are_named_at_once() {
    let said = problems("sends: [chat]", "sends: [chad], weight: 0");
    assert_eq!(
        said,
        "bad.yaml:4:5: tenants.a.weight: 0 is not a weight\n \
         help: write a number above 0: the share of this group against the others\n\
         error: bad.yaml:4:5: tenants.a.sends: no request is named `chad`\n help: there are: chat\n\
         error: bad.yaml:6:5: requests.chat: nobody sends it\n \
         help: name it in the `sends` of a group, or take it out"
    );
}

#[test]
fn requests_that_are_the_same_to_the_gateway_share_a_route() {
    let two = "  - {name: chat, api: openai, path: /v1/chat/completions}\n  \
               - {name: stream, api: openai, path: /v1/chat/completions, stream: true}";
    let said = problems("  - {name: chat, api: openai, path: /v1/chat/completions}", two);
    assert!(said.contains("requests.stream.path: route `chat` has the same method and path"), "{said}");
    assert!(said.contains("write `route: chat`"), "{said}");
}

#[test]
fn only_chat_requests_bound_their_answers() {
    let filler = "  - {name: chat, api: openai, path: /v1/chat/completions, body: filler, body_bytes: 9, max_tokens: 5}";
    let said = problems("  - {name: chat, api: openai, path: /v1/chat/completions}", filler);
    assert!(said.contains("requests.chat.max_tokens: only a chat request says so"), "{said}");
}

#[test]
fn every_built_in_scenario_is_good_and_says_what_it_shows() {
    assert_eq!(builtin::BUILT_IN.len(), 13);
    for (name, _) in builtin::BUILT_IN {
        let setup = load(name, &Adjust::default()).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(!setup.scenario.about.is_empty(), "{name}");
        assert!(setup.scenario.time_max <= Duration::from_secs(16), "{name} lasts long");
    }
    assert_eq!(load("many_tenants", &Adjust::default()).unwrap().scenario.callers.len(), 10_000);
}

#[test]
fn a_name_that_is_nothing_lists_what_there_is() {
    let said = load("stedy", &Adjust::default()).unwrap_err().to_string();
    assert!(said.starts_with("stedy: ") && said.contains("steady, ramp"), "{said}");
}

#[test]
fn a_policy_holds_no_secret_and_its_key_files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let setup = load("signed", &Adjust::default()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    policy::write(&setup, "http://127.0.0.1:9", dir.path()).unwrap();
    let text = |file: &str| std::fs::read_to_string(dir.path().join(file)).unwrap();
    let written = text("routes.yaml") + &text("tenants.yaml");
    for caller in &setup.scenario.callers {
        let Credential::AkSk { access_key, secret_key } = &caller.credential else { panic!("{caller:?}") };
        assert!(written.contains(access_key.as_str()) && !written.contains(secret_key.as_str()));
        let file = dir.path().join("secrets").join(access_key);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), *secret_key);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_revision_changes_the_routes_and_no_limit() {
    let setup = good();
    let [one, two] = [1, 2].map(|revision| policy::routes(&setup, "http://127.0.0.1:9", revision));
    assert_ne!(one, two);
    let limits = |text: &str| text.split("plans:").nth(1).map(str::to_owned);
    assert_eq!(limits(&one), limits(&two));
    assert!(one.contains(r#"- {name: "rps", per: "tenant", requests: "10/s"}"#), "{one}");
}
