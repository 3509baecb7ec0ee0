//! One connection: handshake, HTTP/1.1 or HTTP/2, the deadlines between requests, and a close that loses
//! no answer.

mod close;
mod cork;
mod http1;
mod http2;
mod life;
mod refused;

use super::Stage;
use crate::proxy::{Connection, Listener, Worker};
use std::net::SocketAddr;
use std::rc::Rc;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// Bytes of answer that may wait for a slow reader, per HTTP/1.1 connection or HTTP/2 stream.
const WRITE_BUFFER: usize = 64 << 10;

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
    let Some(tls) = tls else { return Box::pin(http1::serve(connection(false), stage, stream)).await };
    let within = worker.shared.settings.timeouts.handshake;
    let Ok(Ok(stream)) = tokio::time::timeout(within, tls.accept(stream)).await else {
        return worker.shared.metrics.handshake_failures.increment(1);
    };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        Box::pin(http2::serve(connection(true), stream)).await;
    } else {
        Box::pin(http1::serve(connection(false), stage, stream)).await;
    }
}
