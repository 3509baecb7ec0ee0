//! One attempt at a backend: the connection that takes the request, the head of its answer, what a failure means.

use super::body::{Stop, Upload};
use super::deadline::Waiting;
use super::dress::dress;
use super::finish::Exchange;
use super::forward::Received;
use super::retry::{Late, Outgoing, Tries};
use super::seal::Seal;
use crate::observe::metrics::UpstreamError;
use crate::policy::Route;
use crate::reject::Reject;
use crate::upstream::retry::Reason;
use crate::upstream::{self, Backend, Call, Line, Picked, Pool, Protocol};
use http::request::Parts;
use http::{Response, header};
use std::future::poll_fn;
use std::rc::Rc;

/// Why there is no answer.
pub enum Failure {
    /// No connection; nothing was sent.
    Connect(Rc<upstream::ConnectError>),
    /// The connection broke, or spoke no HTTP.
    Http(upstream::Error),
    /// Something took too long.
    Late(Waiting),
    /// The answer did not begin in time, and this one is asked in its place.
    Slow(Picked),
    /// The request's body was bad.
    Stopped(Stop),
}

impl Failure {
    /// Why somebody else may be asked; `None`: nobody else would do better.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Failure::Connect(_) => Some(Reason::Connect),
            Failure::Http(error) if error.is_upload() => None,
            // As good as no connection: nobody has looked at it.
            Failure::Http(error) if error.is_untouched() => Some(Reason::Connect),
            Failure::Http(_) => Some(Reason::Reset),
            Failure::Late(_) | Failure::Slow(_) | Failure::Stopped(_) => None,
        }
    }
}

/// Sends the request to `backend` and waits for the head of its answer.
///
/// # Errors
/// [`Failure`]
pub async fn attempt(
    exchange: &mut Exchange,
    route: &Route,
    tries: &mut Tries<'_>,
    backend: &Backend,
    head: &mut Parts,
    body: &mut Outgoing,
) -> Result<Received, Failure> {
    tries.wait_all(exchange);
    let (line, warm) = connect(exchange, tries, backend).await?;
    if !matches!(body, Outgoing::Passing(..)) {
        tries.wait_one(exchange);
    }
    let seal = Seal::of(route, tries.pool(), body);
    let upload = body.upload(exchange, route, tries.is_last());
    let mut call = dress(exchange, route, backend, &seal, head, line, upload);
    let mut response = Response::new(());
    if tries.is_last() {
        // The answer's headers go into the map that the request's have left: its table is warm and large enough.
        std::mem::swap(response.headers_mut(), &mut head.headers);
        response.headers_mut().clear();
    }
    if let Some(usage) = &mut exchange.usage {
        usage.sent();
    }
    let answer = send(exchange, tries, backend, &mut call, &mut response, warm).await;
    exchange.bytes_in = call.upload().bytes;
    match (answer, call.upload().stopped) {
        (Ok(()), _) => Ok(Received { response, call }),
        // A body that was stopped is an upstream failure to the HTTP client.
        (Err(_), Some(stop)) => Err(Failure::Stopped(stop)),
        (Err(failure), None) => Err(failure),
    }
}

/// The warmest connection that is there, or a place on it, else a new one; and whether it has served before.
async fn connect(
    exchange: &Exchange,
    tries: &mut Tries<'_>,
    backend: &Backend,
) -> Result<(Line, bool), Failure> {
    let worker = &exchange.connection.worker;
    let at_hand = match backend.spec.protocol {
        Protocol::Http1 => worker.idle.take(backend.id, worker.deadlines.now_ms()).map(Line::Http1),
        Protocol::Http2 => worker.sessions.at_hand(backend.id).map(Line::Http2),
    };
    match at_hand {
        Some(line) => Ok((line, true)),
        // In a box: it takes 6 KB, which every request would else carry along.
        None => Box::pin(open(exchange, tries, backend)).await,
    }
}

/// A new connection, or a place on one that somebody else opens; and whether it has served before.
async fn open(
    exchange: &Exchange,
    tries: &mut Tries<'_>,
    backend: &Backend,
) -> Result<(Line, bool), Failure> {
    let (worker, pool) = (&exchange.connection.worker, tries.pool());
    let dial = async {
        pool.connects.increment(1);
        upstream::dial(backend, pool.connect_timeout).await
    };
    if backend.spec.protocol == Protocol::Http2 {
        let placed = in_time(exchange, tries, worker.sessions.place(backend.id, dial)).await?;
        return placed.map(|(place, warm)| (Line::Http2(place), warm)).map_err(Failure::Connect);
    }
    let dialled = in_time(exchange, tries, dial).await?;
    let socket = dialled.map_err(|error| Failure::Connect(error.into()))?;
    Ok((Line::Http1(socket.into()), false))
}

/// How often a backend of HTTP/2 may give a request back, on a connection that lives on: one that takes fewer at a time than
/// was thought says so, and the next attempt is on another.
const REFUSED_MAX: u32 = 3;

/// Waits for the answer's head, which becomes `response`. A request of which a dying connection took nothing goes on
/// another; one that may have
/// been read is not sent twice here.
async fn send(
    exchange: &Exchange,
    tries: &mut Tries<'_>,
    backend: &Backend,
    call: &mut Call<Upload>,
    response: &mut Response<()>,
    mut warm: bool,
) -> Result<(), Failure> {
    let mut refused = 0;
    loop {
        match in_time(exchange, tries, poll_fn(|cx| call.poll_answer(cx, response))).await? {
            Ok(()) => {
                // Servers of models send the head of a stream at once, and its first token when they have it.
                if tries.hastens() && is_stream(response) {
                    let begun = poll_fn(|cx| call.poll_begun(cx));
                    in_time(exchange, tries, begun).await?.map_err(Failure::Http)?;
                }
                return Ok(());
            }
            Err(error) => {
                let again = match &error {
                    upstream::Error::Http1(_) => warm, // so each idle connection is tried once
                    upstream::Error::Http2(_) => refused < REFUSED_MAX,
                };
                if !again || !error.is_untouched() {
                    return Err(Failure::Http(error));
                }
                refused += 1;
            }
        }
        let line;
        (line, warm) = connect(exchange, tries, backend).await?;
        call.move_to(line);
    }
}

fn is_stream(response: &Response<()>) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
    kind.and_then(|kind| kind.get(..17)).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
}

/// Runs `work` until it is done, or takes so long that somebody else is asked in its place, or too long for that.
async fn in_time<T>(
    exchange: &Exchange,
    tries: &mut Tries<'_>,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    let mut work = std::pin::pin!(work);
    loop {
        match exchange.deadline.bound(work.as_mut()).await {
            Ok(done) => return Ok(done),
            Err(Waiting::FirstByte) => match tries.late(exchange) {
                Some(Late::ForOne(next)) => return Err(Failure::Slow(next)),
                Some(Late::ForAll) => return Err(Failure::Late(Waiting::FirstByte)),
                None => {}
            },
            Err(waiting) => return Err(Failure::Late(waiting)),
        }
    }
}

/// Whose fault was it, and what is the caller told?
pub fn explain(route: &Route, pool: &Pool, exchange: &Exchange, failure: Failure) -> Reject {
    let (kind, reject) = match failure {
        Failure::Stopped(stop) => return stop.told(exchange),
        Failure::Http(error) if error.is_upload() => return Reject::BodyBroken,
        Failure::Connect(error) => (error.kind(), Reject::Unreachable { detail: error.to_string() }),
        Failure::Http(error) => (UpstreamError::Reset, Reject::UpstreamReset { detail: error.to_string() }),
        Failure::Slow(_) => (UpstreamError::Timeout, Reject::FirstByteLate),
        Failure::Late(waiting) => {
            let reject = exchange.late(waiting);
            if !reject.blames_upstream() {
                return reject;
            }
            (UpstreamError::Timeout, reject)
        }
    };
    route.metrics.upstream_failed(kind);
    if let Some(backend) = &exchange.backend {
        pool.failed(backend, kind, exchange.connection.worker.deadlines.now_ms());
    }
    reject
}
