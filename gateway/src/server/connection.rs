//! One connection: handshake, HTTP/1.1 or HTTP/2, the deadlines between requests, and a close that loses
//! no answer.

use super::Stage;
use super::framing::{Framing, FramingCaps, HeadGate};
use crate::observe::metrics;
use crate::proxy::deadline::{Deadline, Waiting};
use crate::proxy::{Connection, Listener, Worker, serve as serve_request};
use crate::settings::Heads;
use bytes::Bytes;
use http::StatusCode;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::cell::Cell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// A body that a caller goes on sending after its answer is read and thrown away, up to this much and so
/// long: closing at once would reset the connection and could take the answer with it (RFC 9112 section 9.6).
const LINGER_BYTES: usize = 512 << 10;
const LINGER: Duration = Duration::from_secs(2);

/// Header lines that hyper parses without an allocation for each request.
const PARSED_HEADERS: usize = 100;

/// Bytes of answer that may wait for a slow reader, per HTTP/1.1 connection or HTTP/2 stream.
const WRITE_BUFFER: usize = 64 << 10;

/// How long an idle HTTP/2 caller may take to agree that the connection ends.
const GOODBYE: Duration = Duration::from_secs(1);

/// How long before the end of a drain WebSockets are closed: the frames that say so have to leave, and callers to agree.
const FAREWELL: Duration = Duration::from_millis(200);

/// HTTP/2 limits: enough for any SDK, too little to be worth an attack.
const H2_STREAMS: u32 = 100;
const H2_HEADER_LIST: u32 = 16 << 10;
const H2_STREAM_WINDOW: u32 = 64 << 10;
const H2_CONNECTION_WINDOW: u32 = 1 << 20;
/// Streams reset before they were served, after which the connection is closed (CVE-2023-44487).
const H2_PENDING_RESETS: usize = 20;
/// Streams that this side had to reset for the caller's errors (CVE-2025-8671).
const H2_LOCAL_RESETS: usize = 100;

/// Serves one accepted connection to its end.
pub async fn serve(
    worker: Rc<Worker>,
    listener: Rc<Listener>,
    tls: Option<&TlsAcceptor>,
    stage: watch::Receiver<Stage>,
    stream: TcpStream,
    peer: SocketAddr,
) {
    let connection = |http2| Rc::new(Connection::new(worker.clone(), listener.clone(), peer, http2));
    // In boxes: a task is as large as the largest of its ways, and there may be very many.
    let Some(tls) = tls else { return Box::pin(serve_http1(connection(false), stage, stream)).await };
    let within = worker.shared.settings.timeouts.handshake;
    let Ok(Ok(stream)) = tokio::time::timeout(within, tls.accept(stream)).await else {
        return worker.shared.metrics.handshake_failures.increment(1);
    };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        Box::pin(serve_http2(connection(true), stage, stream)).await;
    } else {
        Box::pin(serve_http1(connection(false), stage, stream)).await;
    }
}

async fn serve_http1<IO>(connection: Rc<Connection>, stage: watch::Receiver<Stage>, stream: IO)
where
    IO: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let heads = connection.worker.shared.settings.heads;
    let (gate, watch) = HeadGate::new(stream, caps(heads));
    let switched = Rc::new(Cell::new(None));
    let service = {
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
    };
    let mut http = http1::Builder::new();
    // The gate has held the head to its own, stricter caps.
    http.max_header_size(heads.bytes_max + 1024).max_buf_size(buffer(heads.bytes_max));
    if heads.lines_max > PARSED_HEADERS {
        http.max_headers(heads.lines_max);
    }
    let mut http = http.serve_connection(TokioIo::new(gate), service);

    let mut life = Life::new(&connection, stage.clone());
    let end = poll_fn(|cx| {
        connection.task.register(cx);
        if connection.task.aborted() {
            return Poll::Ready(End::Aborted);
        }
        if life.draining(cx) {
            Pin::new(&mut http).graceful_shutdown();
        }
        match Pin::new(&mut http).poll(cx) {
            Poll::Ready(Ok(())) => return Poll::Ready(End::Finished),
            Poll::Ready(Err(_)) => return Poll::Ready(End::Broken),
            Poll::Pending => {}
        }
        if connection.in_flight() > 0 {
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
    })
    .await;
    let parts = http.into_parts();
    let (mut stream, held) = parts.io.into_inner().into_parts();
    match end {
        End::Finished if let Some(tunnel) = switched.take() => {
            // What the caller has said after its handshake, whoever has read it.
            let early = Bytes::from([&parts.read_buf[..], &held].concat());
            let over = farewell(stage, connection.worker.shared.settings.timeouts.drain);
            if let Some(close) = Box::pin(tunnel.run(&mut stream, early, over)).await
                && write_within(&mut stream, &close).await
            {
                linger(stream).await;
            }
        }
        End::Refused(refused) => {
            let answer = refused.answer(&connection);
            if write_within(&mut stream, &answer).await {
                linger(stream).await;
            }
        }
        End::Finished | End::Broken if watch.reading_body.get() => linger(stream).await,
        // TLS callers are told that this is the end, and not an attack that cut it short.
        End::Quiet => drop(tokio::time::timeout(LINGER, stream.shutdown()).await),
        End::Finished | End::Broken | End::Aborted => {}
    }
}

/// Waits until what does not end by itself has to be ended.
async fn farewell(mut stage: watch::Receiver<Stage>, drain: Duration) {
    let _ = stage.wait_for(|stage| *stage == Stage::Draining).await;
    tokio::time::sleep(drain.saturating_sub(FAREWELL)).await;
}

fn caps(heads: Heads) -> FramingCaps {
    FramingCaps { target_max: heads.target_max, head_max: heads.bytes_max, headers_max: heads.lines_max }
}

/// hyper wants room for a head and for what follows it.
fn buffer(head_bytes_max: usize) -> usize {
    head_bytes_max.max(WRITE_BUFFER) + 16 * 1024
}

async fn serve_http2<IO>(connection: Rc<Connection>, stage: watch::Receiver<Stage>, stream: IO)
where
    IO: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let service = {
        let connection = connection.clone();
        service_fn(move |request| {
            let connection = connection.clone();
            // In a box: each stream becomes a task, and is moved seven times on the way there.
            Box::pin(async move { Ok::<_, Infallible>(serve_request(connection, request).await) })
        })
    };
    let mut http = http2::Builder::new(OnThisThread);
    http.max_concurrent_streams(H2_STREAMS)
        .max_header_list_size(H2_HEADER_LIST)
        .initial_stream_window_size(H2_STREAM_WINDOW)
        .initial_connection_window_size(H2_CONNECTION_WINDOW)
        .max_send_buf_size(WRITE_BUFFER)
        .max_pending_accept_reset_streams(H2_PENDING_RESETS)
        .max_local_error_reset_streams(H2_LOCAL_RESETS);
    let mut http = pin!(http.serve_connection(TokioIo::new(stream), service));

    let mut life = Life::new(&connection, stage);
    poll_fn(|cx| {
        connection.task.register(cx);
        if connection.task.aborted() {
            return Poll::Ready(());
        }
        if life.draining(cx) {
            http.as_mut().graceful_shutdown();
        }
        if http.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if connection.in_flight() > 0 {
            life.busy();
            return Poll::Pending;
        }
        life.poll_between_requests(false, cx).map(|_| ())
    })
    .await;
}

/// How a connection came to its end.
enum End {
    /// hyper has said all it had to say.
    Finished,
    /// The socket, or a head that only hyper found bad; what could be answered was.
    Broken,
    /// A head or a chunk that must not be parsed.
    Refused(Refused),
    /// Idle for too long, or drained: nobody waits for anything.
    Quiet,
    /// Its caller does not read.
    Aborted,
}

/// What happens on a connection between requests.
struct Life {
    deadline: Deadline,
    head: Duration,
    keep_alive: Duration,
    stage: Pin<Box<dyn Future<Output = ()>>>,
    draining: bool,
    /// HTTP/2: both sides agree on the last request (RFC 9113 section 6.8), and hyper closes then.
    goodbye: bool,
}

impl Life {
    fn new(connection: &Connection, mut stage: watch::Receiver<Stage>) -> Life {
        let worker = &connection.worker;
        let timeouts = &worker.shared.settings.timeouts;
        Life {
            deadline: worker.deadlines.enter(connection.task.clone()),
            head: timeouts.head,
            keep_alive: timeouts.keep_alive,
            stage: Box::pin(async move {
                let _ = stage.wait_for(|stage| *stage == Stage::Draining).await;
            }),
            draining: false,
            goodbye: connection.http2,
        }
    }

    /// True once: when draining begins.
    fn draining(&mut self, cx: &mut Context<'_>) -> bool {
        if self.draining || self.stage.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.draining = true;
        if self.goodbye {
            self.deadline.end_in(GOODBYE);
        }
        true
    }

    fn busy(&self) {
        self.deadline.rest();
    }

    /// The last bytes of an answer lie in buffers: as long as they do, the connection is idle.
    fn flushing(&self) {
        self.deadline.keep_waiting_for(Waiting::Write, self.keep_alive);
    }

    /// Ends a connection that is idle for too long, whose head takes too long, or that is drained.
    fn poll_between_requests(&self, head_started: bool, cx: &mut Context<'_>) -> Poll<End> {
        if self.draining && !self.goodbye && !head_started {
            return Poll::Ready(End::Quiet);
        }
        match self.deadline.expired() {
            Some(Waiting::Head) => return Poll::Ready(End::Refused(Refused::HeadLate)),
            Some(_) => return Poll::Ready(End::Quiet),
            None => {}
        }
        if head_started {
            self.deadline.keep_waiting_for(Waiting::Head, self.head);
        } else {
            self.deadline.keep_waiting_for(Waiting::KeepAlive, self.keep_alive);
        }
        self.deadline.register(cx);
        Poll::Pending
    }
}

/// Why a head was not let through.
#[derive(Debug, Clone, Copy)]
enum Refused {
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
    fn answer(self, connection: &Connection) -> Vec<u8> {
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

async fn write_within<IO: AsyncWrite + Unpin>(stream: &mut IO, bytes: &[u8]) -> bool {
    matches!(tokio::time::timeout(LINGER, stream.write_all(bytes)).await, Ok(Ok(())))
}

/// Says that nothing more will come, and reads on for a moment what the caller is still sending.
async fn linger<IO: AsyncRead + AsyncWrite + Unpin>(mut stream: IO) {
    let reading = async {
        let _ = stream.shutdown().await; // hyper may have done it
        let mut scratch = [0; 4096];
        let mut left = LINGER_BYTES;
        while left > 0 {
            match stream.read(&mut scratch).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        std::io::Result::Ok(())
    };
    let _ = tokio::time::timeout(LINGER, reading).await;
}

/// Runs HTTP/2 streams beside their connection, on its thread.
#[derive(Clone)]
struct OnThisThread;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for OnThisThread {
    fn execute(&self, stream: F) {
        tokio::task::spawn_local(stream);
    }
}
