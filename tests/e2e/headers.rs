//! Headers: what is ours is only ours, what is hop-by-hop ends here, the rest passes.

use crate::support::*;
use harness::gateway::{BATCH_APP_CODE, CHAT_API_KEY};

#[test]
fn a_tenant_cannot_be_spoofed_in_any_spelling() {
    let (mock, gateway) = start();
    let spoofs: &[&[(&str, &str)]] = &[
        &[("X-Tenant", "evil")],
        &[("x-tenant", "evil"), ("X-TENANT", "evil too")],
        &[("x_tenant", "evil")],
        &[("X_Tenant", "evil"), ("x-tenant", "evil")],
        &[("connection", "x-tenant")],
        &[("connection", "close, X-Tenant"), ("x-tenant", "evil")],
        &[("connection", "x_tenant"), ("x_tenant", "evil")],
    ];
    for spoof in spoofs {
        let request = spoof.iter().fold(keyed_chat(), |request, (name, value)| request.header(name, *value));
        let answer = request.send(gateway.http);
        assert_eq!(answer.status, 200, "{spoof:?}");
        let seen = &mock.last(1)[0];
        assert_eq!(seen.values("x-tenant"), ["acme"], "{spoof:?}");
        assert!(seen.values("x_tenant").is_empty(), "{spoof:?}");
    }
}

#[test]
fn credentials_end_at_the_gateway() {
    let (mock, gateway) = start();
    keyed_chat().send(gateway.http);
    chat().header("x-apig-appcode", BATCH_APP_CODE).send(gateway.http);
    ALICE.sign(chat()).send(gateway.http);
    for seen in mock.last(3) {
        for name in ["authorization", "x-apig-appcode", "x-sdk-date", "x-security-token"] {
            assert!(seen.values(name).is_empty(), "{name} went upstream: {seen:?}");
        }
        let all = format!("{seen:?}");
        assert!(!all.contains(CHAT_API_KEY) && !all.contains(BATCH_APP_CODE), "{all}");
    }
}

#[test]
fn hop_by_hop_headers_end_here() {
    let (mock, gateway) = start();
    let answer = keyed_chat()
        .header("connection", "keep-alive, x-hop")
        .header("x-hop", "1")
        .header("keep-alive", "timeout=5")
        .header("proxy-authorization", "Basic eDp5")
        .header("proxy-connection", "keep-alive")
        .header("te", "trailers")
        .header("x-end-to-end", "1")
        .send(gateway.http);
    assert_eq!(answer.status, 200);
    let seen = &mock.last(1)[0];
    for name in ["x-hop", "keep-alive", "proxy-authorization", "proxy-connection", "te", "upgrade"] {
        assert!(seen.values(name).is_empty(), "{name} went on: {seen:?}");
    }
    assert_eq!(seen.values("x-end-to-end"), ["1"]);
    assert_eq!(seen.values("content-type"), ["application/json"]);
}

#[test]
fn connection_cannot_take_away_what_the_gateway_adds() {
    let (mock, gateway) = start();
    let request =
        keyed_chat().header("connection", "host, content-length, content-type, x-request-id, x-tenant");
    let status = request.send(gateway.http).status;
    assert!(matches!(status, 200 | 400), "{status}");
    if status == 200 {
        let seen = &mock.last(1)[0];
        assert_eq!(seen.values("host").len(), 1, "{seen:?}");
        assert_eq!(seen.values("x-request-id").len(), 1, "{seen:?}");
        assert_eq!(seen.values("x-tenant"), ["acme"]);
    }
}

#[test]
fn the_upstream_learns_the_request_id_the_caller_gets() {
    let (mock, gateway) = start();
    let answer = keyed_chat().header("x-request-id", "of-the-callers-making").send(gateway.http);
    let id = answer.header("x-request-id").expect("an id");
    assert_ne!(id, "of-the-callers-making", "a caller does not choose it");
    assert_eq!(mock.last(1)[0].values("x-request-id"), [id]);
}
