//! HTTP/1.1 by hand: sends exactly the bytes it is given, and says exactly what came back and when.

use crate::clock::now;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long a test waits for bytes before it calls the connection silent.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request as a test writes it down.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    framed: bool,
}

impl Request {
    pub fn new(method: &str, target: &str) -> Request {
        Request {
            method: method.into(),
            target: target.into(),
            headers: Vec::new(),
            body: Vec::new(),
            framed: false,
        }
    }

    pub fn get(target: &str) -> Request {
        Request::new("GET", target)
    }

    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Request {
        Request { body: body.into(), framed: true, ..Request::new("POST", target) }
            .header("content-type", "application/json")
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Request {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The bytes on the wire: `Host: gateway.test` unless the test gave one, `Content-Length` for a body.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str("host: gateway.test\r\n");
        }
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if self.framed {
            let _ = write!(head, "content-length: {}\r\n", self.body.len());
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    pub fn method(&self) -> &str {
        &self.method
    }

    pub fn target(&self) -> &str {
        &self.target
    }

    pub fn body(&self) -> &[u8] {
        &self.body
    }

    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Sends it on a connection of its own and reads the whole answer.
    pub fn send(&self, address: SocketAddr) -> Response {
        let mut conn = Conn::open(address);
        conn.send(self.to_bytes());
        conn.response().unwrap_or_else(|| panic!("no answer to {} {}", self.method, self.target))
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// When each chunk of a chunked answer was whole.
    pub chunks: Vec<(Instant, Vec<u8>)>,
    /// Did the body end as its framing says?
    pub whole: bool,
}

impl Response {
    /// First value of a header; names compare without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

/// What a connection can run over.
pub trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// One connection.
pub struct Conn {
    stream: Box<dyn Stream>,
    /// Read, not yet parsed.
    buffer: Vec<u8>,
    raw: Option<TcpStream>,
}

impl Conn {
    pub fn open(address: SocketAddr) -> Conn {
        Conn::over_tcp(TcpStream::connect(address).unwrap_or_else(|error| panic!("{address}: {error}")))
    }

    /// Connects from a loopback address of the test's choice, such as 127.0.0.2.
    pub fn open_from(local: IpAddr, address: SocketAddr) -> io::Result<Conn> {
        let socket =
            socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(local, 0).into())?;
        socket.connect(&address.into())?;
        Ok(Conn::over_tcp(socket.into()))
    }

    fn over_tcp(stream: TcpStream) -> Conn {
        stream.set_nodelay(true).expect("socket option");
        stream.set_read_timeout(Some(PATIENCE)).expect("socket option");
        let raw = stream.try_clone().ok();
        Conn { stream: Box::new(stream), buffer: Vec::new(), raw }
    }

    /// Speaks HTTP/1.1 over anything else, such as TLS.
    pub fn over(stream: impl Stream + 'static) -> Conn {
        Conn { stream: Box::new(stream), buffer: Vec::new(), raw: None }
    }

    /// Bounds every later wait for bytes.
    pub fn patience(&self, patience: Duration) {
        if let Some(raw) = &self.raw {
            raw.set_read_timeout(Some(patience)).expect("socket option");
        }
    }

    /// Sends bytes; a peer that has closed meanwhile is not an error here (the answer tells).
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).and_then(|()| self.stream.flush()).is_ok()
    }

    /// Reads one answer, interim (1xx) ones included; None: the peer closed, or was silent, before a head was whole.
    pub fn response(&mut self) -> Option<Response> {
        let mut response = self.head()?;
        if !matches!(response.status, 100..=199 | 204 | 304) {
            self.body(&mut response);
        }
        Some(response)
    }

    /// Reads only the head of an answer; [`Conn::chunk`] then gives its chunks.
    pub fn head(&mut self) -> Option<Response> {
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end;
            }
            self.read_more()?;
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        self.buffer.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Some(Response { status, headers, body: Vec::new(), chunks: Vec::new(), whole: true })
    }

    fn body(&mut self, response: &mut Response) {
        if response.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            loop {
                match self.chunk() {
                    Some(chunk) if chunk.is_empty() => return,
                    Some(chunk) => {
                        response.body.extend_from_slice(&chunk);
                        response.chunks.push((now(), chunk));
                    }
                    None => return response.whole = false,
                }
            }
        }
        let length = response.header("content-length").map(|length| length.parse::<usize>());
        match length {
            Some(Ok(length)) => match self.exactly(length) {
                Some(body) => response.body = body,
                None => {
                    response.body = std::mem::take(&mut self.buffer);
                    response.whole = false;
                }
            },
            _ => {
                while self.read_more().is_some() {}
                response.body = std::mem::take(&mut self.buffer);
            }
        }
    }

    /// Reads one chunk; empty: the last one; None: cut off.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                break end;
            }
            self.read_more()?;
        };
        let size = usize::from_str_radix(std::str::from_utf8(&self.buffer[..end]).ok()?.trim(), 16).ok()?;
        self.buffer.drain(..end + 2);
        let mut chunk = self.exactly(size + 2)?;
        chunk.truncate(size);
        Some(chunk)
    }

    /// Reads so many bytes; None: cut off.
    pub fn exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            self.read_more()?;
        }
        Some(self.buffer.drain(..length).collect())
    }

    fn read_more(&mut self) -> Option<()> {
        let mut bytes = [0; 16 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) | Err(_) => None,
            Ok(n) => {
                self.buffer.extend_from_slice(&bytes[..n]);
                Some(())
            }
        }
    }

    /// Says the peer nothing for `within`? What it says is kept for [`Conn::response`].
    pub fn silent(&mut self, within: Duration) -> bool {
        self.patience(within);
        let mut bytes = [0; 1024];
        let read = self.stream.read(&mut bytes);
        self.patience(PATIENCE);
        match read {
            Ok(0) => false,
            Ok(n) => {
                self.buffer.extend_from_slice(&bytes[..n]);
                false
            }
            Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        }
    }

    /// Does the peer close within `within`, saying nothing more?
    pub fn closes(&mut self, within: Duration) -> bool {
        if !self.buffer.is_empty() {
            return false;
        }
        self.patience(within);
        match self.stream.read(&mut [0; 1]) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        }
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
