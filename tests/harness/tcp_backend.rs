//! A backend of plain TCP that does what a test tells it to on each connection; and callers of such.

use crate::certs::{Authority, Pair};
use crate::listening::Listening;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// How long either end waits for the gateway before it gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// It listens until it is dropped.
pub struct TcpBackend {
    pub address: SocketAddr,
    listening: Listening,
}

impl TcpBackend {
    /// Lets `serve` have each connection in a thread of its own.
    pub fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> TcpBackend {
        let listening = Listening::start(move |stream, _| {
            patient(&stream);
            serve(stream);
        });
        TcpBackend { address: listening.address, listening }
    }

    /// Says everything again, and ends when its caller has.
    pub fn echo() -> TcpBackend {
        TcpBackend::start(|stream| {
            let mut out = stream.try_clone().expect("a socket");
            let _ = std::io::copy(&mut &stream, &mut out);
            let _ = stream.shutdown(Shutdown::Write);
        })
    }

    /// Connections it has accepted.
    pub fn connections(&self) -> usize {
        self.listening.connections()
    }
}

fn patient(stream: &TcpStream) {
    stream.set_nodelay(true).expect("socket option");
    stream.set_read_timeout(Some(PATIENCE)).expect("socket option");
    stream.set_write_timeout(Some(PATIENCE)).expect("socket option");
}

/// A connection to `address` from 127.0.0.1.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    patient(&stream);
    stream
}

/// A connection from another address of this machine.
pub fn connect_from(local: &str, address: SocketAddr) -> TcpStream {
    let local: IpAddr = local.parse().expect("an address");
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::new(local, 0).into()).expect("the whole of 127.0.0.0/8 is ours");
    socket.connect(&address.into()).expect("it listens");
    let stream = socket.into();
    patient(&stream);
    stream
}

/// Whether what is said comes back: the connection was let in, and has a backend that echoes.
pub fn echoes(stream: impl Read + Write) -> bool {
    said_again(stream, b"hello").is_some()
}

/// Says `bytes` and reads as many; None: the connection ended before.
pub fn said_again(mut stream: impl Read + Write, bytes: &[u8]) -> Option<Vec<u8>> {
    stream.write_all(bytes).ok()?;
    stream.flush().ok()?;
    let mut answer = vec![0; bytes.len()];
    stream.read_exact(&mut answer).ok()?;
    Some(answer)
}

/// TLS to `address`, whose certificate is of `authority` and names `gateway.test`, with a certificate of the caller's.
/// The handshake is done when something is read.
pub fn tls(
    address: SocketAddr,
    authority: &Authority,
    shown: Option<&Pair>,
) -> StreamOwned<ClientConnection, TcpStream> {
    let trust = authority.roots();
    let provider = rustls::crypto::aws_lc_rs::default_provider().into();
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.2 and 1.3")
        .with_root_certificates(trust);
    let config = match shown {
        None => config.with_no_client_auth(),
        Some(pair) => {
            let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes());
            let chain = chain.collect::<Result<Vec<_>, _>>().expect("a certificate");
            let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).expect("a key");
            config.with_client_auth_cert(chain, key).expect("the key belongs to the certificate")
        }
    };
    let name = ServerName::try_from("gateway.test").expect("a name");
    let session = ClientConnection::new(Arc::new(config), name).expect("a valid configuration");
    StreamOwned::new(session, connect(address))
}
