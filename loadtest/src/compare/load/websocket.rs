//! WebSocket: on every connection a message goes out when the last one has come back.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{CONNECTIONS, Done, Target};
use crate::compare::problem::{Context, Problem};

/// Payload of a message, bytes; below 126, so that its length is one byte.
const PAYLOAD: u8 = 100;
const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
const MASKED: u8 = 0x80;
/// Whole messages of bytes, and the end (RFC 6455 section 5.2).
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;

/// The longest head of an answer.
const HEAD_MAX: usize = 4096;

/// Talks for so long, on the core that this thread is on.
pub fn run(target: &Target, seconds: u64) -> Result<Result<Done, String>, Problem> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.while_doing("start a runtime")?.block_on(all(target, Duration::from_secs(seconds)));
    Ok(done.map_err(|error| format!("a WebSocket failed: {error}")))
}

async fn all(target: &Target, lasts: Duration) -> io::Result<Done> {
    let mut sockets = Vec::new();
    for _ in 0..CONNECTIONS {
        sockets.push(open(target).await?);
    }
    let began = Instant::now();
    let mut talks: JoinSet<io::Result<u64>> =
        sockets.into_iter().map(|socket| talk(socket, began + lasts)).collect();
    let mut messages = 0;
    while let Some(talk) = talks.join_next().await {
        messages += talk.map_err(io::Error::other)??;
    }
    Ok(Done {
        requests: CONNECTIONS.into(),
        units: messages,
        open_max: 0,
        lasted: began.elapsed(),
        times: None,
    })
}

async fn open(target: &Target) -> io::Result<TcpStream> {
    let mut socket = TcpStream::connect(target.address).await?;
    socket.set_nodelay(true)?;
    let request = format!(
        "GET /mock/websocket HTTP/1.1\r\nHost: localhost:{}\r\nX-Apig-AppCode: {}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        target.address.port(),
        target.code,
    );
    socket.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    // Whoever is asked says nothing behind its head before the first message.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > HEAD_MAX || socket.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    if !head.starts_with(b"HTTP/1.1 101 ") {
        return Err(io::Error::other(format!("no handshake: {}", String::from_utf8_lossy(&head))));
    }
    Ok(socket)
}

/// Messages that came back as they were sent.
async fn talk(mut socket: TcpStream, until: Instant) -> io::Result<u64> {
    let payload: Vec<u8> = (0..PAYLOAD).collect();
    let (message, echo) = (masked(BINARY, &payload), [&[BINARY, PAYLOAD], &payload[..]].concat());
    let mut came = vec![0; echo.len()];
    let mut messages = 0;
    while Instant::now() < until {
        socket.write_all(&message).await?;
        socket.read_exact(&mut came).await?;
        if came != echo {
            return Err(io::Error::other("another message came back"));
        }
        messages += 1;
    }
    socket.write_all(&masked(CLOSE, &[])).await?;
    socket.read_to_end(&mut came).await?;
    Ok(messages)
}

fn masked(kind: u8, payload: &[u8]) -> Vec<u8> {
    let masked = payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask);
    [kind, MASKED | payload.len() as u8].into_iter().chain(MASK).chain(masked).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock;

    #[test]
    fn messages_go_and_come_as_the_mock_has_them() {
        let mock = mock::Mock::start(&mock::Options::default()).expect("a mock");
        let target = Target {
            address: mock.address(),
            code: "anybody".into(),
            codes: "none".into(),
            authority: "none".into(),
            core: 0,
        };
        let done = run(&target, 1).unwrap().unwrap();
        assert_eq!((done.requests, done.open_max), (CONNECTIONS.into(), 0));
        assert!(done.units > done.requests, "{done:?}");
    }
}
