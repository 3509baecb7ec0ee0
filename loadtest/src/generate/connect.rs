//! Connect: from an address to a connection that takes requests.

use std::borrow::Cow;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;

use crate::local::Local;
use crate::scenario::{Connections, Http};

/// Why something failed, in words for the report. Few different ones: they are counted.
pub type Reason = Cow<'static, str>;

/// A request as it is sent.
pub type Asked = http::Request<Full<Bytes>>;

/// Window of a stream, and of the kernel's receive buffer, if somebody reads slowly: small, so that what is not read
/// soon stops the sender.
const WINDOW_SLOW: u32 = 64 * 1024;
/// Window of a stream otherwise: wide, so that windows do not limit what is measured.
const WINDOW_FAST: u32 = 1024 * 1024;
/// Most bytes of an answer held by HTTP/1.1 itself for a slow reader; its least is 8 KiB.
const BUFFER_SLOW: usize = 16 * 1024;
/// RFC 9113, section 6.9.1.
const WINDOW_MAX: u32 = (1 << 31) - 1;

const CUT_OFF: Reason = Reason::Borrowed("connection: closed in the middle of an answer");

/// Makes connections to one target.
pub struct Dialer {
    address: SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    http: Http,
    streams_max: u32,
    slow_readers: bool,
}

/// The end of a connection that takes requests.
enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    /// Its clones share the connection.
    Two(http2::SendRequest<Full<Bytes>>),
}

/// A connection; ends in good order when all senders are dropped.
pub struct Connection {
    sender: Sender,
    task: AbortHandle,
}

impl Connection {
    /// Waits until it takes a request; false if it never will again.
    pub async fn ready(&mut self) -> bool {
        match &mut self.sender {
            Sender::One(sender) => sender.ready().await.is_ok(),
            Sender::Two(sender) => sender.ready().await.is_ok(),
        }
    }

    /// Sends, and waits for the head of the answer.
    ///
    /// # Errors
    /// As the HTTP library says; it hands the request back if nothing of it was sent.
    pub async fn send(&mut self, request: Asked) -> Result<Response<Incoming>, TrySendError<Asked>> {
        match &mut self.sender {
            Sender::One(sender) => sender.try_send_request(request).await,
            Sender::Two(sender) => sender.try_send_request(request).await,
        }
    }

    /// Whether it has ended.
    pub fn is_closed(&self) -> bool {
        match &self.sender {
            Sender::One(sender) => sender.is_closed(),
            Sender::Two(sender) => sender.is_closed(),
        }
    }

    /// Another hand on an HTTP/2 connection; None for HTTP/1.1, which has one only.
    pub fn share(&self) -> Option<Connection> {
        match &self.sender {
            Sender::One(_) => None,
            Sender::Two(sender) => {
                Some(Connection { sender: Sender::Two(sender.clone()), task: self.task.clone() })
            }
        }
    }

    /// Ends it at once, with whatever is under way on it.
    pub fn cut(self) {
        self.task.abort();
    }
}

/// Why there is no dialer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoDialer {
    /// The scenario wants TLS, and nobody said whom to trust.
    #[error("the scenario has `tls: true`: give the certificate authority to trust")]
    Tls,
    /// The host is neither a DNS name nor an address.
    #[error("TLS needs a host to verify, and `{0}` is neither a name nor an address")]
    Host(String),
}

impl Dialer {
    /// Prepares connections to `address`; `host` is what its certificate must be for, a port is ignored.
    ///
    /// # Errors
    /// The scenario asks for TLS and `tls` or `host` do not allow it.
    pub fn new(
        address: SocketAddr,
        host: &str,
        tls: Option<&Arc<ClientConfig>>,
        connections: Connections,
        slow_readers: bool,
    ) -> Result<Dialer, NoDialer> {
        let tls = match (connections.tls, tls) {
            (false, _) => None,
            (true, None) => return Err(NoDialer::Tls),
            (true, Some(config)) => {
                let mut config = ClientConfig::clone(config);
                config.alpn_protocols = match connections.http {
                    Http::One => vec![b"http/1.1".to_vec()],
                    Http::Two => vec![b"h2".to_vec()],
                };
                let name = ServerName::try_from(without_port(host).to_owned());
                let name = name.map_err(|_| NoDialer::Host(host.to_owned()))?;
                Some((TlsConnector::from(Arc::new(config)), name))
            }
        };
        Ok(Dialer {
            address,
            tls,
            http: connections.http,
            streams_max: connections.streams_max,
            slow_readers,
        })
    }

    /// Makes a connection and lets it run on this thread.
    ///
    /// # Errors
    /// Whatever stands in the way, as a reason for the report.
    pub async fn dial(&self) -> Result<Connection, Reason> {
        let tcp = self.tcp().await.map_err(|e| io_reason("connect", &e))?;
        let Some((connector, name)) = &self.tls else { return self.handshake(tcp).await };
        let tls = connector.connect(name.clone(), tcp).await.map_err(|e| io_reason("TLS handshake", &e))?;
        if self.http == Http::Two && tls.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err("TLS handshake: the target does not speak HTTP/2 (ALPN)".into());
        }
        self.handshake(tls).await
    }

    async fn tcp(&self) -> io::Result<TcpStream> {
        let socket = if self.address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_nodelay(true)?;
        if self.slow_readers {
            socket.set_recv_buffer_size(WINDOW_SLOW)?;
        }
        socket.connect(self.address).await
    }

    async fn handshake<I>(&self, io: I) -> Result<Connection, Reason>
    where
        I: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let failed = |e: hyper::Error| hyper_reason(&e);
        // How a connection ended is told to whoever waits on it; the task has nothing to add.
        match self.http {
            Http::One => {
                let mut builder = http1::Builder::new();
                if self.slow_readers {
                    builder.max_buf_size(BUFFER_SLOW);
                }
                let (sender, connection) = builder.handshake(TokioIo::new(io)).await.map_err(failed)?;
                let task = tokio::task::spawn_local(async { _ = connection.await });
                Ok(Connection { sender: Sender::One(sender), task: task.abort_handle() })
            }
            Http::Two => {
                let builder = self.http2();
                let (sender, connection) = builder.handshake(TokioIo::new(io)).await.map_err(failed)?;
                let task = tokio::task::spawn_local(async { _ = connection.await });
                Ok(Connection { sender: Sender::Two(sender), task: task.abort_handle() })
            }
        }
    }

    /// The connection's window holds all its streams' windows, or one slow reader would stop the others.
    fn http2(&self) -> http2::Builder<Local> {
        let window = if self.slow_readers { WINDOW_SLOW } else { WINDOW_FAST };
        let mut builder = http2::Builder::new(Local);
        builder
            .initial_stream_window_size(window)
            .initial_connection_window_size(window.saturating_mul(self.streams_max).min(WINDOW_MAX))
            .initial_max_send_streams(self.streams_max as usize)
            .max_concurrent_reset_streams(self.streams_max.max(100) as usize);
        builder
    }
}

fn without_port(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') && port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Names an error of the socket or of TLS by its kind; the full text could differ from one to the next.
fn io_reason(step: &'static str, error: &io::Error) -> Reason {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(tls) => format!("{step}: {tls}").into(),
        None => format!("{step}: {}", error.kind()).into(),
    }
}

/// Names an error of the HTTP library.
pub fn hyper_reason(error: &hyper::Error) -> Reason {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        match cause.downcast_ref::<io::Error>() {
            Some(io) if io.kind() == ErrorKind::UnexpectedEof => return CUT_OFF,
            Some(io) => return io_reason("connection", io),
            None => {}
        }
        source = cause.source();
    }
    if error.is_incomplete_message() {
        CUT_OFF
    } else if error.is_canceled() || error.is_closed() {
        "connection: closed before the request was sent".into()
    } else if error.is_parse() {
        format!("answer is not HTTP: {error}").into()
    } else {
        match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}").into(),
            None => error.to_string().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_not_part_of_the_name_to_verify() {
        let cases = [
            ("gateway.example", "gateway.example"),
            ("gateway.example:8443", "gateway.example"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("[::1]:8443", "::1"),
            ("::1", "::1"),
        ];
        for (host, name) in cases {
            assert_eq!(without_port(host), name);
            assert!(ServerName::try_from(name).is_ok());
        }
    }
}
