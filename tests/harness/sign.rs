//! SDK-HMAC-SHA256 as a caller makes it, for requests no SDK would send (copies, races, headers left unsigned).
//!
//! The SDKs themselves sign in `tests/clients`; this is written from the published algorithm, apart from the
//! gateway's own, so that one mistake cannot hide in both.

use crate::clock::sdk_date;
use crate::http1::Request;
use aws_lc_rs::{digest, hmac};

/// An access key and its secret.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    pub access_key: &'a str,
    pub secret_key: &'a str,
}

impl Keys<'_> {
    /// Adds Host, X-Sdk-Date and Authorization; signs these and every header the request has already.
    pub fn sign(&self, request: Request) -> Request {
        let all: Vec<String> = request.headers().iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
        let mut signed: Vec<&str> = all.iter().map(String::as_str).chain(["host", "x-sdk-date"]).collect();
        signed.sort_unstable();
        signed.dedup();
        self.sign_only(request, &signed)
    }

    /// The same, but signs only the headers named (sorted, lower case).
    pub fn sign_only(&self, request: Request, signed: &[&str]) -> Request {
        let mut request = request;
        for (name, value) in [("host", "gateway.test".to_owned()), ("x-sdk-date", sdk_date())] {
            if !request.headers().iter().any(|(have, _)| have.eq_ignore_ascii_case(name)) {
                request = request.header(name, value);
            }
        }
        let date = value_of(&request, "x-sdk-date").to_owned();
        let names = signed.join(";");
        let canonical = canonical(&request, signed, &names);
        let to_sign = format!("SDK-HMAC-SHA256\n{date}\n{}", sha256_hex(canonical.as_bytes()));
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret_key.as_bytes());
        let signature = hex(hmac::sign(&key, to_sign.as_bytes()).as_ref());
        let access_key = self.access_key;
        request.header(
            "Authorization",
            format!("SDK-HMAC-SHA256 Access={access_key}, SignedHeaders={names}, Signature={signature}"),
        )
    }
}

/// The canonical request. Paths and queries in these tests need no encoding beyond what they have.
fn canonical(request: &Request, signed: &[&str], names: &str) -> String {
    let (path, query) = request.target().split_once('?').unwrap_or((request.target(), ""));
    let slash = if path.ends_with('/') { "" } else { "/" };
    let headers: String =
        signed.iter().map(|name| format!("{name}:{}\n", value_of(request, name).trim())).collect();
    let body = match request.headers().iter().find(|(n, _)| n.eq_ignore_ascii_case("x-sdk-content-sha256")) {
        Some((_, stated)) => stated.clone(),
        None => sha256_hex(request.body()),
    };
    format!("{}\n{path}{slash}\n{query}\n{headers}\n{names}\n{body}", request.method())
}

fn value_of<'a>(request: &'a Request, name: &str) -> &'a str {
    request.headers().iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
}

/// Lower-case hex of a SHA-256.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
