//! May this connection speak something else from now on? Only WebSocket, and only where the route says so.

use crate::policy::Route;
use crate::reject::Reject;
use http::header::{CONNECTION, HeaderMap, HeaderName, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::request::Parts;
use http::{Method, Version};
use http_body::Body;

/// What the connection is offered to become.
pub const WEBSOCKET: &str = "websocket";

/// The only version there is (RFC 6455 section 4.1).
pub const WEBSOCKET_VERSION: &str = "13";

/// Whether a request on `route` asks for a WebSocket. Elsewhere `Upgrade` means nothing and ends at this hop, as RFC
/// 9110 section 7.8 allows.
pub fn is_asked(route: &Route, head: &Parts) -> bool {
    route.websocket.is_some() && head.headers.contains_key(UPGRADE)
}

/// Refuses what asks for another protocol, or for this one in a way that the two ends could read differently.
///
/// # Errors
/// [`Reject::Handshake`], [`Reject::WebSocketVersion`]
pub fn check(route: &Route, head: &Parts, body: &impl Body) -> Result<(), Reject> {
    if !is_asked(route, head) {
        return Ok(());
    }
    let refuse = |what| Err(Reject::Handshake { what });
    let headers = &head.headers;
    if head.version != Version::HTTP_11 || head.method != Method::GET {
        return refuse("a WebSocket begins with a GET over HTTP/1.1");
    }
    if !only(headers, &UPGRADE).is_some_and(|protocol| protocol.eq_ignore_ascii_case(WEBSOCKET.as_bytes())) {
        return refuse("only an upgrade to `websocket` is possible here");
    }
    if !names_upgrade(headers) {
        return refuse("`Connection: Upgrade` is missing");
    }
    if !only(headers, &SEC_WEBSOCKET_KEY).is_some_and(is_key) {
        return refuse("`Sec-WebSocket-Key` must be there once, with 16 bytes in base64");
    }
    if !body.is_end_stream() {
        return refuse("a WebSocket handshake has no body");
    }
    if only(headers, &SEC_WEBSOCKET_VERSION) != Some(WEBSOCKET_VERSION.as_bytes()) {
        return Err(Reject::WebSocketVersion);
    }
    Ok(())
}

/// The value of a header that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).into_iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes().trim_ascii())
}

fn names_upgrade(headers: &HeaderMap) -> bool {
    let mut lists =
        headers.get_all(CONNECTION).into_iter().flat_map(|list| list.as_bytes().split(|&b| b == b','));
    lists.any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
}

/// 16 bytes in base64: 22 characters and two signs that fill them up.
fn is_key(key: &[u8]) -> bool {
    let digit = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    key.len() == 24 && key.ends_with(b"==") && key[..22].iter().all(digit)
}
