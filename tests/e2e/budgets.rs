//! Budgets outlive the gateway: whatever ends it, what was spent stays spent.

use crate::support::*;
use harness::gateway::{BASE, BATCH_APP_CODE};
use harness::{Conn, Gateway, Mock, Request, Setup, eventually, now};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What a kill may cost.
const SAVED: std::time::Duration = std::time::Duration::from_millis(1000);

/// Where it is long until midnight and to the end of the month.
fn zone() -> &'static str {
    let hour: u8 = jiff::Timestamp::now().strftime("%H").to_string().parse().expect("digits");
    if hour < 20 { "UTC" } else { "Asia/Shanghai" }
}

/// The base policy with prices, and with budgets in the plan, at the route and at model `m`.
fn policy(plan: &str, route: &str, model: &str) -> String {
    let policy = BASE
        .replace("requests: 100000/s}\n\ntenants:", &format!("requests: 100000/s}}\n{plan}\ntenants:"))
        .replace(
            "{name: openai-rps, per: route, requests: 100000/s}",
            &format!("{{name: openai-rps, per: route, requests: 100000/s}}{route}"),
        )
        + &format!(
            "models:\n  - name: m\n    price: {{prompt: 1, completion: 1, per: 1k, currency: CNY}}\n    \
             limits: [{{name: wide, per: model, requests: 100000/s}}{model}]\n"
        );
    policy.replace("ZONE", zone())
}

/// Budgets at every level that can have one, none of which is ever spent.
fn every_level() -> String {
    policy(
        "    - {name: daily, per: tenant, tokens: 50k/day, timezone: ZONE}
    - {name: monthly, per: tenant, tokens: 50k/month, counts: completion, timezone: ZONE}
    - {name: money, per: tenant, budget: \"100 CNY/day\", timezone: ZONE}
    - {name: of-user, per: user, tokens: 50k/day, timezone: ZONE}
    - {name: of-route, per: tenant+route, tokens: 50k/day, timezone: ZONE}
    - {name: of-model, per: tenant+model, tokens: 50k/day, timezone: ZONE}
",
        ", {name: at-route, per: tenant+route, tokens: 50k/day, timezone: ZONE}",
        ", {name: at-model, per: tenant+model, tokens: 50k/day, timezone: ZONE}",
    )
}

fn setup(mock: &Mock, policy: &str, state: &Path) -> Setup {
    Setup::new(mock).policy(policy).set("state_dir", &state.display().to_string())
}

fn spend(tokens: u32) -> Request {
    keyed_chat().header("x-mock-tokens", tokens.to_string())
}

/// The same by another user of the same tenant.
fn spend_by_batch(tokens: u32) -> Request {
    chat().header("x-apig-appcode", BATCH_APP_CODE).header("x-mock-tokens", tokens.to_string())
}

/// What is spent of each budget of the tenant, once nothing is held.
fn spent(gateway: &Gateway) -> BTreeMap<String, u64> {
    eventually("every request is settled", secs(2), || {
        let answer = gateway.admin("/limits?tenant=acme").json();
        let limits = answer["limits"].as_array().expect("a list");
        let settled = limits.iter().all(|limit| amount(&limit["held"]) == 0);
        settled.then(|| limits.iter().filter(|limit| is_budget(limit)).map(named).collect())
    })
}

fn is_budget(limit: &Value) -> bool {
    limit["window_ms"].as_u64() >= Some(86_400_000)
}

fn named(limit: &Value) -> (String, u64) {
    let words = ["limit", "per", "user", "route", "model"].map(|word| limit[word].as_str().unwrap_or("-"));
    (words.join(" "), amount(&limit["used"]))
}

fn metric(gateway: &Gateway, name: &str) -> f64 {
    let text = gateway.admin("/metrics").text();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}"));
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
}

/// How many seconds ago all that was spent was on the disk.
fn age(gateway: &Gateway) -> f64 {
    metric(gateway, "gateway_state_save_age_seconds")
}

/// Waits until all that is spent now is on the disk. A second would do, but for the disk of a busy machine.
fn saved(gateway: &Gateway) {
    let start = now();
    eventually("a save", secs(5), || {
        let waited = start.elapsed().as_secs_f64(); // before it is asked: the answer takes its time
        (age(gateway) < waited).then_some(())
    });
}

fn kill(gateway: &mut Gateway) {
    gateway.process.signal("KILL");
    gateway.process.wait(secs(2)).expect("nothing survives SIGKILL");
}

fn end(gateway: &mut Gateway) {
    gateway.process.signal("TERM");
    let status = gateway.process.wait(secs(5)).expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", gateway.process.stderr());
}

#[test]
fn what_was_spent_at_every_level_survives_a_kill() {
    let (mock, state) = (Mock::start(), tempfile::tempdir().expect("a temporary directory"));
    let mut gateway = setup(&mock, &every_level(), state.path()).start();
    for tokens in [30, 40, 50] {
        assert_eq!(spend(tokens).send(gateway.http).status, 200);
    }
    assert_eq!(spend_by_batch(7).send(gateway.http).status, 200);
    let before = spent(&gateway);
    assert_eq!(before["monthly tenant - - -"], 127, "{before:?}");
    assert_eq!(
        before.len(),
        10,
        "six in the plan, one at the route, one at the model, three users: {before:?}"
    );
    saved(&gateway);
    kill(&mut gateway);

    let mut gateway = setup(&mock, &every_level(), state.path()).start();
    assert_eq!(spent(&gateway), before);
    assert_eq!(spend(1).send(gateway.http).status, 200);
    let more = spent(&gateway);
    assert_eq!(more["monthly tenant - - -"], 128, "it counts on from there: {more:?}");
    saved(&gateway);
    kill(&mut gateway);
    assert_eq!(spent(&setup(&mock, &every_level(), state.path()).start()), more, "and again");
}

#[test]
fn a_budget_that_is_spent_still_refuses_after_a_kill() {
    let mock = Mock::start();
    for (level, plan, route, model) in [
        ("tenant", "    - {name: small, per: tenant, tokens: 20/day, timezone: ZONE}\n", "", ""),
        ("user", "    - {name: small, per: user, tokens: 20/month, timezone: ZONE}\n", "", ""),
        ("money", "    - {name: small, per: tenant, budget: \"0.01 CNY/day\", timezone: ZONE}\n", "", ""),
        ("tenant+route", "    - {name: small, per: tenant+route, tokens: 20/day, timezone: ZONE}\n", "", ""),
        ("tenant+model", "    - {name: small, per: tenant+model, tokens: 20/day, timezone: ZONE}\n", "", ""),
        ("route", "", ", {name: small, per: route, tokens: 20/day, timezone: ZONE}", ""),
        (
            "tenant+route, at the route",
            "",
            ", {name: small, per: tenant+route, tokens: 20/day, timezone: ZONE}",
            "",
        ),
        ("model", "", "", ", {name: small, per: model, tokens: 20/day, timezone: ZONE}"),
        (
            "tenant+model, at the model",
            "",
            "",
            ", {name: small, per: tenant+model, tokens: 20/day, timezone: ZONE}",
        ),
    ] {
        let state = tempfile::tempdir().expect("a temporary directory");
        let policy = policy(plan, route, model);
        let mut gateway = setup(&mock, &policy, state.path()).start();
        assert_eq!(spend(60).send(gateway.http).status, 200, "{level}: an idle budget lets one through");
        let refused = |gateway: &Gateway| {
            spent(gateway);
            let answer = spend(1).send(gateway.http);
            assert_eq!(answer.status, 429, "{level}: {}", answer.text());
            assert!(answer.text().contains("insufficient_quota"), "{level}: {}", answer.text());
        };
        refused(&gateway);
        saved(&gateway);
        kill(&mut gateway);

        let gateway = setup(&mock, &policy, state.path()).start();
        refused(&gateway);
        if level == "user" {
            assert_eq!(spend_by_batch(1).send(gateway.http).status, 200, "another user's is another budget");
        }
    }
}

#[test]
fn a_kill_at_any_moment_loses_at_most_the_last_second() {
    let (mock, state) = (Mock::start(), tempfile::tempdir().expect("a temporary directory"));
    let daily = policy(
        "    - {name: daily, per: tenant, tokens: 1M/day, counts: completion, timezone: ZONE}\n",
        "",
        "",
    );
    let mut total = 0;
    for round in 0..4 {
        let mut gateway = setup(&mock, &daily, state.path()).start();
        let begun_with = spent(&gateway)["daily tenant - - -"];
        let (start, mut charged) = (now(), Vec::new());
        while start.elapsed() < ms(1400 + 130 * round) {
            assert_eq!(spend(3).send(gateway.http).status, 200);
            charged.push(now());
        }
        kill(&mut gateway);
        let killed = now();

        let gateway = setup(&mock, &daily, state.path()).start();
        let kept = spent(&gateway)["daily tenant - - -"] - begun_with;
        let all = 3 * charged.len() as u64;
        let sure = 3 * charged.iter().filter(|at| killed - **at > SAVED).count() as u64;
        println!("{all} charged, {sure} of them more than a second before the kill, {kept} kept");
        assert!(sure > 0 && (sure..=all).contains(&kept), "{kept} of {all}, at least {sure}");
        total += kept;
        assert_eq!(begun_with + kept, total, "nothing is counted twice");
    }
}

#[test]
fn a_graceful_end_loses_nothing() {
    let (mock, state) = (Mock::start(), tempfile::tempdir().expect("a temporary directory"));
    let mut gateway = setup(&mock, &every_level(), state.path()).start();
    assert_eq!(spend(30).send(gateway.http).status, 200);
    let mut stream = Conn::open(gateway.http);
    stream.send(keyed_stream(12, ms(100)).to_bytes());
    stream.head().expect("the stream starts");
    gateway.process.signal("TERM");
    let answer = stream.chunk().into_iter().chain(std::iter::from_fn(|| stream.chunk()));
    assert!(answer.take_while(|chunk| !chunk.is_empty()).count() > 5, "it drains");
    assert!(gateway.process.wait(secs(5)).is_some(), "it ends");

    let mut gateway = setup(&mock, &every_level(), state.path()).start();
    assert_eq!(spent(&gateway)["monthly tenant - - -"], 42, "with what was spent while it drained");
    assert_eq!(spend(8).send(gateway.http).status, 200);
    end(&mut gateway);
    let gateway = setup(&mock, &every_level(), state.path()).start();
    assert_eq!(spent(&gateway)["monthly tenant - - -"], 50, "with what was spent just before");
}

/// A disk that takes no more is played by a bound on the size of files, set and lifted from outside.
#[test]
fn what_a_full_disk_does_not_take_is_saved_when_it_has_room_again() {
    let (mock, state) = (Mock::start(), tempfile::tempdir().expect("a temporary directory"));
    let program = harness::process::binary("pangu-gateway");
    // Without the signal that comes with a file too large, as with a full disk.
    let ignoring = ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"].map(Into::into);
    let launcher = ignoring.into_iter().chain([program.into_os_string()]).collect();
    let mut gateway = setup(&mock, &every_level(), state.path()).launcher(launcher).start();
    let bound = |gateway: &Gateway, bytes: &str| {
        let (pid, size) = (gateway.process.pid().to_string(), format!("--fsize={bytes}:unlimited"));
        let status = Command::new("prlimit").args(["--pid", &pid, &size]).status().expect("util-linux");
        assert!(status.success(), "prlimit {size}");
    };
    let failures = |gateway: &Gateway| metric(gateway, "gateway_state_save_failures_total");
    assert_eq!(spend(10).send(gateway.http).status, 200);
    saved(&gateway);
    assert!(failures(&gateway) == 0.0 && age(&gateway) < 1.0, "{} {}", failures(&gateway), age(&gateway));

    bound(&gateway, "8192");
    assert_eq!(spend(20).send(gateway.http).status, 200, "callers do not notice");
    eventually("saves fail", secs(3), || (failures(&gateway) >= 3.0).then_some(()));
    assert!(age(&gateway) > 1.0, "{}", age(&gateway));
    assert_eq!(spend(30).send(gateway.http).status, 200);
    let said = gateway.process.stderr();
    assert!(said.contains("budgets could not be saved") && said.contains("is the disk full"), "{said}");
    bound(&gateway, "unlimited");
    eventually("a save succeeds", secs(3), || (age(&gateway) < 1.0).then_some(()));
    let before = spent(&gateway);
    kill(&mut gateway);

    let gateway = setup(&mock, &every_level(), state.path()).start();
    assert_eq!(spent(&gateway), before);
    assert_eq!(before["monthly tenant - - -"], 60);
}

#[test]
fn a_damaged_state_file_is_refused_and_left_alone() {
    let (mock, state) = (Mock::start(), tempfile::tempdir().expect("a temporary directory"));
    let mut gateway = setup(&mock, &every_level(), state.path()).start();
    assert_eq!(spend(30).send(gateway.http).status, 200);
    end(&mut gateway);
    let file = state.path().join("state.redb");
    let mut bytes = fs::read(&file).expect("it was saved");
    bytes.truncate(bytes.len() / 2);
    fs::write(&file, &bytes).expect("directory is ours");
    refused(setup(&mock, &every_level(), state.path()), &["state.redb is damaged", "move it away"]);
    assert!(fs::read(&file).expect("still there") == bytes, "changed");
}

#[test]
fn two_gateways_do_not_share_a_state_directory() {
    let (mock, state) = (Mock::start(), tempfile::tempdir().expect("a temporary directory"));
    let first = setup(&mock, BASE, state.path()).start();
    let at = state.path().display().to_string();
    refused(setup(&mock, BASE, state.path()), &[&at, "in use by another gateway", "its own state directory"]);
    assert_eq!(first.admin("/readyz").status, 200, "the first one serves on");
}

#[test]
fn a_state_directory_that_cannot_be_made_is_named() {
    let (mock, state) = (Mock::start(), tempfile::NamedTempFile::new().expect("a temporary file"));
    let below_a_file = state.path().join("state");
    refused(
        setup(&mock, BASE, &below_a_file),
        &["cannot use the state directory", &below_a_file.display().to_string()],
    );
}

/// Exit code 1 within 2 s, with these words.
fn refused(setup: Setup, words: &[&str]) {
    let (status, said) = setup.start_and_fail(secs(2));
    assert_eq!(status.and_then(|status| status.code()), Some(1), "{said}");
    for word in words {
        assert!(said.contains(word), "no word of `{word}` in:\n{said}");
    }
}

#[test]
fn budgets_in_memory_only_are_warned_of() {
    let mock = Mock::start();
    let warned = |gateway: &Gateway| gateway.process.stderr().contains("set `state_dir`");
    let gateway = Setup::new(&mock).policy(BASE).start();
    assert!(!warned(&gateway), "no budgets, no warning: {}", gateway.process.stderr());
    gateway.write_policy(&every_level());
    eventually("the reload warns", secs(3), || warned(&gateway).then_some(()));
    let gateway = Setup::new(&mock).policy(&every_level()).start();
    assert!(warned(&gateway), "{}", gateway.process.stderr());
    let state = tempfile::tempdir().expect("a temporary directory");
    let kept = setup(&mock, &every_level(), state.path()).start();
    assert!(!warned(&kept), "{}", kept.process.stderr());

    let posture = |gateway: &Gateway, settings: bool| {
        let mut command = Command::new(harness::process::binary("pangu-gateway"));
        command.arg("posture").arg(gateway.policies());
        if settings {
            command.arg("--settings").arg(gateway.dir().join("gateway.yaml"));
        }
        let output =
            command.env("ALICE_SK", "a").env("BATCH_APP_CODE", "b").env("CHAT_API_KEY", "c").output();
        String::from_utf8_lossy(&output.expect("it runs").stdout).into_owned()
    };
    let note = "no state directory: budgets";
    assert!(posture(&gateway, true).contains(note), "{}", posture(&gateway, true));
    assert!(posture(&kept, false).contains(note), "without settings nothing is kept");
    let said = posture(&kept, true);
    assert!(!said.contains(note) && said.contains("daily: "), "{said}");
}
