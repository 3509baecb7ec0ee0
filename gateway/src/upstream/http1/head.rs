//! Heads: the request's, written; the answer's, read (RFC 9112 sections 3 to 6).

use super::coding::Coding;
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use std::mem::MaybeUninit;

/// The longest head of an answer.
pub(super) const HEAD_MAX: usize = 64 << 10;
/// Header lines of an answer.
const LINES_MAX: usize = 256;

/// Writes the request line: the same target bytes, below the backend's base path.
pub(super) fn write_request_line(out: &mut BytesMut, method: &Method, base_path: &str, target: &str) {
    // One reservation for the whole of an ordinary head.
    out.reserve(method.as_str().len() + base_path.len() + target.len() + 1024);
    out.extend_from_slice(method.as_str().as_bytes());
    out.put_u8(b' ');
    out.extend_from_slice(base_path.as_bytes());
    out.extend_from_slice(target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
}

/// Writes a header line.
pub(super) fn write_header(out: &mut BytesMut, name: &str, value: &[u8]) {
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The head of an answer. Its headers are in the map that [`read`] was given, hop-by-hop ones left out.
#[derive(Debug)]
pub(super) struct AnswerHead {
    pub status: StatusCode,
    /// How the body is framed.
    pub coding: Coding,
    /// Whether the connection may serve another request.
    pub keep: bool,
}

/// Why a head cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum BadHead {
    /// Not HTTP/1.
    #[error("the answer's head: {0}")]
    Syntax(#[from] httparse::Error),
    /// No end in sight.
    #[error("the answer's head is longer than {HEAD_MAX} bytes")]
    TooLong,
    /// More than one body could be meant.
    #[error("the answer's length has two readings")]
    Length,
    /// A coding that cannot be undone here.
    #[error("the answer's transfer coding is not `chunked`")]
    Coding,
    /// 101 was not asked for, or not for this protocol.
    #[error("the upstream switches to a protocol that nobody asked for")]
    Switched,
}

/// Where the head at the front of `input` ends, if it is all there: behind its first empty line.
pub(super) fn end_of_head(input: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', input).find_map(|lf| match input.get(lf + 1..) {
        Some([b'\n', ..]) => Some(lf + 2),
        Some([b'\r', b'\n', ..]) => Some(lf + 3),
        _ => None,
    })
}

/// Reads a whole head. `headers` comes empty; it is a parameter so that the table of the request's map is used again.
/// `offered` is the protocol that the request would switch to, if it would.
///
/// # Errors
/// [`BadHead`]
pub(super) fn read(
    head: &Bytes,
    request_method: &Method,
    offered: Option<&str>,
    headers: &mut HeaderMap,
) -> Result<AnswerHead, BadHead> {
    let mut lines = [const { MaybeUninit::uninit() }; LINES_MAX];
    let mut answer = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    if config.parse_response_with_uninit_headers(&mut answer, head, &mut lines)?.is_partial() {
        return Err(BadHead::Syntax(httparse::Error::Token)); // an empty line where a head should be
    }
    let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(BadHead::Syntax(httparse::Error::Status))?;
    let mut said = Said { keep: answer.version == Some(1), ..Said::default() };
    for line in answer.headers.iter() {
        said.take(head, line, headers)?;
    }
    if status == StatusCode::SWITCHING_PROTOCOLS {
        let switches = |protocol: &str| {
            let mut lines = answer.headers.iter().filter(|line| line.name.eq_ignore_ascii_case("upgrade"));
            let agreed =
                lines.next().is_some_and(|line| line.value.eq_ignore_ascii_case(protocol.as_bytes()));
            agreed && lines.next().is_none()
        };
        if !offered.is_some_and(switches) {
            return Err(BadHead::Switched);
        }
        said.keep = false;
    }
    for name in said.named {
        headers.remove(name);
    }
    let bodiless = request_method == Method::HEAD
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let coding = match (bodiless, said.chunked, said.length) {
        (true, ..) => Coding::Length(0),
        (false, true, None) => Coding::chunked(),
        (false, true, Some(_)) => return Err(BadHead::Length),
        (false, false, Some(length)) => Coding::Length(length),
        (false, false, None) => Coding::UntilClose,
    };
    Ok(AnswerHead { status, coding, keep: said.keep && !matches!(coding, Coding::UntilClose) })
}

/// What the headers say about the connection and the body.
#[derive(Default)]
struct Said {
    keep: bool,
    chunked: bool,
    length: Option<u64>,
    /// Names in `Connection`: hop-by-hop, too.
    named: Vec<HeaderName>,
}

impl Said {
    fn take(
        &mut self,
        head: &Bytes,
        line: &httparse::Header<'_>,
        headers: &mut HeaderMap,
    ) -> Result<(), BadHead> {
        let bad = BadHead::Syntax;
        let name =
            HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| bad(httparse::Error::HeaderName))?;
        match name {
            header::CONNECTION => self.connection(line.value),
            header::TRANSFER_ENCODING => {
                if self.chunked || !line.value.eq_ignore_ascii_case(b"chunked") {
                    return Err(BadHead::Coding);
                }
                self.chunked = true;
            }
            header::CONTENT_LENGTH => {
                let length = number(line.value).ok_or(BadHead::Length)?;
                if self.length.replace(length).is_some_and(|other| other != length) {
                    return Err(BadHead::Length);
                }
                headers.insert(name, value(head, line.value)?);
            }
            header::UPGRADE | header::TRAILER => {}
            _ if matches!(name.as_str(), "keep-alive" | "proxy-connection") => {}
            _ => {
                headers.append(name, value(head, line.value)?);
            }
        }
        Ok(())
    }

    fn connection(&mut self, list: &[u8]) {
        for token in list.split(|&b| b == b',').map(<[u8]>::trim_ascii) {
            if token.eq_ignore_ascii_case(b"close") {
                self.keep = false;
            } else if !token.eq_ignore_ascii_case(b"keep-alive") {
                self.named.extend(HeaderName::from_bytes(token));
            }
        }
    }
}

/// A value that shares the head's memory.
fn value(head: &Bytes, value: &[u8]) -> Result<HeaderValue, BadHead> {
    let shared = if value.is_empty() { Bytes::new() } else { head.slice_ref(value) };
    HeaderValue::from_maybe_shared(shared).map_err(|_| BadHead::Syntax(httparse::Error::HeaderValue))
}

/// Digits only: no sign, no space, no list.
fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<(AnswerHead, HeaderMap), BadHead> {
        let mut headers = HeaderMap::new();
        let head = read(&Bytes::copy_from_slice(text.as_bytes()), &Method::GET, None, &mut headers)?;
        Ok((head, headers))
    }

    fn coding(headers: &str) -> Coding {
        of(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n")).unwrap().0.coding
    }

    #[test]
    fn a_body_is_framed_as_the_head_says() {
        assert_eq!(coding("Content-Length: 12\r\n"), Coding::Length(12));
        assert_eq!(coding("content-length: 12\r\nContent-Length: 12\r\n"), Coding::Length(12));
        assert_eq!(coding("Transfer-Encoding: Chunked\r\n"), Coding::chunked());
        assert_eq!(coding(""), Coding::UntilClose);
        for bodiless in ["204 No Content", "304 Not Modified"] {
            let (head, _) = of(&format!("HTTP/1.1 {bodiless}\r\ncontent-length: 9\r\n\r\n")).unwrap();
            assert_eq!(head.coding, Coding::Length(0), "{bodiless}");
        }
        let mut headers = HeaderMap::new();
        let text = Bytes::from_static(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n");
        assert_eq!(read(&text, &Method::HEAD, None, &mut headers).unwrap().coding, Coding::Length(0));
        assert_eq!(headers["content-length"], "9", "it tells what a GET would have got");
    }

    #[test]
    fn a_head_with_two_readings_is_refused() {
        for headers in [
            "content-length: 1\r\ncontent-length: 2\r\n",
            "content-length: 1, 1\r\n",
            "content-length: +1\r\n",
            "content-length: \r\n",
            "content-length: 99999999999999999999\r\n",
            "content-length: 1\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: \x0bchunked\r\n",
            "bad name: x\r\n",
            "x: 1\r\n folded: y\r\n",
        ] {
            assert!(of(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n")).is_err(), "{headers:?}");
        }
        assert!(of("HTTP/1.1 101 Switching Protocols\r\n\r\n").is_err());
        assert!(of("HTTP/2 200 OK\r\n\r\n").is_err());
        assert!(of("\r\n\r\n").is_err());
    }

    #[test]
    fn a_switch_is_to_the_protocol_that_was_offered_or_an_error() {
        let read = |offered, upgrade: &str| {
            let text = format!("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n{upgrade}\r\n");
            read(&Bytes::from(text), &Method::GET, offered, &mut HeaderMap::new())
        };
        let switched = read(Some("websocket"), "Upgrade: WebSocket\r\n").unwrap();
        assert!(!switched.keep, "it carries no further request");
        for upgrade in ["", "upgrade: h2c\r\n", "upgrade: websocket\r\nupgrade: h2c\r\n"] {
            assert!(matches!(read(Some("websocket"), upgrade), Err(BadHead::Switched)), "{upgrade:?}");
        }
        assert!(matches!(read(None, "upgrade: websocket\r\n"), Err(BadHead::Switched)));
    }

    #[test]
    fn what_ends_at_this_hop_is_left_out() {
        let (head, headers) =
            of("HTTP/1.1 200 OK\r\nConnection: Keep-Alive, X-Hop\r\nKeep-Alive: timeout=5\r\n\
                                  X-Hop: 1\r\nX-Stays: \r\nUpgrade: h2c\r\nSet-Cookie: a\r\nset-cookie: b\r\n\
                                  content-length: 0\r\n\r\n")
            .unwrap();
        assert!(head.keep);
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-length", "set-cookie", "x-stays"]);
        assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
    }

    #[test]
    fn a_connection_is_kept_only_if_both_ends_know_where_the_answer_ends() {
        let keep = |text: &str| of(text).unwrap().0.keep;
        assert!(keep("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
        assert!(!keep("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: x, Close\r\n\r\n"));
        assert!(!keep("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n"));
        assert!(!keep("HTTP/1.1 200 OK\r\n\r\n"));
    }

    #[test]
    fn the_end_of_a_head_is_its_first_empty_line() {
        assert_eq!(end_of_head(b"HTTP/1.1 200 OK\r\na: b\r\n\r\nbody\r\n\r\n"), Some(25));
        assert_eq!(end_of_head(b"HTTP/1.1 200 OK\n\nbody"), Some(17));
        assert_eq!(end_of_head(b"HTTP/1.1 200 OK\r\na: b\r\n\r"), None);
        assert_eq!(end_of_head(b""), None);
    }
}
