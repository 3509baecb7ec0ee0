//! The answer to a head that no service sees.

use crate::observe::metrics;
use crate::proxy::Connection;
use crate::server::framing::Framing;
use http::StatusCode;

/// Why a head was not let through.
#[derive(Debug, Clone, Copy)]
pub enum Refused {
    /// It has two readings, or none.
    Framing(Framing),
    /// It did not end in time.
    HeadLate,
}

impl Refused {
    fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Refused::Framing(framing) => (framing.status(), framing.code(), framing.reason()),
            Refused::HeadLate => (408, "head_late", "the request head came too slowly"),
        }
    }

    /// The answer, written by hand: there is no request that a service could answer. Counts and logs it.
    pub fn answer(self, connection: &Connection) -> Vec<u8> {
        let (status, code, message) = self.row();
        metrics::framing_violation(code);
        let id = connection.worker.request_id();
        connection.log_unparsed(id, status, code);
        let id = id.as_str();
        let body = serde_json::json!({
            "error": {"message": message, "type": "invalid_request_error", "code": code, "param": null},
            "error_code": "APIG.0201", "error_msg": message, "request_id": id,
        })
        .to_string();
        let phrase = StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or_default();
        format!(
            "HTTP/1.1 {status} {phrase}\r\ncontent-type: application/json\r\nx-request-id: {id}\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len(),
        )
        .into_bytes()
    }
}
