//! What routes and pools speak besides plain HTTP/1.1, as written.

use super::decode::Entry;
use super::keys;
use super::sections::BODY_MAX;
use super::snapshot::{Api, WebSocket};
use super::yaml::Value;
use crate::upstream::Protocol;
use http::Method;

/// `pools[].protocol`
pub fn protocol(pool: &Entry<'_>) -> Option<Protocol> {
    Some(match pool.word("protocol", &[])? {
        "h2" => Protocol::Http2,
        _ => Protocol::Http1,
    })
}

/// `routes[].websocket`: true, false, or what it may be used for.
pub fn websocket(route: &Entry<'_>, api: Option<Api>, methods: &[Method]) -> Option<WebSocket> {
    let wanted = match route.get("websocket").map(|node| &node.value) {
        None => false,
        Some(Value::Map(_)) => true,
        Some(_) => route.flag("websocket"),
    };
    if !wanted {
        return None;
    }
    if api.is_some_and(|api| api != Api::Plain) {
        let help = "write `api: plain`, with limits on `requests` and `concurrent`";
        route.wrong("websocket", "what is said in a WebSocket cannot be metered", help);
    }
    if !methods.is_empty() && !methods.contains(&Method::GET) {
        let help = "add GET to `match.methods`, or leave `websocket` out";
        route.wrong("websocket", "a WebSocket begins with a GET, which this route does not take", help);
    }
    if matches!(route.get("websocket")?.value, Value::Text(_)) {
        return Some(WebSocket::default());
    }
    let message_max = route.object("websocket", &keys::WEBSOCKET)?.size("message_max", 1..=BODY_MAX)?;
    Some(WebSocket { message_max })
}
