//! Bodies: where the one that comes ends, and how the one that goes is marked (RFC 9112 sections 6 and 7).

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::io::Write;

/// The longest line between chunks, extensions included.
const SIZE_LINE_MAX: usize = 4 << 10;
/// All trailers together.
const TRAILERS_MAX: usize = 8 << 10;
/// Trailer lines.
const TRAILER_LINES_MAX: usize = 64;

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// So many bytes are still to come.
    Length(u64),
    /// Chunks.
    Chunked(Chunked),
    /// With the connection.
    UntilClose,
    /// It has ended.
    Ended,
}

/// Where in a chunked body we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunked {
    /// Before the line with a chunk's size.
    Size,
    /// Before so many bytes of a chunk; at least one.
    Data(u64),
    /// Before the line end behind a chunk.
    DataEnd,
    /// Behind the last chunk.
    Trailers,
}

/// A part of a body.
#[derive(Debug, PartialEq)]
pub(super) enum Part {
    Data(Bytes),
    Trailers(HeaderMap),
}

/// Why a body cannot be read on.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadBody {
    /// A chunk that says not how long it is, or is longer or shorter.
    #[error("the answer's chunks are malformed")]
    Chunk,
    /// Trailers that are none, or too many.
    #[error("the answer's trailers are malformed or too long")]
    Trailers,
    /// The connection ended first.
    #[error("the upstream closed the connection inside its answer")]
    Early,
}

impl Coding {
    pub(super) fn chunked() -> Coding {
        Coding::Chunked(Chunked::Size)
    }

    pub(super) fn has_ended(&self) -> bool {
        matches!(self, Coding::Ended | Coding::Length(0))
    }

    /// Takes the next part from the front of `input`; `None` if more has to come first, or if the body has ended.
    ///
    /// # Errors
    /// [`BadBody`]
    pub(super) fn take(&mut self, input: &mut BytesMut) -> Result<Option<Part>, BadBody> {
        match self {
            Coding::Length(left) => Ok(take_data(input, left)),
            Coding::Chunked(_) => self.take_chunked(input),
            Coding::UntilClose => Ok((!input.is_empty()).then(|| Part::Data(input.split().freeze()))),
            Coding::Ended => Ok(None),
        }
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// [`BadBody::Early`] if that is not how the body ends.
    pub(super) fn close(&mut self) -> Result<(), BadBody> {
        match self {
            Coding::UntilClose | Coding::Ended => {
                *self = Coding::Ended;
                Ok(())
            }
            _ => Err(BadBody::Early),
        }
    }

    fn take_chunked(&mut self, input: &mut BytesMut) -> Result<Option<Part>, BadBody> {
        if input.is_empty() {
            return Ok(None); // as it is between any two events of a stream, and asked about three times
        }
        while let Coding::Chunked(at) = self {
            match at {
                Chunked::Size => {
                    let Some(line) = line_end(input, SIZE_LINE_MAX).ok_or(BadBody::Chunk)? else {
                        return Ok(None);
                    };
                    let size = chunk_size(&input[..line]).ok_or(BadBody::Chunk)?;
                    input.advance(line);
                    *at = if size == 0 { Chunked::Trailers } else { Chunked::Data(size) };
                }
                Chunked::Data(left) => {
                    let data = take_data(input, left);
                    if *left == 0 {
                        *at = Chunked::DataEnd;
                    }
                    return Ok(data);
                }
                Chunked::DataEnd => match &input[..] {
                    [b'\r', b'\n', ..] => {
                        input.advance(2);
                        *at = Chunked::Size;
                    }
                    [] | [b'\r'] => return Ok(None),
                    _ => return Err(BadBody::Chunk),
                },
                Chunked::Trailers => return self.take_trailers(input),
            }
        }
        Ok(None)
    }

    fn take_trailers(&mut self, input: &mut BytesMut) -> Result<Option<Part>, BadBody> {
        if input.starts_with(b"\r\n") {
            input.advance(2);
            *self = Coding::Ended;
            return Ok(None);
        }
        let mut lines = [httparse::EMPTY_HEADER; TRAILER_LINES_MAX];
        match httparse::parse_headers(input, &mut lines) {
            Ok(httparse::Status::Complete((end, lines))) => {
                let mut trailers = HeaderMap::with_capacity(lines.len());
                for line in lines {
                    let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| BadBody::Trailers)?;
                    let value = HeaderValue::from_bytes(line.value).map_err(|_| BadBody::Trailers)?;
                    trailers.append(name, value);
                }
                input.advance(end);
                *self = Coding::Ended;
                Ok(Some(Part::Trailers(trailers)))
            }
            Ok(httparse::Status::Partial) if input.len() <= TRAILERS_MAX => Ok(None),
            _ => Err(BadBody::Trailers),
        }
    }
}

fn take_data(input: &mut BytesMut, left: &mut u64) -> Option<Part> {
    if input.is_empty() || *left == 0 {
        return None;
    }
    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    *left -= here as u64;
    Some(Part::Data(input.split_to(here).freeze()))
}

/// Length of the line at the front with its end; the outer `None` if it is longer than it may be.
fn line_end(input: &[u8], max: usize) -> Option<Option<usize>> {
    let seen = &input[..input.len().min(max)];
    match memchr::memchr(b'\n', seen) {
        Some(lf) => Some(Some(lf + 1)),
        None if input.len() < max => Some(None),
        None => None,
    }
}

/// Reads `1a2b;extension\r\n`. Extensions mean nothing to anybody here, and end at this hop.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let line = line.strip_suffix(b"\r\n")?;
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let (digits, rest) = line.split_at(digits);
    if digits.is_empty() || digits.len() > 15 || !matches!(rest.trim_ascii_start(), [] | [b';', ..]) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Writes a chunk of the request's body, which is not empty.
pub(super) fn write_chunk(out: &mut BytesMut, data: &[u8]) {
    let mut line = [0; 18];
    let mut left = &mut line[..];
    write!(left, "{:x}\r\n", data.len()).expect("16 digits and a line end fit");
    let unused = left.len();
    out.reserve(line.len() + data.len() + 2);
    out.extend_from_slice(&line[..line.len() - unused]);
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What comes out of `wire`, given in pieces of at most `piece` bytes.
    fn read(coding: Coding, wire: &[u8], piece: usize) -> Result<(Vec<u8>, Vec<u8>, Coding), BadBody> {
        let (mut coding, mut input, mut body) = (coding, BytesMut::new(), Vec::new());
        for bytes in wire.chunks(piece) {
            input.extend_from_slice(bytes);
            while let Some(part) = coding.take(&mut input)? {
                if let Part::Data(data) = part {
                    body.extend_from_slice(&data);
                }
            }
        }
        Ok((body, input.to_vec(), coding))
    }

    #[test]
    fn a_length_is_kept_to_the_byte() {
        let (body, rest, coding) = read(Coding::Length(5), b"hello, world", 3).unwrap();
        assert_eq!((&body[..], coding), (&b"hello"[..], Coding::Length(0)));
        assert!(!rest.is_empty(), "what follows is nobody's");
    }

    #[test]
    fn extensions_and_trailers_are_understood() {
        let wire = b"5;name=\"v\"\r\nhello\r\n00\r\nX-Sum: 1\r\n\r\n";
        let (mut coding, mut input) = (Coding::chunked(), BytesMut::from(&wire[..]));
        assert_eq!(coding.take(&mut input), Ok(Some(Part::Data(Bytes::from_static(b"hello")))));
        let Ok(Some(Part::Trailers(trailers))) = coding.take(&mut input) else { panic!("no trailers") };
        assert_eq!(trailers["x-sum"], "1");
        assert!(coding.has_ended() && input.is_empty());
    }

    #[test]
    fn malformed_chunks_are_errors() {
        for wire in [
            &b"\r\n"[..],
            b"x\r\n",
            b"5\nhello\r\n",
            b"5 x\r\nhello",
            b"-5\r\n",
            b"1234567890abcdef0\r\n",
            b"5\r\nhello!",
            b"5\r\nhello\n0\r\n",
            b"0\r\nno colon\r\n\r\n",
        ] {
            for piece in [1, 2, 100] {
                assert!(read(Coding::chunked(), wire, piece).is_err(), "{}", wire.escape_ascii());
            }
        }
        assert!(read(Coding::chunked(), &[b'0'; SIZE_LINE_MAX], 64).is_err(), "a size without end");
        let endless = [&b"0\r\n"[..], &b"a: b\r\n".repeat(TRAILERS_MAX / 6 + 1)].concat();
        assert!(read(Coding::chunked(), &endless, 512).is_err(), "trailers without end");
    }

    #[test]
    fn an_early_end_of_the_connection_is_told_from_the_end_of_the_body() {
        assert_eq!(Coding::UntilClose.close(), Ok(()));
        assert_eq!(Coding::Length(1).close(), Err(BadBody::Early));
        assert_eq!(Coding::chunked().close(), Err(BadBody::Early));
    }

    proptest! {
        #[test]
        fn chunks_written_are_read_again(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..300), 0..8),
            piece in 1usize..64,
        ) {
            let mut wire = BytesMut::new();
            for chunk in &chunks {
                write_chunk(&mut wire, chunk);
            }
            wire.extend_from_slice(b"0\r\n\r\nNEXT");
            let (body, rest, coding) = read(Coding::chunked(), &wire, piece).unwrap();
            prop_assert_eq!(body, chunks.concat());
            prop_assert_eq!(coding, Coding::Ended);
            prop_assert_eq!(rest, b"NEXT");
        }

        #[test]
        fn no_bytes_make_it_panic(wire in proptest::collection::vec(any::<u8>(), 0..200), piece in 1usize..50) {
            let _ = read(Coding::chunked(), &wire, piece);
        }
    }
}
