//! What operators read of each tenant: requests, time, time to the first token, failures, tokens.

use crate::support::*;
use harness::gateway::BASE;
use harness::{Gateway, Request, eventually};

/// The value of the series that begins with `name` and has all `labels`; 0 if there is none.
fn value(gateway: &Gateway, name: &str, labels: &[&str]) -> f64 {
    let page = gateway.admin("/metrics").text();
    let mut series = page.lines().filter(|line| line.starts_with(name));
    let found = series.find(|line| labels.iter().all(|label| line.contains(label)));
    found.map_or(0.0, |line| line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number"))
}

const ON_CHAT: &[&str] = &[r#"route="openai-chat""#, r#"tenant="acme""#];

fn of_acme(gateway: &Gateway, name: &str, more: &[&str]) -> f64 {
    value(gateway, name, &[ON_CHAT, more].concat())
}

#[test]
fn each_tenant_has_its_own_numbers_on_each_route() {
    let (_mock, gateway) = start();
    for _ in 0..3 {
        assert_eq!(keyed_chat().send(gateway.http).status, 200);
    }
    let failed = keyed_chat().header("x-mock-fault", "status:500").send(gateway.http);
    assert_eq!(failed.status, 500);
    let slow = keyed_stream(5, ms(50)).header("x-mock-ttft-ms", "300").send(gateway.http);
    assert_eq!(slow.status, 200);
    bearer(chat(), "of nobody").send(gateway.http);

    eventually("five requests have ended", secs(2), || {
        (of_acme(&gateway, "gateway_tenant_requests_in_flight", &[]) == 0.0
            && of_acme(&gateway, "gateway_tenant_request_duration_seconds_count", &[]) == 5.0)
            .then_some(())
    });
    let of = |name, more: &[&str]| of_acme(&gateway, name, more);
    assert_eq!(of("gateway_tenant_requests_total", &[r#"status_class="2xx""#]), 4.0);
    assert_eq!(of("gateway_tenant_requests_total", &[r#"status_class="5xx""#]), 1.0);
    assert_eq!(of("gateway_tenant_failures_total", &[]), 1.0);
    assert!(of("gateway_tenant_model_tokens_total", &[r#"kind="completion""#]) > 0.0);
    let (first, whole) = (
        of("gateway_tenant_first_token_seconds_sum", &[]),
        of("gateway_tenant_request_duration_seconds_sum", &[]),
    );
    assert!(first >= 0.3, "{first}");
    assert!(whole >= first + 0.15, "four more tokens came after the first: {first} of {whole}");
    let total = gateway.admin("/metrics").text().matches("gateway_tenant_failures_total{").count();
    assert_eq!(total, 1, "who was not let in is nobody's");
}

#[test]
fn an_open_stream_is_in_flight_and_a_reload_forgets_nothing() {
    let (_mock, gateway) = start();
    let stream = keyed_stream(40, ms(50));
    let address = gateway.http;
    let reading = std::thread::spawn(move || stream.send(address).status);
    eventually("the stream is in flight", secs(2), || {
        (of_acme(&gateway, "gateway_tenant_requests_in_flight", &[]) == 1.0).then_some(())
    });
    gateway.write_policy(&BASE.replace("tenant_header: x-tenant", "tenant_header: x-tenant-2"));
    eventually("the reload takes effect", secs(3), || {
        (value(&gateway, "gateway_policy_version", &[]) == 2.0).then_some(())
    });
    assert_eq!(of_acme(&gateway, "gateway_tenant_requests_in_flight", &[]), 1.0);
    assert_eq!(Request::get("/nowhere").send(address).status, 404);
    assert_eq!(reading.join().expect("no panic"), 200);
    eventually("it has ended", secs(2), || {
        (of_acme(&gateway, "gateway_tenant_requests_total", &[r#"status_class="2xx""#]) == 1.0).then_some(())
    });
}
