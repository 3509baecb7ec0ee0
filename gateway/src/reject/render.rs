//! The whole answer of a refusal.

use super::{Reject, grpc};
use crate::ids::RequestId;
use crate::limit::headers::{self as rate, RetryAfter};
use crate::policy::Api;
use crate::proxy::WEBSOCKET_VERSION;
use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderValue, Response, StatusCode};
use std::time::Duration;

/// When to try again what failed for want of room or of backends: nobody can know, so soon.
const BUSY: Duration = Duration::from_secs(1);

impl Reject {
    /// The whole answer. `spread` moves `Retry-After` so that those refused together do not return
    /// together; any number that differs from request to request will do.
    pub fn render(&self, api: Option<Api>, request_id: RequestId, spread: u16) -> Response<Bytes> {
        // Whoever does not speak gRPC is told so in HTTP.
        let grpc = api == Some(Api::Grpc) && !matches!(self, Reject::GrpcVersion | Reject::NotGrpc);
        let mut answer = Response::new(Bytes::new());
        if grpc {
            grpc::put(self, answer.headers_mut());
        } else {
            *answer.status_mut() = self.status();
            *answer.body_mut() = self.body(api, request_id.as_str()).into();
            let json = HeaderValue::from_static("application/json");
            answer.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        let headers = answer.headers_mut();
        headers.insert(HeaderName::from_static("x-request-id"), request_id.to_header());
        match self {
            Reject::Limited(limited) => rate::refused(limited, spread, headers),
            Reject::Flood { wait } => RetryAfter::new(*wait, spread).put(headers),
            Reject::Overloaded | Reject::NoBackend | Reject::Undiscovered | Reject::NoToken { .. } => {
                RetryAfter::new(BUSY, spread).put(headers)
            }
            Reject::Queue(refusal) => RetryAfter::new(refusal.retry_after, spread).put(headers),
            Reject::Denied(denied) => {
                if let Some(wait) = denied.retry_after() {
                    RetryAfter::new(wait, spread).put(headers);
                }
                if self.status() == StatusCode::UNAUTHORIZED {
                    // RFC 9110 section 15.5.2: a 401 names a way in.
                    headers.insert(
                        header::WWW_AUTHENTICATE,
                        HeaderValue::from_static("SDK-HMAC-SHA256, Bearer"),
                    );
                }
            }
            Reject::Method { allow } => {
                headers.insert(header::ALLOW, allow.clone());
            }
            Reject::WebSocketVersion => {
                // RFC 9110 section 15.5.22 asks for the first two, RFC 6455 section 4.4 for the third.
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static(WEBSOCKET_VERSION));
            }
            _ => {}
        }
        answer
    }

    fn body(&self, api: Option<Api>, request_id: &str) -> Vec<u8> {
        let message = self.to_string();
        let apig = self.apig();
        let plain = serde_json::json!({"error_code": apig, "error_msg": message, "request_id": request_id});
        let body = match api {
            Some(Api::Pangu | Api::ModelArts | Api::Grpc | Api::Plain) => plain,
            Some(Api::OpenAi) | None => {
                let (kind, code) = self.openai();
                serde_json::json!({
                    "error": {"message": message, "type": kind, "code": code, "param": null},
                    "error_code": apig, "error_msg": message, "request_id": request_id,
                })
            }
        };
        serde_json::to_vec(&body).expect("strings make JSON")
    }
}
