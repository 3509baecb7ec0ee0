//! The operators' listener, and that callers cannot reach what is on it.

use crate::support::*;
use harness::{Request, eventually};

#[test]
fn health_metrics_and_policy_are_on_the_admin_listener() {
    let (_mock, gateway) = start();
    assert_eq!(gateway.admin("/livez").status, 200);
    assert_eq!(gateway.admin("/readyz").status, 200);
    let metrics = gateway.admin("/metrics");
    assert_eq!(metrics.status, 200);
    assert!(metrics.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
    let policy = gateway.admin("/policy");
    assert_eq!(policy.status, 200);
    assert_eq!(policy.json()["version"], 1, "{}", policy.text());
    assert_eq!(gateway.admin("/nothing").status, 404);
}

#[test]
fn callers_reach_no_admin_path() {
    let (mock, gateway) = start();
    for path in ["/livez", "/readyz", "/metrics", "/policy", "/admin", "/debug", "/"] {
        assert_eq!(Request::get(path).send(gateway.http).status, 404, "{path}");
    }
    assert_eq!(mock.requests(), 0);
}

#[test]
fn metrics_count_what_happened() {
    let (_mock, gateway) = start();
    for _ in 0..3 {
        assert_eq!(keyed_chat().send(gateway.http).status, 200);
    }
    bearer(chat(), "wrong").send(gateway.http);
    Request::get("/nowhere").send(gateway.http);

    let value = |start: &str, parts: &[&str]| -> f64 {
        let text = gateway.admin("/metrics").text();
        let lines = text.lines().filter(|line| line.starts_with(start));
        lines
            .filter(|line| parts.iter().all(|part| line.contains(part)))
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    };
    eventually("three answers are counted", secs(2), || {
        let count = value("gateway_request_duration_seconds_count", &[r#"route="openai-chat""#, r#"2xx""#]);
        (count >= 3.0).then_some(())
    });
    eventually("two refusals are counted", secs(2), || {
        (value("gateway_rejects_total", &[]) >= 2.0).then_some(())
    });
}

#[test]
fn metrics_have_names_for_routes_only() {
    let (_mock, gateway) = start();
    let lines = || gateway.admin("/metrics").text().lines().count();
    Request::get("/warm/up").send(gateway.http);
    bearer(chat(), "wrong").send(gateway.http);
    let before = lines();
    for i in 0..300 {
        Request::get(&format!("/scan/{i}")).header("host", format!("h{i}.test")).send(gateway.http);
        bearer(chat(), &format!("guess-{i}")).send(gateway.http);
        harness::Request::new(&format!("M{i}"), "/open/a").send(gateway.http);
    }
    assert!(lines() <= before + 40, "{} lines grew from {before}: a caller can make series", lines());
}
