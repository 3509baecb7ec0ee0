//! Admin: what the gateway and the mock say of themselves, over the plainest HTTP there is.
//!
//! Blocking, one connection per question: nothing is asked while figures are taken, but for reloads.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer that takes longer is none.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// A journal of ten million requests, and nothing beyond.
const ANSWER_BYTES_MAX: u64 = 4 << 30;

/// Whether the gateway welcomes callers.
pub fn ready(admin: SocketAddr) -> bool {
    get(admin, "/readyz").is_ok()
}

/// The body of a good answer.
///
/// # Errors
/// Nobody answers in time, or not with 200.
pub fn get(address: SocketAddr, path: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    // HTTP/1.0: the answer ends with the connection, and is never chunked.
    write!(stream, "GET {path} HTTP/1.0\r\nhost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    let head_end = memchr::memmem::find(&answer, b"\r\n\r\n")
        .ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, format!("{address}{path}: no answer")))?;
    if answer.get(8..13) != Some(b" 200 ") {
        let status = String::from_utf8_lossy(answer.get(9..12).unwrap_or_default()).into_owned();
        return Err(io::Error::other(format!("{address}{path} answered {status}")));
    }
    answer.drain(..head_end + 4);
    Ok(answer)
}

/// Value of a counter or gauge without labels in a page of Prometheus text; 0 if it is not there.
pub fn metric(page: &str, name: &str) -> u64 {
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse::<f64>().ok();
    page.lines().find_map(value).unwrap_or_default() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let page = "# HELP a_total x\na_total_more 7\na_total 3\nb 1.5e3\n";
        assert_eq!(metric(page, "a_total"), 3);
        assert_eq!(metric(page, "b"), 1500);
        assert_eq!(metric(page, "c"), 0);
    }

    #[test]
    fn an_answer_is_its_body_and_a_refusal_an_error() {
        let mock = crate::mock::Mock::start(&crate::mock::Options::default()).unwrap();
        assert_eq!(get(mock.control_address(), "/health").unwrap(), br#"{"status":"ok"}"#);
        let refused = get(mock.control_address(), "/nothing").unwrap_err();
        assert!(refused.to_string().ends_with("/nothing answered 404"), "{refused}");
    }
}
