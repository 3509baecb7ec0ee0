//! Signs requests the way a client does, in plain strings: shares nothing with the code under test, so that
//! one mistake cannot hide the other. Used by the tests and by `benches/auth_verify.rs`.

use aws_lc_rs::{digest, hmac as lc};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sm3::{Digest as _, Sm3};
use std::fmt::Write;

pub const HOST: &str = "pangu.example.com";
pub const DATE: &str = "20240115T083000Z";
/// The instant of [`DATE`].
pub const DATE_MS: u64 = 1_705_307_400_000;

/// A request to sign. Path and query must be in canonical form but for the path's last slash.
#[derive(Clone)]
pub struct Unsigned<'a> {
    pub algorithm: &'a str,
    pub access_key: &'a str,
    pub secret_key: &'a str,
    pub method: Method,
    pub path: &'a str,
    pub query: &'a str,
    /// Signed beside host and x-sdk-date; lower-case names.
    pub headers: Vec<(&'a str, &'a str)>,
    /// Names left out of SignedHeaders.
    pub unsigned: Vec<&'a str>,
    pub date: &'a str,
    pub body: &'a [u8],
}

impl<'a> Unsigned<'a> {
    pub fn new(algorithm: &'a str, access_key: &'a str, secret_key: &'a str) -> Unsigned<'a> {
        Unsigned {
            algorithm,
            access_key,
            secret_key,
            method: Method::POST,
            path: "/v1/chat/completions",
            query: "",
            headers: vec![("content-type", "application/json")],
            unsigned: vec![],
            date: DATE,
            body: b"{}",
        }
    }

    /// All headers of the request as sent, Authorization among them.
    pub fn sign(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        headers.extend([("host", HOST), ("x-sdk-date", self.date)]);
        headers.sort();
        let signed: Vec<_> = headers.iter().filter(|(name, _)| !self.unsigned.contains(name)).collect();
        let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");

        let mut canonical =
            format!("{}\n{}/\n{}\n", self.method, self.path.trim_end_matches('/'), self.query);
        for (name, value) in signed {
            writeln!(canonical, "{name}:{value}").expect("a string takes any text");
        }
        let stated = headers.iter().find(|(name, _)| name.starts_with("x-sdk-content-"));
        let body = stated.map_or_else(|| hex(&self.hash(self.body)), |(_, value)| (*value).to_owned());
        write!(canonical, "\n{names}\n{body}").expect("a string takes any text");

        let scope = format!("{}/cn-southwest-2/apic", &self.date[..8]);
        let hash = hex(&self.hash(canonical.as_bytes()));
        let authorization = if self.algorithm == "V11-HMAC-SHA256" {
            let text = format!("{}\n{}\n{scope}\n{hash}", self.algorithm, self.date);
            let extracted = hmac_sha256(self.access_key.as_bytes(), self.secret_key.as_bytes());
            let key = hex(&hmac_sha256(&extracted, &[scope.as_bytes(), &[1]].concat()));
            let signature = hex(&hmac_sha256(key.as_bytes(), text.as_bytes()));
            format!(
                "{} Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
                self.algorithm, self.access_key
            )
        } else {
            let text = format!("{}\n{}\n{hash}", self.algorithm, self.date);
            let signature = hex(&self.mac(text.as_bytes()));
            format!(
                "{} Access={}, SignedHeaders={names}, Signature={signature}",
                self.algorithm, self.access_key
            )
        };
        headers.push(("authorization", &authorization));
        headers.iter().map(|(name, value)| (header_name(name), header_value(value))).collect()
    }

    /// The digest a gateway computes over the body.
    pub fn hash(&self, bytes: &[u8]) -> Vec<u8> {
        match self.algorithm {
            "SDK-HMAC-SM3" => Sm3::digest(bytes).to_vec(),
            _ => digest::digest(&digest::SHA256, bytes).as_ref().to_vec(),
        }
    }

    fn mac(&self, text: &[u8]) -> Vec<u8> {
        let key = self.secret_key.as_bytes();
        match self.algorithm {
            "SDK-HMAC-SM3" => {
                let mac = Hmac::<Sm3>::new_from_slice(key).expect("any length");
                mac.chain_update(text).finalize().into_bytes().to_vec()
            }
            _ => hmac_sha256(key, text),
        }
    }
}

fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    lc::sign(&lc::Key::new(lc::HMAC_SHA256, key), text).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn header_name(name: &str) -> HeaderName {
    name.parse().expect("a test's header name")
}

fn header_value(value: &str) -> HeaderValue {
    HeaderValue::from_bytes(value.as_bytes()).expect("a test's header value")
}
