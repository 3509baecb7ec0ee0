//! What holds for any bytes.

use super::*;
use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

/// A change of one request that a signature must notice.
#[derive(Debug, Clone)]
enum Change {
    Method,
    Path(usize, u8),
    Query(usize, u8),
    Header(usize, u8),
    Body(usize, u8),
    Date(u8),
    Signature(usize, u8),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<usize>();
    prop_oneof![
        Just(Change::Method),
        (at, any::<u8>()).prop_map(|(at, by)| Change::Path(at, by)),
        (at, any::<u8>()).prop_map(|(at, by)| Change::Query(at, by)),
        (at, any::<u8>()).prop_map(|(at, by)| Change::Header(at, by)),
        (at, 1u8..).prop_map(|(at, by)| Change::Body(at, by)),
        (1u8..60).prop_map(Change::Date),
        (at, any::<u8>()).prop_map(|(at, by)| Change::Signature(at, by)),
    ]
}

/// Another letter or digit in the place of one.
fn turn(text: &str, at: usize, by: u8, letters: &[u8]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let places: Vec<usize> = (0..bytes.len()).filter(|i| letters.contains(&bytes[*i])).collect();
    let place = places[at % places.len()];
    let old = letters.iter().position(|letter| *letter == bytes[place]).unwrap();
    bytes[place] = letters[(old + 1 + usize::from(by) % (letters.len() - 1)) % letters.len()];
    String::from_utf8(bytes).unwrap()
}

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const HEX: &[u8] = b"0123456789abcdef";

proptest! {
    #[test]
    fn a_changed_request_never_verifies(change in change(), algorithm in 0usize..3) {
        let gate = Gate { rules: Rules { double_encoded_path: true, ..Rules::default() }, ..Gate::new() };
        let request = Unsigned { path: "/v1/models/abc", query: "k=b&limit=10", body: b"{\"n\":1}", ..every_algorithm()[algorithm].clone() };
        let mut headers = request.sign();
        let (mut method, mut path, mut query) = (Method::POST, request.path.to_owned(), request.query.to_owned());
        let mut body = request.body.to_vec();
        match change {
            Change::Method => method = Method::PUT,
            Change::Path(at, by) => path = turn(&path, at, by, LETTERS),
            Change::Query(at, by) => query = turn(&query, at, by, LETTERS),
            Change::Header(at, by) => {
                headers.insert("content-type", turn("application/json", at, by, LETTERS).parse().unwrap());
            }
            Change::Body(at, by) => {
                let at = at % body.len();
                body[at] = body[at].wrapping_add(by);
            }
            Change::Date(secs) => {
                headers.insert("x-sdk-date", format!("20240115T0830{secs:02}Z").parse().unwrap());
            }
            Change::Signature(at, by) => {
                let value = headers["authorization"].to_str().unwrap();
                let (fields, signature) = value.rsplit_once('=').unwrap();
                headers.insert("authorization", format!("{fields}={}", turn(signature, at, by, HEX)).parse().unwrap());
            }
        }
        let changed = Unsigned { method, path: &path, query: &query, body: &body, ..request };
        prop_assert_eq!(gate.verify(&changed, &headers, NOW).unwrap_err(), Denied::BadSignature);
    }

    #[test]
    fn nothing_a_stranger_sends_panics(
        path in any::<String>(),
        query in any::<String>(),
        authority in any::<Option<String>>(),
        authorization in "(SDK-HMAC-SHA256|SDK-HMAC-SM3|V11-HMAC-SHA256|Bearer|[!-~]{0,8})[ ,=;/A-Za-z0-9\u{80}-\u{ff}]{0,200}",
        names in "[a-z;:\\-\u{e9}]{0,40}",
        values in prop::collection::vec((0usize..6, prop::collection::vec(0x20u8..=0xff, 0..40)), 0..10),
        digest in prop::collection::vec(any::<u8>(), 0..40),
        v11 in any::<bool>(),
        formed in any::<bool>(),
    ) {
        let gate = Gate { rules: Rules { unsigned_payload: true, double_encoded_path: true, ..Rules::default() }, ..Gate::new() };
        let known = ["host", "x-sdk-date", "x-security-token", "x-sdk-content-sha256", "x-sdk-content-sm3", "x-apig-appcode"];
        let mut headers = HeaderMap::new();
        for (i, value) in values {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(HeaderName::from_static(known[i]), value);
            }
        }
        let zeros = "0".repeat(64);
        let authorization = match (formed, v11) {
            (false, _) => authorization,
            (true, true) => format!("V11-HMAC-SHA256 Credential={AK}/20240115/r/s, SignedHeaders=x-sdk-date;{names}, Signature={zeros}"),
            (true, false) => format!("SDK-HMAC-SHA256 Access={AK}, SignedHeaders=x-sdk-date;{names}, Signature={zeros}"),
        };
        if formed {
            headers.insert("x-sdk-date", HeaderValue::from_static(signer::DATE));
        }
        if let Ok(value) = HeaderValue::from_bytes(authorization.as_bytes()) {
            headers.insert("authorization", value);
        }
        let request = Request { method: &Method::GET, path: &path, query: &query, authority: authority.as_deref(), headers: &headers, peer: PEER };
        match identify(&gate.keys, &gate.live, &gate.rules, &request, NOW) {
            Ok(Claim::Proven(_) | Claim::Token(_)) => prop_assert!(false, "nobody guesses a code"),
            Ok(Claim::Signed(signed)) => prop_assert!(signed.verify(&digest, NOW).is_err()),
            Err(denied) => prop_assert!(!denied.reason().is_empty()),
        }
    }
}
