//! HTTP/1.1: one request after the other behind the gate, and what comes after the last one.

use super::close::{linger, shut, write_within};
use super::life::{End, Life};
use super::refused::Refused;
use super::{Stage, WRITE_BUFFER};
use crate::proxy::deadline::Task;
use crate::proxy::{Answer, Connection, Tunnel, serve as serve_request};
use crate::server::framing::{FramingCaps, HeadGate, HeadWatch};
use crate::settings::Heads;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

/// Header lines that hyper parses without an allocation for each request.
const PARSED_HEADERS: usize = 100;

/// How long before the end of a drain WebSockets are closed: the frames that say so have to leave, and callers to agree.
const FAREWELL: Duration = Duration::from_millis(200);

/// What a connection becomes after a 101, once there was one.
type Switched = Rc<Cell<Option<Box<Tunnel>>>>;

/// Serves a connection to its end.
pub async fn serve<IO>(connection: Rc<Connection>, stage: watch::Receiver<Stage>, stream: IO)
where
    IO: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let heads = connection.worker.shared.settings.heads;
    let (gate, watch) = HeadGate::new(stream, caps(heads));
    let switched = Switched::default();
    let service = service(&connection, &switched);
    let mut http = builder(heads).serve_connection(TokioIo::new(gate), service);

    let (task, mut life) = (connection.task.clone(), Life::new(&connection));
    let end = poll_fn(|cx| {
        task.register(cx);
        if task.aborted() {
            return Poll::Ready(End::Aborted);
        }
        if life.draining() {
            Pin::new(&mut http).graceful_shutdown();
        }
        match Pin::new(&mut http).poll(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(End::Finished),
            Poll::Ready(Err(_)) => Poll::Ready(End::Broken),
            Poll::Pending => poll_waiting(&task, &watch, &life, cx),
        }
    })
    .await;
    let parts = http.into_parts();
    let (mut stream, held) = parts.io.into_inner().into_parts();
    match end {
        End::Finished if let Some(tunnel) = switched.take() => {
            // What the caller has said after its handshake, whoever has read it.
            let early = Bytes::from([&parts.read_buf[..], &held].concat());
            let over = farewell(stage, connection.worker.shared.settings.timeouts.drain);
            if let Some(last) = Box::pin(tunnel.run(&mut stream, early, over)).await
                && write_within(&mut stream, &last).await
            {
                Box::pin(linger(stream)).await;
            }
        }
        End::Refused(refused) => {
            let answer = refused.answer(&connection);
            if write_within(&mut stream, &answer).await {
                Box::pin(linger(stream)).await;
            }
        }
        // In a box: what it reads into would else lie in every connection, from its first byte on.
        End::Finished | End::Broken if watch.reading_body.get() => Box::pin(linger(stream)).await,
        // TLS callers are told that this is the end, and not an attack that cut it short.
        End::Quiet => shut(&mut stream).await,
        End::Finished | End::Broken | End::Aborted => {}
    }
}

/// Waits until what does not end by itself has to be ended.
async fn farewell(mut stage: watch::Receiver<Stage>, drain: Duration) {
    let _ = stage.wait_for(|stage| *stage == Stage::Draining).await;
    tokio::time::sleep(drain.saturating_sub(FAREWELL)).await;
}

/// hyper waits: for a request's answer, for the socket to take one, or for the next request.
fn poll_waiting(task: &Task, watch: &HeadWatch, life: &Life, cx: &mut Context<'_>) -> Poll<End> {
    if task.under_way() > 0 {
        life.busy();
        return Poll::Pending;
    }
    // Earlier requests have their answers: now the head that was not let through gets its own.
    if watch.write_pending.get() {
        life.flushing();
        return Poll::Pending;
    }
    match watch.violation.get() {
        Some(framing) => Poll::Ready(End::Refused(Refused::Framing(framing))),
        None => life.poll_between_requests(watch.head_started.get(), cx),
    }
}

fn service(
    connection: &Rc<Connection>,
    switched: &Switched,
) -> impl Service<Request<Incoming>, Response = Response<Answer>, Error = Infallible> + use<> {
    let (connection, switched) = (connection.clone(), switched.clone());
    service_fn(move |request| {
        let (connection, switched) = (connection.clone(), switched.clone());
        // In a box: hyper keeps room for a request with the connection, idle or not, and this one is 5 KB.
        Box::pin(async move {
            let mut answer = serve_request(connection, request).await;
            if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
                switched.set(answer.body_mut().take_tunnel());
            }
            Ok::<_, Infallible>(answer)
        })
    })
}

fn builder(heads: Heads) -> http1::Builder {
    let mut http = http1::Builder::new();
    // The gate has held the head to its own, stricter caps.
    http.max_header_size(heads.bytes_max + 1024).max_buf_size(buffer(heads.bytes_max));
    if heads.lines_max > PARSED_HEADERS {
        http.max_headers(heads.lines_max);
    }
    http
}

fn caps(heads: Heads) -> FramingCaps {
    FramingCaps { target_max: heads.target_max, head_max: heads.bytes_max, headers_max: heads.lines_max }
}

/// hyper wants room for a head and for what follows it.
fn buffer(head_bytes_max: usize) -> usize {
    head_bytes_max.max(WRITE_BUFFER) + 16 * 1024
}
