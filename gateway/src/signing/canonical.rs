//! The first lines of a canonical request: method, path and query, in the one spelling that is signed.

use std::borrow::Cow;

/// Writes method, path and query, each on a line of its own; `path` writes the path.
pub fn write_request_lines(
    out: &mut Vec<u8>,
    method: &str,
    path: impl FnOnce(&mut Vec<u8>),
    query: &Query<'_>,
) {
    out.extend_from_slice(method.as_bytes());
    out.push(b'\n');
    path(out);
    if out.last() != Some(&b'/') {
        out.push(b'/'); // for the signature only; the path on the wire stays as it is
    }
    out.push(b'\n');
    query.write(out);
    out.push(b'\n');
}

/// Decodes once, encodes once. A slash that was encoded counts as a slash: signers split after decoding.
pub fn recode_path(out: &mut Vec<u8>, mut raw: &[u8]) {
    while !raw.is_empty() {
        raw = copy_run(out, raw, is_path_byte);
        if let Some((byte, rest)) = decode_first(raw) {
            encode_byte(out, byte, is_path_byte);
            raw = rest;
        }
    }
}

/// Encodes what is encoded already: `%20` becomes `%2520`.
pub fn encode_path(out: &mut Vec<u8>, raw: &[u8]) {
    encode(out, raw, is_path_byte);
}

/// A query's parameters, decoded. A bare `+` is a plus: no Huawei signer writes a space that way.
#[derive(Clone)]
pub struct Query<'a> {
    pairs: Vec<(Text<'a>, Text<'a>)>,
}

/// Copied only where something was encoded.
type Text<'a> = Cow<'a, [u8]>;

impl<'a> Query<'a> {
    /// In the order of the wire; costs a pair for each `&`, and sorting costs more: bound them where strangers ask.
    pub fn parse(raw: &'a str) -> Query<'a> {
        if raw.is_empty() {
            return Query { pairs: Vec::new() };
        }
        let pair = |part: &'a str| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(key.as_bytes()), decode(value.as_bytes()))
        };
        Query { pairs: raw.split('&').map(pair).collect() }
    }

    /// As all but a few clients sign it.
    pub fn sorted(mut self) -> Query<'a> {
        self.pairs.sort_unstable();
        self
    }

    /// Only then can a client's idea of order differ from ours without being a mistake.
    pub fn clone_if_repeated_and_unsorted(&self) -> Option<Query<'a>> {
        if self.pairs.is_sorted() {
            return None;
        }
        let mut keys: Vec<&[u8]> = self.pairs.iter().map(|(key, _)| key.as_ref()).collect();
        keys.sort_unstable();
        keys.windows(2).any(|two| two[0] == two[1]).then(|| self.clone())
    }

    fn write(&self, out: &mut Vec<u8>) {
        for (i, (key, value)) in self.pairs.iter().enumerate() {
            if i > 0 {
                out.push(b'&');
            }
            encode(out, key, is_unreserved);
            out.push(b'=');
            encode(out, value, is_unreserved);
        }
    }
}

fn decode(raw: &[u8]) -> Text<'_> {
    if memchr::memchr(b'%', raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((byte, after)) = decode_first(rest) {
        bytes.push(byte);
        rest = after;
    }
    Cow::Owned(bytes)
}

/// The first byte of `raw`, decoded if it is a whole escape; a `%` that is none stands for itself.
fn decode_first(raw: &[u8]) -> Option<(u8, &[u8])> {
    if let [b'%', high, low, rest @ ..] = raw
        && let (Some(high), Some(low)) = ((*high as char).to_digit(16), (*low as char).to_digit(16))
    {
        return Some(((high << 4 | low) as u8, rest));
    }
    raw.split_first().map(|(first, rest)| (*first, rest))
}

fn encode(out: &mut Vec<u8>, mut bytes: &[u8], plain: fn(u8) -> bool) {
    while !bytes.is_empty() {
        bytes = copy_run(out, bytes, plain);
        if let Some((first, rest)) = bytes.split_first() {
            encode_byte(out, *first, plain);
            bytes = rest;
        }
    }
}

/// Copies bytes that need no encoding in one go; returns what follows them.
#[inline]
fn copy_run<'a>(out: &mut Vec<u8>, bytes: &'a [u8], plain: fn(u8) -> bool) -> &'a [u8] {
    let run = bytes.iter().position(|byte| !plain(*byte)).unwrap_or(bytes.len());
    let (plain, rest) = bytes.split_at(run);
    out.extend_from_slice(plain);
    rest
}

#[inline]
fn encode_byte(out: &mut Vec<u8>, byte: u8, plain: fn(u8) -> bool) {
    if plain(byte) {
        return out.push(byte);
    }
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
}

/// RFC 3986, section 2.3.
#[inline]
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~')
}

#[inline]
fn is_path_byte(byte: u8) -> bool {
    is_unreserved(byte) || byte == b'/'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(raw: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        recode_path(&mut out, raw);
        out
    }

    fn query(raw: &str) -> String {
        let mut out = Vec::new();
        Query::parse(raw).sorted().write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_path_is_decoded_once_and_encoded_once() {
        assert_eq!(path(b"/v1/a%20b/%e6%a8%a1/x%7ey"), b"/v1/a%20b/%E6%A8%A1/x~y");
        assert_eq!(path(b"/a%2Fb"), b"/a/b", "decoding comes before splitting");
        assert_eq!(path(b"/100%2525"), b"/100%2525");
        assert_eq!(path(b"/100%/%4/%zz"), b"/100%25/%254/%25zz", "a % that is no escape stands for itself");
        assert_eq!(path(b"/a:b@c"), b"/a%3Ab%40c");
    }

    #[test]
    fn a_query_is_sorted_before_it_is_encoded() {
        assert_eq!(query("a%2F=1&a-=2"), "a-=2&a%2F=1", "'-' stands before '/'");
        assert_eq!(query("b=1&A=2&a=3&B=4"), "A=2&B=4&a=3&b=1");
        assert_eq!(query("k=b&k=a&flag"), "flag=&k=a&k=b");
        assert_eq!(query("q=a+b"), "q=a%2Bb", "a plus is a plus");
        assert_eq!(query(""), "");
    }

    #[test]
    fn the_wire_order_counts_only_where_a_key_is_repeated() {
        let second = |raw| Query::parse(raw).clone_if_repeated_and_unsorted().is_some();
        assert!(second("n=1&n=9&n=10"));
        assert!(!second("n=1&n=10&n=9"), "sorted already");
        assert!(!second("b=1&a=2"), "unsorted, but no key is repeated");
    }

    proptest! {
        #[test]
        fn recoding_a_path_again_changes_nothing(raw in prop::collection::vec(any::<u8>(), 0..200)) {
            let once = path(&raw);
            prop_assert_eq!(path(&once), once);
        }

        #[test]
        fn encoding_and_decoding_give_the_same_bytes(raw in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut encoded = Vec::new();
            encode(&mut encoded, &raw, is_unreserved);
            prop_assert_eq!(decode(&encoded).into_owned(), raw);
        }

        #[test]
        fn sorting_a_canonical_query_again_changes_nothing(raw in "[a-c%&=+0-9F]{0,60}") {
            let once = query(&raw);
            prop_assert_eq!(query(&once), once);
        }
    }
}
