//! Signatures of the gateway's own, checked by two others: the load tester's, and a second gateway's.

use super::*;
use harness::gateway::ALICE_SK;
use pangu_loadtest::mock::record::Record;
use pangu_loadtest::sign::{Scheme, Signer, Unsigned, sha256_hex};

const SDK: &str = "{ak_sk: {access_key: {env: UP_AK}, secret_key: {env: UP_SK}}}";
const V11: &str = "{ak_sk: {access_key: {env: UP_AK}, secret_key: {env: UP_SK}, algorithm: v11, region: cn-1, \
                   service: pangu}}";
const TEMPORARY: &str = "{ak_sk: {access_key: {env: UP_AK}, secret_key: {env: UP_SK}, project_id: p1, \
                         security_token: {env: UP_TOKEN}}}";
const UNSIGNED: &str =
    "{ak_sk: {access_key: {env: UP_AK}, secret_key: {env: UP_SK}, unsigned_payload: true}}";

/// Signs the request that arrived once more, by what its signature says it covers.
fn signed_again(record: &Record, body: &[u8], scheme: Scheme<'_>) -> String {
    let authorization = record.header("authorization").expect("a signature");
    let (_, listed) = authorization.split_once("SignedHeaders=").expect("a list of headers");
    let listed = listed.split_once(',').expect("a signature behind it").0;
    let headers: Vec<(String, String)> = listed
        .split(';')
        .map(|name| (name.to_owned(), record.header(name).expect("a signed header arrives").to_owned()))
        .collect();
    let url = format!("http://{}{}", record.header("host").expect("one"), record.target);
    let signer = Signer { access_key: SECRETS[0].1, secret_key: SECRETS[1].1, scheme };
    let unsigned = Unsigned { method: &record.method, url: &url, headers: &headers, body, date: "" };
    signer.sign(&unsigned).expect("an absolute url").pop().expect("Authorization").1
}

fn requests() -> Vec<Request> {
    let large: Vec<u8> = (0..3_000_000u32).map(|i| (i % 251) as u8).collect();
    vec![
        Request::get("/open/x"),
        Request::get("/open/x/"),
        Request::get("/open/a%20b/%E6%A8%A1/~c:d@e?z=1&a=%2F&a=2&flag&sp=a%20b&plus=%2B&name=%e4"),
        Request::get("/open/x?n=10&n=9&n=1"),
        Request::post("/open/x", ""),
        Request::post("/open/x", "{\"model\":\"m\"}"),
        Request::new("DELETE", "/open/x"),
        Request::post("/open/x", "two").header("content-type", "text/plain"),
        Request::post("/open/x", "hop").header("connection", "content-type"),
        Request::post("/open/x", large),
    ]
}

#[test]
fn a_signature_covers_what_goes_on_the_wire() {
    let v11 = Scheme::V11 { region: "cn-1", service: "pangu" };
    for (credential, scheme) in
        [(SDK, Scheme::Sdk), (V11, v11), (TEMPORARY, Scheme::Sdk), (UNSIGNED, Scheme::Sdk)]
    {
        let (mock, gateway) = start_showing(credential);
        for request in requests() {
            let case = format!("{credential}, {} {}", request.method(), request.target());
            let status = request.send(gateway.http).status;
            assert!(status < 300, "{status}: {case}");
            let record = &mock.records(1)[0];
            assert_eq!(record.target, format!("/v1/infers{}", request.target()), "{case}");
            assert_eq!(record.body_sha256, sha256_hex(request.body()), "{case}");
            let again = signed_again(record, request.body(), scheme);
            assert_eq!(record.header("authorization"), Some(again.as_str()), "{case}");
            let stated = record.header("x-sdk-content-sha256");
            let unsigned = credential == UNSIGNED && !request.body().is_empty();
            assert_eq!(stated, unsigned.then_some("UNSIGNED-PAYLOAD"), "{case}");
            assert_eq!(record.headers.iter().filter(|(name, _)| name == "x-sdk-date").count(), 1, "{case}");
        }
    }
}

/// A body in chunks whose length nobody knows before its end.
fn send_in_chunks(gateway: &Gateway, body: &[u8]) -> u16 {
    let mut conn = harness::Conn::open(gateway.http);
    conn.send("POST /open/x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    for part in body.chunks(50_000) {
        conn.send([format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat());
    }
    conn.send("0\r\n\r\n");
    conn.response().expect("an answer").status
}

#[test]
fn a_body_in_chunks_is_held_for_its_hash_and_passes_where_that_is_left_out() {
    let body = vec![b'x'; 300_000];
    for (credential, held) in [(SDK, true), (UNSIGNED, false)] {
        let (mock, gateway) = start_showing(credential);
        assert_eq!(send_in_chunks(&gateway, &body), 200);
        let record = &mock.records(1)[0];
        assert_eq!(record.body_sha256, sha256_hex(&body));
        let length = record.header("content-length").map(str::to_owned);
        assert_eq!(length, held.then(|| "300000".to_owned()), "held, its length is known");
        let again = signed_again(record, &body, Scheme::Sdk);
        assert_eq!(record.header("authorization"), Some(again.as_str()));
    }
}

/// The gateway as its own upstream: its verifier wants what the signer makes, and takes no signature twice.
#[test]
fn a_second_gateway_lets_the_first_one_in() {
    let pairs = "{name: temporary, ak_sk: {access_key: AKUPSTREAM, secret_key: {env: UP_SK}, \
                 security_token: {env: UP_TOKEN}}}";
    let behind = policy("none")
        .replace("auth: none", "auth: [ak_sk]")
        .replace(
            "api_key: {env: CHAT_API_KEY}",
            "ak_sk: {access_key: AKACMEALICE, secret_key: {env: ALICE_SK}}",
        )
        .replace("users: [", &format!("users: [{pairs}, "))
        .replace("body_max: 16MiB", "body_max: 16MiB, tenant_header: x-account")
        .replace("/v1/infers", "");
    let behind = behind.replace("path: \"/open/", "path: \"/v1/infers/open/");
    let alice = "access_key: {env: NEXT_AK}, secret_key: {env: NEXT_SK}";
    for (credential, more) in [
        (format!("{{ak_sk: {{{alice}}}}}"), ""),
        (format!("{{ak_sk: {{{alice}, algorithm: v11, region: cn-1, service: pangu}}}}"), ""),
        (TEMPORARY.to_owned(), ""),
        (format!("{{ak_sk: {{{alice}, unsigned_payload: true}}}}"), "signing: {unsigned_payload: true}, "),
    ] {
        let mock = Mock::start();
        let behind = behind.replace("{name: open, ", &format!("{{name: open, {more}"));
        let second = set_up(Setup::new(&mock)).policy(&behind).start();
        let first = set_up(Setup::in_front_of(second.http))
            .env("NEXT_AK", "AKACMEALICE")
            .env("NEXT_SK", ALICE_SK)
            .policy(&policy(&credential))
            .start();
        for request in requests() {
            let case = format!("{credential}, {} {}", request.method(), request.target());
            // The same bytes at the same time are no replay: each has a signature of its own.
            for _ in 0..3 {
                let answer = request.send(first.http);
                assert!(answer.status < 300, "{}: {case}: {}", answer.status, answer.text());
            }
            let record = &mock.records(1)[0];
            assert_eq!(record.body_sha256, sha256_hex(request.body()), "{case}");
            assert_eq!(record.header("x-account"), Some("acme"), "{case}");
        }
    }
}

/// A backend may accept no signature that is older than some minutes, and a first attempt may take as long.
#[test]
fn every_attempt_is_signed_with_its_own_date() {
    let backend = "{url: \"http://127.0.0.1:9100/v1/infers\"}";
    let text = policy(SDK)
        .replace(backend, &format!("{backend}, {}", backend.replace("infers", "infers/second")))
        .replace("auth: none,", "auth: none, retry: {on: [503], attempts: 2},");
    let mock = Mock::start();
    let gateway = set_up(Setup::new(&mock)).policy(&text).start();
    let slow =
        Request::get("/open/x").header("x-mock-latency-ms", "1100").header("x-mock-fault", "status:503");
    assert_eq!(slow.send(gateway.http).status, 503);
    let records = mock.records(2);
    let dates: Vec<_> = records.iter().map(|record| record.header("x-sdk-date").expect("a date")).collect();
    assert!(dates[0] < dates[1], "{dates:?}: the second was sent more than a second later");
    for record in &records {
        let again = signed_again(record, b"", Scheme::Sdk);
        assert_eq!(record.header("authorization"), Some(again.as_str()), "{}", record.target);
    }
}

#[test]
fn every_attempt_is_signed_anew_and_a_fallback_is_shown_its_own() {
    let backend = "{url: \"http://127.0.0.1:9100/v1/infers\"}";
    let text = policy(SDK)
        .replace(backend, &format!("{backend}, {}", backend.replace("infers", "infers/second")))
        .replace(
            "plans:",
            "  - {name: other, backends: [{url: \"http://127.0.0.1:9100/v1/infers/third\"}], \
             credential: {api_key: {env: UP_KEY}}}\nplans:",
        )
        .replace("auth: none,", "auth: none, retry: {on: [503], attempts: 2, fallback: {pool: other}},");
    let mock = Mock::start();
    let gateway = set_up(Setup::new(&mock)).policy(&text).start();
    let request = Request::post("/open/x?b=1&a=2", "{}").header("x-mock-fault", "status:503");
    assert_eq!(request.send(gateway.http).status, 503);
    let records = mock.records(3);
    for record in &records[..2] {
        let again = signed_again(record, b"{}", Scheme::Sdk);
        assert_eq!(record.header("authorization"), Some(again.as_str()), "{}", record.target);
    }
    assert_ne!(records[0].target, records[1].target);
    assert_ne!(records[0].header("x-nonce"), records[1].header("x-nonce"));
    let third = &records[2];
    assert_eq!(third.target, "/v1/infers/third/open/x?b=1&a=2");
    assert_eq!(third.header("authorization"), Some("Bearer canary-upstream-api-key"));
    assert_eq!((third.header("x-nonce"), third.header("x-sdk-date")), (None, None));
}
