//! A backend that speaks TLS, and does what a test tells it to on each connection.

use crate::certs::{Authority, Pair};
use crate::listening::Listening;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How long a connection waits for the gateway before it gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the kernel keeps of an upload that nobody reads, about: little, so that the gateway has to hold the rest.
const RECEIVE_BUFFER: usize = 64 << 10;

/// It listens until it is dropped.
pub struct TlsBackend {
    pub address: SocketAddr,
    listening: Listening,
    served: Arc<AtomicUsize>,
}

impl TlsBackend {
    /// Shows `pair`, and lets `serve` have each connection in a thread of its own.
    pub fn start(pair: &Pair, serve: impl Fn(Session) + Send + Sync + 'static) -> TlsBackend {
        TlsBackend::start_for(pair, None, &[], serve)
    }

    /// The same, for whoever agrees to one of these protocols (ALPN).
    pub fn start_speaking(
        pair: &Pair,
        protocols: &[&str],
        serve: impl Fn(Session) + Send + Sync + 'static,
    ) -> TlsBackend {
        TlsBackend::start_for(pair, None, protocols, serve)
    }

    /// As `start`, and lets nobody in without a certificate of `callers`.
    pub fn start_demanding(
        pair: &Pair,
        callers: &Authority,
        serve: impl Fn(Session) + Send + Sync + 'static,
    ) -> TlsBackend {
        TlsBackend::start_for(pair, Some(callers), &[], serve)
    }

    /// The same, for whoever has a certificate of `callers`, if any are given, and agrees to one of `protocols`.
    pub fn start_for(
        pair: &Pair,
        callers: Option<&Authority>,
        protocols: &[&str],
        serve: impl Fn(Session) + Send + Sync + 'static,
    ) -> TlsBackend {
        let mut config = config(pair, callers);
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        socket2::SockRef::from(&listener).set_recv_buffer_size(RECEIVE_BUFFER).expect("socket option");
        let (config, served) = (Arc::new(config), Arc::<AtomicUsize>::default());
        let ended = served.clone();
        let listening = Listening::on(listener, move |stream, _| {
            if let Some(session) = Session::accept(stream, config.clone()) {
                serve(session);
            }
            ended.fetch_add(1, Ordering::Relaxed);
        });
        TlsBackend { address: listening.address, listening, served }
    }

    /// Connections it was offered, whether or not the handshake succeeded.
    pub fn connections(&self) -> usize {
        self.listening.connections()
    }

    /// Connections it has closed.
    pub fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }
}

fn config(pair: &Pair, callers: Option<&Authority>) -> ServerConfig {
    let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes());
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("a key");
    let provider: Arc<_> = rustls::crypto::aws_lc_rs::default_provider().into();
    let callers = match callers {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            let root = CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("a certificate");
            roots.add(root).expect("an authority");
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
            verifier.build().expect("it has a root")
        }
    };
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.2 and 1.3")
        .with_client_cert_verifier(callers)
        .with_single_cert(chain, key)
        .expect("the key belongs to the certificate")
}

/// A connection after its handshake. Dropped, it is cut: TCP closes, and TLS says nothing.
pub struct Session {
    tls: StreamOwned<ServerConnection, TcpStream>,
    /// Read, not yet taken.
    buffer: Vec<u8>,
}

impl Session {
    fn accept(mut tcp: TcpStream, config: Arc<ServerConfig>) -> Option<Session> {
        tcp.set_nodelay(true).ok()?;
        tcp.set_read_timeout(Some(PATIENCE)).ok()?;
        tcp.set_write_timeout(Some(PATIENCE)).ok()?;
        let mut session = ServerConnection::new(config).expect("a valid configuration");
        session.complete_io(&mut tcp).ok()?;
        Some(Session { tls: StreamOwned::new(session, tcp), buffer: Vec::new() })
    }

    /// The certificate that the gateway has shown; None: it had none to show.
    pub fn caller(&self) -> Option<CertificateDer<'static>> {
        Some(self.tls.conn.peer_certificates()?.first()?.clone().into_owned())
    }

    /// The head of the next request; None: the gateway has closed.
    pub fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = self.buffer.drain(..end + 4).collect();
                return Some(String::from_utf8(head).expect("the gateway writes ASCII"));
            }
            let more = self.read()?;
            self.buffer.extend_from_slice(&more);
        }
    }

    /// What has come of a body, as it was sent; waits for at least one byte. None: the gateway has closed.
    pub fn some(&mut self) -> Option<Vec<u8>> {
        if self.buffer.is_empty() { self.read() } else { Some(std::mem::take(&mut self.buffer)) }
    }

    /// A request with its body, whose length was declared, if it has one.
    pub fn request(&mut self) -> Option<(String, Vec<u8>)> {
        let head = self.head()?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = Vec::new();
        while body.len() < length.unwrap_or(0) {
            body.extend(self.some()?);
        }
        Some((head, body))
    }

    /// Sends bytes, all of them; false: the gateway has closed.
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.tls.write_all(bytes.as_ref()).and_then(|()| self.tls.flush()).is_ok()
    }

    /// Closes as TLS wants it: says so, then closes TCP.
    pub fn close(mut self) {
        self.tls.conn.send_close_notify();
        let _ = self.tls.flush();
    }

    fn read(&mut self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; 16 << 10];
        match self.tls.read(&mut bytes) {
            Ok(0) | Err(_) => None,
            Ok(n) => {
                bytes.truncate(n);
                Some(bytes)
            }
        }
    }
}
