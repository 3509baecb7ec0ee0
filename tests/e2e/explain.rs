//! What operators are told of limits: `explain`, the forecast of budgets, and the metrics of each limit.

use crate::support::*;
use harness::gateway::CHAT_API_KEY;
use harness::process::Process;
use harness::{Gateway, Mock, Setup, eventually};
use serde_json::Value;

/// Limits of every kind; the shadow has room for one request.
const POLICY: &str = r#"
pools:
  - name: models
    backends: [{url: "http://127.0.0.1:9100"}]
models:
  - name: pangu-large
    price: {prompt: 8, completion: 20, per: 1M, currency: CNY}
    ceilings: {completion_tokens: 2k, on_excess: clamp}
    limits: [{name: model-tpm, per: model, tokens: 2M/min}]
plans:
  gold:
    - {name: rpd, per: tenant, requests: 5/day}
    - {name: user-rpm, per: user, requests: 100/min}
    - {name: daily, per: tenant, tokens: 1M/day, timezone: Asia/Shanghai, on_exhausted: cut}
    - {name: monthly, per: tenant, budget: 100 CNY/month, timezone: Asia/Shanghai}
    - {name: ghost, per: tenant, tokens: 60/h, mode: shadow}
tenants:
  - name: acme
    plan: gold
    users:
      - {name: chat, api_key: {env: CHAT_API_KEY}}
      - {name: other, app_code: {env: BATCH_APP_CODE}}
routes:
  - name: chat
    match: {path: /v1/chat/completions, methods: [POST]}
    api: openai
    auth: [api_key]
    pool: models
    model: pangu-large
    limits: [{name: route-rps, per: route, requests: 500/s}]
  - name: open
    match: {path: "/open/{*rest}"}
    api: plain
    auth: none
    pool: models
    limits: [{name: open-rps, per: route, requests: 100/s}]
"#;

/// One request of 100 completion tokens; returns when it is settled.
fn ask(gateway: &Gateway) {
    let used = || spent(gateway, "daily");
    let before = used();
    let body = r#"{"model":"pangu-large","messages":[{"role":"user","content":"hello"}]}"#;
    let request = bearer(harness::Request::post(OPENAI_CHAT, body), CHAT_API_KEY);
    assert_eq!(request.header("x-mock-tokens", "100").send(gateway.http).status, 200);
    eventually("it is settled", secs(5), || (used() >= before + 100).then_some(()));
}

/// What is used of a limit of the tenant, holds aside.
fn spent(gateway: &Gateway, name: &str) -> u64 {
    let page = gateway.admin("/limits?tenant=acme").json();
    let limit = find(&page, name);
    limit["used"].as_u64().expect("a count") - limit["held"].as_u64().expect("a count")
}

fn find(page: &Value, name: &str) -> Value {
    let limits = page["limits"].as_array().unwrap_or_else(|| panic!("no limits: {page}"));
    let found = limits.iter().find(|limit| limit["limit"] == name);
    found.unwrap_or_else(|| panic!("no limit {name}: {page}")).clone()
}

/// Runs `pangu-gateway explain`: exit code, output, errors.
fn explain(gateway: &Gateway, args: &[&str]) -> (Option<i32>, String, String) {
    let admin = format!("http://{}", gateway.admin);
    explain_at(gateway, &[&["--admin", &admin], args].concat())
}

/// The same with `--admin` among `args`; the gateway lends its directory.
fn explain_at(gateway: &Gateway, args: &[&str]) -> (Option<i32>, String, String) {
    let dir = gateway.dir().join("explain");
    std::fs::create_dir_all(&dir).expect("directory is ours");
    let args = [&["explain"], args].concat();
    let mut process = Process::start("pangu-gateway", args, &[], &dir);
    let status = process.wait(secs(10)).expect("it ends");
    (status.code(), process.stdout(), process.stderr())
}

/// The value of the one metric with all of `parts` in its labels; None: there is none.
fn metric(gateway: &Gateway, name: &str, parts: &[&str]) -> Option<String> {
    let page = gateway.admin("/metrics").text();
    let mut lines = page.lines().filter(|line| {
        line.starts_with(&format!("{name}{{")) && parts.iter().all(|part| line.contains(part))
    });
    let value = lines.next()?.rsplit(' ').next().map(str::to_owned);
    assert_eq!(lines.next(), None, "{name} with {parts:?} is one series");
    value
}

fn start_explained() -> (Mock, Gateway) {
    start_with(POLICY)
}

#[test]
fn explain_tells_every_level_before_and_after_requests() {
    let (_mock, gateway) = start_explained();
    let args = ["--tenant", "acme", "--route", "chat", "--user", "chat"];
    let (code, before, _) = explain(&gateway, &args);
    assert_eq!(code, Some(0), "{before}");
    let first: Vec<&str> = before.lines().filter_map(|line| line.split(' ').next()).collect();
    let order = ["rpd", "ghost", "daily", "monthly", "user-rpm", "route-rps", "model-tpm"];
    let listed: Vec<&str> = first.into_iter().filter(|word| order.contains(word)).collect();
    assert_eq!(listed.len(), order.len(), "{before}");
    assert_eq!((listed[0], listed[4..].to_vec()), ("rpd", order[4..].to_vec()), "{before}");
    for text in [
        "tenant acme, user chat, route chat, model pangu-large, at 20",
        "100 CNY/month",
        "shadow",
        "enforce, cut",
        "price: 8 CNY for 1M prompt tokens, 20 CNY for 1M completion tokens",
        "ceiling: 2000 completion tokens of one choice; a request for more is cut down to it",
        "held for an answer: 256 tokens",
        "now: a request of one token would be let in",
    ] {
        assert!(before.contains(text), "no {text:?} in\n{before}");
    }

    (0..5).for_each(|_| ask(&gateway));
    let (code, after, _) = explain(&gateway, &args);
    assert_eq!(code, Some(0));
    assert!(after.contains("would be refused by rpd (per tenant) for 4h 4"), "{after}"); // 5 a day
    let (_, json, _) = explain(&gateway, &[&args[..], &["--json"]].concat());
    let page: Value = serde_json::from_str(&json).unwrap_or_else(|e| panic!("{e}: {json}"));
    assert_eq!((&page["one_token"]["admitted"], &page["one_token"]["limit"]), (&false.into(), &"rpd".into()));
    let daily = find(&page, "daily");
    let used = daily["used"].as_u64().expect("a count");
    assert!(used >= 500 && daily["remaining"] == 1_000_000 - used, "{daily}");
    assert_eq!((&daily["on_exhausted"], &daily["mode"]), (&"cut".into(), &"enforce".into()));
    let prompt = used - 500;
    let nano = 500 * 20_000 + prompt * 8_000; // 8 and 20 CNY for a million
    let money = format!("{:.9}", nano as f64 / 1e9);
    assert_eq!(find(&page, "monthly")["used"], format!("{} CNY", money.trim_end_matches('0')));
    assert_eq!(find(&page, "model-tpm")["model"], "pangu-large");

    // A user that has used nothing meets the tenant's levels all the same.
    let (_, others, _) = explain(&gateway, &["--tenant", "acme", "--route", "chat"]);
    assert!(others.contains("a user that has used nothing") && others.contains("refused by rpd"), "{others}");
}

/// No tokens are counted there: neither limits on them nor ceilings say anything.
#[test]
fn explain_tells_of_a_plain_route_only_what_counts_there() {
    let policy = POLICY
        .replace("gold:\n", "gold:\n    ceilings: {prompt_tokens: 8k}\n    limits:\n")
        .replace("    api: plain\n    auth: none\n", "    api: plain\n    auth: [api_key]\n");
    let (_mock, gateway) = start_with(&policy);
    let page = gateway.admin("/explain?tenant=acme&route=open").json();
    let limits = page["limits"].as_array().expect("limits");
    let names: Vec<&str> = limits.iter().filter_map(|limit| limit["limit"].as_str()).collect();
    assert_eq!(names, ["rpd", "user-rpm", "open-rps"], "{page}");
    assert_eq!(page["ceilings"]["prompt_tokens"], Value::Null, "{page}");
    let page = gateway.admin("/explain?tenant=acme&route=chat").json();
    assert_eq!(page["ceilings"]["prompt_tokens"], 8000, "{page}");
}

/// Where anybody may call there is no tenant to name, and perhaps none at all.
#[test]
fn explain_needs_no_tenant_where_anybody_may_call() {
    let (_mock, gateway) = start_explained();
    let (code, table, error) = explain(&gateway, &["--route", "open"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(table.starts_with("anybody (") && table.contains("\nopen-rps "), "{table}");
    let (_, asked_for_one, _) = explain(&gateway, &["--route", "open", "--tenant", "acme"]);
    assert!(asked_for_one.starts_with("anybody ("), "{asked_for_one}");
    let (code, _, error) = explain(&gateway, &["--route", "chat"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("name a tenant"), "{error}");
    let (code, _, error) = explain(&gateway, &["--route", "opne"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("did you mean `open`?"), "{error}");
    let page = gateway.admin("/explain?tenant=acme");
    assert!(page.status == 400 && page.text().contains("name a route"), "{}", page.text());
}

#[test]
fn explain_says_what_there_is_when_a_name_is_unknown() {
    let (_mock, gateway) = start_explained();
    for (args, what, help) in [
        (["--tenant", "acne", "--route", "chat"], "no tenant is named `acne`", "did you mean `acme`?"),
        (["--tenant", "acme", "--route", "nowhere"], "no route is named `nowhere`", "`chat`, `open`"),
    ] {
        let (code, _, error) = explain(&gateway, &args);
        assert_eq!(code, Some(1));
        assert!(error.contains(what) && error.contains(help), "{error}");
    }
    for (query, what) in [
        ("/explain?tenant=acme&route=chat&user=bob", "no user of this tenant is named `bob`"),
        ("/explain?tenant=acme&route=chat&model=gpt", "no model is named `gpt`"),
        ("/limits?route=nowhere", "no route is named `nowhere`"),
        ("/limits?model=gpt", "no model is named `gpt`"),
        ("/forecast?tenant=acne", "no tenant is named `acne`"),
    ] {
        let answer = gateway.admin(query);
        assert_eq!((answer.status, &answer.json()["error"]), (404, &what.into()), "{query}");
    }
    for query in ["/explain", "/explain?tenant=acme", "/limits", "/forecast?route=chat"] {
        assert_eq!(gateway.admin(query).status, 400, "{query}");
    }
    let open = gateway.admin("/explain?tenant=acme&route=open").json();
    assert_eq!((&open["tenant"], &open["model"]), (&Value::Null, &Value::Null), "anybody may call it");
    assert_eq!(open["limits"].as_array().map(Vec::len), Some(1), "{open}");
    assert_eq!(find(&gateway.admin("/limits?route=open").json(), "open-rps")["quota"], 100);
    assert_eq!(find(&gateway.admin("/limits?model=pangu-large").json(), "model-tpm")["quota"], 2_000_000);
}

#[test]
fn explain_shows_the_admin_token_and_never_prints_it() {
    let mock = Mock::start();
    let setup = Setup::new(&mock).policy(POLICY);
    let secret = "canary-admin-token-0123456789";
    let file = setup.policies().with_file_name("admin.token");
    std::fs::write(&file, secret).expect("directory is ours");
    let gateway = setup.set("admin", r#"{address: "127.0.0.1:0", token_file: admin.token}"#).start();
    let args = ["--tenant", "acme", "--route", "chat"];
    let (code, _, error) = explain(&gateway, &args);
    assert!(code == Some(1) && error.contains("--token-file"), "{error}");
    let path = file.to_str().expect("a plain path");
    let (code, text, error) = explain(&gateway, &[&args[..], &["--token-file", path]].concat());
    assert_eq!(code, Some(0), "{error}");
    assert!(text.contains("rpd") && !(text + &error + &gateway.logs()).contains(secret));
}

#[test]
fn explain_says_so_when_nobody_answers() {
    let (_mock, gateway) = start_explained();
    let args = ["--tenant", "a", "--route", "b", "--admin", "http://127.0.0.1:1"];
    let (code, _, error) = explain_at(&gateway, &args);
    assert_eq!(code, Some(1));
    assert!(error.contains("is the gateway running"), "{error}");
}

#[test]
fn explain_asks_for_the_admin_address_where_somebody_else_answers() {
    let (mock, gateway) = start_explained();
    for other in [gateway.http, mock.address] {
        let admin = format!("http://{other}");
        let args = ["--tenant", "acme", "--route", "chat", "--admin", &admin];
        let (code, _, error) = explain_at(&gateway, &args);
        assert!(code == Some(1) && error.contains("is this the gateway's `admin.address`"), "{error}");
    }
}

#[test]
fn a_shadow_is_in_the_metrics_and_goes_with_its_limit() {
    let (_mock, gateway) = start_explained();
    let ghost = [r#"kind="plan""#, r#"of="gold""#, r#"per="tenant""#, r#"limit="ghost""#, r#"unit="tokens""#];
    let value = |name: &str| metric(&gateway, name, &ghost);
    assert_eq!(value("gateway_limit_would_refuse_total").as_deref(), Some("0"));
    (0..3).for_each(|_| ask(&gateway));
    assert_eq!(value("gateway_limit_would_refuse_total").as_deref(), Some("2"), "the first had room");
    assert_eq!(value("gateway_limit_refused_total").as_deref(), Some("0"), "a shadow refuses nobody");
    let debt: u64 = value("gateway_limit_debt").and_then(|debt| debt.parse().ok()).expect("a whole number");
    assert!((40..100).contains(&debt), "100 and a prompt of an hour's 60: {debt}");
    let daily = metric(&gateway, "gateway_limit_used", &[r#"limit="daily""#]);
    assert_eq!(daily, Some(spent(&gateway, "daily").to_string()));
    let monthly = metric(&gateway, "gateway_limit_used", &[r#"limit="monthly""#, r#"unit="money""#]);
    assert!(monthly.is_some_and(|money| money.starts_with("0.006")), "300 completion tokens and the prompts");

    let gone: String =
        POLICY.lines().filter(|line| !line.contains("ghost")).map(|line| format!("{line}\n")).collect();
    gateway.write_policy(&gone);
    eventually("it takes effect", secs(5), || {
        (gateway.admin("/policy").json()["version"] == 2).then_some(())
    });
    assert!(!gateway.admin("/metrics").text().contains("ghost"), "gone from policy, gone from the page");
    let rpd = metric(&gateway, "gateway_limit_used", &[r#"limit="rpd""#]);
    assert_eq!(rpd.as_deref(), Some("3"), "what stays goes on");
}

#[test]
fn budgets_have_a_forecast_in_their_own_unit() {
    let (_mock, gateway) = start_explained();
    let budgets = || -> Vec<Value> {
        let page = gateway.admin("/forecast?tenant=acme").json();
        page["budgets"].as_array().unwrap_or_else(|| panic!("no budgets: {page}")).clone()
    };
    let idle = budgets();
    let names: Vec<&str> = idle.iter().filter_map(|budget| budget["limit"].as_str()).collect();
    assert_eq!(names, ["daily", "monthly"], "buckets are no budgets");
    assert_eq!((&idle[0]["used"], &idle[0]["last_hour"]["spent_at"]), (&0.into(), &Value::Null));
    (0..3).for_each(|_| ask(&gateway));
    let busy = budgets();
    let used = busy[0]["used"].as_u64().expect("a count");
    assert!(used >= 300 && busy[0]["most"] == 1_000_000, "{busy:?}");
    assert!(
        busy[0]["begins"].as_str().is_some_and(|time| time.ends_with("T16:00:00Z")),
        "midnight in Shanghai"
    );
    let per_hour = busy[0]["last_hour"]["per_hour"].as_u64().expect("a count");
    assert!((used * 50..=used * 62).contains(&per_hour), "{used} in the program's first minute: {per_hour}");
    assert!(
        busy[1]["last_hour"]["per_hour"].as_str().is_some_and(|money| money.ends_with(" CNY")),
        "{busy:?}"
    );
}
