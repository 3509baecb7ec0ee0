//! gRPC, as far as a gateway has a say in it: what is a call, how long it may take, how it went.

use super::body::Upload;
use super::finish::Exchange;
use crate::policy::{Api, Route};
use crate::reject::{Reject, grpc};
use crate::upstream::Call;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use std::time::Duration;

const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The largest number that a timeout can have: eight digits.
const TIMEOUT_MAX: u128 = 99_999_999;

/// The highest status there is; whatever is beyond counts as unknown.
const STATUS_MAX: u8 = 16;
const UNKNOWN: u8 = 2;

/// Refuses what is not a call where only calls are taken, and shortens the exchange to what its caller will wait.
///
/// # Errors
/// [`Reject::GrpcVersion`], [`Reject::NotGrpc`]: told in HTTP, since whoever hears it does not speak gRPC.
pub fn check(exchange: &mut Exchange, route: &Route, head: &Parts) -> Result<(), Reject> {
    if route.api != Api::Grpc {
        return Ok(());
    }
    if head.version != Version::HTTP_2 {
        return Err(Reject::GrpcVersion);
    }
    if head.method != Method::POST || !head.headers.get(header::CONTENT_TYPE).is_some_and(is_grpc) {
        return Err(Reject::NotGrpc);
    }
    if let Some(most) = head.headers.get(TIMEOUT).and_then(timeout) {
        exchange.shorten(most);
    }
    Ok(())
}

/// Is this header of the caller's written anew? A deadline is: some of its time has passed.
pub fn replaces(exchange: &Exchange, name: &HeaderName) -> bool {
    *name == TIMEOUT && exchange.has_deadline()
}

/// Adds what a call needs besides its caller's headers. `te` tells servers that nobody on the way drops trailers.
pub fn dress(exchange: &Exchange, call: &mut Call<Upload>) {
    call.header(header::TE.as_str(), b"trailers");
    if exchange.has_deadline() {
        call.header(TIMEOUT.as_str(), spell(exchange.left()).as_bytes());
    }
}

/// `application/grpc`, perhaps with the name of a coding behind it.
fn is_grpc(kind: &HeaderValue) -> bool {
    let rest = kind.as_bytes().strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest, [] | [b'+' | b';' | b' ', ..]))
}

/// At most eight digits and a unit. What is malformed bounds nothing, and is for the upstream to judge.
fn timeout(value: &HeaderValue) -> Option<Duration> {
    let (digits, unit) = value.as_bytes().split_at_checked(value.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b"H" => Duration::from_secs(count * 3600),
        b"M" => Duration::from_secs(count * 60),
        b"S" => Duration::from_secs(count),
        b"m" => Duration::from_millis(count),
        b"u" => Duration::from_micros(count),
        b"n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// The same the other way: as exact as eight digits allow, and never longer than it is. None at all would be no deadline.
fn spell(left: Duration) -> String {
    match left.as_micros() {
        us @ ..=TIMEOUT_MAX => format!("{}u", us.max(1)),
        us if us / 1_000 <= TIMEOUT_MAX => format!("{}m", us / 1_000),
        us => format!("{}S", (us / 1_000_000).min(TIMEOUT_MAX)),
    }
}

/// How a call went, from its trailers or from a head that is the whole answer.
pub fn status(headers: &HeaderMap) -> Option<u8> {
    let status = headers.get(grpc::STATUS)?.to_str().ok().and_then(|status| status.parse().ok());
    Some(status.filter(|status| *status <= STATUS_MAX).unwrap_or(UNKNOWN))
}

/// What a status stands for in HTTP, wherever both are counted alike: the mapping of gRPC's own `code.proto`.
pub fn as_http(status: u8) -> StatusCode {
    match status {
        0 => StatusCode::OK,
        1 => StatusCode::from_u16(499).expect("three digits"),
        3 | 9 | 11 => StatusCode::BAD_REQUEST,
        4 => StatusCode::GATEWAY_TIMEOUT,
        5 => StatusCode::NOT_FOUND,
        6 | 10 => StatusCode::CONFLICT,
        7 => StatusCode::FORBIDDEN,
        8 => StatusCode::TOO_MANY_REQUESTS,
        12 => StatusCode::NOT_IMPLEMENTED,
        14 => StatusCode::SERVICE_UNAVAILABLE,
        16 => StatusCode::UNAUTHORIZED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_digits_and_a_unit() {
        let read = |text: &'static str| timeout(&HeaderValue::from_static(text));
        assert_eq!(read("1500m"), Some(Duration::from_millis(1500)));
        assert_eq!(read("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(read("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for bad in ["", "S", "1", "1s", "123456789S", "-1S", "1 S", "1.5S"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_left_is_spelt_in_eight_digits_and_never_longer_than_it_is() {
        for (left, wanted) in [
            (Duration::ZERO, "1u"),
            (Duration::from_nanos(1_999), "1u"),
            (Duration::from_millis(250), "250000u"),
            (Duration::from_micros(99_999_999), "99999999u"),
            (Duration::from_micros(100_000_999), "100000m"),
            (Duration::from_secs(100_000), "100000S"),
            (Duration::MAX, "99999999S"),
        ] {
            let spelt = spell(left);
            assert_eq!(spelt, wanted);
            let read = timeout(&HeaderValue::try_from(spelt).unwrap()).expect("its own spelling");
            assert!(read <= left.max(Duration::from_micros(1)), "{left:?}");
        }
    }

    #[test]
    fn a_status_is_one_of_seventeen() {
        let read = |text: &'static str| {
            status(&HeaderMap::from_iter([(grpc::STATUS, HeaderValue::from_static(text))]))
        };
        assert_eq!(status(&HeaderMap::new()), None);
        assert_eq!([read("0"), read("16")], [Some(0), Some(16)]);
        for odd in ["17", "-1", "", "ok", "999"] {
            assert_eq!(read(odd), Some(UNKNOWN), "{odd:?}");
        }
    }

    #[test]
    fn failures_of_a_server_count_as_such_and_those_of_a_caller_do_not() {
        let failures: Vec<u8> =
            (0..=STATUS_MAX).filter(|status| as_http(*status).is_server_error()).collect();
        assert_eq!(failures, [2, 4, 12, 13, 14, 15]);
    }

    #[test]
    fn only_grpc_is_grpc() {
        for good in ["application/grpc", "application/grpc+proto", "application/grpc;x=y"] {
            assert!(is_grpc(&HeaderValue::from_static(good)), "{good}");
        }
        for bad in ["application/grpc-web", "application/json", "application/grpcx"] {
            assert!(!is_grpc(&HeaderValue::from_static(bad)), "{bad}");
        }
    }
}
