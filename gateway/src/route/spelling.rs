//! Paths that have one reading only.
//!
//! Programs disagree on `//`, dot segments, `;`, backslashes and what to decode when (RFC 3986 section
//! 6.2 lists the many ways to normalise). Whoever finds a spelling the gateway matches as one path and
//! the upstream serves as another walks around the route's limits. So the gateway lets only such paths
//! through that every reading takes for the same one.

use std::borrow::Cow;

const NOT_ROOTED: &str = "path: does not begin with `/`";
const EMPTY_SEGMENT: &str = "path: `//`";
const DOT_SEGMENT: &str = "path: a `.` or `..` segment";
const BACKSLASH: &str = "path: a backslash";
const SEMICOLON: &str = "path: a `;`";
const FRAGMENT: &str = "path: a `#`";
const QUERY: &str = "path: a `?`";
const CONTROL: &str = "path: a space or control character";
const NOT_ASCII: &str = "path: bytes that must be percent-encoded";
const ILLEGAL: &str = "path: a character that must be percent-encoded";
const MALFORMED: &str = "path: `%` without two hexadecimal digits";
const ESCAPED_CONTROL: &str = "path: an escaped control character";
const ESCAPED_DELIMITER: &str = "path: an escaped `/`, `\\`, `;`, `?` or `#`";
const ESCAPED_TWICE: &str = "path: percent-encoded twice";
const ESCAPED_NEEDLESSLY: &str = "path: an escaped letter, digit, `-`, `.`, `_` or `~`";
const NOT_UTF8: &str = "path: escapes that are not UTF-8";

/// Checks that a raw path has one reading only. Hot path: one pass, one table look-up per byte.
///
/// Accepted: `/` and what RFC 3986 calls `pchar`, without `;`, empty segments (a slash at the end is
/// fine) and dot segments. Escapes may spell what cannot stand unescaped (`%20`, UTF-8), the other
/// delimiters (`%3A`), and `%` itself unless that makes another escape (`%2541`).
///
/// # Errors
/// The reason, short, for the caller.
pub fn spelling(path: &str) -> Result<(), &'static str> {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Err(NOT_ROOTED);
    }
    let mut rest = bytes;
    while let Some(plain) = rest.iter().position(|&byte| !matches!(CLASS[usize::from(byte)], Class::Plain)) {
        rest = &rest[plain..];
        let judged = match CLASS[usize::from(rest[0])] {
            Class::Plain => 1,
            Class::Slash => check_segment(&rest[1..])?,
            Class::Escape => check_escape(rest)?,
            Class::Refused => return Err(refused(rest[0])),
        };
        rest = &rest[judged..];
    }
    Ok(())
}

/// Is a path without escapes and without any of what [`spelling`] refuses? Nearly all are; one look per byte.
#[inline]
pub(super) fn is_plain(path: &str) -> bool {
    let mut after_slash = false;
    let odd = |byte: u8| {
        let class = CLASS[usize::from(byte)];
        let odd = class >= Class::Escape || after_slash && matches!(byte, b'/' | b'.');
        after_slash = class == Class::Slash;
        odd
    };
    path.starts_with('/') && !path.bytes().any(odd)
}

/// The path with every escape decoded; for a path that [`spelling`] accepted.
pub(super) fn decode(path: &str) -> Cow<'_, str> {
    let bytes = path.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%').then(|| escaped_byte(&bytes[at..])).flatten();
        decoded.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    match String::from_utf8(decoded) {
        Ok(decoded) => Cow::Owned(decoded),
        Err(_) => Cow::Borrowed(path), // `spelling` refuses these
    }
}

/// Looks at what follows a slash; gives the slash's own length.
fn check_segment(rest: &[u8]) -> Result<usize, &'static str> {
    match rest {
        [b'/', ..] => Err(EMPTY_SEGMENT),
        [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..] => Err(DOT_SEGMENT),
        _ => Ok(1),
    }
}

/// Looks at the escape, or the escaped character, that `bytes` begins with; gives its length.
fn check_escape(bytes: &[u8]) -> Result<usize, &'static str> {
    match escaped_byte(bytes).ok_or(MALFORMED)? {
        0x00..=0x1f | 0x7f => Err(ESCAPED_CONTROL),
        b'/' | b'\\' | b';' | b'?' | b'#' => Err(ESCAPED_DELIMITER),
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => Err(ESCAPED_NEEDLESSLY),
        b'%' if hex_pair(&bytes[3..]).is_some() => Err(ESCAPED_TWICE),
        lead @ 0x80.. => check_utf8(lead, bytes),
        _ => Ok(3),
    }
}

/// Reads the escapes of one character outside ASCII; gives their length.
fn check_utf8(lead: u8, bytes: &[u8]) -> Result<usize, &'static str> {
    let len = match lead {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Err(NOT_UTF8),
    };
    let mut character = [0; 4];
    for (i, byte) in character[..len].iter_mut().enumerate() {
        *byte = bytes.get(3 * i..).and_then(escaped_byte).ok_or(NOT_UTF8)?;
    }
    let text = std::str::from_utf8(&character[..len]).map_err(|_| NOT_UTF8)?;
    if text.contains(char::is_control) { Err(ESCAPED_CONTROL) } else { Ok(3 * len) }
}

/// The byte that `%XX` at the front of `bytes` stands for.
fn escaped_byte(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [b'%', rest @ ..] => hex_pair(rest),
        _ => None,
    }
}

fn hex_pair(bytes: &[u8]) -> Option<u8> {
    let digit = |i: usize| char::from(*bytes.get(i)?).to_digit(16);
    Some((digit(0)? * 16 + digit(1)?) as u8)
}

#[cold]
fn refused(byte: u8) -> &'static str {
    match byte {
        b'\\' => BACKSLASH,
        b';' => SEMICOLON,
        b'#' => FRAGMENT,
        b'?' => QUERY,
        0x00..=0x20 | 0x7f => CONTROL,
        0x80.. => NOT_ASCII,
        _ => ILLEGAL,
    }
}

/// What a byte of a path is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Class {
    Plain,
    Slash,
    Escape,
    Refused,
}

/// RFC 3986 `pchar`, less `;`.
const CLASS: [Class; 256] = {
    let mut class = [Class::Refused; 256];
    let mut byte = 0u8;
    loop {
        class[byte as usize] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => Class::Plain,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=' | b':' | b'@' => {
                Class::Plain
            }
            b'/' => Class::Slash,
            b'%' => Class::Escape,
            _ => Class::Refused,
        };
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    class
};
