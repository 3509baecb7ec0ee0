//! Lines out of bytes that come in pieces, and what header lines are made of.

use super::Framing;
use crate::swar::{self, below, every, has};
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
    #[inline]
    pub(super) fn next<'b>(&mut self, bytes: &'b [u8]) -> Option<Line<'b>> {
        let new = &bytes[self.searched..];
        // The first control character of nearly every line is the CR before its LF: then one search has found
        // the end, and that there is no other.
        let control = swar::first(new, controls, |byte| byte.is_ascii_control());
        let lf = match control {
            Some(cr) if new[cr..].starts_with(b"\r\n") => Some(cr + 1),
            Some(other) => memchr(b'\n', &new[other..]).map(|offset| other + offset),
            None => None,
        };
        let Some(lf) = lf else {
            self.searched = bytes.len();
            return None;
        };
        let printable =
            self.searched == self.begin && control.is_some_and(|cr| cr + 1 == lf && new[cr] == b'\r');
        let end = self.searched + lf;
        let line = Line { bytes: &bytes[self.begin..end], printable };
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

/// A line, and what the search for its end has seen.
#[derive(Clone, Copy)]
pub(super) struct Line<'b> {
    pub(super) bytes: &'b [u8],
    /// There is no control character in it but the CR at its end. If not set, nobody has looked.
    printable: bool,
}

impl<'b> Line<'b> {
    /// The line without its end.
    ///
    /// # Errors
    /// [`Framing::BareLineEnd`]: the LF had no CR.
    #[inline]
    pub(super) fn strip_cr(self) -> Result<Line<'b>, Framing> {
        let bytes = self.bytes.strip_suffix(b"\r").ok_or(Framing::BareLineEnd)?;
        Ok(Line { bytes, ..self })
    }
}

/// Takes a header line apart: its name, a token, and its value without white space around it.
///
/// # Errors
/// What is wrong with it.
#[inline]
pub(super) fn field(line: Line<'_>) -> Result<(&[u8], &[u8]), Framing> {
    let Line { bytes: line, printable } = line;
    let colon = token_len(line);
    if colon == 0 || line.get(colon) != Some(&b':') {
        return Err(nameless(line, colon));
    }
    let value = &line[colon + 1..];
    if !printable && has_control(value) {
        return Err(control(value, Framing::HeaderValue));
    }
    Ok((&line[..colon], trim(value)))
}

/// How many bytes at the front make a token (RFC 9110 section 5.6.2). Four at a time: half the cost.
#[inline]
pub(super) fn token_len(bytes: &[u8]) -> usize {
    let token = |byte: u8| TOKEN[usize::from(byte)];
    let (fours, _) = bytes.as_chunks::<4>();
    let whole = fours.iter().take_while(|&&[a, b, c, d]| token(a) & token(b) & token(c) & token(d)).count();
    4 * whole + bytes[4 * whole..].iter().take_while(|&&byte| token(byte)).count()
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

/// Is there a control character other than the tab?
#[inline]
fn has_control(value: &[u8]) -> bool {
    swar::any(value, controls, |byte| byte.is_ascii_control() && byte != b'\t')
}

/// The control characters among eight bytes.
#[inline]
fn controls(word: u64) -> u64 {
    below(word, b' ') | has(word, 0x7f)
}

/// Is there a byte that has no place in a request target? `#` has none because parsers of URIs cut the
/// target there.
#[inline]
pub(super) fn has_odd(target: &[u8]) -> bool {
    let maybe = |word| {
        let angle = (word & every(!(b'<' ^ b'>'))) ^ every(b'<' & b'>');
        below(word, b'$') | has(word, 0x7f) | below(angle, 1) | word & every(0x80)
    };
    swar::any(target, maybe, |byte| !byte.is_ascii_graphic() || matches!(byte, b'#' | b'"' | b'<' | b'>'))
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
