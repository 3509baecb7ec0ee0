//! Ask: one HTTP/1.1 request or connection at a time, to see how a peer answers; never under load.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use socket2::{Domain, Socket, Type};

use crate::clock;

const PATIENCE: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: u64 = 8 << 20;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers, names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// Its body, as sent.
    pub body: Vec<u8>,
}

/// What a TLS handshake settles on, and what it hands out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Version and cipher.
    pub cipher: String,
    /// Group of the key exchange.
    pub group: String,
    /// Tickets to resume with.
    pub tickets: u32,
}

/// GET, on a connection of its own.
///
/// # Errors
/// No answer within 10 s, or none that could be read.
pub fn get(address: SocketAddr, target: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
    let mut stream = connect(address)?;
    stream.write_all(request(target, headers).as_bytes())?;
    read_answer(&mut stream)
}

/// GET of a stream: the time from its first event to its second, as they come.
///
/// # Errors
/// The events do not come, or as [`get`].
pub fn gap(address: SocketAddr, target: &str, headers: &[(&str, &str)]) -> io::Result<Duration> {
    let mut stream = connect(address)?;
    stream.write_all(request(target, headers).as_bytes())?;
    let mut bytes = Vec::new();
    let mut part = [0; 16 << 10];
    let mut first_us = None;
    loop {
        let length = stream.read(&mut part)?;
        let now_us = clock::mono_us();
        bytes.extend_from_slice(&part[..length]);
        let events = memchr::memmem::find_iter(&bytes, b"data:").count();
        if events > 0 {
            first_us.get_or_insert(now_us);
        }
        match first_us {
            Some(first_us) if events > 1 => return Ok(Duration::from_micros(now_us - first_us)),
            _ if length == 0 => return Err(io::Error::other("the stream ended before its second event")),
            _ => {}
        }
    }
}

/// Sends bytes from an address of this machine, ends, and reads what comes back to its end.
///
/// # Errors
/// No connection, or one that breaks off.
pub fn echo(from: Ipv4Addr, address: SocketAddr, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect_timeout(&address.into(), PATIENCE)?;
    let stream = patient(socket.into())?;
    let mut got = Vec::new();
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            (&stream).write_all(bytes)?;
            stream.shutdown(Shutdown::Write)
        });
        let read = (&stream).take(ANSWER_BYTES_MAX).read_to_end(&mut got);
        let sent = sending.join().map_err(|_| io::Error::other("the sending thread failed"))?;
        read.and(sent)
    })?;
    Ok(got)
}

/// GET over TLS to `localhost`, under that authority.
///
/// # Errors
/// No handshake, or as [`get`].
pub fn get_tls(
    address: SocketAddr,
    authority: &Path,
    target: &str,
    headers: &[(&str, &str)],
) -> io::Result<(Answer, Terms)> {
    let config = trusting(authority)?;
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let mut session = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let mut stream = connect(address)?;
    let mut secure = rustls::Stream::new(&mut session, &mut stream);
    secure.write_all(request(target, headers).as_bytes())?;
    let answer = read_answer(&mut secure)?;
    let named = |what: Option<String>| what.unwrap_or_default();
    let cipher = session.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
    let group = session.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name()));
    Ok((
        answer,
        Terms { cipher: named(cipher), group: named(group), tickets: session.tls13_tickets_received() },
    ))
}

/// Trusts that authority, and never resumes: every handshake is a whole one.
///
/// # Errors
/// There is no certificate in the file.
pub fn trusting(authority: &Path) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(authority).map_err(io::Error::other)?;
    roots.add(certificate).map_err(io::Error::other)?;
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    patient(TcpStream::connect_timeout(&address, PATIENCE)?)
}

fn patient(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn request(target: &str, headers: &[(&str, &str)]) -> String {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n")
}

/// Reads to the end of the connection, or as long as the answer says it is: not every peer hurries to close.
fn read_answer(stream: &mut impl Read) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    let mut part = [0; 16 << 10];
    loop {
        if let Some(answer) = parse(&bytes, false) {
            return Ok(answer);
        }
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(length) => bytes.extend_from_slice(&part[..length]),
            // A peer that refuses an announced body may reset, and TLS may end without a farewell.
            Err(broken) if !bytes.is_empty() => {
                return parse(&bytes, true).ok_or(broken);
            }
            Err(broken) => return Err(broken),
        }
        if bytes.len() as u64 > ANSWER_BYTES_MAX {
            return Err(io::Error::other("the answer does not end"));
        }
    }
    parse(&bytes, true).ok_or_else(|| io::Error::other("the connection ended before the answer did"))
}

/// The answer, if it is whole. One without a length is whole when the connection has `ended`.
fn parse(bytes: &[u8], ended: bool) -> Option<Answer> {
    let head_bytes = memchr::memmem::find(bytes, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..head_bytes]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .map(|line| {
            line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        })
        .collect::<Option<_>>()?;
    let body = &bytes[head_bytes + 4..];
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let body = match length {
        Some((_, length)) => body.get(..length.parse().ok()?)?,
        None => ended.then_some(body)?,
    };
    Some(Answer { status, body: body.to_vec(), headers })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_its_length_says() {
        let answer = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A:  b \r\n\r\nokrest", false).unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"ok"[..]));
        assert_eq!(answer.headers[1], ("x-a".to_owned(), "b".to_owned()));
    }

    #[test]
    fn half_an_answer_is_none() {
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", true), None);
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nContent-Le", true), None);
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\n\r\nall", false), None);
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\n\r\nall", true).unwrap().body, b"all");
    }
}
