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
    let maybe = |word| below(word, b' ') | below(word ^ every(0x7f), 1);
    any(value, maybe, |byte| byte.is_ascii_control() && byte != b'\t')
}

/// Is there a byte that has no place in a request target? `#` has none because parsers of URIs cut the
/// target there.
#[inline]
pub(super) fn has_odd(target: &[u8]) -> bool {
    let maybe = |word| {
        let angle = (word & every(!(b'<' ^ b'>'))) ^ every(b'<' & b'>');
        below(word, b'$') | below(word ^ every(0x7f), 1) | below(angle, 1) | word & every(0x80)
    };
    any(target, maybe, |byte| !byte.is_ascii_graphic() || matches!(byte, b'#' | b'"' | b'<' | b'>'))
}

/// Is there such a byte? `maybe` looks at eight at a time and is not zero if there may be one among
/// them; most lines are too short for what compilers make of a loop over bytes.
#[inline]
fn any(bytes: &[u8], maybe: impl Fn(u64) -> u64, such: impl Fn(u8) -> bool) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let suspect = words.iter().fold(0, |found, word| found | maybe(u64::from_ne_bytes(*word)));
    let last = match bytes.last_chunk::<8>() {
        Some(last) => maybe(u64::from_ne_bytes(*last)), // again what `words` had, but no loop over the rest
        None => u64::from(rest.iter().any(|&byte| such(byte))),
    };
    (suspect | last) != 0 && bytes.iter().any(|&byte| such(byte))
}

/// This byte eight times.
const fn every(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// Not zero exactly if one of eight bytes is below `limit`, which is at most 0x80.
#[inline]
fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(every(limit)) & !word & every(0x80)
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
