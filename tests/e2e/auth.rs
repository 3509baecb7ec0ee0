//! Who calls: every kind of credential, and what must not pass for one.

use crate::support::*;
use harness::gateway::{BATCH_APP_CODE, CHAT_API_KEY};
use harness::sign::{Keys, sha256_hex};
use harness::{Conn, Gateway, Request, Response};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU32, Ordering};

/// A Pangu chat that no other test request equals: identical ones signed in one second are replays.
fn pangu() -> Request {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    Request::post(PANGU_CHAT, format!(r#"{{"messages":[{{"role":"user","content":"hello {serial}"}}]}}"#))
}

fn refused(answer: &Response, code: &str) {
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(answer.json()["error_code"], code, "{}", answer.text());
}

#[test]
fn each_kind_of_credential_names_its_caller() {
    let (mock, gateway) = start();
    for (request, what) in [
        (ALICE.sign(pangu()), "AK/SK"),
        (pangu().header("X-Apig-AppCode", BATCH_APP_CODE), "AppCode"),
        (keyed_chat(), "API key"),
    ] {
        assert_eq!(request.send(gateway.http).status, 200, "{what}");
        assert_eq!(mock.last(1)[0].values("x-tenant"), ["acme"], "{what}");
    }
}

#[test]
fn no_credential_a_wrong_one_and_one_of_another_kind_are_refused() {
    let (mock, gateway) = start();
    let wrong = Keys { access_key: "AKACMEALICE", secret_key: "not-alices" };
    refused(&pangu().send(gateway.http), "APIG.0301");
    refused(&wrong.sign(pangu()).send(gateway.http), "APIG.0301");
    refused(&pangu().header("X-Apig-AppCode", "wrong").send(gateway.http), "APIG.0303");
    refused(&bearer(chat(), "wrong").send(gateway.http), "APIG.0303");
    assert_eq!(bearer(pangu(), CHAT_API_KEY).send(gateway.http).status, 401, "the route takes no API keys");
    assert_eq!(mock.requests(), 0);
}

#[test]
fn an_unknown_key_and_a_wrong_signature_look_alike() {
    let (_mock, gateway) = start();
    let answer = |access_key| {
        let keys = Keys { access_key, secret_key: "not-alices" };
        let answer = keys.sign(pangu()).send(gateway.http);
        let id = answer.header("x-request-id").expect("an id").to_owned();
        let headers: Vec<&str> = answer.headers.iter().map(|(name, _)| name.as_str()).collect();
        (answer.status, answer.text().replace(&id, "ID"), headers.join(","))
    };
    assert_eq!(answer("AKACMEALICE"), answer("AKNOBODYSKEY"));
}

#[test]
fn a_flipped_byte_of_the_body_completes_nothing_upstream() {
    let (mock, gateway) = start();
    let mut bytes = ALICE.sign(pangu()).to_bytes();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let mut conn = Conn::open(gateway.http);
    conn.send(bytes);
    refused(&conn.response().expect("an answer"), "APIG.0301");
    assert_eq!(mock.whole(), 0);
}

#[test]
fn a_stated_digest_is_compared_with_the_body() {
    let (mock, gateway) = start();
    let stated = pangu();
    let right = sha256_hex(stated.body());
    assert_eq!(ALICE.sign(stated.header("x-sdk-content-sha256", right)).send(gateway.http).status, 200);

    let lies = pangu().header("x-sdk-content-sha256", sha256_hex(b"another body"));
    refused(&ALICE.sign(lies).send(gateway.http), "APIG.0301");
    assert_eq!(mock.whole(), 1);
}

#[test]
fn a_body_left_out_of_the_signature_needs_the_routes_permission() {
    let unsigned = || ALICE.sign(pangu().header("x-sdk-content-sha256", "UNSIGNED-PAYLOAD"));
    let (_mock, gateway) = start();
    refused(&unsigned().send(gateway.http), "APIG.0301");

    let policy =
        harness::gateway::BASE.replace("api: pangu\n", "api: pangu\n    signing: {unsigned_payload: true}\n");
    let (_mock, gateway) = start_with(&policy);
    assert_eq!(unsigned().send(gateway.http).status, 200);
}

#[test]
fn what_the_gateway_acts_on_must_be_signed() {
    let (mock, gateway) = start();
    let digest = |request: Request| {
        let digest = sha256_hex(request.body());
        request.header("x-sdk-content-sha256", digest)
    };
    for (request, signed) in [
        (pangu(), &["host"][..]),
        (digest(pangu()), &["host", "x-sdk-date"][..]),
        (pangu().header("x-security-token", "t"), &["host", "x-sdk-date"][..]),
    ] {
        refused(&ALICE.sign_only(request, signed).send(gateway.http), "APIG.0301");
    }
    assert_eq!(mock.requests(), 0);
    let only_the_date = ALICE.sign_only(pangu(), &["x-sdk-date"]);
    assert_eq!(only_the_date.send(gateway.http).status, 200, "what the Go SDK signs");
}

#[test]
fn duplicates_of_signed_headers_are_refused() {
    let (mock, gateway) = start();
    let signed = ALICE.sign(pangu());
    let date = harness::clock::sdk_date();
    for (name, value) in [("x-sdk-date", date.as_str()), ("authorization", "Bearer x")] {
        let status = signed.clone().header(name, value).send(gateway.http).status;
        assert!(matches!(status, 400 | 401), "two of {name}: {status}");
    }
    assert_eq!(mock.requests(), 0);
}

#[test]
fn an_old_and_a_future_date_are_refused() {
    let (_mock, gateway) = start();
    for date in ["20200101T000000Z", "20990101T000000Z", "yesterday", "20240115T083000"] {
        refused(&ALICE.sign(pangu().header("x-sdk-date", date)).send(gateway.http), "APIG.0301");
    }
}

#[test]
fn of_many_concurrent_copies_exactly_one_is_accepted() {
    let (mock, gateway) = start();
    let bytes = ALICE.sign(pangu()).to_bytes();
    let accepted = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                let mut conn = Conn::open(gateway.http);
                for _ in 0..50 {
                    conn.send(&bytes);
                    match conn.response().map(|answer| answer.status) {
                        Some(200) => drop(accepted.fetch_add(1, Ordering::Relaxed)),
                        Some(_) => {}
                        None => conn = Conn::open(gateway.http),
                    }
                }
            });
        }
    });
    assert_eq!(accepted.into_inner(), 1, "of 1,000 copies");
    assert_eq!(mock.requests(), 1);
}

#[test]
fn a_replay_passes_where_the_route_allows_it() {
    let policy = harness::gateway::BASE.replace("api: pangu\n", "api: pangu\n    signing: {replay: allow}\n");
    let (_mock, gateway) = start_with(&policy);
    let request = ALICE.sign(pangu());
    for _ in 0..3 {
        assert_eq!(request.send(gateway.http).status, 200);
    }
}

#[test]
fn a_replay_after_a_reload_is_still_one() {
    let (_mock, gateway) = start();
    let request = ALICE.sign(pangu());
    assert_eq!(request.send(gateway.http).status, 200);
    gateway.write_policy(&harness::gateway::BASE.replace("100000/s", "99999/s"));
    std::thread::sleep(ms(500)); // the reload
    refused(&request.send(gateway.http), "APIG.0301");
}

fn status_from(last: u8, gateway: &Gateway, request: &Request) -> u16 {
    let local = IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
    let mut conn = Conn::open_from(local, gateway.http).expect("the kernel accepts");
    conn.send(request.to_bytes());
    conn.response().expect("an answer").status
}

#[test]
fn repeated_failures_lock_the_guesser_out_and_nobody_else() {
    let (_mock, gateway) = start();
    let wrong = Keys { access_key: "AKACMEALICE", secret_key: "not-alices" };
    for _ in 0..10 {
        assert_eq!(status_from(2, &gateway, &wrong.sign(pangu())), 401);
    }
    assert_eq!(status_from(2, &gateway, &ALICE.sign(pangu())), 401, "locked: this key from this address");
    assert_eq!(status_from(3, &gateway, &ALICE.sign(pangu())), 200, "alice herself, elsewhere");
    let app_code = pangu().header("X-Apig-AppCode", BATCH_APP_CODE);
    assert_eq!(status_from(2, &gateway, &app_code), 200, "another credential from the same address");
}

#[test]
fn algorithms_that_are_not_offered_say_so() {
    let (_mock, gateway) = start();
    for (algorithm, advice) in [
        ("SDK-ECDSA-P256-SHA256", "SDK-HMAC-SHA256"),
        ("SDK-SM2-SM3", "SDK-HMAC-SHA256"),
        ("AWS4-HMAC-SHA256", "AK/SK signature"),
    ] {
        let value = format!("{algorithm} Access=AKACMEALICE, SignedHeaders=host;x-sdk-date, Signature=00");
        let date = harness::clock::sdk_date();
        let request = pangu().header("x-sdk-date", date).header("authorization", value);
        let answer = request.send(gateway.http);
        assert_eq!(answer.status, 401, "{algorithm}");
        assert!(answer.text().contains(advice), "says what would work: {}", answer.text());
    }
}
