//! Signs requests: the other end of what `auth` verifies.

use super::algorithm::mac;
use super::{Algorithm, DerivedKey, Query, SdkDate, hex, recode_path, sha256, write_request_lines};
use arc_swap::ArcSwap;
use aws_lc_rs::hmac;
use std::fmt;
use std::sync::Arc;

/// An AK/SK pair (or AppKey and AppSecret) that signs. `Debug` shows nothing of it.
pub struct Signer {
    access_key: Box<str>,
    key: Key,
}

/// Keys are kept as states of HMAC, so that no request pays for making them.
enum Key {
    /// SDK-HMAC-SHA256.
    Secret(hmac::Key),
    /// V11-HMAC-SHA256.
    Derived {
        extracted: hmac::Key,
        /// `/<region>/<service>`
        place: Box<str>,
        today: ArcSwap<Today>,
    },
}

/// V11's key of one day.
struct Today {
    /// `<day>/<region>/<service>`
    scope: String,
    key: hmac::Key,
}

/// What a signature covers.
#[derive(Clone, Copy)]
pub struct Unsigned<'a> {
    /// As on the wire.
    pub method: &'a str,
    /// Path as on the wire, in two parts.
    pub path: [&'a str; 2],
    /// Query as on the wire, without `?`; empty if none.
    pub query: &'a str,
    /// The headers to sign, `x-sdk-date` among them: names in lower case and sorted, values without blanks around them.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// SHA-256 of the body in hex, or what stands for it.
    pub body_hash: &'a [u8],
}

impl Signer {
    /// SDK-HMAC-SHA256.
    pub fn sdk(access_key: &str, secret_key: &[u8]) -> Signer {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret_key);
        Signer { access_key: access_key.into(), key: Key::Secret(key) }
    }

    /// V11-HMAC-SHA256: with a key derived for each day, the region and the service.
    pub fn v11(access_key: &str, secret_key: &[u8], region: &str, service: &str) -> Signer {
        let extracted = DerivedKey::extract(access_key, secret_key);
        let place: Box<str> = format!("/{region}/{service}").into();
        let today = ArcSwap::from_pointee(Today::new(&SdkDate::at(0), &place, &extracted));
        Signer { access_key: access_key.into(), key: Key::Derived { extracted, place, today } }
    }

    /// The value of Authorization. Hot path: one allocation for a request without a query, no lock; once a day a key.
    pub fn sign(&self, request: &Unsigned<'_>, date: &SdkDate) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(1024);
        write_canonical(&mut buffer, request);
        let hash = sha256(&buffer);
        buffer.clear();
        let signature = match &self.key {
            Key::Secret(key) => {
                Algorithm::Sha256.write_text(date, "", &hash, &mut buffer);
                let signature = mac(key, &[&buffer]);
                self.begin(&mut buffer, Algorithm::Sha256, "Access=", "");
                signature
            }
            Key::Derived { extracted, place, today } => {
                let today = Today::of(today, date, place, extracted);
                Algorithm::V11.write_text(date, &today.scope, &hash, &mut buffer);
                let signature = mac(&today.key, &[&buffer]);
                self.begin(&mut buffer, Algorithm::V11, "Credential=", &today.scope);
                signature
            }
        };
        buffer.extend_from_slice(b", SignedHeaders=");
        write_names(&mut buffer, request);
        buffer.extend_from_slice(b", Signature=");
        buffer.extend_from_slice(&hex(&signature));
        buffer
    }

    fn begin(&self, out: &mut Vec<u8>, algorithm: Algorithm, field: &str, scope: &str) {
        out.clear();
        let slash = if scope.is_empty() { "" } else { "/" };
        for part in [algorithm.name(), " ", field, &self.access_key, slash, scope] {
            out.extend_from_slice(part.as_bytes());
        }
    }
}

impl Today {
    fn new(date: &SdkDate, place: &str, extracted: &hmac::Key) -> Today {
        let mut scope: String = date.day().iter().map(|digit| char::from(*digit)).collect();
        scope.push_str(place);
        let derived = DerivedKey::expand(extracted, &scope);
        Today { key: hmac::Key::new(hmac::HMAC_SHA256, derived.as_bytes()), scope }
    }

    /// The key of the date's day: the one at hand, or a new one.
    fn of(kept: &ArcSwap<Today>, date: &SdkDate, place: &str, extracted: &hmac::Key) -> Arc<Today> {
        let today = kept.load();
        if today.scope.as_bytes().starts_with(date.day()) {
            return Arc::clone(&today);
        }
        let today = Arc::new(Today::new(date, place, extracted));
        kept.store(today.clone());
        today
    }
}

fn write_canonical(out: &mut Vec<u8>, request: &Unsigned<'_>) {
    let path = |out: &mut Vec<u8>| request.path.iter().for_each(|part| recode_path(out, part.as_bytes()));
    write_request_lines(out, request.method, path, &Query::parse(request.query).sorted());
    for (name, value) in request.headers {
        out.extend_from_slice(name.as_bytes());
        out.push(b':');
        out.extend_from_slice(value);
        out.push(b'\n');
    }
    out.push(b'\n');
    write_names(out, request);
    out.push(b'\n');
    out.extend_from_slice(request.body_hash);
}

fn write_names(out: &mut Vec<u8>, request: &Unsigned<'_>) {
    for (i, (name, _)) in request.headers.iter().enumerate() {
        if i > 0 {
            out.push(b';');
        }
        out.extend_from_slice(name.as_bytes());
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn text(value: &Value) -> &str {
        value.as_str().unwrap()
    }

    /// Signs the request of a vector with the headers that its signature lists.
    fn sign_again(vector: &Value, signer: &Signer) -> String {
        let wire = &vector["wire"];
        let authorization = text(&vector["authorization"]);
        let (_, listed) = authorization.split_once("SignedHeaders=").unwrap();
        let (listed, _) = listed.split_once(',').unwrap();
        let value = |name: &str| {
            let mut headers = wire["headers"].as_array().unwrap().iter();
            let pair = headers.find(|pair| text(&pair[0]).eq_ignore_ascii_case(name)).unwrap();
            text(&pair[1]).trim().as_bytes()
        };
        let headers: Vec<(&str, &[u8])> = listed.split(';').map(|name| (name, value(name))).collect();
        let stated = headers.iter().find(|(name, _)| *name == "x-sdk-content-sha256");
        let body_hash = stated.map_or(text(&wire["body_sha256"]).as_bytes(), |(_, stated)| stated);
        let target = text(&wire["target"]);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let (base, path) = path.split_at(path.rfind('/').unwrap());
        let method = text(&wire["method"]);
        let request = Unsigned { method, path: [base, path], query, headers: &headers, body_hash };
        let date = SdkDate::parse(text(&vector["date"]).as_bytes()).unwrap();
        String::from_utf8(signer.sign(&request, &date)).unwrap()
    }

    #[test]
    fn every_signature_of_the_real_sdk_is_made_again() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/signatures/vectors.json");
        let golden: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let (mut sdk, mut v11) = (0, 0);
        for vector in golden["vectors"].as_array().unwrap().iter().filter(|v| v["ref"]["rule"] == "std") {
            let (access_key, secret_key) = (text(&vector["ak"]), text(&vector["sk"]).as_bytes());
            let signer = match text(&vector["alg"]) {
                "SDK-HMAC-SHA256" => {
                    sdk += 1;
                    Signer::sdk(access_key, secret_key)
                }
                "V11-HMAC-SHA256" => {
                    v11 += 1;
                    Signer::v11(access_key, secret_key, text(&vector["region"]), text(&vector["service"]))
                }
                _ => continue,
            };
            assert_eq!(sign_again(vector, &signer), text(&vector["authorization"]), "{}", vector["name"]);
        }
        assert_eq!((sdk, v11), (60, 7));
    }

    #[test]
    fn a_derived_key_is_that_of_the_day() {
        let signer = Signer::v11("AK", b"SK", "cn-1", "pangu");
        let signed = |day: u64| {
            let date = SdkDate::at(day * 86_400_000);
            let headers: [(&str, &[u8]); 1] = [("x-sdk-date", date.text())];
            let request =
                Unsigned { method: "GET", path: ["", "/"], query: "", headers: &headers, body_hash: b"" };
            String::from_utf8(signer.sign(&request, &date)).unwrap()
        };
        let first = signed(19_737);
        assert!(first.contains("Credential=AK/20240115/cn-1/pangu, "), "{first}");
        assert!(signed(19_738).contains("/20240116/cn-1/pangu, "));
        assert_eq!(signed(19_737), first, "and back again");
    }

    #[test]
    fn a_signer_shows_no_secret() {
        let signers = [Signer::sdk("AK", b"canary"), Signer::v11("AK", b"canary", "r", "s")];
        assert_eq!(format!("{signers:?}"), "[Signer { .. }, Signer { .. }]");
    }
}
