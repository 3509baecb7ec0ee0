//! One request head, judged line by line.

use super::lines::{Line, Lines, control, field, has_odd, token_len};
use super::{Framing, FramingCaps};
use crate::route::Host;
use memchr::memrchr;

/// A request line has at most this many bytes beside its target: a method of 36, two spaces, the
/// version and the line end. Longer methods do not exist.
const BESIDE_TARGET: usize = 48;

/// What a head said so far.
#[derive(Debug, Default)]
pub(super) struct Head {
    lines: Lines,
    /// Length of the empty line before the request, if there was one.
    skipped: usize,
    version: Option<Version>,
    headers: usize,
    host: bool,
    length: Option<u64>,
    encoding: Option<Encoding>,
}

/// What follows a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body {
    None,
    /// This many bytes, at least one.
    Length(u64),
    Chunked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Chunked,
    Other,
}

impl Head {
    /// Judges what came of the head; `bytes` begin where it begins. Once its end is there: its length
    /// and what follows.
    ///
    /// A fault is found as soon as the line it is in, and is the same however the bytes were cut: sizes
    /// are looked at before lines are.
    pub(super) fn judge(
        &mut self,
        bytes: &[u8],
        caps: &FramingCaps,
    ) -> Result<Option<(usize, Body)>, Framing> {
        loop {
            let before = self.lines.complete();
            let line = self.lines.next(bytes);
            self.check_size(before, caps)?;
            let Some(line) = line else { return Ok(None) };
            let line = line.strip_cr()?;
            match (self.version, line.bytes) {
                (None, []) => self.skip_empty_line()?,
                (None, line) => self.version = Some(request_line(line, caps)?),
                (Some(version), []) => return Ok(Some((self.lines.complete(), self.body(version)?))),
                (Some(_), _) => self.header(line, caps)?,
            }
        }
    }

    /// Has more of a request come than the empty line that may stand before it?
    pub(super) fn has_started(&self) -> bool {
        self.lines.seen() > self.skipped
    }

    /// `begin`: where the line that was looked at begins.
    fn check_size(&self, begin: usize, caps: &FramingCaps) -> Result<(), Framing> {
        // Less the empty line before it, so that this is found before the head's own size is.
        let request_line_max = (caps.target_max + BESIDE_TARGET).min(caps.head_max.saturating_sub(2));
        if self.version.is_none() && self.lines.seen() - begin > request_line_max {
            return Err(Framing::TargetTooLong);
        }
        if self.lines.seen() > caps.head_max { Err(Framing::HeadTooLarge) } else { Ok(()) }
    }

    /// One CRLF before a request is ignored (RFC 9112 section 2.2): old callers send it after a body.
    fn skip_empty_line(&mut self) -> Result<(), Framing> {
        if self.skipped > 0 {
            return Err(Framing::EmptyLines);
        }
        self.skipped = self.lines.complete();
        Ok(())
    }

    fn header(&mut self, line: Line<'_>, caps: &FramingCaps) -> Result<(), Framing> {
        self.headers += 1;
        if self.headers > caps.headers_max {
            return Err(Framing::TooManyHeaders);
        }
        let (name, value) = field(line)?;
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host(value),
            14 if is(name, b"content-length")? => self.length(value),
            17 if is(name, b"transfer-encoding")? => self.encoding(value),
            _ => Ok(()),
        }
    }

    fn host(&mut self, value: &[u8]) -> Result<(), Framing> {
        if self.host {
            return Err(Framing::HostRepeated);
        }
        self.host = true;
        if Host::is_one(value) { Ok(()) } else { Err(Framing::HostInvalid) }
    }

    fn length(&mut self, value: &[u8]) -> Result<(), Framing> {
        if self.length.is_some() {
            return Err(Framing::LengthRepeated);
        }
        self.length = Some(decimal(value).ok_or(Framing::LengthInvalid)?);
        Ok(())
    }

    fn encoding(&mut self, value: &[u8]) -> Result<(), Framing> {
        if self.encoding.is_some() {
            return Err(Framing::EncodingRepeated);
        }
        let chunked = value.eq_ignore_ascii_case(b"chunked");
        self.encoding = Some(if chunked { Encoding::Chunked } else { Encoding::Other });
        Ok(())
    }

    /// What all lines together say (RFC 9112 section 6.3, without its leniency).
    fn body(&self, version: Version) -> Result<Body, Framing> {
        if version == Version::Http11 && !self.host {
            return Err(Framing::HostMissing);
        }
        match (self.encoding, self.length) {
            (Some(_), Some(_)) => Err(Framing::LengthAndEncoding),
            (Some(_), None) if version == Version::Http10 => Err(Framing::EncodingInOldVersion),
            (Some(Encoding::Other), None) => Err(Framing::EncodingUnsupported),
            (Some(Encoding::Chunked), None) => Ok(Body::Chunked),
            (None, Some(0) | None) => Ok(Body::None),
            (None, Some(length)) => Ok(Body::Length(length)),
        }
    }
}

/// Judges a request line: exactly a method, a path and a version, one space between.
fn request_line(line: &[u8], caps: &FramingCaps) -> Result<Version, Framing> {
    let malformed = || control(line, Framing::RequestLine);
    let method_len = token_len(line);
    if method_len == 0 || line.get(method_len) != Some(&b' ') {
        return Err(malformed());
    }
    let (method, rest) = (&line[..method_len], &line[method_len + 1..]);
    let space = memrchr(b' ', rest).ok_or_else(malformed)?;
    let (target, version) = (&rest[..space], &rest[space + 1..]);
    let version = match version {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => return Err(Framing::Version),
        _ => return Err(malformed()),
    };
    check_target(target, caps)?;
    if method == b"CONNECT" { Err(Framing::TargetForm) } else { Ok(version) }
}

/// A path, perhaps with a query.
fn check_target(target: &[u8], caps: &FramingCaps) -> Result<(), Framing> {
    if target.len() > caps.target_max {
        return Err(Framing::TargetTooLong);
    }
    if has_odd(target) {
        let space = target.contains(&b' ');
        return Err(control(target, if space { Framing::RequestLine } else { Framing::TargetByte }));
    }
    match target.first() {
        Some(b'/') => Ok(()),
        Some(_) => Err(Framing::TargetForm),
        None => Err(Framing::RequestLine),
    }
}

/// Is this the name of a framing header? With `_` for `-` it is one to programs that name variables
/// after headers, and it has no other use.
#[inline]
fn is(name: &[u8], framing: &[u8]) -> Result<bool, Framing> {
    // Other names of this length, `x-apig-appcode` among them, begin with another letter.
    if !name[0].eq_ignore_ascii_case(&framing[0]) {
        return Ok(false);
    }
    if name.eq_ignore_ascii_case(framing) {
        return Ok(true);
    }
    let same =
        |(&byte, &wanted): (&u8, &u8)| byte.eq_ignore_ascii_case(&wanted) || (byte, wanted) == (b'_', b'-');
    if name.iter().zip(framing).all(same) { Err(Framing::HeaderName) } else { Ok(false) }
}

/// Digits only, and no more than 64 bits of them.
fn decimal(digits: &[u8]) -> Option<u64> {
    let add = |sum: u64, digit: &u8| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, add) }
}
