//! How the gateway shows a backend who it is.
//!
//! Asked by [`proxy::dress`](crate::proxy) for each attempt: what a [`Credential`] adds to a request is written behind
//! all other headers, so that a signature covers what goes on the wire, at the time it goes.
//!
//! *Secrets.* Values are made when policy is compiled; `Debug` shows none of them.
//!
//! *Not here.* Which headers of callers end at the gateway (`proxy::headers`), client certificates
//! ([`TlsSpec`](super::TlsSpec)).

use crate::iam;
use crate::signing::{self, Algorithm, SdkDate, Signer, UNSIGNED_PAYLOAD, hex, sha256};
use http::{HeaderName, HeaderValue, Method};
use std::sync::Arc;

/// Who the gateway is to the backends of a pool.
#[derive(Debug, Default)]
pub enum Credential {
    /// Nobody: it shows nothing of its own.
    #[default]
    None,
    /// The caller: what that showed goes on.
    Pass,
    /// Who signs with this pair.
    AkSk(Box<AkSk>),
    /// Who has this AppCode: `X-Apig-AppCode`.
    AppCode(HeaderValue),
    /// Who has this key: `Authorization: Bearer`. The value has the word before it.
    ApiKey(HeaderValue),
    /// Whom IAM has given a token: `X-Auth-Token`.
    IamToken(Box<iam::Own>),
    /// Who knows what this header says.
    Header(HeaderName, HeaderValue),
}

/// AK/SK, or AppKey and AppSecret, and what is signed with it.
#[derive(Debug)]
pub struct AkSk {
    /// The pair.
    pub signer: Signer,
    /// The signature leaves the body out, so that it need not be held.
    pub unsigned_payload: bool,
    /// `X-Project-Id`
    pub project_id: Option<HeaderValue>,
    /// `X-Security-Token` of a temporary pair.
    pub security_token: Option<HeaderValue>,
}

/// A request as it is about to go.
#[derive(Clone, Copy)]
pub struct Outgoing<'a> {
    /// As on the wire.
    pub method: &'a Method,
    /// Before every path of the backend.
    pub base_path: &'a str,
    /// Path and query.
    pub target: &'a str,
    /// Value of Host.
    pub host: &'a [u8],
    /// Value of Content-Type, if that goes once.
    pub content_type: Option<&'a [u8]>,
    /// What is said of the body.
    pub body: &'a SignedBody,
    /// Never twice the same.
    pub nonce: &'a str,
}

/// What a signature says of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignedBody {
    /// There is none.
    Empty,
    /// Its SHA-256 in hex.
    Hashed([u8; 64]),
    /// Nothing.
    Unsigned,
}

impl SignedBody {
    /// Of a body that is all there.
    pub fn of(bytes: &[u8]) -> SignedBody {
        if bytes.is_empty() { SignedBody::Empty } else { SignedBody::Hashed(hex(&sha256(bytes))) }
    }
}

impl Credential {
    /// The word for it in policy files.
    pub fn kind(&self) -> &'static str {
        match self {
            Credential::None => "none",
            Credential::Pass => "pass",
            Credential::AkSk(_) => "ak_sk",
            Credential::AppCode(_) => "app_code",
            Credential::ApiKey(_) => "api_key",
            Credential::IamToken(_) => "iam_token",
            Credential::Header(..) => "header",
        }
    }

    /// Could whoever reads it on the way use it as well?
    pub fn is_readable(&self) -> bool {
        matches!(
            self,
            Credential::AppCode(_) | Credential::ApiKey(_) | Credential::IamToken(_) | Credential::Header(..)
        )
    }

    /// Does it add anything to a request?
    pub fn shows_something(&self) -> bool {
        !matches!(self, Credential::None | Credential::Pass)
    }

    /// Does it need the whole body before anything of the request can go?
    pub fn hashes_body(&self) -> bool {
        matches!(self, Credential::AkSk(pair) if !pair.unsigned_payload)
    }

    /// Do the credentials end here by which callers show who they are? `checked`: the gateway has checked one.
    pub fn ends_callers(&self, checked: bool) -> bool {
        match self {
            Credential::None => checked,
            Credential::Pass => false,
            _ => true,
        }
    }

    /// The token that a request would need and that is not to be had: its name, for the log.
    pub fn missing(&self) -> Option<Arc<str>> {
        match self {
            Credential::IamToken(own) if own.current().is_none() => Some(own.name()),
            _ => None,
        }
    }

    /// Headers that only the gateway may write, besides those that are credentials everywhere.
    pub fn own_headers(&self) -> &[HeaderName] {
        match self {
            Credential::AkSk(_) => &SIGNERS_OWN,
            Credential::Header(name, _) => std::slice::from_ref(name),
            _ => &[],
        }
    }

    /// Writes what shows who the gateway is; `wall_ms` is the time of the attempt.
    pub fn dress(&self, request: &Outgoing<'_>, wall_ms: u64, mut write: impl FnMut(&str, &[u8])) {
        match self {
            Credential::None | Credential::Pass => {}
            Credential::AkSk(pair) => pair.sign(request, &SdkDate::at(wall_ms), write),
            Credential::AppCode(code) => write("x-apig-appcode", code.as_bytes()),
            Credential::ApiKey(bearer) => write("authorization", bearer.as_bytes()),
            // `missing` has been asked before.
            Credential::IamToken(own) => {
                own.current().into_iter().for_each(|token| write(iam::AUTH_TOKEN, token.as_bytes()));
            }
            Credential::Header(name, value) => write(name.as_str(), value.as_bytes()),
        }
    }
}

/// They choose on whose behalf a signed request acts, or make signatures differ.
static SIGNERS_OWN: [HeaderName; 3] = [
    HeaderName::from_static(NONCE),
    HeaderName::from_static(PROJECT_ID),
    HeaderName::from_static("x-domain-id"),
];

const CONTENT_SHA256: &str = "x-sdk-content-sha256";
/// Dates have seconds: without it, the same request twice in one would have one signature, and whoever remembers
/// signatures (as this gateway does) would take the second for a replay.
const NONCE: &str = "x-nonce";
const PROJECT_ID: &str = "x-project-id";
const SDK_DATE: &str = "x-sdk-date";
const SECURITY_TOKEN: &str = "x-security-token";

impl AkSk {
    /// Signs what no hop on the way has a reason to change: the headers written here, Host and Content-Type.
    fn sign(&self, request: &Outgoing<'_>, date: &SdkDate, mut write: impl FnMut(&str, &[u8])) {
        let body_hash = match request.body {
            SignedBody::Empty => Algorithm::Sha256.empty_digest().as_bytes(),
            SignedBody::Hashed(hash) => hash,
            SignedBody::Unsigned => UNSIGNED_PAYLOAD.as_bytes(),
        };
        let stated = (*request.body == SignedBody::Unsigned).then_some(body_hash);
        let token = self.security_token.as_ref().map(HeaderValue::as_bytes);
        let project_id = self.project_id.as_ref().map(HeaderValue::as_bytes);
        let ours: [(&str, Option<&[u8]>); 5] = [
            (NONCE, Some(request.nonce.as_bytes())),
            (PROJECT_ID, project_id),
            (CONTENT_SHA256, stated),
            (SDK_DATE, Some(date.text())),
            (SECURITY_TOKEN, token),
        ];
        let mut signed: [(&str, &[u8]); 7] = Default::default();
        let mut count = 0;
        let theirs = [("content-type", request.content_type), ("host", Some(request.host))];
        for (name, value) in theirs.into_iter().chain(ours) {
            let Some(value) = value else { continue };
            signed[count] = (name, value.trim_ascii());
            count += 1;
        }
        for (name, value) in ours {
            value.into_iter().for_each(|value| write(name, value));
        }
        let (path, query) = request.target.split_once('?').unwrap_or((request.target, ""));
        let authorization = self.signer.sign(
            &signing::Unsigned {
                method: request.method.as_str(),
                path: [request.base_path, path],
                query,
                headers: &signed[..count],
                body_hash,
            },
            date,
        );
        write("authorization", &authorization);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTGOING: Outgoing<'static> = Outgoing {
        method: &Method::POST,
        base_path: "/base",
        target: "/v1/a%20b?z=1&a=2",
        host: b"10.0.0.1:8080",
        content_type: Some(b" application/json "),
        body: &SignedBody::Unsigned,
        nonce: "0123",
    };

    fn pair(unsigned_payload: bool) -> Box<AkSk> {
        let text = |text| Some(HeaderValue::from_static(text));
        Box::new(AkSk {
            signer: Signer::sdk("AK", b"SK"),
            unsigned_payload,
            project_id: text("p1"),
            security_token: text("token"),
        })
    }

    fn written(credential: &Credential, request: &Outgoing<'_>) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        credential.dress(request, 1_705_307_400_000, |name, value| {
            headers.push((name.to_owned(), String::from_utf8(value.to_vec()).unwrap()));
        });
        headers
    }

    #[test]
    fn a_signature_lists_its_headers_in_order() {
        let headers = written(&Credential::AkSk(pair(true)), &OUTGOING);
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        let ours = ["x-nonce", "x-project-id", "x-sdk-content-sha256", "x-sdk-date", "x-security-token"];
        assert_eq!(names[..5], ours);
        let (_, authorization) = &headers[5];
        let listed = "SignedHeaders=content-type;host;x-nonce;x-project-id;x-sdk-content-sha256;x-sdk-date;\
                      x-security-token,";
        assert!(authorization.contains(listed), "{authorization}");
    }

    #[test]
    fn a_signature_covers_everything_it_should() {
        let signature = |change: fn(&mut Outgoing<'static>)| {
            let mut request = OUTGOING;
            change(&mut request);
            written(&Credential::AkSk(pair(true)), &request).pop().unwrap().1
        };
        let plain = signature(|_| {});
        let changes: [fn(&mut Outgoing<'static>); 7] = [
            |r| r.method = &Method::PUT,
            |r| r.base_path = "",
            |r| r.target = "/v1/a%20b?z=1&a=3",
            |r| r.host = b"10.0.0.1:8081",
            |r| r.content_type = None,
            |r| r.body = &SignedBody::Hashed([b'0'; 64]),
            |r| r.nonce = "0124",
        ];
        for (i, change) in changes.into_iter().enumerate() {
            assert_ne!(signature(change), plain, "change {i}");
        }
        assert_eq!(signature(|r| r.target = "/v1/a%20b?a=2&z=1"), plain, "a query is signed sorted");
    }

    #[test]
    fn an_empty_body_is_signed_as_such_and_nothing_is_stated() {
        let request = Outgoing { body: &SignedBody::of(b""), ..OUTGOING };
        let headers = written(&Credential::AkSk(pair(true)), &request);
        assert!(headers.iter().all(|(name, _)| name != CONTENT_SHA256), "{headers:?}");
    }

    #[test]
    fn no_secret_is_shown() {
        let secret = || {
            let mut value = HeaderValue::from_static("canary");
            value.set_sensitive(true);
            value
        };
        let name = HeaderName::from_static("x-key");
        let all = [
            Credential::AppCode(secret()),
            Credential::ApiKey(secret()),
            Credential::Header(name, secret()),
            Credential::AkSk(Box::new(AkSk { security_token: Some(secret()), ..*pair(false) })),
        ];
        let shown = format!("{all:?}");
        assert!(!shown.contains("canary") && !shown.contains("SK\""), "{shown}");
    }
}
