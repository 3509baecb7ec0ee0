//! A connection whose bytes nobody interprets: plain TCP, or TLS over it, on either side of the gateway.

use super::connect::tcp;
use super::{Backend, ConnectError, RawSocket};
use socket2::SockRef;
use std::time::Duration;
use tokio::net::TcpStream;

/// Opens a connection to `backend` for bytes that are not HTTP: without ALPN, where it speaks TLS.
///
/// # Errors
/// [`ConnectError`]; nothing was sent.
pub async fn dial_raw(backend: &Backend, within: Duration) -> Result<RawSocket, ConnectError> {
    tokio::time::timeout(within, open(backend)).await.map_err(|_| ConnectError::Slow(within))?
}

async fn open(backend: &Backend) -> Result<RawSocket, ConnectError> {
    let tcp = tcp(backend).await?;
    let Some((trust, name)) = &backend.tls else { return Ok(RawSocket::Plain(tcp)) };
    let stream = trust.without_alpn().connect(name.clone(), tcp).await.map_err(ConnectError::Tls)?;
    Ok(RawSocket::Tls(Box::new(stream.into())))
}

impl RawSocket {
    /// The TCP connection below.
    pub fn tcp(&self) -> &TcpStream {
        match self {
            RawSocket::Plain(tcp) => tcp,
            RawSocket::Tls(tls) => tls.get_ref().0,
        }
    }

    /// Makes its close a reset, so that what was cut does not look whole to the other end.
    pub fn reset_on_close(&self) {
        reset_on_close(self.tcp());
    }

    /// Takes that back: what waits to be sent is sent, and then comes the end.
    pub fn end_on_close(&self) {
        let _ = SockRef::from(self.tcp()).set_linger(None); // it may have been reset already
    }
}

/// Makes a socket's close a reset: what waits to be sent is thrown away, and nothing lingers here.
pub fn reset_on_close(tcp: &TcpStream) {
    let _ = tcp.set_zero_linger(); // it may have been reset already
}
