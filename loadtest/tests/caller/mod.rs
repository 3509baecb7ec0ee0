//! A caller on a bare socket: sends bytes as they are written, and reads just enough HTTP/1.1.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use pangu_loadtest::mock::Mock;

/// One connection.
pub struct Caller {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer as received.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// Chunks of a chunked body, else 0.
    pub chunks: usize,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

pub fn get(mock: &Mock, target: &str) -> Answer {
    let mut caller = Caller::connect(mock);
    caller.send(&format!("GET {target} HTTP/1.1\r\nHost: m\r\n\r\n"));
    caller.read_answer()
}

pub fn post(mock: &Mock, target: &str, body: &str) -> Answer {
    post_with(mock, target, body, &[])
}

pub fn post_with(mock: &Mock, target: &str, body: &str, headers: &[(&str, &str)]) -> Answer {
    let mut caller = Caller::connect(mock);
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    caller.send(&format!(
        "POST {target} HTTP/1.1\r\nHost: m\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    ));
    caller.read_answer()
}

impl Caller {
    pub fn connect(mock: &Mock) -> Caller {
        Caller::connect_to(mock.address())
    }

    pub fn connect_to(address: SocketAddr) -> Caller {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Caller { stream, buffer: Vec::new() }
    }

    pub fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// Reads to the end of the connection: what came, and how it ended.
    pub fn read_to_end(&mut self) -> (Vec<u8>, io::Result<()>) {
        let mut bytes = std::mem::take(&mut self.buffer);
        let end = self.stream.read_to_end(&mut bytes);
        (bytes, end.map(|_| ()))
    }

    /// Reads until `mark`; gives everything before it, and forgets the mark.
    pub fn read_until(&mut self, mark: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.buffer.windows(mark.len()).position(|window| window == mark) {
                let rest = self.buffer.split_off(at + mark.len());
                let mut before = std::mem::replace(&mut self.buffer, rest);
                before.truncate(at);
                return before;
            }
            self.fill();
        }
    }

    pub fn read_head(&mut self) -> String {
        String::from_utf8(self.read_until(b"\r\n\r\n")).unwrap()
    }

    pub fn read_answer(&mut self) -> Answer {
        let head = self.read_head();
        let status = head[9..12].parse().unwrap();
        let mut answer = Answer { status, head, body: Vec::new(), chunks: 0 };
        if let Some(length) = answer.header("content-length") {
            answer.body = self.read_exactly(length.parse().unwrap());
        } else if answer.header("transfer-encoding").is_some() {
            loop {
                let size = String::from_utf8(self.read_until(b"\r\n")).unwrap();
                let size = usize::from_str_radix(&size, 16).unwrap();
                answer.body.extend(self.read_exactly(size));
                self.read_until(b"\r\n");
                if size == 0 {
                    break;
                }
                answer.chunks += 1;
            }
        }
        answer
    }

    fn read_exactly(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length {
            self.fill();
        }
        let rest = self.buffer.split_off(length);
        std::mem::replace(&mut self.buffer, rest)
    }

    fn fill(&mut self) {
        let mut bytes = [0; 16 * 1024];
        let count = self.stream.read(&mut bytes).unwrap();
        assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&self.buffer));
        self.buffer.extend_from_slice(&bytes[..count]);
    }
}
