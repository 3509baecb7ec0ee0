//! WebSocket echo: every message comes back as it is (RFC 6455), below `/mock/websocket`.

use std::io;

use aws_lc_rs::digest;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderValue;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What a server adds to a caller's key to show that it has read it (RFC 6455 section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The longest frame that is echoed.
const FRAME_MAX: u64 = 64 << 20;

const OPCODE: u8 = 0x0f;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// `Sec-WebSocket-Accept` for a key.
pub fn accept(key: &HeaderValue) -> HeaderValue {
    let told = [key.as_bytes(), GUID.as_bytes()].concat();
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &told);
    HeaderValue::try_from(BASE64_STANDARD.encode(hash)).expect("base64 is visible ASCII")
}

/// Echoes frames until a close frame has been answered or the caller leaves.
///
/// # Errors
/// The caller's, and a frame that is longer than this mock holds.
pub async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    loop {
        let mut head = [0; 2];
        stream.read_exact(&mut head).await?;
        let length = match head[1] & 0x7f {
            126 => u64::from(stream.read_u16().await?),
            127 => stream.read_u64().await?,
            short => u64::from(short),
        };
        if length > FRAME_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut mask = [0; 4];
        if head[1] & 0x80 != 0 {
            stream.read_exact(&mut mask).await?;
        }
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await?;
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        let opcode = head[0] & OPCODE;
        match opcode {
            PONG => continue,
            PING => send(&mut stream, (head[0] & !OPCODE) | PONG, &payload).await?,
            _ => send(&mut stream, head[0], &payload).await?,
        }
        if opcode == CLOSE {
            return stream.shutdown().await;
        }
    }
}

/// Sends one frame; those of a server are not masked.
async fn send(stream: &mut (impl AsyncWrite + Unpin), first: u8, payload: &[u8]) -> io::Result<()> {
    let mut frame = vec![first];
    match payload.len() {
        len @ 0..=125 => frame.push(len as u8),
        len @ 126..=0xffff => {
            frame.push(126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    stream.write_all(&frame).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_rfc_is_answered_as_there() {
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept(&key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[tokio::test]
    async fn what_is_masked_comes_back_unmasked() {
        let (mut caller, server) = tokio::io::duplex(100);
        let masked = [0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2, 0x88, 0x80, 0, 0, 0, 0];
        caller.write_all(&masked).await.unwrap();
        echo(server).await.unwrap();
        let mut answer = Vec::new();
        caller.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, [&b"\x81\x02hi"[..], b"\x88\x00"].concat());
    }
}
