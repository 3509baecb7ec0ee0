//! Heads: the request heads of one HTTP/1 connection, byte for byte as they arrived.
//!
//! The HTTP library hands over names in lower case and without their order, but a test of a proxy wants to
//! know what was really sent. So the bytes are read twice: here only far enough to find where each head
//! begins and ends. Framing errors are the library's to report; this reader just stops at one.
//!
//! *Memory.* One head of at most [`HEAD_BYTES_MAX`], plus pipelined ones the library has not asked for yet.

use std::collections::VecDeque;

/// Longest head kept; longer ones are not recorded raw.
const HEAD_BYTES_MAX: usize = 256 * 1024;

/// Finds heads in what it is fed.
#[derive(Debug, Default)]
pub struct Heads {
    state: State,
    line: Vec<u8>,
    head: Vec<u8>,
    ready: VecDeque<RawHead>,
}

/// One head as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawHead {
    /// Request target, spelt as sent.
    pub target: String,
    /// Name and value in the order sent, spelt as sent; values without outer blanks. Bytes that are not
    /// UTF-8 become U+FFFD.
    pub headers: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    Body {
        left: u64,
    },
    ChunkSize,
    Chunk {
        left: u64,
    },
    Trailers,
    /// Not HTTP/1, or framing this reader does not follow.
    Lost,
}

impl Heads {
    /// Takes the next bytes of the connection.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.state {
                State::Lost => return,
                State::Body { left } => {
                    let rest = skip(&mut bytes, left);
                    self.state = if rest == 0 { State::Head } else { State::Body { left: rest } };
                }
                State::Chunk { left } => {
                    let rest = skip(&mut bytes, left);
                    self.state = if rest == 0 { State::ChunkSize } else { State::Chunk { left: rest } };
                }
                State::Head | State::ChunkSize | State::Trailers => self.feed_line(&mut bytes),
            }
        }
    }

    /// Gives the oldest complete head that was not taken yet.
    pub fn take(&mut self) -> Option<RawHead> {
        self.ready.pop_front()
    }

    fn feed_line(&mut self, bytes: &mut &[u8]) {
        let end = memchr::memchr(b'\n', bytes);
        let (now, later) = bytes.split_at(end.map_or(bytes.len(), |at| at + 1));
        *bytes = later;
        self.line.extend_from_slice(now);
        if self.line.len() + self.head.len() > HEAD_BYTES_MAX {
            self.state = State::Lost;
        } else if end.is_some() {
            let line = std::mem::take(&mut self.line);
            self.end_line(&line);
        }
    }

    fn end_line(&mut self, line: &[u8]) {
        let blank = matches!(line, b"\n" | b"\r\n");
        match self.state {
            // Empty lines before a request line are skipped (RFC 9112, 2.2).
            State::Head if blank && self.head.is_empty() => {}
            State::Head if blank => self.end_head(),
            State::Head => self.head.extend_from_slice(line),
            State::ChunkSize => {
                self.state = match chunk_size(line) {
                    Some(0) => State::Trailers,
                    Some(size) => State::Chunk { left: size.saturating_add(2) },
                    None => State::Lost,
                };
            }
            State::Trailers if blank => self.state = State::Head,
            _ => {}
        }
    }

    fn end_head(&mut self) {
        let bytes = std::mem::take(&mut self.head);
        let head = RawHead::parse(&bytes);
        self.state = match head.as_ref() {
            None => State::Lost,
            Some(head) => head.framing(),
        };
        self.ready.extend(head);
    }
}

impl RawHead {
    fn parse(bytes: &[u8]) -> Option<RawHead> {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = text.lines();
        let mut words = lines.next()?.split(' ');
        let (_method, target, version) = (words.next()?, words.next()?, words.next()?);
        if !version.starts_with("HTTP/1.") {
            return None;
        }
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
            .collect();
        Some(RawHead { target: target.to_owned(), headers })
    }

    fn framing(&self) -> State {
        let find = |wanted: &str| {
            self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, v)| v.as_str())
        };
        match (find("transfer-encoding"), find("content-length")) {
            (Some(_), _) => State::ChunkSize,
            (None, None | Some("0")) => State::Head,
            (None, Some(length)) => length.parse().map_or(State::Lost, |left| State::Body { left }),
        }
    }
}

/// Skips up to `left` bytes; gives how many are still to come.
fn skip(bytes: &mut &[u8], left: u64) -> u64 {
    let now = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
    *bytes = &bytes[now..];
    left - now as u64
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line).ok()?;
    let digits = text.split(';').next()?.trim();
    u64::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &[u8] =
        b"\r\nPOST /a%2fb?X=1 HTTP/1.1\r\nhOsT: h\r\nX-A:  1 \r\nTransfer-Encoding: chunked\r\n\
        x-a: 2\r\n\r\n4;ext=1\r\nGET \r\n1E\r\n / HTTP/1.1\r\n\r\nGET /no HTTP/1.\r\n0\r\nTrailer: t\r\n\r\n\
        PUT /c HTTP/1.1\r\nContent-Length: 5\r\n\r\n\r\n\r\n1GET /d HTTP/1.1\r\nHost: h\r\n\r\n";

    fn heads_of(pieces: impl Iterator<Item = Vec<u8>>) -> Vec<RawHead> {
        let mut heads = Heads::default();
        pieces.for_each(|piece| heads.feed(&piece));
        std::iter::from_fn(|| heads.take()).collect()
    }

    #[test]
    fn heads_keep_order_and_spelling_past_any_body() {
        let heads = heads_of([STREAM.to_vec()].into_iter());
        let targets: Vec<_> = heads.iter().map(|head| head.target.as_str()).collect();
        assert_eq!(targets, ["/a%2fb?X=1", "/c", "/d"]);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            heads[0].headers,
            [pair("hOsT", "h"), pair("X-A", "1"), pair("Transfer-Encoding", "chunked"), pair("x-a", "2"),]
        );
    }

    #[test]
    fn any_cut_of_the_stream_gives_the_same_heads() {
        let whole = heads_of([STREAM.to_vec()].into_iter());
        for size in 1..STREAM.len() {
            assert_eq!(heads_of(STREAM.chunks(size).map(<[u8]>::to_vec)), whole, "pieces of {size}");
        }
    }

    #[test]
    fn other_protocols_are_left_alone() {
        assert_eq!(heads_of([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()].into_iter()), []);
        assert_eq!(heads_of([b"\x16\x03\x01\n\n\n\n".to_vec()].into_iter()), []);
        assert_eq!(heads_of([vec![b'x'; HEAD_BYTES_MAX + 1], b"\r\n\r\n".to_vec()].into_iter()), []);
    }
}
