//! Known answers: signatures made by the real SDKs, and requests that must be refused.

use super::*;
use http::{HeaderName, HeaderValue};
use serde_json::Value;

/// `tests/golden/signatures/vectors.json`: 75 by the Python SDK, 18 bent ones, 7 published by others.
fn golden() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/signatures/vectors.json");
    let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let count = |list: &str| golden[list].as_array().unwrap().len();
    assert_eq!((count("vectors"), count("negative"), count("published")), (75, 18, 7));
    golden
}

/// A request as it came over the wire, and the pair it was signed with.
struct Case {
    name: String,
    access_key: String,
    secret_key: String,
    sm3: bool,
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    body: Vec<u8>,
    wall_ms: u64,
}

impl Case {
    fn of(vector: &Value) -> Case {
        let wire = &vector["wire"];
        let (path, query) = match text(&wire["target"]).split_once('?') {
            Some((path, query)) => (path, query),
            None => (text(&wire["target"]), ""),
        };
        Case { path: path.into(), query: query.into(), body: body(wire), ..Case::new(vector, wire) }
    }

    fn published(vector: &Value) -> Case {
        let request = &vector["request"];
        let mut case = Case {
            path: text(&request["path"]).into(),
            query: text(&request["query"]).into(),
            body: text(&request["body"]).into(),
            ..Case::new(vector, request)
        };
        case.headers.insert("authorization", text(&vector["authorization"]).parse().unwrap());
        case.sm3 = text(&vector["authorization"]).starts_with("SDK-HMAC-SM3");
        case
    }

    fn new(vector: &Value, request: &Value) -> Case {
        let headers: HeaderMap = (request["headers"].as_array().unwrap().iter())
            .map(|pair| {
                let name = HeaderName::from_bytes(text(&pair[0]).as_bytes()).unwrap();
                (name, HeaderValue::from_bytes(text(&pair[1]).as_bytes()).unwrap())
            })
            .collect();
        let date =
            headers.get("x-sdk-date").and_then(|value| crate::signing::SdkDate::parse(value.as_bytes()));
        Case {
            name: text(&vector["name"]).into(),
            access_key: text(&vector["ak"]).into(),
            secret_key: text(&vector["sk"]).into(),
            sm3: headers
                .get("authorization")
                .is_some_and(|value| value.as_bytes().starts_with(b"SDK-HMAC-SM3")),
            method: text(&request["method"]).parse().unwrap(),
            path: String::new(),
            query: String::new(),
            body: Vec::new(),
            wall_ms: date.map_or(DATE_MS, |date| date.unix_ms() as u64),
            headers,
        }
    }

    fn request(&self) -> Request<'_> {
        Request {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            authority: None,
            headers: &self.headers,
            peer: PEER,
        }
    }

    /// Verifies at the moment of signing, with UNSIGNED-PAYLOAD allowed.
    fn verify(&self, body_digest: &[u8]) -> Result<CallerId, Denied> {
        let token =
            self.headers.get("x-security-token").map(|token| crate::signing::sha256(token.as_bytes()));
        let live = Live::default();
        let mut keys = KeyringBuilder::new();
        keys.ak_sk(ALICE, &self.access_key, self.secret_key.as_bytes(), token).unwrap();
        let keys = keys.build(&live);
        let rules = Rules { unsigned_payload: true, ..Rules::default() };
        let now = Now { mono_us: 0, wall_ms: self.wall_ms };
        match identify(&keys, &live, &rules, &self.request(), now)? {
            Claim::Proven(caller) => Ok(caller),
            Claim::Token(_) => panic!("vectors are signatures"),
            Claim::Signed(signed) if signed.digest() == Digest::None => {
                signed.verify(&[], now).map(|verified| verified.caller)
            }
            Claim::Signed(signed) => signed.verify(body_digest, now).map(|verified| verified.caller),
        }
    }

    fn digest(&self) -> Vec<u8> {
        let algorithm = if self.sm3 { "SDK-HMAC-SM3" } else { "SDK-HMAC-SHA256" };
        Unsigned::new(algorithm, "", "").hash(&self.body)
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn body(wire: &Value) -> Vec<u8> {
    use base64::Engine;
    match wire.get("body_b64") {
        Some(body) => base64::engine::general_purpose::STANDARD.decode(text(body)).unwrap(),
        // The file's rule for its one long body.
        None => (0..wire["body_len"].as_u64().unwrap()).map(|i| ((i * 31 + 7) % 251) as u8).collect(),
    }
}

#[test]
fn every_vector_does_what_the_reference_says() {
    for vector in golden()["vectors"].as_array().unwrap() {
        let case = Case::of(vector);
        let answer = case.verify(&case.digest());
        let expected = match (case.name.as_str(), text(&vector["ref"]["rule"])) {
            (_, "public-key") => Err(Denied::UnsupportedAlgorithm),
            ("post-json-wrong-precomputed-hash", _) => Err(Denied::BodyDigest),
            (_, "std" | "wire_query_order" | "empty_body_hash") => Ok(ALICE),
            (name, rule) => panic!("{name}: unknown rule {rule}"),
        };
        assert_eq!(answer, expected, "{}", case.name);
    }
}

#[test]
fn the_signature_over_a_wrong_stated_digest_is_sound_as_such() {
    let golden = golden();
    let is_it = |vector: &&Value| vector["name"] == "post-json-wrong-precomputed-hash";
    let vector = golden["vectors"].as_array().unwrap().iter().find(is_it).unwrap();
    assert_eq!(Case::of(vector).verify(&[0; 32]), Ok(ALICE), "a body with the digest of zeros would pass");
}

#[test]
fn plain_vectors_verify_by_the_plain_reading() {
    let mut plain = 0;
    for vector in golden()["vectors"].as_array().unwrap().iter().filter(|v| v["ref"]["rule"] == "std") {
        let case = Case::of(vector);
        let value = case.headers["authorization"].to_str().unwrap();
        let (_, listed) = value.split_once("SignedHeaders=").unwrap();
        let listed = signed_headers::SignedHeaders::parse(listed.split_once(',').unwrap().0).unwrap();
        let mut readings = canonical::Readings::of(&case.request(), &listed, false).unwrap();

        let canonical = text(&vector["canonical_request"]);
        let (prefix, _body_hash) = canonical.split_at(canonical.rfind('\n').unwrap() + 1);
        let reading = readings.iter_mut().next().unwrap();
        assert_eq!(String::from_utf8_lossy(reading), prefix, "{}", case.name);
        plain += 1;
    }
    assert_eq!(plain, 71);
}

#[test]
fn every_bent_request_is_refused_for_the_right_reason() {
    for vector in golden()["negative"].as_array().unwrap() {
        let case = Case::of(vector);
        let expected = match case.name.as_str() {
            "neg-signature-upper" | "neg-no-signature" | "neg-v11-scope-date" => "malformed",
            "neg-signed-header-missing" => "header_missing",
            "neg-date-missing" => "date_missing",
            "neg-date-format" => "date_malformed",
            "neg-date-not-in-signedheaders" => "date_not_signed",
            "neg-unknown-ak" => "unknown_access_key",
            "neg-body-hash-header-lies" => "body_digest",
            _ => "bad_signature",
        };
        let answer = case.verify(&case.digest()).map_err(|denied| denied.reason());
        assert_eq!(answer, Err(expected), "{}", case.name);
    }
}

#[test]
fn published_known_answers_are_met() {
    let golden = golden();
    for vector in golden["published"].as_array().unwrap() {
        if let Some(canonical) = vector.get("canonical_request") {
            let hash = crate::signing::hex(&crate::signing::sha256(text(canonical).as_bytes()));
            assert_eq!(String::from_utf8_lossy(&hash), text(&vector["canonical_request_sha256"]));
        } else {
            let case = Case::published(vector);
            assert_eq!(case.verify(&case.digest()), Ok(ALICE), "{}", case.name);
        }
    }
}
