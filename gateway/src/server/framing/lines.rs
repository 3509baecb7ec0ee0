//! Lines out of bytes that come in pieces, and what header lines are made of.

use super::Framing;
use memchr::memchr;

/// Finds the lines in bytes of which there may be more to come; looks at no byte twice.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Where the next line begins.
    begin: usize,
    /// Up to here there is no further line end.
    searched: usize,
}

impl Lines {
    /// The next line with its CR but without its LF, if it has come to its end.
    pub(super) fn next<'b>(&mut self, bytes: &'b [u8]) -> Option<&'b [u8]> {
        let Some(offset) = memchr(b'\n', &bytes[self.searched..]) else {
            self.searched = bytes.len();
            return None;
        };
        let end = self.searched + offset;
        let line = &bytes[self.begin..end];
        self.begin = end + 1;
        self.searched = self.begin;
        Some(line)
    }

    /// Length of all complete lines so far, line ends included.
    pub(super) fn complete(&self) -> usize {
        self.begin
    }

    /// Length of what was looked at: the complete lines and the beginning of the next.
    pub(super) fn seen(&self) -> usize {
        self.searched
    }
}

/// The line without its end.
///
/// # Errors
/// [`Framing::BareLineEnd`]: the LF had no CR.
#[inline]
pub(super) fn strip_cr(line: &[u8]) -> Result<&[u8], Framing> {
    line.strip_suffix(b"\r").ok_or(Framing::BareLineEnd)
}

/// Takes a header line apart: its name, a token, and its value without white space around it.
///
/// # Errors
/// What is wrong with it.
#[inline]
pub(super) fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Framing> {
    let colon = token_len(line);
    if colon == 0 || line.get(colon) != Some(&b':') {
        return Err(nameless(line, colon));
    }
    let value = &line[colon + 1..];
    if has_control(value) {
        return Err(control(value, Framing::HeaderValue));
    }
    Ok((&line[..colon], trim(value)))
}

/// How many bytes at the front make a token (RFC 9110 section 5.6.2).
#[inline]
pub(super) fn token_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|&byte| !TOKEN[usize::from(byte)]).unwrap_or(bytes.len())
}

/// Names the fault of a line whose token of `len` bytes does not end at a colon.
#[cold]
fn nameless(line: &[u8], len: usize) -> Framing {
    let after = &line[len..];
    match after.first() {
        Some(b' ' | b'\t') if len == 0 => Framing::Fold,
        Some(b' ' | b'\t') if trim(after).first() == Some(&b':') => Framing::NameSpace,
        _ => control(line, Framing::HeaderName),
    }
}

/// A bare CR is told apart from other faults, since it is the beginning of a line end to some.
#[cold]
pub(super) fn control(bytes: &[u8], otherwise: Framing) -> Framing {
    if memchr(b'\r', bytes).is_some() { Framing::BareLineEnd } else { otherwise }
}

/// Is there a control character other than the tab? Written as a fold so that it becomes SIMD.
#[inline]
fn has_control(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |found, &byte| found | ((byte < 0x20) & (byte != b'\t')) | (byte == 0x7f))
}

#[inline]
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Characters of tokens.
const TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let mut byte = 0u8;
    loop {
        token[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    token
};
