//! Ask: the bytes of request number n.
//!
//! All that requests of one kind or one caller share is made once; what is left per request is a copy of the headers, the
//! number, and for AK/SK a signature (about 6 us). Every request carries its number in `x-loadtest-request`: the oracle
//! finds it in the mock's journal by that, and two requests signed in the same second do not look like a replay.

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::Full;

use crate::scenario::{self, BodyKind, Credential, Http, Scenario};
use crate::sign::{self, Scheme, Signer, Unsigned};

use super::choose::Choice;

/// Carries the number of the request.
pub const NUMBER: HeaderName = HeaderName::from_static("x-loadtest-request");
/// The model that chat requests name.
pub const CHAT_MODEL: &str = "loadtest";
const APP_CODE: HeaderName = HeaderName::from_static("x-apig-appcode");
const SDK_DATE: HeaderName = HeaderName::from_static("x-sdk-date");

/// Makes the requests of one scenario. Shared by all threads; has no `Debug`, since it holds secrets.
pub struct Asker {
    kinds: Vec<Kind>,
    proofs: Vec<Proof>,
}

/// What requests of one kind have in common.
struct Kind {
    method: Method,
    uri: Uri,
    /// As HTTP/1.1 or HTTP/2 carries them.
    headers: HeaderMap,
    body: Bytes,
    /// Absolute, for the signer.
    url: String,
    /// For the signer, the host among them.
    signed_headers: Vec<(String, String)>,
}

/// What requests of one caller have in common.
enum Proof {
    Header(HeaderName, HeaderValue),
    Sign { access_key: String, secret_key: String },
    None,
}

/// A part of the scenario that HTTP cannot carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// The path and query.
    #[error("request `{0}`: its target is not a path; write `/...`, with everything unusual percent-encoded")]
    Target(String),
    /// A header of a kind of request.
    #[error("request `{0}`: header `{1}` cannot be sent; use visible ASCII, and a name without spaces")]
    Header(String, String),
    /// The value for Host.
    #[error("`{0}` is not a host; write NAME or NAME:PORT")]
    Host(String),
    /// What a caller proves itself with; the value is a secret and not shown.
    #[error("user `{0}`: its credential cannot be sent; use visible ASCII")]
    Credential(String),
}

impl Asker {
    /// Makes everything that can be made beforehand.
    ///
    /// # Errors
    /// Something in the scenario, or `host`, is not HTTP.
    pub fn new(scenario: &Scenario, host: &str) -> Result<Asker, Unsendable> {
        let host_value = HeaderValue::from_str(host).map_err(|_| Unsendable::Host(host.to_owned()))?;
        let scheme = if scenario.connections.tls { "https" } else { "http" };
        let origin = format!("{scheme}://{host}");
        if origin.parse::<Uri>().is_err() {
            return Err(Unsendable::Host(host.to_owned()));
        }
        let http = scenario.connections.http;
        let kinds = scenario.requests.iter().map(|request| Kind::new(request, &origin, &host_value, http));
        let proofs = scenario
            .callers
            .iter()
            .map(|c| Proof::new(&c.credential).ok_or_else(|| Unsendable::Credential(c.user.clone())));
        Ok(Asker { kinds: kinds.collect::<Result<_, _>>()?, proofs: proofs.collect::<Result<_, _>>()? })
    }

    /// Makes request `number`, dated now.
    pub fn ask(&self, choice: Choice, number: u64) -> Request<Full<Bytes>> {
        let kind = &self.kinds[usize::from(choice.request)];
        let mut headers = kind.headers.clone();
        headers.insert(NUMBER, HeaderValue::from(number));
        match &self.proofs[choice.caller as usize] {
            Proof::None => {}
            Proof::Header(name, value) => {
                headers.insert(name, value.clone());
            }
            Proof::Sign { access_key, secret_key } => {
                let signer = Signer { access_key, secret_key, scheme: Scheme::Sdk };
                kind.sign(&signer, number, &mut headers);
            }
        }
        let mut request = Request::new(Full::new(kind.body.clone()));
        *request.method_mut() = kind.method.clone();
        *request.uri_mut() = kind.uri.clone();
        *request.headers_mut() = headers;
        request
    }
}

impl Kind {
    fn new(
        request: &scenario::Request,
        origin: &str,
        host: &HeaderValue,
        http: Http,
    ) -> Result<Kind, Unsendable> {
        let bad_target = || Unsendable::Target(request.name.clone());
        let url = format!("{origin}{}", request.target);
        let absolute: Uri = url.parse().map_err(|_| bad_target())?;
        let target = absolute.path_and_query().filter(|_| request.target.starts_with('/'));
        let target = target.cloned().ok_or_else(bad_target)?;
        let mut headers = HeaderMap::new();
        if http == Http::One {
            headers.insert(HOST, host.clone());
        }
        let content_type = match request.body {
            BodyKind::Empty => None,
            BodyKind::Chat => Some("application/json"),
            BodyKind::Filler => Some("application/octet-stream"),
        };
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        for (name, value) in &request.headers {
            let bad = || Unsendable::Header(request.name.clone(), name.clone());
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            headers.insert(name, HeaderValue::from_str(value).map_err(|_| bad())?);
        }
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let mut signed_headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        if http == Http::Two {
            signed_headers.push((HOST.to_string(), text(host))); // on the wire it is `:authority`
        }
        Ok(Kind {
            method: request.method.clone(),
            uri: if http == Http::One { Uri::from(target) } else { absolute },
            headers,
            body: body(request),
            url,
            signed_headers,
        })
    }

    fn sign(&self, signer: &Signer<'_>, number: u64, headers: &mut HeaderMap) {
        let mut signed_headers = self.signed_headers.clone();
        signed_headers.push((NUMBER.to_string(), number.to_string()));
        let unsigned = Unsigned {
            method: self.method.as_str(),
            url: &self.url,
            headers: &signed_headers,
            body: &self.body,
            date: &sign::date_now(),
        };
        let sent = signer.sign(&unsigned).expect("`url` was parsed as an absolute one in `new`");
        for (name, value) in sent {
            let name = match name.as_str() {
                "X-Sdk-Date" => SDK_DATE,
                "Authorization" => AUTHORIZATION,
                _ => continue, // is there already
            };
            let value = HeaderValue::try_from(value).expect("the access key was checked in `Proof::new`");
            headers.insert(name, value);
        }
    }
}

impl Proof {
    fn new(credential: &Credential) -> Option<Proof> {
        let header = |name, value: String| Some(Proof::Header(name, HeaderValue::try_from(value).ok()?));
        match credential {
            Credential::None => Some(Proof::None),
            Credential::AppCode(code) => header(APP_CODE, code.clone()),
            Credential::ApiKey(key) => header(AUTHORIZATION, format!("Bearer {key}")),
            Credential::AkSk { access_key, secret_key } => {
                HeaderValue::from_str(access_key).ok()?;
                Some(Proof::Sign { access_key: access_key.clone(), secret_key: secret_key.clone() })
            }
        }
    }
}

/// The body of one kind of request; as long as the scenario says, or as its form needs.
fn body(request: &scenario::Request) -> Bytes {
    let length = request.body_bytes as usize;
    match request.body {
        BodyKind::Empty => Bytes::new(),
        BodyKind::Filler => vec![b'x'; length].into(),
        BodyKind::Chat => {
            let before = format!(r#"{{"model":"{CHAT_MODEL}","messages":[{{"role":"user","content":""#);
            let max_tokens =
                request.max_tokens.map_or(String::new(), |most| format!(r#","max_tokens":{most}"#));
            let after = format!(r#""}}],"stream":{}{max_tokens}}}"#, request.stream);
            let words = "the river runs to the sea and ";
            let room = length.saturating_sub(before.len() + after.len()).max(1);
            let content: String = words.chars().cycle().take(room).collect();
            Bytes::from([before, content, after].concat())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::scenario;
    use super::*;

    const CHOICE: Choice = Choice { caller: 0, request: 0, leaves: false };

    fn ask(scenario: &Scenario, number: u64) -> Request<Full<Bytes>> {
        Asker::new(scenario, "gateway.example:8443").unwrap().ask(CHOICE, number)
    }

    fn with(credential: Credential) -> Scenario {
        let mut scenario = scenario();
        scenario.callers[0].credential = credential;
        scenario
    }

    #[test]
    fn http_1_names_the_host_and_http_2_the_authority() {
        let mut scenario = with(Credential::None);
        let one = ask(&scenario, 7);
        assert_eq!(one.uri(), "/mock/bytes/8");
        assert_eq!(one.headers()["host"], "gateway.example:8443");
        assert_eq!(one.headers()["x-loadtest-request"], "7");
        scenario.connections.http = Http::Two;
        let two = ask(&scenario, 7);
        assert_eq!(two.uri(), "http://gateway.example:8443/mock/bytes/8");
        assert!(!two.headers().contains_key("host"));
    }

    #[test]
    fn credentials_that_are_one_header() {
        let request = ask(&with(Credential::AppCode("c0de".to_owned())), 1);
        assert_eq!(request.headers()["x-apig-appcode"], "c0de");
        let request = ask(&with(Credential::ApiKey("k3y".to_owned())), 1);
        assert_eq!(request.headers()["authorization"], "Bearer k3y");
        let problem = Asker::new(&with(Credential::ApiKey("k3y\n".to_owned())), "h").err().unwrap();
        assert!(problem.to_string().contains("user `u0`") && !problem.to_string().contains("k3y"));
    }

    #[test]
    fn signatures_cover_number_host_and_headers_so_that_no_two_are_alike() {
        let credential = Credential::AkSk { access_key: "AK".to_owned(), secret_key: "SK".to_owned() };
        for http in [Http::One, Http::Two] {
            let mut scenario = with(credential.clone());
            scenario.connections.http = http;
            let value =
                |number| ask(&scenario, number).headers()["authorization"].to_str().unwrap().to_owned();
            let (first, second) = (value(1), value(2));
            assert!(
                first.contains("SignedHeaders=host;x-loadtest-request;x-mock-tokens;x-sdk-date"),
                "{first}"
            );
            assert_ne!(first, second);
            assert!(!first.contains("SK,"), "{first}");
        }
    }

    #[test]
    fn bodies_have_their_length_and_form() {
        let mut scenario = with(Credential::None);
        scenario.requests[0].body = BodyKind::Chat;
        scenario.requests[0].stream = true;
        for (asked, made) in [(2048, 2048), (0, 77)] {
            scenario.requests[0].body_bytes = asked;
            let body = body(&scenario.requests[0]);
            assert_eq!(body.len(), made);
            let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(json["stream"], true);
        }
        scenario.requests[0] =
            scenario::Request { body_bytes: 200, max_tokens: Some(48), ..scenario.requests[0].clone() };
        let limited = body(&scenario.requests[0]);
        let json: serde_json::Value = serde_json::from_slice(&limited).unwrap();
        assert_eq!((limited.len(), &json["max_tokens"]), (200, &serde_json::Value::from(48)));
        scenario.requests[0].body = BodyKind::Filler;
        scenario.requests[0].body_bytes = 5;
        assert_eq!(body(&scenario.requests[0]), "xxxxx");
    }

    #[test]
    fn what_http_cannot_carry_is_named() {
        let mut scenario = with(Credential::None);
        assert!(Asker::new(&scenario, "a b").is_err());
        scenario.requests[0].headers = vec![("bad name".to_owned(), "v".to_owned())];
        let problem = Asker::new(&scenario, "h").err().unwrap().to_string();
        assert!(problem.contains("request `bytes`: header `bad name`"), "{problem}");
        scenario.requests[0].headers.clear();
        scenario.requests[0].target = "mock".to_owned();
        assert!(Asker::new(&scenario, "h").is_err());
    }
}
