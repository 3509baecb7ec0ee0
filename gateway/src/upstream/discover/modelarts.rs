//! Asks the ModelArts API for the instances of a service.

use super::pace::{Asker, Paces};
use super::{Found, Service, host_endpoints};
use crate::clock;
use crate::ids::RequestId;
use crate::signing::sha256;
use crate::upstream::http1::Call;
use crate::upstream::{Backend, Credential, Outgoing, SignedBody, dial};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// For a connection, and for all of one call.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks whether there is a token.
const TOKEN_LOOK: Duration = Duration::from_millis(50);
/// The longest answer.
const ANSWER_MAX: usize = 1 << 20;

/// An API, and who the gateway is there.
pub struct ServiceApi {
    /// Where it is.
    pub backend: Backend,
    /// Who asks.
    pub credential: Arc<Credential>,
    /// Digest of what shows who asks: those with the same one share a budget.
    pub fingerprint: [u8; 32],
}

impl ServiceApi {
    /// Asks there as this one.
    pub fn new(backend: Backend, credential: Arc<Credential>) -> ServiceApi {
        let fingerprint = fingerprint(&credential);
        ServiceApi { backend, credential, fingerprint }
    }
}

/// Of what the credential would write under the same request at the same time: equal ones are equal, and nothing can be
/// told from it.
fn fingerprint(credential: &Credential) -> [u8; 32] {
    let request = Outgoing {
        method: &Method::GET,
        base_path: "",
        target: "/",
        host: b"fingerprint",
        content_type: None,
        body: &SignedBody::Empty,
        nonce: "",
    };
    let mut written = Vec::new();
    if let Credential::IamToken(own) = credential {
        // There is no token before policy is in force; what it will be asked for with is known.
        written.extend_from_slice(format!("{:?}", own.login()).as_bytes());
        written.extend_from_slice(&own.login().body());
    }
    credential.dress(&request, 0, |name, value| {
        for part in [name.as_bytes(), value] {
            written.extend_from_slice(&part.len().to_le_bytes());
            written.extend_from_slice(part);
        }
    });
    sha256(&written)
}

/// Why there is no answer that can be used.
#[derive(Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// One sentence. Nothing of the answer but what it looks like.
    pub why: String,
    /// How long not to ask again, if the API said so.
    pub retry_after: Option<Duration>,
}

impl From<String> for Unanswered {
    fn from(why: String) -> Unanswered {
        Unanswered { why, retry_after: None }
    }
}

/// The instances of a service; perhaps none. Waits for its turn first.
pub async fn ask(service: &Service, api: &ServiceApi, paces: &Paces) -> Result<Vec<Found>, Unanswered> {
    paces.wait(&Asker { endpoint: service.endpoint.clone(), credential: api.fingerprint }).await;
    let answer = tokio::time::timeout(TIMEOUT, fetch(service, api)).await;
    let body =
        answer.map_err(|_| format!("no answer of the API within {TIMEOUT:?}, or no token for it"))??;
    Ok(host_endpoints::read(&body)?)
}

async fn fetch(service: &Service, api: &ServiceApi) -> Result<BytesMut, Unanswered> {
    while api.credential.missing().is_some() {
        tokio::time::sleep(TOKEN_LOOK).await; // until whoever waits for the answer gives up
    }
    let Service { project_id, id, .. } = service;
    let target = format!("/v1/{project_id}/services/{id}/predict/endpoints?type=host_endpoints");
    let backend = &api.backend;
    let socket =
        dial(backend, TIMEOUT).await.map_err(|error| format!("no connection to the API: {error}"))?;
    let nothing = Empty::<Bytes>::new().map_err(|never| -> io::Error { match never {} });
    let mut call = Call::begin(socket.into(), &Method::GET, &backend.spec.base_path, &target, nothing);
    call.header("host", backend.host_header.as_bytes());
    call.header("user-agent", b"pangu-gateway");
    call.header("accept", b"application/json");
    call.header("accept-encoding", b"identity");
    call.header("connection", b"close");
    let nonce = RequestId::new(ahash::RandomState::new().hash_one(()), 0);
    let outgoing = Outgoing {
        method: &Method::GET,
        base_path: &backend.spec.base_path,
        target: &target,
        host: backend.host_header.as_bytes(),
        content_type: None,
        body: &SignedBody::Empty,
        nonce: nonce.as_str(),
    };
    api.credential.dress(&outgoing, clock::wall_ms(), |name, value| call.header(name, value));
    call.end_of_head();
    let answer = call.answer().await.map_err(|error| format!("no answer: {error}"))?;
    refusal(answer.status(), answer.headers())?;
    let mut body = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| call.poll_body(cx)).await {
        let frame = frame.map_err(|error| format!("the answer broke off: {error}"))?;
        let Ok(data) = frame.into_data() else { continue };
        if body.len() + data.len() > ANSWER_MAX {
            return Err(format!("the answer is longer than {ANSWER_MAX} bytes").into());
        }
        body.extend_from_slice(&data);
    }
    Ok(body)
}

/// Its text may say anything, so that only the status is told.
fn refusal(status: StatusCode, headers: &HeaderMap) -> Result<(), Unanswered> {
    let why = match status {
        StatusCode::OK => return Ok(()),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            format!("the API answers {}: check `credential` and its rights", status.as_u16())
        }
        StatusCode::NOT_FOUND => {
            "the API answers 404: check `project_id` and the id of the service".to_owned()
        }
        StatusCode::TOO_MANY_REQUESTS => {
            "the API answers 429: somebody else uses its budget up; write a longer `every`".to_owned()
        }
        status => format!("the API answers {}", status.as_u16()),
    };
    let retry_after = headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Err(Unanswered { why, retry_after: retry_after.map(Duration::from_secs) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signing::Signer;
    use crate::upstream::AkSk;

    #[test]
    fn a_refusal_says_what_to_do_and_when_to_come_back() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, "7".parse().unwrap());
        let refused = refusal(StatusCode::TOO_MANY_REQUESTS, &headers).unwrap_err();
        assert_eq!(refused.retry_after, Some(Duration::from_secs(7)));
        assert!(refused.why.contains("every"), "{}", refused.why);
        for (status, told) in [(401, "credential"), (403, "credential"), (404, "project_id"), (302, "302")] {
            let refused = refusal(StatusCode::from_u16(status).unwrap(), &HeaderMap::new()).unwrap_err();
            assert!(refused.why.contains(told) && refused.retry_after.is_none(), "{refused:?}");
        }
        assert_eq!(refusal(StatusCode::OK, &headers), Ok(()));
    }

    #[test]
    fn who_asks_is_known_by_key_and_secret() {
        let pair = |access_key: &str, secret_key: &[u8]| {
            let signer = Signer::sdk(access_key, secret_key);
            let (unsigned_payload, project_id, security_token) = (false, None, None);
            fingerprint(&Credential::AkSk(Box::new(AkSk {
                signer,
                unsigned_payload,
                project_id,
                security_token,
            })))
        };
        assert_eq!(pair("AK", b"SK"), pair("AK", b"SK"));
        assert_ne!(pair("AK", b"SK"), pair("AL", b"SK"));
        assert_ne!(pair("AK", b"SK"), pair("AK", b"SL"));
    }
}
