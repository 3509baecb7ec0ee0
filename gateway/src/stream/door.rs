//! What comes before a connection's own bytes: a trusted proxy's word, and TLS.

use super::Stream;
use super::preface::{self, FIXED, Told};
use super::session::Outcome;
use crate::proxy::deadline::Deadline;
use crate::upstream::RawSocket;
use ipnet::IpNet;
use rustls::crypto::aws_lc_rs;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::{ServerConfig, version};
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

/// A listener for plain TCP, on one worker.
pub struct Door {
    /// The listener's name.
    pub name: Arc<str>,
    /// Whether every connection comes from a trusted proxy and begins with its word for it.
    pub proxied: bool,
    certificates: Option<Arc<dyn ResolvesServerCert>>,
    /// For the policy of this version: whose certificates are accepted is policy.
    acceptor: RefCell<Option<(u64, TlsAcceptor)>>,
}

impl Door {
    /// `certificates`: those it shows, if it speaks TLS.
    pub fn new(name: &str, proxied: bool, certificates: Option<Arc<dyn ResolvesServerCert>>) -> Door {
        Door { name: name.into(), proxied, certificates, acceptor: RefCell::default() }
    }

    /// Reads the header with which a trusted proxy begins a connection.
    ///
    /// # Errors
    /// How the connection ends, and what the log says besides.
    pub(super) async fn preface(
        &self,
        tcp: &mut TcpStream,
        peer: SocketAddr,
        trusted: &[IpNet],
        deadline: &Deadline,
    ) -> Result<Told, (Outcome, Option<String>)> {
        let address = peer.ip().to_canonical();
        if !trusted.iter().any(|network| network.contains(&address)) {
            return Err((Outcome::UntrustedProxy, None));
        }
        match deadline.bound(read_preface(tcp)).await {
            Ok(Ok(told)) => Ok(told),
            Ok(Err(error)) => Err((Outcome::ProxyHeader, Some(error.to_string()))),
            Err(_) => Err((Outcome::ProxyHeader, Some("no whole PROXY header in time".into()))),
        }
    }

    /// The socket that the caller's own bytes come from.
    ///
    /// # Errors
    /// For the log: why there is no TLS session.
    pub(super) async fn handshake(
        &self,
        tcp: TcpStream,
        stream: &Stream,
        policy: u64,
        deadline: &Deadline,
    ) -> Result<RawSocket, String> {
        let Some(certificates) = &self.certificates else { return Ok(RawSocket::Plain(tcp)) };
        let acceptor = self.acceptor(certificates, stream, policy).map_err(|error| error.to_string())?;
        match deadline.bound(acceptor.accept(tcp)).await {
            Ok(Ok(tls)) => Ok(RawSocket::Tls(Box::new(tls.into()))),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no TLS handshake in time".into()),
        }
    }

    fn acceptor(
        &self,
        certificates: &Arc<dyn ResolvesServerCert>,
        stream: &Stream,
        policy: u64,
    ) -> Result<TlsAcceptor, rustls::Error> {
        let mut kept = self.acceptor.borrow_mut();
        if let Some((_, acceptor)) = kept.as_ref().filter(|(version, _)| *version == policy) {
            return Ok(acceptor.clone());
        }
        let acceptor = TlsAcceptor::from(Arc::new(tls_config(certificates.clone(), stream)?));
        *kept = Some((policy, acceptor.clone()));
        Ok(acceptor)
    }
}

async fn read_preface(tcp: &mut TcpStream) -> io::Result<Told> {
    let mut header = vec![0; FIXED];
    tcp.read_exact(&mut header).await?;
    let fixed = header.first_chunk().expect("it has this length");
    let rest = preface::rest(fixed).map_err(io::Error::other)?;
    header.resize(FIXED + rest, 0);
    tcp.read_exact(&mut header[FIXED..]).await?;
    preface::read(&header).map_err(io::Error::other)
}

/// Without resumption: a session that is resumed is not verified again, and its authority may have gone from policy.
fn tls_config(
    certificates: Arc<dyn ResolvesServerCert>,
    stream: &Stream,
) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])?;
    let builder = match &stream.verifier {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier.clone()),
    };
    let mut config = builder.with_cert_resolver(certificates);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
