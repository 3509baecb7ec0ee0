//! What is counted of a tenant's calls: a failure is one, whatever the HTTP status says.

use super::*;
use harness::eventually;

const KEYED: &str = r#"
pools:
  - {name: models, protocol: h2, backends: [{url: "http://127.0.0.1:9100"}]}
  - {name: nobody, protocol: h2, backends: [{url: "http://127.0.0.1:1"}]}
plans:
  wide: [{name: rps, per: tenant, requests: 10000/s}]
tenants:
  - name: acme
    plan: wide
    users: [{name: chat, api_key: {env: CHAT_API_KEY}}]
routes:
  - name: calls
    match: {path: "/{service}/{method}"}
    api: grpc
    auth: [api_key]
    pool: models
    limits: [{name: calls, per: tenant+route, requests: 7/h}]
  - name: gone
    match: {path: "/mock.Echo/Gone"}
    api: grpc
    auth: [api_key]
    pool: nobody
"#;

/// The `grpc-status` that a call of the tenant's ends with.
fn told(http2: &mut Http2, path: &str, fault: Option<&str>) -> String {
    let keyed = call(path).header("authorization", format!("Bearer {CHAT_API_KEY}"));
    let keyed = fault.into_iter().fold(keyed, |call, fault| call.header("x-mock-fault", fault));
    status(http2, keyed.body(sized("")).expect("a request")).0.expect("every call has one")
}

#[test]
fn calls_that_fail_are_failures_of_their_tenant_and_those_that_go_well_are_not() {
    let mock = Mock::start();
    let authority = Authority::new();
    let setup = Setup::new(&mock).https().policy(KEYED);
    authority.issue("one", &["gateway.test"]).write(&setup.certs(), "default");
    let gateway = setup.start();
    let mut http2 = Http2::open(gateway.https, &authority, "gateway.test");
    for (path, fault, wanted) in [
        ("/mock.Echo/Say", None, "0"),
        ("/mock.Count/3", None, "0"),
        ("/mock.Status/13", None, "13"), // in trailers
        ("/mock.Refuse/14", None, "14"), // in the head
        ("/mock.Status/5", None, "5"),
        ("/mock.Count/6", Some("reset-mid"), "14"), // broke off
        ("/mock.Status/8", None, "8"),
        ("/mock.Echo/Say", None, "8"),   // refused: the limit is used up
        ("/mock.Echo/Gone", None, "14"), // refused: nobody to ask
    ] {
        assert_eq!(told(&mut http2, path, fault), wanted, "{path}");
    }
    let page = eventually("all have ended", secs(5), || {
        let page = gateway.admin("/metrics").text();
        page.contains(r#"gateway_tenant_request_duration_seconds_count{route="calls",tenant="acme"} 8"#)
            .then_some(page)
    });
    for series in [
        r#"gateway_tenant_requests_total{route="calls",tenant="acme",status_class="2xx"} 2"#,
        r#"gateway_tenant_requests_total{route="calls",tenant="acme",status_class="4xx"} 3"#,
        r#"gateway_tenant_requests_total{route="calls",tenant="acme",status_class="5xx"} 3"#,
        r#"gateway_tenant_failures_total{route="calls",tenant="acme"} 3"#,
        r#"gateway_tenant_requests_total{route="gone",tenant="acme",status_class="5xx"} 1"#,
        r#"gateway_tenant_failures_total{route="gone",tenant="acme"} 1"#,
        r#"gateway_request_duration_seconds_count{route="calls",status_class="5xx"} 3"#,
        r#"gateway_grpc_calls_total{route="calls",grpc_status="0"} 2"#,
        r#"gateway_grpc_calls_total{route="calls",grpc_status="8"} 2"#,
        r#"gateway_grpc_calls_total{route="calls",grpc_status="13"} 1"#,
        r#"gateway_grpc_calls_total{route="calls",grpc_status="14"} 2"#,
        r#"gateway_grpc_calls_total{route="gone",grpc_status="14"} 1"#,
        r#"gateway_rejects_total{route="calls",reason="limited"} 1"#,
    ] {
        assert!(page.lines().any(|line| line == series), "no {series} in\n{page}");
    }
}
