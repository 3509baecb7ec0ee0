//! One probe: is this backend ready? A GET on a connection of its own, so that whoever no longer takes connections fails.
//!
//! It goes the way that requests go: the same name look-up, TLS trust and protocol. It carries no credential of anybody.

use super::health::rules::Probe;
use super::http1::Call;
use super::{Backend, ConnectError, Protocol, Socket, dial, dial_raw};
use bytes::{Bytes, BytesMut};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use std::future::poll_fn;
use std::io;

/// What is looked at of a body.
const BODY_MAX: usize = 64 << 10;

/// Why a probe failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No TCP connection.
    #[error("no connection")]
    Connect,
    /// No TLS session, or a certificate that is not to be trusted.
    #[error("no TLS session, or a certificate that is not trusted")]
    Tls,
    /// Not all of it in time.
    #[error("no answer in time")]
    Timeout,
    /// Broke off, or is no HTTP.
    #[error("the connection broke, or the answer is no HTTP")]
    Broken,
    /// Another status than expected.
    #[error("not an expected status")]
    Status,
    /// The body does not contain what it should.
    #[error("the body does not contain what is expected")]
    Body,
}

impl Failure {
    /// All of them.
    pub const ALL: [Failure; 6] =
        [Self::Connect, Self::Tls, Self::Timeout, Self::Broken, Self::Status, Self::Body];

    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
            Failure::Connect => "connect",
            Failure::Tls => "tls",
            Failure::Timeout => "timeout",
            Failure::Broken => "broken",
            Failure::Status => "status",
            Failure::Body => "body",
        }
    }
}

/// Asks a backend once.
///
/// # Errors
/// [`Failure`], after [`Probe::timeout`] at the latest.
pub async fn probe(backend: &Backend, probe: &Probe) -> Result<(), Failure> {
    tokio::time::timeout(probe.timeout, ask(backend, probe)).await.map_err(|_| Failure::Timeout)?
}

fn no_connection(error: ConnectError) -> Failure {
    match error {
        ConnectError::Tls(_) => Failure::Tls,
        ConnectError::Slow(_) => Failure::Timeout,
        ConnectError::Tcp(_) | ConnectError::Local(_) => Failure::Connect,
        ConnectError::Http2(_) => Failure::Broken,
    }
}

async fn ask(backend: &Backend, probe: &Probe) -> Result<(), Failure> {
    if probe.path.is_empty() {
        return dial_raw(backend, probe.timeout).await.map(drop).map_err(no_connection);
    }
    let socket = dial(backend, probe.timeout).await.map_err(no_connection)?;
    match backend.spec.protocol {
        Protocol::Http1 => ask_http1(backend, probe, socket).await,
        Protocol::Http2 => ask_http2(backend, probe, socket).await,
    }
}

async fn ask_http1(backend: &Backend, probe: &Probe, socket: Socket) -> Result<(), Failure> {
    let nothing = Empty::<Bytes>::new().map_err(|never| -> io::Error { match never {} });
    let mut call = Call::begin(socket.into(), &Method::GET, &backend.spec.base_path, &probe.path, nothing);
    call.header("host", backend.host_header.as_bytes());
    call.header("user-agent", b"pangu-gateway-probe");
    call.header("accept", b"*/*");
    call.header("connection", b"close");
    call.end_of_head();
    let answer = call.answer().await.map_err(|_| Failure::Broken)?;
    check_status(probe, answer.status())?;
    let Some(wanted) = &probe.body else { return Ok(()) };
    let mut body = BytesMut::new();
    while body.len() < BODY_MAX {
        let Some(frame) = poll_fn(|cx| call.poll_body(cx)).await else { break };
        if let Ok(data) = frame.map_err(|_| Failure::Broken)?.into_data() {
            body.extend_from_slice(&data[..data.len().min(BODY_MAX - body.len())]);
        }
    }
    check_body(wanted, &body)
}

/// The same over HTTP/2; its connection is driven beside it, and ends with it.
async fn ask_http2(backend: &Backend, probe: &Probe, socket: Socket) -> Result<(), Failure> {
    let scheme = if backend.spec.tls.is_some() { "https" } else { "http" };
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(backend.host_header.as_bytes())
        .path_and_query([&*backend.spec.base_path, &*probe.path].concat())
        .build()
        .map_err(|_| Failure::Broken)?;
    let request = Request::get(uri).header("user-agent", "pangu-gateway-probe").header("accept", "*/*");
    let request = request.body(()).map_err(|_| Failure::Broken)?;
    let (requests, connection) = h2::client::handshake(socket).await.map_err(|_| Failure::Broken)?;
    let ask = async {
        let mut requests = requests.ready().await?;
        let (answer, _) = requests.send_request(request, true)?;
        let (head, mut answer) = answer.await?.into_parts();
        let mut body = BytesMut::new();
        while probe.body.is_some() && body.len() < BODY_MAX {
            let Some(data) = answer.data().await.transpose()? else { break };
            answer.flow_control().release_capacity(data.len())?;
            body.extend_from_slice(&data[..data.len().min(BODY_MAX - body.len())]);
        }
        Ok::<_, h2::Error>((head.status, body))
    };
    let (status, body) = tokio::select! {
        answer = ask => answer.map_err(|_| Failure::Broken)?,
        _ = connection => return Err(Failure::Broken),
    };
    check_status(probe, status)?;
    probe.body.as_ref().map_or(Ok(()), |wanted| check_body(wanted, &body))
}

fn check_status(probe: &Probe, status: StatusCode) -> Result<(), Failure> {
    let expected = probe.expect.iter().any(|expected| expected.contains(&status.as_u16()));
    expected.then_some(()).ok_or(Failure::Status)
}

fn check_body(wanted: &str, body: &[u8]) -> Result<(), Failure> {
    memchr::memmem::find(body, wanted.as_bytes()).map(drop).ok_or(Failure::Body)
}
