//! HTTP/2 over TLS, and HTTP/1.1 over TLS.

use crate::certs::Authority;
use crate::http1::Conn;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// A request body of either kind.
pub type Body = BoxBody<Bytes, Infallible>;

/// A body whose length the request head tells.
pub fn sized(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed()
}

/// A body in pieces, without a declared length.
pub fn unsized_body(pieces: Vec<Bytes>) -> Body {
    Pieces(pieces.into()).boxed()
}

/// Data frames that are always ready; says nothing of their sum.
struct Pieces(VecDeque<Bytes>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}

/// A body whose pieces are sent as the test goes on; it ends with its sender.
pub fn channel() -> (Sender, Body) {
    let (sender, pieces) = tokio::sync::mpsc::unbounded_channel();
    (sender, Late(pieces).boxed())
}

pub type Sender = tokio::sync::mpsc::UnboundedSender<Bytes>;

struct Late(tokio::sync::mpsc::UnboundedReceiver<Bytes>);

impl http_body::Body for Late {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

/// One HTTP/2 connection with a runtime of its own.
pub struct Http2 {
    runtime: tokio::runtime::Runtime,
    sender: SendRequest<Body>,
}

impl Http2 {
    /// Connects, and insists that the gateway chose h2.
    pub fn open(address: SocketAddr, authority: &Authority, name: &str) -> Http2 {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let config = Arc::new(authority.trust(&["h2"]));
        let name = ServerName::try_from(name.to_owned()).expect("a host name");
        let sender = runtime.block_on(async {
            let tcp = tokio::net::TcpStream::connect(address).await.expect("the listener accepts");
            let tls = tokio_rustls::TlsConnector::from(config).connect(name, tcp).await.expect("handshake");
            assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "ALPN");
            let (sender, connection) =
                handshake(TokioExecutor::new(), TokioIo::new(tls)).await.expect("HTTP/2 preface");
            tokio::spawn(connection);
            sender
        });
        Http2 { runtime, sender }
    }

    /// Sends a request and waits for the head of its answer.
    pub fn send(&mut self, request: http::Request<Body>) -> hyper::Result<http::Response<Incoming>> {
        self.runtime.block_on(self.sender.send_request(request))
    }

    /// Sends a request and resets its stream, before its answer, once `then` has returned.
    pub fn give_up(&mut self, request: http::Request<Body>, then: impl FnOnce()) {
        let answer = self.runtime.spawn(self.sender.send_request(request));
        then();
        answer.abort();
    }

    /// Reads a whole body.
    pub fn read(&self, body: Incoming) -> hyper::Result<Bytes> {
        self.runtime.block_on(async { Ok(body.collect().await?.to_bytes()) })
    }

    /// Waits for anything else of this connection.
    pub fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Reads one frame of data.
    pub fn frame(&self, body: &mut Incoming) -> Option<Bytes> {
        self.runtime.block_on(async { body.frame().await?.ok()?.into_data().ok() })
    }
}

/// HTTP/1.1 over TLS with the given server name.
///
/// # Errors
/// the handshake's
pub fn tls_conn(address: SocketAddr, authority: &Authority, name: &str) -> std::io::Result<(Conn, String)> {
    let config = Arc::new(authority.trust(&["http/1.1"]));
    let name = ServerName::try_from(name.to_owned()).expect("a host name");
    let mut tcp = TcpStream::connect(address)?;
    tcp.set_read_timeout(Some(std::time::Duration::from_secs(10)))?;
    let mut session = rustls::ClientConnection::new(config, name).expect("a valid configuration");
    session.complete_io(&mut tcp)?;
    let served = session.peer_certificates().map(|chain| fingerprint(&chain[0])).unwrap_or_default();
    Ok((Conn::over(rustls::StreamOwned::new(session, tcp)), served))
}

/// Names a certificate by its bytes.
pub fn fingerprint(certificate: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
