//! ModelArts answers: calls of a real-time service, and the v2 API that lists services.
//!
//! A real-time service answers as its owner made it; this one tells what it was sent. The service API has
//! the members that huaweicloudsdkmodelarts reads, with one running service in every project.

use aws_lc_rs::digest;
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ask::Ask;
use super::endpoint::{Dialect, Services};
use super::refuse;
use super::reply::{Call, Reply};
use super::sse::Script;
use super::text;

/// The one service that every project has.
const SERVICE: &str = "f76f20ba-78f5-44e8-893a-37c8c600c02f";

/// A moment that the service API reports for everything, in milliseconds since 1970-01-01 UTC.
const CREATED_MS: u64 = 1_735_689_600_000;

/// Answers a call of a real-time service.
pub fn predict(call: &Call<'_>, service: &str, path: &str, body: &[u8]) -> Reply {
    // The body may be anything, an image say; only JSON can ask for a stream.
    let ask = serde_json::from_slice::<Ask<'_>>(body).ok();
    let streamed = ask.as_ref().and_then(|ask| ask.stream).unwrap_or(false);
    let Some(ask) = ask.filter(|_| streamed) else {
        let sha256: String = digest::digest(&digest::SHA256, body).as_ref().iter().map(hex).collect();
        let answer = json!({
            "service_id": service,
            "path": path,
            "bytes": body.len(),
            "sha256": sha256,
            "result": text::words(1).trim_end(),
        });
        return Reply::value(StatusCode::OK, &answer);
    };
    let service = service.to_owned();
    let token = move |i: u32| {
        let event = json!({"service_id": service, "index": i, "result": text::word(i)});
        Bytes::from(format!("data: {event}\n\n"))
    };
    let tail = vec![Bytes::from_static(b"data: [DONE]\n\n")];
    let usage = ask.usage(call.plan);
    Reply::events(usage.prompt, Script::new(Vec::new(), usage.completion, token, tail))
}

fn hex(byte: &u8) -> String {
    format!("{byte:02x}")
}

/// Answers the service API.
pub fn services(call: &Call<'_>, operation: Services<'_>, body: &[u8]) -> Reply {
    match operation {
        Services::List => Reply::value(StatusCode::OK, &list(vec![item()])),
        Services::Show { project, service } => Reply::value(StatusCode::OK, &show(project, service)),
        Services::ListKeys { project } => Reply::value(StatusCode::OK, &list(vec![key(project, 0)])),
        Services::CreateKey => create_key(call, body),
        Services::CreateTemporaryKey => create_temporary_key(call, body),
    }
}

fn list(members: Vec<Value>) -> Value {
    json!({"current": 1, "size": members.len(), "pages": 1, "total": members.len(), "data": members})
}

fn item() -> Value {
    json!({
        "id": SERVICE,
        "name": "mock-chat",
        "status": "RUNNING",
        "version": "1.0.0",
        "version_count": 1,
        "description": "",
        "type": "REAL_TIME",
        "deploy_type": "SINGLE",
        "user_name": "mock",
        "workspace_id": "0",
        "create_at": CREATED_MS,
        "update_at": CREATED_MS,
        "auth_type": "API_KEY",
        "task_type": "TEXT_GENERATION",
        "tags": [],
        "schedule": [],
        "frozen_infos": [],
    })
}

fn show(project: &str, service: &str) -> Value {
    let url = format!("/v1/infers/{service}");
    json!({
        "id": service,
        "name": "mock-chat",
        "workspace_id": "0",
        "project_id": project,
        "type": "REAL_TIME",
        "deploy_type": "SINGLE",
        "status": "RUNNING",
        "failure_reason": "",
        "version": {
            "id": "1",
            "version": "1.0.0",
            "description": "",
            "predict_url": url,
            "runtime_config": {
                "service_invoke": {
                    "port": 8080,
                    "protocol": "HTTP",
                    "auth_type": "API_KEY",
                    "internet_access_enable": true,
                    "strategy": "ROUND_ROBIN",
                    "request_retry_enable": false,
                },
            },
            "instance_groups": [],
            "log_configs": [],
            "deploy_timeout_minutes": 30,
        },
        "predict_url": [{"type": "INTRANET", "urls": [url]}],
        "tags": [],
        "deploy_timeout_minutes": 30,
        "schedule": [],
        "create_at": "2025-01-01T00:00:00Z",
        "update_at": "2025-01-01T00:00:00Z",
        "task_type": "TEXT_GENERATION",
        "provider": "mock",
        "frozen_infos": [],
    })
}

fn key(project: &str, number: u64) -> Value {
    json!({
        "key_id": format!("key-{number:08x}"),
        "name": "mock-key",
        "description": "",
        "create_time": CREATED_MS.to_string(),
        "scope": "USER",
        "domain_id": "mock",
        "project_id": project,
        "services": [],
        "workspace_id": "0",
    })
}

#[derive(Deserialize)]
struct CreateKey {
    name: String,
    scope: String,
}

fn create_key(call: &Call<'_>, body: &[u8]) -> Reply {
    match serde_json::from_slice::<CreateKey>(body) {
        Err(e) => refuse::bad_request(Dialect::ModelArts, &e.to_string()),
        Ok(ask) => {
            let answer = json!({
                "key_id": format!("key-{:08x}", call.number),
                "name": ask.name,
                "scope": ask.scope,
                "api_key": format!("mock-api-key-{:08x}", call.number),
                "create_time": call.created * 1000,
            });
            Reply::value(StatusCode::OK, &answer)
        }
    }
}

#[derive(Deserialize)]
struct CreateTemporaryKey {
    /// Hours.
    expire_time: u64,
}

fn create_temporary_key(call: &Call<'_>, body: &[u8]) -> Reply {
    match serde_json::from_slice::<CreateTemporaryKey>(body) {
        Ok(ask) if (1..=24).contains(&ask.expire_time) => {
            let answer = json!({
                "api_key": format!("mock-temporary-key-{:08x}", call.number),
                "create_time": call.created * 1000,
                "expire_time": (call.created + ask.expire_time * 3600) * 1000,
            });
            Reply::value(StatusCode::OK, &answer)
        }
        Ok(_) => refuse::bad_request(Dialect::ModelArts, "expire_time is not within 1 to 24 hours"),
        Err(e) => refuse::bad_request(Dialect::ModelArts, &e.to_string()),
    }
}
