//! WebSocket by hand: frames go out as the test wants them, and come back as they are.

use crate::http1::{Conn, Request, Response};

/// The key of the example in RFC 6455, and what proves that it was read.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// A handshake for `target`.
pub fn handshake(target: &str) -> Request {
    Request::get(target)
        .header("connection", "keep-alive, Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", KEY)
}

/// An open WebSocket.
pub struct WebSocket {
    pub conn: Conn,
}

impl WebSocket {
    /// Shakes hands on `conn`.
    ///
    /// # Errors
    /// The answer, if it is not 101.
    pub fn open(mut conn: Conn, handshake: &Request) -> Result<WebSocket, Response> {
        conn.send(handshake.to_bytes());
        let answer = conn.response().expect("an answer to the handshake");
        if answer.status != 101 {
            return Err(answer);
        }
        assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPT));
        assert!(answer.header("upgrade").is_some_and(|to| to.eq_ignore_ascii_case("websocket")));
        Ok(WebSocket { conn })
    }

    /// Sends a whole message in one frame.
    pub fn send(&mut self, opcode: u8, payload: &[u8]) -> bool {
        self.conn.send(frame(true, opcode, payload))
    }

    /// The opcode and payload of the next frame; None: there is none.
    pub fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let head = self.conn.exactly(2)?;
        let len = match head[1] {
            126 => self.conn.exactly(2)?.iter().fold(0, |sum, b| (sum << 8) | usize::from(*b)),
            127 => self.conn.exactly(8)?.iter().fold(0, |sum, b| (sum << 8) | usize::from(*b)),
            short => usize::from(short),
        };
        Some((head[0] & 0x0f, self.conn.exactly(len)?))
    }

    /// The same message back.
    pub fn echo(&mut self, opcode: u8, payload: &[u8]) {
        assert!(self.send(opcode, payload));
        let (got, back) = self.frame().expect("an echo");
        assert!((got, &back[..]) == (opcode, payload), "opcode {got}, {} bytes", back.len());
    }

    /// Says goodbye and hears it; then the connection ends.
    pub fn close(mut self) {
        assert!(self.send(CLOSE, &1000_u16.to_be_bytes()));
        assert_eq!(self.frame(), Some((CLOSE, vec![0x03, 0xe8])));
        assert_eq!(self.conn.exactly(1), None, "nothing follows a close");
    }
}

/// A frame of a caller: masked, with a mask that changes nothing.
pub fn frame(last: bool, opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![if last { 0x80 | opcode } else { opcode }];
    match payload.len() {
        len @ 0..=125 => frame.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}
