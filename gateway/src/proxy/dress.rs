//! Which headers go upstream: the caller's without those that end here, and the gateway's own.

use super::body::Upload;
use super::finish::Exchange;
use super::upgrade::{self, WEBSOCKET};
use crate::policy::Route;
use crate::upstream::{Backend, Call, Link};
use http::HeaderMap;
use http::header::{self, HeaderName};
use http::request::Parts;
use http::uri::PathAndQuery;

/// Writes the head that the upstream gets: the caller's without hop-by-hop and reserved headers, and ours.
pub fn dress(
    exchange: &Exchange,
    route: &Route,
    backend: &Backend,
    head: &Parts,
    link: Link,
    upload: Upload,
) -> Call<Upload> {
    let target = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let mut call = Call::begin(link, &head.method, &backend.spec.base_path, target, upload);
    call.header("host", backend.host_header.as_bytes());
    let forwarded = Forwarded::of(exchange, &head.headers);
    let named = named_by_connection(&head.headers);
    for (name, value) in &head.headers {
        if !ends_here(name, route) && !forwarded.replaces(name) && !named.contains(name) {
            call.header(name.as_str(), value.as_bytes());
        }
    }
    forwarded.write(&mut call);
    if route.metering.is_some() {
        call.header(header::ACCEPT_ENCODING.as_str(), b"identity"); // what is compressed cannot be metered
    }
    call.header(X_REQUEST_ID.as_str(), exchange.id.as_str().as_bytes());
    if let (Some(name), Some(caller)) = (&route.tenant_header, exchange.caller()) {
        call.header(name.as_str(), caller.tenant_value.as_bytes());
    }
    if upgrade::is_asked(route, head) {
        call.offer(WEBSOCKET);
    }
    call.end_of_head();
    call
}

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What tells the upstream whom it serves. What the caller claims about itself is believed only from a
/// trusted proxy, whose list is then continued.
struct Forwarded<'a> {
    peer: &'a [u8],
    scheme: &'static [u8],
    /// The trusted proxy's list, and whether it tells the scheme as well.
    continued: Option<(&'a [u8], bool)>,
}

impl<'a> Forwarded<'a> {
    fn of(exchange: &'a Exchange, headers: &'a HeaderMap) -> Forwarded<'a> {
        let connection = &exchange.connection;
        let through_proxy = exchange.address != connection.peer.ip().to_canonical();
        let list = if through_proxy { headers.get(X_FORWARDED_FOR) } else { None };
        Forwarded {
            peer: connection.forwarded_for.as_bytes(),
            scheme: if connection.listener.tls { b"https" } else { b"http" },
            continued: list.map(|list| (list.as_bytes(), headers.contains_key(X_FORWARDED_PROTO))),
        }
    }

    fn replaces(&self, name: &HeaderName) -> bool {
        *name == X_FORWARDED_FOR || (*name == X_FORWARDED_PROTO && self.continued.is_none())
    }

    fn write(&self, call: &mut Call<Upload>) {
        match self.continued {
            None => call.header(X_FORWARDED_FOR.as_str(), self.peer),
            Some((list, _)) => call.header(X_FORWARDED_FOR.as_str(), &[list, b", ", self.peer].concat()),
        }
        if !self.continued.is_some_and(|(_, tells_scheme)| tells_scheme) {
            call.header(X_FORWARDED_PROTO.as_str(), self.scheme);
        }
    }
}

/// Further hop-by-hop headers, as the caller's `Connection` names them (RFC 9110 section 7.6.1).
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let lists = headers.get_all(header::CONNECTION).into_iter().filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).filter_map(|name| name.trim().parse().ok()).collect()
}

/// Whether a header of the caller ends here: hop-by-hop ones, what is written anew, the credentials this gateway has
/// checked, and every spelling of the headers by which it vouches for a caller.
fn ends_here(name: &HeaderName, route: &Route) -> bool {
    is_hop_by_hop(name)
        || matches!(*name, header::HOST | header::CONTENT_LENGTH)
        || (route.auth.is_some() && is_credential(name))
        || (route.metering.is_some() && *name == header::ACCEPT_ENCODING)
        || is_reserved(name, route.tenant_header.as_ref())
}

fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::CONNECTION
            | header::TE
            | header::TRAILER
            | header::TRANSFER_ENCODING
            | header::UPGRADE
            | header::PROXY_AUTHORIZATION
            | header::EXPECT
    ) || matches!(name.as_str(), "keep-alive" | "proxy-connection" | "http2-settings")
}

fn is_credential(name: &HeaderName) -> bool {
    *name == header::AUTHORIZATION
        || matches!(
            name.as_str(),
            "x-apig-appcode"
                | "x-sdk-date"
                | "x-sdk-content-sha256"
                | "x-sdk-content-sm3"
                | "x-security-token"
        )
}

/// Headers that only the gateway may send. `_` counts as `-`: some servers read both alike.
fn is_reserved(name: &HeaderName, tenant_header: Option<&HeaderName>) -> bool {
    let same = |reserved: &str| {
        let name = name.as_str().bytes().map(|b| if b == b'_' { b'-' } else { b });
        name.eq(reserved.bytes().map(|b| if b == b'_' { b'-' } else { b }))
    };
    let first = name.as_str().as_bytes().first();
    (first == Some(&b'x') && (same("x-modelarts-user-id") || same("x-request-id") || same("x-tenant")))
        || tenant_header.is_some_and(|reserved| same(reserved.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_reserved_header_is_reserved() {
        let ours = HeaderName::from_static("x-account");
        for name in
            ["x-account", "x_account", "X-Account", "X_ACCOUNT", "x-modelarts-user-id", "x_modelarts-user_id"]
        {
            assert!(is_reserved(&name.parse().unwrap(), Some(&ours)), "{name}");
        }
        for name in ["x-accounts", "account", "x-modelarts-user"] {
            assert!(!is_reserved(&name.parse().unwrap(), Some(&ours)), "{name}");
        }
    }
}
