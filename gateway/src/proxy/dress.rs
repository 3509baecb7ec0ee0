//! Which headers go upstream: the caller's without those that end here, and the gateway's own.

use super::body::Upload;
use super::finish::Exchange;
use super::grpc;
use super::headers::{ends_here, named_by_connection};
use super::seal::Seal;
use super::upgrade::{self, WEBSOCKET};
use crate::clock;
use crate::policy::{Api, Route};
use crate::upstream::{Backend, Call, Line, Outgoing};
use http::HeaderMap;
use http::header::{self, HeaderName};
use http::request::Parts;
use http::uri::PathAndQuery;

/// Writes the head that the upstream gets: the caller's without hop-by-hop and reserved headers, and ours. What shows
/// who the gateway is comes last, and anew for each attempt: it may have a date.
pub fn dress(
    exchange: &Exchange,
    route: &Route,
    backend: &Backend,
    seal: &Seal<'_>,
    head: &Parts,
    line: Line,
    upload: Upload,
) -> Call<Upload> {
    let target = head.uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let mut call = Call::begin(line, backend, &head.method, target, upload);
    call.header("host", backend.host_header.as_bytes());
    let forwarded = Forwarded::of(exchange, &head.headers);
    let named = named_by_connection(&head.headers);
    for (name, value) in &head.headers {
        let replaced = forwarded.replaces(name) || grpc::replaces(exchange, name);
        if !replaced && !ends_here(name, route, seal.credential) && !named.contains(name) {
            call.pass(name, value);
        }
    }
    forwarded.write(&mut call);
    if route.metering.is_some() {
        call.header(header::ACCEPT_ENCODING.as_str(), b"identity"); // what is compressed cannot be metered
    }
    call.header(X_REQUEST_ID.as_str(), exchange.id.as_str().as_bytes());
    if let (Some(name), Some(caller)) = (&route.tenant_header, exchange.caller()) {
        call.header(name.as_str(), caller.tenant_name().as_bytes());
    }
    if route.api == Api::Grpc {
        grpc::dress(exchange, &mut call);
    }
    if upgrade::is_asked(route, head) {
        call.offer(WEBSOCKET);
    }
    if seal.credential.shows_something() {
        let nonce = exchange.connection.worker.request_id();
        let outgoing = Outgoing {
            method: &head.method,
            base_path: &backend.spec.base_path,
            target,
            host: backend.host_header.as_bytes(),
            content_type: content_type(&head.headers).filter(|_| !named.contains(&header::CONTENT_TYPE)),
            body: &seal.body,
            nonce: nonce.as_str(),
        };
        seal.credential.dress(&outgoing, clock::wall_ms(), |name, value| call.header(name, value));
    }
    call.end_of_head();
    call
}

/// If it is sent once: of two, each hop may take another.
fn content_type(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    values.next().filter(|_| values.next().is_none()).map(|value| value.as_bytes())
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
