//! HTTP/2: streams beside one another on one connection.

use super::WRITE_BUFFER;
use super::cork::Cork;
use super::life::Life;
use crate::proxy::{Connection, serve as serve_request};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncWrite};

/// HTTP/2 limits: enough for any SDK, too little to be worth an attack.
const H2_STREAMS: u32 = 100;
const H2_HEADER_LIST: u32 = 16 << 10;
const H2_STREAM_WINDOW: u32 = 64 << 10;
const H2_CONNECTION_WINDOW: u32 = 1 << 20;
/// Streams reset before they were served, after which the connection is closed (CVE-2023-44487).
const H2_PENDING_RESETS: usize = 20;
/// Streams that this side had to reset for the caller's errors (CVE-2025-8671).
const H2_LOCAL_RESETS: usize = 100;

/// Serves a connection to its end.
pub async fn serve<IO>(connection: Rc<Connection>, stream: IO)
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
    let socket = Cork::new(stream);
    let mut http = pin!(builder().serve_connection(TokioIo::new(socket.clone()), service));

    let (task, mut life) = (connection.task.clone(), Life::new(&connection));
    poll_fn(|cx| {
        task.register(cx);
        if task.aborted() {
            return Poll::Ready(());
        }
        if life.draining() {
            http.as_mut().graceful_shutdown();
        }
        let ended = http.as_mut().poll(cx).is_ready();
        let broken = matches!(socket.poll_out(cx), Poll::Ready(Err(_)));
        if ended || broken {
            return Poll::Ready(());
        }
        if task.under_way() > 0 {
            life.busy();
            return Poll::Pending;
        }
        life.poll_between_requests(false, cx).map(|_| ())
    })
    .await;
}

fn builder() -> http2::Builder<OnThisThread> {
    let mut http = http2::Builder::new(OnThisThread);
    http.max_concurrent_streams(H2_STREAMS)
        .max_header_list_size(H2_HEADER_LIST)
        .initial_stream_window_size(H2_STREAM_WINDOW)
        .initial_connection_window_size(H2_CONNECTION_WINDOW)
        .max_send_buf_size(WRITE_BUFFER)
        .max_pending_accept_reset_streams(H2_PENDING_RESETS)
        .max_local_error_reset_streams(H2_LOCAL_RESETS);
    http
}

/// Runs HTTP/2 streams beside their connection, on its thread.
#[derive(Clone)]
struct OnThisThread;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for OnThisThread {
    fn execute(&self, stream: F) {
        tokio::task::spawn_local(stream);
    }
}
