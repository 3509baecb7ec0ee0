//! To the upstream: which headers go, which connection takes them, what a failure means.

use super::admit::Admitted;
use super::body::{Progress, Stop, Upload};
use super::finish::Exchange;
use crate::observe::metrics::UpstreamError;
use crate::policy::Route;
use crate::reject::Reject;
use crate::upstream::{self, Backend, Sender};
use http::header::{self, HeaderName};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Response, Uri, Version};
use hyper::body::Incoming;
use std::rc::Rc;

/// An upstream's answer, its body still to come.
pub struct Received {
    /// As the upstream sent it.
    pub response: Response<Incoming>,
    /// Reusable once the answer's body has ended.
    pub sender: Sender,
    /// How much of the request's body has gone.
    pub progress: Rc<Progress>,
}

/// Sends an admitted request upstream and waits for the head of its answer.
///
/// # Errors
/// No backend, no connection, no answer, none in time; or the request's body turned out to be bad.
pub async fn forward(
    exchange: &mut Exchange,
    mut head: Parts,
    admitted: Admitted,
) -> Result<Received, Reject> {
    let policy = exchange.policy.clone();
    let route = policy.route(exchange.route.expect("admit found a route"));
    let backend = route.pool.pick(exchange.connection.worker.turn()).ok_or(Reject::NoBackend)?;
    exchange.backend = Some(backend.clone());

    let body_bytes = match &admitted {
        Admitted::Held(held) => Some(held.bytes.len() as u64),
        Admitted::Passing(..) => None,
    };
    dress(exchange, route, backend, &mut head, body_bytes);
    let first_byte = route.timeouts.first_byte;
    let (upload, progress) = match admitted {
        Admitted::Held(held) => Upload::held(exchange, held, first_byte),
        Admitted::Passing(body, cap) => Upload::passing(exchange, body, cap, first_byte),
    };

    let sent = send(exchange, route, backend, Request::from_parts(head, upload)).await;
    exchange.bytes_in = progress.bytes.get();
    let (response, sender) = sent.map_err(|failure| explain(route, &progress, exchange, failure))?;
    exchange.answered(response.status());
    Ok(Received { response, sender, progress })
}

/// Makes the caller's head the upstream's: hop-by-hop and reserved headers out, ours in.
fn dress(exchange: &Exchange, route: &Route, backend: &Backend, head: &mut Parts, body_bytes: Option<u64>) {
    strip(&mut head.headers, route);
    let headers = &mut head.headers;
    headers.insert(header::HOST, backend.host_header.clone());
    headers.insert(X_REQUEST_ID, exchange.id.clone());
    add_forwarded(exchange, headers);
    if let (Some(name), Some(caller)) = (&route.tenant_header, exchange.caller()) {
        headers.insert(name, caller.tenant_value.clone());
    }
    if let Some(bytes) = body_bytes {
        // A verified body goes in one piece, however it came.
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    }
    head.version = Version::HTTP_11;
    head.uri = target(&head.uri, backend);
}

/// The same target bytes, below the backend's base path.
fn target(uri: &Uri, backend: &Backend) -> Uri {
    let target = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    if backend.spec.base_path.is_empty() {
        return Uri::from(target);
    }
    let below = format!("{}{target}", backend.spec.base_path);
    Uri::try_from(below).expect("a checked base path and a parsed target make a target")
}

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Tells the upstream whom it serves. What the caller claims about itself is believed only from a
/// trusted proxy, whose list is then continued.
fn add_forwarded(exchange: &Exchange, headers: &mut HeaderMap) {
    let connection = &exchange.connection;
    let scheme = HeaderValue::from_static(if connection.listener.tls { "https" } else { "http" });
    let through_proxy = exchange.address != connection.peer.ip().to_canonical();
    match headers.get(X_FORWARDED_FOR).filter(|_| through_proxy) {
        None => {
            headers.insert(X_FORWARDED_FOR, connection.forwarded_for.clone());
            headers.insert(X_FORWARDED_PROTO, scheme);
        }
        Some(list) => {
            let list = [list.as_bytes(), b", ", connection.forwarded_for.as_bytes()].concat();
            let list = HeaderValue::from_bytes(&list).expect("a header value continued by an address is one");
            headers.insert(X_FORWARDED_FOR, list);
            headers.entry(X_FORWARDED_PROTO).or_insert(scheme);
        }
    }
}

/// Takes out what ends here: hop-by-hop headers (RFC 9110 section 7.6.1), the credentials this gateway
/// has checked, and every spelling of the headers by which it vouches for a caller.
fn strip(headers: &mut HeaderMap, route: &Route) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    let ends_here = |name: &HeaderName| {
        is_hop_by_hop(name)
            || (route.auth.is_some() && is_credential(name))
            || is_reserved(name, route.tenant_header.as_ref())
            || named.contains(name)
    };
    // Collected first: a map cannot be changed while it is read. As a rule only a few names.
    let out: Vec<HeaderName> = headers.keys().filter(|name| ends_here(name)).cloned().collect();
    for name in out {
        headers.remove(name);
    }
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

/// Why there is no answer.
enum Failure {
    Connect(upstream::ConnectError),
    Http(hyper::Error),
    Late(super::deadline::Waiting),
}

/// Sends on the warmest connection, or on a new one. A request that a dying connection gives back
/// untouched is sent again on a new one; one that may have been read never is.
async fn send(
    exchange: &Exchange,
    route: &Route,
    backend: &Backend,
    mut request: Request<Upload>,
) -> Result<(Response<Incoming>, Sender), Failure> {
    let worker = &exchange.connection.worker;
    let deadline = &exchange.deadline;
    while let Some(mut sender) = worker.idle.take(backend.id, worker.deadlines.now_ms()) {
        if deadline.bound(sender.ready()).await.map_err(Failure::Late)?.is_err() {
            continue;
        }
        match deadline.bound(sender.try_send_request(request)).await.map_err(Failure::Late)? {
            Ok(response) => return Ok((response, sender)),
            Err(mut failed) => match failed.take_message() {
                Some(untouched) => request = untouched,
                None => return Err(Failure::Http(failed.into_error())),
            },
        }
    }
    route.pool.connects.increment(1);
    let dialled = deadline.bound(upstream::dial(backend, route.pool.connect_timeout)).await;
    let mut sender = dialled.map_err(Failure::Late)?.map_err(Failure::Connect)?;
    let answer = deadline.bound(sender.send_request(request)).await.map_err(Failure::Late)?;
    Ok((answer.map_err(Failure::Http)?, sender))
}

/// Whose fault was it? A body that was stopped looks like an upstream failure to the HTTP client.
fn explain(route: &Route, progress: &Progress, exchange: &Exchange, failure: Failure) -> Reject {
    match progress.stopped.get() {
        Some(Stop::TooLarge) => {
            return Reject::BodyTooLarge { cap: exchange.body_max(route) };
        }
        Some(Stop::Broken) => return Reject::BodyBroken,
        None => {}
    }
    let (kind, reject) = match failure {
        Failure::Connect(error) => (error.kind(), Reject::Unreachable { detail: error.to_string() }),
        Failure::Http(error) => (UpstreamError::Reset, Reject::UpstreamReset { detail: describe(&error) }),
        Failure::Late(waiting) => {
            let reject = Reject::late(waiting);
            if !reject.blames_upstream() {
                return reject;
            }
            (UpstreamError::Timeout, reject)
        }
    };
    route.metrics.upstream_failed(kind);
    reject
}

/// An HTTP error with its cause, for the log.
fn describe(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
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

    #[test]
    fn a_target_keeps_its_bytes_below_the_base_path() {
        let spec = |base: &str| upstream::BackendSpec {
            host: "a".into(),
            port: 80,
            base_path: base.into(),
            tls: None,
        };
        let uri: Uri = "/v1/x%20y?b=2&a=%E4".parse().unwrap();
        let plain = Backend::new(spec("")).unwrap();
        assert_eq!(target(&uri, &plain), "/v1/x%20y?b=2&a=%E4");
        let below = Backend::new(spec("/infer")).unwrap();
        assert_eq!(target(&uri, &below), "/infer/v1/x%20y?b=2&a=%E4");
    }
}
