//! The ModelArts API that tells which instances a service has.
//!
//! `GET /v1/{project}/services/{service}/predict/endpoints?type=host_endpoints`, on the address of the endpoints. What it
//! answers is set through the control API, byte for byte, since what stands around the instances is not documented.
//! Calls are counted apart from requests, and the last one is kept.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::Full;
use serde::{Deserialize, Serialize};

/// What it answers, whatever the service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Knobs {
    /// Status. Default: 200.
    pub status: u16,
    /// Body. Default: an empty list.
    pub body: String,
    /// `Retry-After`, in seconds. Default: none.
    pub retry_after_s: Option<u64>,
}

impl Default for Knobs {
    fn default() -> Knobs {
        Knobs { status: 200, body: "[]".to_owned(), retry_after_s: None }
    }
}

/// What was asked.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Asked {
    /// Calls so far.
    pub calls: u64,
    /// Path and query of the last one.
    pub target: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
}

/// The API.
#[derive(Debug, Default)]
pub struct Instances {
    knobs: Mutex<Knobs>,
    calls: AtomicU64,
    last: Mutex<Asked>,
}

/// Is this path the API's?
pub fn is_asked(path: &str) -> bool {
    let mut segments = path.split('/').skip(1);
    let mut next = || segments.next().unwrap_or_default();
    let named = [next(), next(), next(), next(), next(), next(), next()];
    matches!(named, ["v1", project, "services", service, "predict", "endpoints", ""]
        if !project.is_empty() && !service.is_empty())
        && !path.ends_with('/')
}

impl Instances {
    /// Sets what it answers.
    pub fn turn(&self, knobs: Knobs) {
        *self.knobs.lock().expect("nobody panics holding it") = knobs;
    }

    /// What it answers.
    pub fn knobs(&self) -> Knobs {
        self.knobs.lock().expect("nobody panics holding it").clone()
    }

    /// What was asked.
    pub fn asked(&self) -> Asked {
        let last = self.last.lock().expect("nobody panics holding it").clone();
        Asked { calls: self.calls.load(Relaxed), ..last }
    }

    /// Forgets the calls, and keeps what it answers.
    pub fn reset(&self) {
        self.calls.store(0, Relaxed);
        *self.last.lock().expect("nobody panics holding it") = Asked::default();
    }

    /// Answers a call.
    pub fn answer(&self, method: &Method, target: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        self.calls.fetch_add(1, Relaxed);
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        *self.last.lock().expect("nobody panics holding it") =
            Asked { calls: 0, target: target.to_owned(), headers };
        let knobs = self.knobs();
        if *method != Method::GET || !target.ends_with("?type=host_endpoints") {
            return reply(StatusCode::BAD_REQUEST, r#"{"error_code":"ModelArts.0104"}"#.to_owned());
        }
        let status = StatusCode::from_u16(knobs.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = reply(status, knobs.body);
        if let Some(seconds) = knobs.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

fn reply(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_path_is_its() {
        assert!(is_asked("/v1/p1/services/s1/predict/endpoints"));
        for path in [
            "/v1/p1/services/s1/predict/endpoints/",
            "/v1/p1/services/s1/predict/endpoints/x",
            "/v1/p1/services/s1/predict",
            "/v1/p1/services//predict/endpoints",
            "/v2/p1/services/s1/predict/endpoints",
            "/",
        ] {
            assert!(!is_asked(path), "{path}");
        }
    }

    #[test]
    fn it_answers_what_it_is_told_to_and_counts() {
        let instances = Instances::default();
        instances.turn(Knobs { status: 429, retry_after_s: Some(3), ..Knobs::default() });
        let target = "/v1/p/services/s/predict/endpoints?type=host_endpoints";
        let answer = instances.answer(&Method::GET, target, &HeaderMap::new());
        assert_eq!((answer.status().as_u16(), &answer.headers()[RETRY_AFTER]), (429, &HeaderValue::from(3)));
        let wrong = instances.answer(&Method::GET, "/v1/p/services/s/predict/endpoints", &HeaderMap::new());
        assert_eq!(wrong.status(), 400);
        assert_eq!(instances.asked().calls, 2);
        instances.reset();
        assert_eq!((instances.asked().calls, instances.knobs().status), (0, 429));
    }
}
