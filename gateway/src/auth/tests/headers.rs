//! What a signature must cover, and what is said when it does not.

use super::*;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderName, HeaderValue};
use std::time::Duration;

#[test]
fn every_algorithm_verifies() {
    let gate = Gate::new();
    for request in every_algorithm() {
        assert_eq!(gate.send(&request), Ok(ALICE), "{}", request.algorithm);
    }
}

#[test]
fn every_header_acted_on_must_be_signed() {
    let gate = Gate::new();
    let digest = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"; // of `{}`
    for name in ["x-security-token", "x-sdk-content-sha256", "x-sdk-content-sm3"] {
        let request = Unsigned { headers: vec![(name, digest)], unsigned: vec![name], ..sha256() };
        assert_eq!(gate.send(&request), Err(Denied::HeaderNotSigned(HeaderName::from_static(name))));
    }
    let stated = Unsigned { headers: vec![("x-sdk-content-sha256", digest)], ..sha256() };
    assert_eq!(gate.send(&stated), Ok(ALICE));
    let no_date = Unsigned { unsigned: vec!["x-sdk-date"], ..sha256() };
    assert_eq!(gate.send(&no_date), Err(Denied::DateNotSigned));
    let no_host = Unsigned { unsigned: vec!["host", "content-type"], ..sha256() };
    assert_eq!(gate.send(&no_host), Ok(ALICE), "the Go SDK signs x-sdk-date alone");
}

#[test]
fn headers_that_count_come_once() {
    let gate = Gate::new();
    for name in ["authorization", "host", "x-sdk-date", "content-type", "x-security-token"] {
        let request = sha256();
        let mut headers = request.sign();
        let value = headers.get(name).cloned().unwrap_or(HeaderValue::from_static("twice"));
        let name = HeaderName::from_static(name);
        while headers.get_all(&name).iter().count() < 2 {
            headers.append(&name, value.clone());
        }
        let denied = gate.verify(&request, &headers, NOW).unwrap_err();
        assert_eq!(denied, Denied::HeaderRepeated(name));
    }
}

#[test]
fn a_signed_header_that_is_absent_is_named() {
    let gate = Gate::new();
    let request = sha256();
    let mut headers = request.sign();
    headers.remove("content-type");
    let denied = gate.verify(&request, &headers, NOW).unwrap_err();
    assert_eq!(denied.to_string(), "header content-type is listed in SignedHeaders but was not sent");
}

#[test]
fn h2_authority_stands_for_an_absent_host_and_must_agree_with_one_sent() {
    let gate = Gate::new();
    let signed = sha256();
    let ask = |headers: &HeaderMap, authority| {
        let request =
            Request { method: &signed.method, path: signed.path, query: "", authority, headers, peer: PEER };
        match identify(&gate.keys, &gate.live, &gate.rules, &request, NOW)? {
            Claim::Signed(claim) => {
                claim.verify(&signed.hash(signed.body), NOW).map(|verified| verified.caller)
            }
            Claim::Proven(caller) => Ok(caller),
            Claim::Token(_) => panic!("no token was sent"),
        }
    };
    let mut headers = signed.sign();
    assert_eq!(ask(&headers, Some(signer::HOST)), Ok(ALICE));
    assert_eq!(ask(&headers, Some("other.example")), Err(Denied::Malformed("Host and :authority differ")));
    headers.remove(HOST);
    assert_eq!(ask(&headers, Some(signer::HOST)), Ok(ALICE));
    assert_eq!(ask(&headers, Some("other.example")), Err(Denied::BadSignature));
    assert_eq!(ask(&headers, None), Err(Denied::HeaderMissing(HOST)));
}

#[test]
fn the_date_must_be_near() {
    let gate = Gate::new();
    let request = sha256();
    let headers = request.sign();
    let at =
        |wall_ms| gate.verify(&request, &headers, Now { wall_ms, ..NOW }).map(|verified| verified.caller);
    assert_eq!(at(DATE_MS + 900_000), Ok(ALICE));
    assert_eq!(at(DATE_MS - 900_000), Ok(ALICE));
    assert_eq!(at(DATE_MS + 901_000), Err(Denied::Skew { behind_secs: 901, allowed_secs: 900 }));
    assert_eq!(at(0).unwrap_err().reason(), "skew");

    let narrow = Gate { rules: Rules { skew: Duration::from_secs(5), ..Rules::default() }, ..Gate::new() };
    let late = narrow.verify(&request, &headers, Now { wall_ms: DATE_MS + 6000, ..NOW });
    assert_eq!(late.unwrap_err(), Denied::Skew { behind_secs: 6, allowed_secs: 5 });
}

#[test]
fn a_stated_digest_is_compared_with_the_body() {
    let gate = Gate::new();
    let wrong = "0".repeat(64);
    let lie = Unsigned { headers: vec![("x-sdk-content-sha256", &wrong)], ..sha256() };
    assert_eq!(gate.send(&lie), Err(Denied::BodyDigest), "the signature holds, the body is another");
    let request = sha256();
    let other_body = Unsigned { body: b"{ }", ..request.clone() };
    assert_eq!(gate.verify(&other_body, &request.sign(), NOW).unwrap_err(), Denied::BadSignature);
}

#[test]
fn a_body_is_left_out_of_a_signature_only_where_the_route_allows_it() {
    let strict = Gate::new();
    let lenient = Gate { rules: Rules { unsigned_payload: true, ..Rules::default() }, ..Gate::new() };
    for (algorithm, header) in [
        ("SDK-HMAC-SHA256", "x-sdk-content-sha256"),
        ("V11-HMAC-SHA256", "x-sdk-content-sha256"),
        ("SDK-HMAC-SM3", "x-sdk-content-sm3"),
    ] {
        let request =
            Unsigned { headers: vec![(header, "UNSIGNED-PAYLOAD")], ..Unsigned::new(algorithm, AK, SK) };
        assert_eq!(strict.send(&request), Err(Denied::UnsignedPayload), "{algorithm}");
        assert_eq!(lenient.send(&request), Ok(ALICE), "{algorithm}");
    }
}

#[test]
fn a_temporary_pair_needs_its_token_and_a_permanent_one_takes_none() {
    let gate = Gate::new();
    let temporary =
        |token| Unsigned { headers: vec![("x-security-token", token)], access_key: "temporary", ..sha256() };
    assert_eq!(gate.send(&temporary(TOKEN)), Ok(ALICE));
    assert_eq!(gate.send(&temporary("other")), Err(Denied::SecurityToken));
    assert_eq!(gate.send(&Unsigned { access_key: "temporary", ..sha256() }), Err(Denied::SecurityToken));
    assert_eq!(gate.send(&Unsigned { access_key: AK, ..temporary(TOKEN) }), Err(Denied::SecurityToken));
    let forged = Unsigned { secret_key: "guess", ..temporary("other") };
    assert_eq!(gate.send(&forged), Err(Denied::BadSignature), "tokens are discussed only with who can sign");
}

#[test]
fn unknown_keys_and_wrong_signatures_read_alike() {
    let gate = Gate::new();
    for request in every_algorithm() {
        let unknown = gate.send(&Unsigned { access_key: "NOSUCHKEY", ..request.clone() }).unwrap_err();
        let wrong = gate.send(&Unsigned { secret_key: "guess", ..request }).unwrap_err();
        assert_eq!((unknown.reason(), wrong.reason()), ("unknown_access_key", "bad_signature"));
        assert_eq!(unknown.to_string(), wrong.to_string());
        assert_eq!(unknown.kind(), wrong.kind());
    }
}

#[test]
fn the_doubly_encoded_path_is_accepted_by_option_only() {
    let strict = Gate::new();
    let lenient = Gate { rules: Rules { double_encoded_path: true, ..Rules::default() }, ..Gate::new() };
    let npm = Unsigned { path: "/v1/a%2520b", ..sha256() };
    let on_the_wire = Unsigned { path: "/v1/a%20b", ..sha256() };
    let ask = |gate: &Gate| gate.verify(&on_the_wire, &npm.sign(), NOW).map(|verified| verified.caller);
    assert_eq!(ask(&strict), Err(Denied::BadSignature));
    assert_eq!(ask(&lenient), Ok(ALICE));
    assert_eq!(lenient.send(&on_the_wire), Ok(ALICE), "the plain rule holds as well");
}

#[test]
fn header_values_need_not_be_text() {
    let gate = Gate::new();
    let request = sha256();
    let mut headers = request.sign();
    headers.insert("content-type", HeaderValue::from_bytes(b"\xff\xfe").unwrap());
    assert_eq!(gate.verify(&request, &headers, NOW).unwrap_err(), Denied::BadSignature);
    headers.insert(AUTHORIZATION, HeaderValue::from_bytes(b"SDK-HMAC-SHA256 \xff").unwrap());
    assert!(matches!(gate.verify(&request, &headers, NOW).unwrap_err(), Denied::Malformed(_)));
    headers.insert("x-sdk-date", HeaderValue::from_bytes(b"\xff").unwrap());
    assert!(gate.verify(&request, &headers, NOW).is_err());
}

#[test]
fn codes_and_keys_are_proven_by_the_head() {
    let gate = Gate::new();
    let ask = |name: &'static str, value: &str| {
        let headers = [(HeaderName::from_static(name), value.parse().unwrap())].into_iter().collect();
        match gate.identify(&sha256(), &headers, NOW)? {
            Claim::Proven(caller) => Ok(caller),
            Claim::Signed(_) | Claim::Token(_) => panic!("neither was sent"),
        }
    };
    assert_eq!(ask("x-apig-appcode", APP_CODE), Ok(ALICE));
    assert_eq!(ask("authorization", &format!("Bearer {API_KEY}")), Ok(ALICE));
    assert_eq!(ask("x-apig-appcode", API_KEY), Err(Denied::UnknownAppCode), "kinds do not mix");
    assert_eq!(ask("authorization", &format!("Bearer {APP_CODE}")), Err(Denied::UnknownApiKey));
    assert_eq!(ask("authorization", "Bearer"), Err(Denied::UnknownApiKey));
}
