//! Nothing prints a secret.

use super::*;
use http::HeaderValue;

#[test]
fn no_debug_display_or_reason_shows_a_secret() {
    let gate = Gate::new();
    let request = Unsigned {
        headers: vec![("x-security-token", TOKEN), ("x-apig-appcode", APP_CODE)],
        access_key: "temporary",
        ..sha256()
    };
    let headers = request.sign();
    let asked = Request {
        method: &request.method,
        path: request.path,
        query: "",
        authority: None,
        headers: &headers,
        peer: PEER,
    };
    let claim = gate.identify(&request, &headers, NOW).unwrap();
    let verified = gate.verify(&request, &headers, NOW).unwrap();
    let mut builder = KeyringBuilder::new();
    builder.ak_sk(ALICE, AK, SK.as_bytes(), None).unwrap();

    let mut printed = format!(
        "{asked:?} {claim:?} {verified:?} {:?} {:?} {builder:?} {:?}",
        gate.keys, gate.live, gate.rules
    );
    for denied in every_denial(&gate) {
        printed += &format!(" {denied} {denied:?} {}", denied.reason());
    }
    for secret in [SK, APP_CODE, API_KEY, TOKEN] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
}

/// One refusal of each sort that a request with real secrets in it can meet.
fn every_denial(gate: &Gate) -> Vec<Denied> {
    let mut denials = Vec::new();
    let mut ask = |headers: HeaderMap| denials.extend(gate.verify(&sha256(), &headers, NOW).err());
    let api_key = HeaderValue::from_str(&format!("Bearers {API_KEY}")).unwrap();
    let raw_secret = HeaderValue::from_str(&format!("SDK-HMAC-SHA256 {SK}")).unwrap();
    let repeated =
        || [APP_CODE, APP_CODE].map(|code| ("x-apig-appcode".parse().unwrap(), code.parse().unwrap()));

    ask(HeaderMap::new());
    ask(HeaderMap::from_iter([(http::header::AUTHORIZATION, api_key)]));
    ask(HeaderMap::from_iter([(http::header::AUTHORIZATION, raw_secret)]));
    ask(HeaderMap::from_iter(repeated()));
    ask(HeaderMap::from_iter([("x-apig-appcode".parse().unwrap(), SK.parse().unwrap())]));
    for request in [
        Unsigned { headers: vec![("x-security-token", TOKEN)], ..sha256() },
        Unsigned {
            headers: vec![("x-security-token", TOKEN)],
            unsigned: vec!["x-security-token"],
            ..sha256()
        },
        Unsigned { body: SK.as_bytes(), ..sha256() },
    ] {
        ask(request.sign());
    }
    assert_eq!(denials.len(), 8);
    denials
}
