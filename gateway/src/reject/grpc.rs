//! "No" as gRPC hears it: a status in trailers, which may come without a body before them ("Trailers-Only" in the
//! protocol's description, PROTOCOL-HTTP2.md of gRPC). The HTTP status is 200 whatever happened.

use super::Reject;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use std::fmt::Write;

/// The status of a call.
pub const STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// What it means to people.
pub const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

const INVALID_ARGUMENT: u8 = 3;
const DEADLINE_EXCEEDED: u8 = 4;
const PERMISSION_DENIED: u8 = 7;
const RESOURCE_EXHAUSTED: u8 = 8;
const UNIMPLEMENTED: u8 = 12;
const UNAVAILABLE: u8 = 14;
const UNAUTHENTICATED: u8 = 16;

/// What gRPC calls a refusal.
pub fn status(reject: &Reject) -> u8 {
    match reject.status() {
        StatusCode::UNAUTHORIZED => UNAUTHENTICATED,
        StatusCode::FORBIDDEN => PERMISSION_DENIED,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => UNIMPLEMENTED,
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => DEADLINE_EXCEEDED,
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::PAYLOAD_TOO_LARGE
        | StatusCode::URI_TOO_LONG
        | StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => RESOURCE_EXHAUSTED,
        status if status.is_server_error() => UNAVAILABLE,
        _ => INVALID_ARGUMENT,
    }
}

/// Puts a refusal into the head that is the whole answer.
pub(super) fn put(reject: &Reject, headers: &mut HeaderMap) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.extend(trailers(reject));
}

/// The end of a call that has begun to be answered and cannot go on.
pub fn trailers(reject: &Reject) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(4);
    trailers.insert(STATUS, HeaderValue::from(u16::from(status(reject))));
    let message = encode(&reject.to_string());
    let message = HeaderValue::try_from(message).expect("what is not visible ASCII has been encoded");
    trailers.insert(MESSAGE, message);
    trailers
}

/// `grpc-message` is percent-encoded UTF-8.
fn encode(message: &str) -> String {
    message.bytes().fold(String::with_capacity(message.len()), |mut encoded, byte| {
        match byte {
            b'%' | ..0x20 | 0x7f.. => write!(encoded, "%{byte:02X}").expect("memory takes all"),
            plain => encoded.push(char::from(plain)),
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Denied, TokenDenied};
    use std::time::Duration;

    #[test]
    fn refusals_have_the_status_that_clients_act_on() {
        for (reject, wanted) in [
            (Reject::Denied(Denied::UnsupportedAlgorithm), 16),
            (Reject::Flood { wait: Duration::from_secs(1) }, 8),
            (Reject::BodyTooLarge { cap: 1 }, 8),
            (Reject::NoBackend, 14),
            (Reject::UpstreamReset { detail: String::new() }, 14),
            (Reject::TotalLate, 4),
            (Reject::DeadlineOver, 4),
            (Reject::Silent, 4),
            (Reject::UpstreamCut, 14),
            (Reject::NoRoute, 12),
            (Reject::FirstByteLate, 4),
            (Reject::BodyBroken, 3),
            (Reject::Ambiguous { what: "" }, 3),
            (Reject::Method { allow: HeaderValue::from_static("POST") }, 12),
            (Reject::TargetTooLong { cap: 1 }, 8),
            (Reject::TooManyHeaders { cap: 1 }, 8),
            (Reject::BodyTooSlow, 4),
            (Reject::Denied(Denied::Token(TokenDenied::Stranger)), 7),
            (Reject::Overloaded, 14),
            (Reject::Undiscovered, 14),
            (Reject::NoToken { token: "a".into() }, 14),
            (Reject::Unreachable { detail: String::new() }, 14),
        ] {
            assert_eq!(status(&reject), wanted, "{reject}");
        }
    }

    #[test]
    fn a_message_is_ascii_on_the_wire() {
        assert_eq!(encode("100 %, 你\n"), "100 %25, %E4%BD%A0%0A");
    }
}
