//! What IAM says.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) token: Option<HeaderValue>,
    pub(super) body: Value,
}

/// In the form of IAM.
pub(super) fn error(status: StatusCode, message: &str) -> Answer {
    let title = status.canonical_reason().unwrap_or("Error");
    let body = json!({"error": {"code": status.as_u16(), "message": message, "title": title}});
    Answer { status, token: None, body }
}

impl Answer {
    pub(super) fn response(self, head_only: bool) -> Response<Full<Bytes>> {
        let body = if head_only { Bytes::new() } else { self.body.to_string().into() };
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(token) = self.token {
            response.headers_mut().insert(HeaderName::from_static("x-subject-token"), token);
        }
        response
    }
}
