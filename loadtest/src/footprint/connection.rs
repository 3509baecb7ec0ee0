//! Connection: one request after another on a connection that is kept, as plainly as can be.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(10);
/// Answers here are short.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// A connection that is kept open.
#[derive(Debug)]
pub struct Connection(TcpStream);

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Connection(stream))
    }

    /// Sends a GET, with an AppCode if there is one, and reads the whole answer: its status.
    ///
    /// # Errors
    /// No answer within 10 s, or one without a length.
    pub fn get(&mut self, path: &str, code: Option<&str>) -> io::Result<u16> {
        let proof = code.map(|code| format!("x-apig-appcode: {code}\r\n")).unwrap_or_default();
        // In one piece: a request in two would be two packets.
        self.0.write_all(format!("GET {path} HTTP/1.1\r\nhost: footprint\r\n{proof}\r\n").as_bytes())?;
        let mut bytes = Vec::with_capacity(1024);
        let mut part = [0; 4096];
        while bytes.len() < ANSWER_BYTES_MAX {
            if let Some(status) = whole(&bytes) {
                return Ok(status);
            }
            match self.0.read(&mut part)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                length => bytes.extend_from_slice(&part[..length]),
            }
        }
        Err(io::Error::other("the answer has no end"))
    }
}

/// The status, once the answer is there to its last byte.
fn whole(bytes: &[u8]) -> Option<u16> {
    let head_bytes = memchr::memmem::find(bytes, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..head_bytes]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    (bytes.len() >= head_bytes + 4 + length).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_when_its_last_byte_is_there() {
        let answer = b"HTTP/1.1 404 Not Found\r\nX: y\r\nContent-Length: 2\r\n\r\nno";
        assert_eq!(whole(answer), Some(404));
        assert_eq!(whole(&answer[..answer.len() - 1]), None);
        assert_eq!(whole(b"HTTP/1.1 200 OK\r\n\r\nall"), None, "no length");
    }

    #[test]
    fn requests_follow_one_another_on_one_connection() {
        let mock = crate::mock::Mock::start(&crate::mock::Options::default()).unwrap();
        let mut connection = Connection::open(mock.address()).unwrap();
        assert_eq!(connection.get("/mock/bytes/9000", None).unwrap(), 200);
        assert_eq!(connection.get("/mock/status/404", None).unwrap(), 404);
        assert_eq!(mock.stats().connections, 1);
    }
}
