//! A chunked body, judged byte by byte (RFC 9112 section 7.1, without chunk extensions).

use super::Framing;
use super::lines::{Lines, field};

/// Bytes of all trailer lines together.
const TRAILERS_MAX: usize = 8 << 10;

/// Names that mean something before the body is read, when it is too late.
const HEAD_ONLY: [&str; 22] = [
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-apig-appcode",
    "x-auth-token",
    "x-sdk-content-sha256",
    "x-sdk-date",
    "x-security-token",
    "x-stage",
];

/// Where in the body we are.
#[derive(Debug)]
pub(super) enum Chunked {
    /// In the digits of a chunk's size.
    Size {
        digits: u8,
        size: u64,
    },
    /// Before the LF that ends the size.
    SizeEnd {
        size: u64,
    },
    /// Before this many bytes of a chunk; at least one.
    Data {
        left: u64,
    },
    /// Before the CR, then the LF, that ends a chunk.
    DataCr,
    DataLf,
    /// After the last chunk; `bytes` of trailers have passed.
    Trailers {
        lines: Lines,
        bytes: usize,
    },
}

/// What came of the front of some bytes.
pub(super) enum Step {
    /// This many are flawless; then the body goes on.
    Pass(usize),
    /// This many are flawless and end the body.
    End(usize),
    /// Too few to tell.
    Wait,
}

impl Chunked {
    pub(super) fn begin() -> Chunked {
        Chunked::Size { digits: 0, size: 0 }
    }

    /// Judges the front of `bytes`, which are not empty.
    pub(super) fn judge(&mut self, bytes: &[u8]) -> Result<Step, Framing> {
        *self = match *self {
            Chunked::Size { digits, size } => size_byte(digits, size, bytes[0])?,
            Chunked::SizeEnd { size: 0 } if bytes[0] == b'\n' => {
                Chunked::Trailers { lines: Lines::default(), bytes: 0 }
            }
            Chunked::SizeEnd { size } if bytes[0] == b'\n' => Chunked::Data { left: size },
            Chunked::SizeEnd { .. } => return Err(Framing::ChunkSize),
            Chunked::Data { ref mut left } => {
                let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= taken as u64;
                if *left == 0 {
                    *self = Chunked::DataCr;
                }
                return Ok(Step::Pass(taken));
            }
            Chunked::DataCr if bytes[0] == b'\r' => Chunked::DataLf,
            Chunked::DataLf if bytes[0] == b'\n' => Chunked::begin(),
            Chunked::DataCr | Chunked::DataLf => return Err(Framing::ChunkEnd),
            Chunked::Trailers { ref mut lines, bytes: ref mut passed } => {
                return trailer(lines, passed, bytes);
            }
        };
        Ok(Step::Pass(1))
    }
}

fn size_byte(digits: u8, size: u64, byte: u8) -> Result<Chunked, Framing> {
    match char::from(byte).to_digit(16) {
        Some(digit) if digits < 16 => {
            Ok(Chunked::Size { digits: digits + 1, size: size << 4 | u64::from(digit) })
        }
        None if byte == b'\r' && digits > 0 => Ok(Chunked::SizeEnd { size }),
        _ => Err(Framing::ChunkSize),
    }
}

/// Judges one line of the trailers.
fn trailer(lines: &mut Lines, passed: &mut usize, bytes: &[u8]) -> Result<Step, Framing> {
    let line = lines.next(bytes);
    if *passed + lines.seen() > TRAILERS_MAX {
        return Err(Framing::TrailersTooLarge);
    }
    let Some(line) = line else { return Ok(Step::Wait) };
    let len = lines.complete();
    let line = line.strip_cr()?;
    if line.bytes.is_empty() {
        return Ok(Step::End(len));
    }
    let (name, _value) = field(line)?;
    if HEAD_ONLY.iter().any(|head_only| name.eq_ignore_ascii_case(head_only.as_bytes())) {
        return Err(Framing::TrailerName);
    }
    *passed += len;
    *lines = Lines::default();
    Ok(Step::Pass(len))
}
