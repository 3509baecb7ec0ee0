//! Opens a connection to a backend: TCP, and TLS where asked.

use super::{Backend, ClientIdentity, Protocol, Socket};
use crate::observe::metrics::UpstreamError;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Why there is no connection. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Name look-up or TCP.
    #[error("connect: {0}")]
    Tcp(io::Error),
    /// This machine has no port or file descriptor left: no fault of the backend.
    #[error("connect: this machine can open no more connections: {0}")]
    Local(io::Error),
    /// Handshake, or a certificate that is not to be trusted.
    #[error("tls: {0}")]
    Tls(io::Error),
    /// The backend does not speak HTTP/2.
    #[error("http2: {0}")]
    Http2(#[from] h2::Error),
    /// Longer than the pool's `connect_timeout`.
    #[error("connect: no connection within {0:?}")]
    Slow(Duration),
}

impl ConnectError {
    /// What the metric calls it.
    pub fn kind(&self) -> UpstreamError {
        match self {
            ConnectError::Tls(_) => UpstreamError::Tls,
            ConnectError::Local(_) => UpstreamError::Local,
            ConnectError::Tcp(_) | ConnectError::Http2(_) | ConnectError::Slow(_) => UpstreamError::Connect,
        }
    }
}

/// Opens a connection to `backend`.
///
/// # Errors
/// [`ConnectError`]; nothing was sent.
pub async fn dial(backend: &Backend, within: Duration) -> Result<Socket, ConnectError> {
    tokio::time::timeout(within, open(backend)).await.map_err(|_| ConnectError::Slow(within))?
}

async fn open(backend: &Backend) -> Result<Socket, ConnectError> {
    let tcp = tcp(backend).await?;
    match &backend.tls {
        None => Ok(Socket::Plain(tcp)),
        Some((trust, name)) => {
            let connector = TlsConnector::from(trust.0.clone());
            let stream = connector.connect(name.clone(), tcp).await.map_err(ConnectError::Tls)?;
            let agreed = stream.get_ref().1.alpn_protocol();
            if backend.spec.protocol == Protocol::Http2 && agreed != Some(H2) {
                return Err(ConnectError::Tls(io::Error::other(
                    "the backend does not agree to HTTP/2 (ALPN)",
                )));
            }
            Ok(Socket::Tls(Box::new(stream)))
        }
    }
}

/// The TCP connection below whatever is said to `backend`.
pub(super) async fn tcp(backend: &Backend) -> Result<TcpStream, ConnectError> {
    let (spec, port) = (&backend.spec, backend.spec.port);
    let tcp = match spec.ip {
        Some(ip) => TcpStream::connect((ip, port)).await,
        None => TcpStream::connect((&*spec.host, port)).await,
    };
    let tcp = tcp.map_err(no_tcp)?;
    tcp.set_nodelay(true).map_err(ConnectError::Tcp)?;
    Ok(tcp)
}

fn no_tcp(error: io::Error) -> ConnectError {
    const ENFILE: i32 = 23; // no kind of `io::ErrorKind` stands for these two
    const EMFILE: i32 = 24;
    let local = matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory)
        || matches!(error.raw_os_error(), Some(ENFILE | EMFILE));
    if local { ConnectError::Local(error) } else { ConnectError::Tcp(error) }
}

/// What HTTP/2 is called in a TLS handshake (RFC 9113 section 3.2).
const H2: &[u8] = b"h2";

/// Whose certificates a backend may show, and what is spoken with it.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// The authorities in `pem`, or the machine's; and who the gateway is, if it is to say so.
    ///
    /// # Errors
    /// One sentence: no authority could be read, or the key is another certificate's.
    pub fn new(
        pem: Option<&[u8]>,
        client: Option<&ClientIdentity>,
        protocol: Protocol,
    ) -> Result<Trust, String> {
        match pem {
            None => Trust::of_the_machine(client, protocol),
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    let certificate = certificate.map_err(|e| format!("not a PEM certificate: {e}"))?;
                    roots.add(certificate).map_err(|e| format!("not a certificate of an authority: {e}"))?;
                }
                if roots.is_empty() {
                    return Err("holds no PEM certificate".into());
                }
                Trust::in_roots(roots.into(), client, protocol)
            }
        }
    }

    /// Opens TLS sessions with those that may be trusted.
    pub fn connector(&self) -> TlsConnector {
        TlsConnector::from(self.0.clone())
    }

    /// For what is not HTTP.
    pub(super) fn without_alpn(&self) -> TlsConnector {
        let mut config = (*self.0).clone(); // a few counted references
        config.alpn_protocols.clear();
        TlsConnector::from(Arc::new(config))
    }

    /// Read once: a machine's authorities change with its packages, and so with a restart.
    fn of_the_machine(client: Option<&ClientIdentity>, protocol: Protocol) -> Result<Trust, String> {
        static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
        static NOBODY: [OnceLock<Result<Trust, String>>; 2] = [const { OnceLock::new() }; 2];
        let roots = ROOTS.get_or_init(|| {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                tracing::warn!(
                    "this machine has no certificate authorities: https backends without `tls.ca` will \
                                fail; install the package ca-certificates"
                );
            }
            Arc::new(roots)
        });
        if client.is_some() {
            return Trust::in_roots(roots.clone(), client, protocol);
        }
        let nobody = &NOBODY[protocol as usize];
        nobody.get_or_init(|| Trust::in_roots(roots.clone(), None, protocol)).clone()
    }

    fn in_roots(
        roots: Arc<RootCertStore>,
        client: Option<&ClientIdentity>,
        protocol: Protocol,
    ) -> Result<Trust, String> {
        let config = ClientConfig::builder().with_root_certificates(roots);
        let mut config = match client {
            None => config.with_no_client_auth(),
            Some(client) => client.shown_by(config)?,
        };
        config.alpn_protocols = match protocol {
            Protocol::Http1 => vec![b"http/1.1".to_vec()],
            Protocol::Http2 => vec![H2.to_vec()],
        };
        Ok(Trust(Arc::new(config)))
    }
}
