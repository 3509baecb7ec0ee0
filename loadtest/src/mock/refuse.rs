//! Refusals: errors as each of the imitated APIs words them.

use http::StatusCode;
use serde_json::json;

use super::endpoint::Dialect;
use super::reply::Reply;

/// A request that cannot be understood.
pub fn bad_request(dialect: Dialect, what: &str) -> Reply {
    let code = match dialect {
        Dialect::OpenAi => "ModelArts.81001",
        Dialect::Pangu => "PANGU.0010",
        Dialect::ModelArts => "ModelArts.4200",
        Dialect::Apig => "APIG.0201",
    };
    refuse(dialect, StatusCode::BAD_REQUEST, code, &format!("Invalid request body: {what}"))
}

/// A refusal with a status, as a fault asks for it.
pub fn with_status(dialect: Dialect, status: StatusCode) -> Reply {
    let (code, message) = wording(dialect, status);
    refuse(dialect, status, code, message)
}

/// A path that leads nowhere.
pub fn not_found() -> Reply {
    with_status(Dialect::Apig, StatusCode::NOT_FOUND)
}

/// A known path with another method, as MaaS answers it.
pub fn wrong_method() -> Reply {
    Reply::json(StatusCode::METHOD_NOT_ALLOWED, r#"{"detail":"Method Not Allowed"}"#)
}

fn wording(dialect: Dialect, status: StatusCode) -> (&'static str, &'static str) {
    match (status.as_u16(), dialect) {
        (429, Dialect::OpenAi) => {
            ("ModelArts.81101", "Too many requests, exceeded rate limit is 60 times per minute.")
        }
        (429, Dialect::Pangu) => {
            ("PANGU.3267", "The number of service invoking requests exceeds the project limit.")
        }
        (429, Dialect::ModelArts) => ("ModelArts.4206", "Excessive number of requests to this service."),
        (429, Dialect::Apig) => (
            "APIG.0308",
            "The throttling threshold has been reached: policy api over ratelimit,limit:60,time:1 minute",
        ),
        (400, Dialect::OpenAi) => ("ModelArts.81001", "Invalid request body"),
        (401, Dialect::OpenAi) => ("ModelArts.81003", "Invalid authorization header"),
        (403, Dialect::OpenAi) => ("ModelArts.81004", "No access to this model"),
        (404, Dialect::OpenAi) => ("ModelArts.81009", "Invalid model"),
        (400, Dialect::Pangu) => ("PANGU.0010", "Illegal parameter."),
        (401, Dialect::Pangu) => ("PANGU.0011", "Authentication failed."),
        (404, Dialect::Pangu) => ("PANGU.3254", "The service does not exist."),
        (500, Dialect::Pangu) => ("PANGU.0031", "Inner exception."),
        (503, Dialect::Pangu) => ("PANGU.3259", "The service is not running."),
        (413, Dialect::ModelArts) => ("ModelArts.4104", "The request body exceeds the limit."),
        (408, Dialect::ModelArts) => ("ModelArts.4205", "Connection timed out."),
        (500 | 503, Dialect::ModelArts) => {
            ("ModelArts.4302", "Gateway forwarding error because of the mock.")
        }
        (504, Dialect::ModelArts) => ("ModelArts.4503", "The service did not answer in time."),
        (401, _) => ("APIG.0303", "Incorrect app authentication information"),
        (404, _) => ("APIG.0101", "The API does not exist or has not been published in the environment"),
        (502, _) => ("APIG.0202", "Backend unavailable"),
        (504, _) => ("APIG.0203", "Backend timeout"),
        (400..500, _) => ("APIG.0201", "Bad request"),
        _ => ("APIG.0103", "Backend failed"),
    }
}

fn refuse(dialect: Dialect, status: StatusCode, code: &str, message: &str) -> Reply {
    let body = match dialect {
        Dialect::OpenAi => {
            let kind = status.canonical_reason().unwrap_or("Error").replace(' ', "");
            json!({
                "error": {"code": code, "message": message, "type": kind},
                "error_code": code,
                "error_msg": message,
            })
        }
        Dialect::Pangu | Dialect::ModelArts | Dialect::Apig => {
            json!({"error_code": code, "error_msg": message})
        }
    };
    Reply::value(status, &body)
}
