//! A backend that speaks HTTP/2 frame by frame (RFC 9113), so that a test can say what no library would.

use crate::certs::{Authority, Pair};
use crate::listening::Listening;
use crate::tls_backend::{Session, TlsBackend};
use rustls::pki_types::CertificateDer;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Kinds of frames.
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reasons for an end.
pub const NO_ERROR: u32 = 0;
pub const INTERNAL_ERROR: u32 = 2;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;

/// How long a connection waits for the gateway before it gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// It listens until it is dropped.
pub struct Http2Backend {
    pub address: SocketAddr,
    listening: Listening,
}

impl Http2Backend {
    /// In clear; `serve` has each connection in a thread of its own, told how many came before it.
    pub fn start(serve: impl Fn(Wire, usize) + Send + Sync + 'static) -> Http2Backend {
        let listening = Listening::start(move |stream, number| {
            let _ = stream.set_nodelay(true);
            let _ = stream.set_read_timeout(Some(PATIENCE));
            let _ = stream.set_write_timeout(Some(PATIENCE));
            if let Some(wire) = Wire::begin(Socket::Tcp(stream)) {
                serve(wire, number);
            }
        });
        Http2Backend { address: listening.address, listening }
    }

    /// Over TLS, for whoever agrees to speak one of `protocols` (ALPN).
    pub fn start_tls(
        pair: &Pair,
        protocols: &[&str],
        serve: impl Fn(Wire) + Send + Sync + 'static,
    ) -> TlsBackend {
        TlsBackend::start_speaking(pair, protocols, over_tls(serve))
    }

    /// Over TLS, for whoever has a certificate of `callers`.
    pub fn start_demanding(
        pair: &Pair,
        callers: &Authority,
        serve: impl Fn(Wire) + Send + Sync + 'static,
    ) -> TlsBackend {
        TlsBackend::start_for(pair, Some(callers), &["h2"], over_tls(serve))
    }

    /// Connections it was offered.
    pub fn connections(&self) -> usize {
        self.listening.connections()
    }
}

fn over_tls(serve: impl Fn(Wire)) -> impl Fn(Session) {
    move |session| {
        if let Some(wire) = Wire::begin(Socket::Tls(session.into())) {
            serve(wire);
        }
    }
}

enum Socket {
    Tcp(TcpStream),
    Tls(Box<Session>),
}

/// A frame, as it is on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Frame {
        Frame { kind, flags, stream, payload: payload.into() }
    }

    /// Bytes of an answer.
    pub fn data(stream: u32, payload: impl Into<Vec<u8>>) -> Frame {
        Frame::new(DATA, 0, stream, payload)
    }

    /// A block of headers that others continue: `first`, and no end.
    pub fn unended_headers(stream: u32) -> Frame {
        Frame::new(HEADERS, 0, stream, [OK])
    }

    /// One of the others.
    pub fn continuation(stream: u32, payload: impl Into<Vec<u8>>) -> Frame {
        Frame::new(CONTINUATION, 0, stream, payload)
    }

    /// Asks for a sign of life.
    pub fn ping() -> Frame {
        Frame::new(PING, 0, 0, [7; 8])
    }

    /// So many requests at a time are taken.
    pub fn streams_max(n: u32) -> Frame {
        Frame::new(SETTINGS, 0, 0, [&[0, 3][..], &n.to_be_bytes()].concat())
    }

    fn bytes(&self) -> Vec<u8> {
        let length = (self.payload.len() as u32).to_be_bytes();
        let head = [&length[1..], &[self.kind, self.flags], &self.stream.to_be_bytes()].concat();
        [head, self.payload.clone()].concat()
    }
}

/// `:status: 200`, by its place in the static table (RFC 7541 appendix A).
const OK: u8 = 0x88;

/// Headers without Huffman codes or tables (RFC 7541 section 6.2.2).
fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).expect("short")][..], text.as_bytes()].concat();
    headers.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

/// A connection. Settings and pings of the gateway are answered by the way.
pub struct Wire {
    socket: Socket,
    read: Vec<u8>,
}

impl Wire {
    fn begin(socket: Socket) -> Option<Wire> {
        let mut wire = Wire { socket, read: Vec::new() };
        while wire.read.len() < PREFACE.len() {
            wire.more()?;
        }
        assert_eq!(wire.read.drain(..PREFACE.len()).collect::<Vec<_>>(), PREFACE);
        wire.say(&Frame::new(SETTINGS, 0, 0, [])).then_some(wire)
    }

    /// The next frame that says something of a request; None: the gateway has closed.
    pub fn message(&mut self) -> Option<Frame> {
        loop {
            let frame = self.frame()?;
            self.acknowledge(&frame);
            if matches!(frame.kind, HEADERS | DATA | RST_STREAM) {
                return Some(frame);
            }
        }
    }

    /// Answers what wants no more than that: settings, and a ping.
    pub fn acknowledge(&mut self, frame: &Frame) {
        match frame.kind {
            SETTINGS if frame.flags & ACK == 0 => self.say(&Frame::new(SETTINGS, ACK, 0, [])),
            PING if frame.flags & ACK == 0 => self.say(&Frame::new(PING, ACK, 0, frame.payload.clone())),
            _ => true,
        };
    }

    /// The certificate that the gateway has shown.
    pub fn caller(&self) -> Option<CertificateDer<'static>> {
        match &self.socket {
            Socket::Tcp(_) => None,
            Socket::Tls(session) => session.caller(),
        }
    }

    /// Any frame.
    pub fn frame(&mut self) -> Option<Frame> {
        while self.read.len() < 9 {
            self.more()?;
        }
        let length = u32::from_be_bytes([0, self.read[0], self.read[1], self.read[2]]) as usize;
        while self.read.len() < 9 + length {
            self.more()?;
        }
        let head: Vec<u8> = self.read.drain(..9).collect();
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload: self.read.drain(..length).collect() })
    }

    /// The stream of the next request, once all of it has come.
    pub fn request(&mut self) -> Option<u32> {
        loop {
            let frame = self.message()?;
            if frame.kind != RST_STREAM && frame.flags & END_STREAM != 0 {
                return Some(frame.stream);
            }
        }
    }

    /// Reads on until the gateway resets `stream`; its reason.
    pub fn reset(&mut self, stream: u32) -> Option<u32> {
        loop {
            let frame = self.message()?;
            if frame.kind == RST_STREAM && frame.stream == stream {
                return Some(u32::from_be_bytes(frame.payload.try_into().ok()?));
            }
        }
    }

    /// The head of an answer to a call of gRPC.
    pub fn head(&mut self, stream: u32) -> bool {
        self.head_of(stream, "application/grpc")
    }

    /// The head of an answer of another type.
    pub fn head_of(&mut self, stream: u32, content_type: &str) -> bool {
        let block = [vec![OK], block(&[("content-type", content_type)])].concat();
        self.say(&Frame::new(HEADERS, END_HEADERS, stream, block))
    }

    /// Its end.
    pub fn end(&mut self, stream: u32, status: &str) -> bool {
        self.say(&Frame::new(HEADERS, END_HEADERS | END_STREAM, stream, block(&[("grpc-status", status)])))
    }

    /// All of an answer that went well.
    pub fn answer(&mut self, stream: u32, body: &[u8]) -> bool {
        self.head(stream) && self.say(&Frame::data(stream, body)) && self.end(stream, "0")
    }

    /// Ends a stream.
    pub fn cancel(&mut self, stream: u32, reason: u32) -> bool {
        self.say(&Frame::new(RST_STREAM, 0, stream, reason.to_be_bytes()))
    }

    /// No stream behind `last` was looked at.
    pub fn goodbye(&mut self, last: u32, reason: u32) -> bool {
        self.say(&Frame::new(GOAWAY, 0, 0, [last.to_be_bytes(), reason.to_be_bytes()].concat()))
    }

    /// Lets the gateway send `bytes` more on `stream`; 0: on all of them together.
    pub fn open_window(&mut self, stream: u32, bytes: u32) -> bool {
        self.say(&Frame::new(WINDOW_UPDATE, 0, stream, bytes.to_be_bytes()))
    }

    /// Sends a frame; false: the gateway has closed.
    pub fn say(&mut self, frame: &Frame) -> bool {
        match &mut self.socket {
            Socket::Tcp(stream) => stream.write_all(&frame.bytes()).is_ok(),
            Socket::Tls(session) => session.say(frame.bytes()),
        }
    }

    fn more(&mut self) -> Option<()> {
        match &mut self.socket {
            Socket::Tcp(stream) => {
                let mut bytes = [0; 16 << 10];
                let n = stream.read(&mut bytes).ok().filter(|n| *n > 0)?;
                self.read.extend_from_slice(&bytes[..n]);
            }
            Socket::Tls(session) => self.read.extend(session.some()?),
        }
        Some(())
    }
}
