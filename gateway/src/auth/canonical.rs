//! The canonical request: the bytes that were signed, rebuilt from the bytes that came.
//!
//! ```text
//! METHOD \n path \n query \n name:value\n ... \n SignedHeaders \n  + the body's hash
//! ```
//! Everything before the body's hash is known with the head of the request and is built then, into one buffer.
//!
//! *Readings.* Most clients sign the plain form. Two official SDKs deviate, so a request can have more than one
//! reading, each as binding as the plain one:
//! - the Python SDK sorts repeated query keys by the type of their values (1, 9, 10) and sends them in that
//!   order: if a key is repeated and the query did not come sorted, the order on the wire is tried second;
//! - the npm SDK encodes an already encoded path again: tried only where the route allows it.

use super::Request;
use super::authorization::{SignedHeaders, one};
use super::denied::Denied;
use std::borrow::Cow;

/// Canonical requests up to the body's hash; the plain one first.
pub(super) struct Readings {
    plain: Vec<u8>,
    others: Vec<Vec<u8>>,
}

impl Readings {
    /// Rebuilds what was signed.
    ///
    /// # Errors
    /// a signed header is missing or repeated, or there are too many query parameters
    pub(super) fn of(
        request: &Request<'_>,
        signed: &SignedHeaders<'_>,
        double_encoded_path: bool,
    ) -> Result<Readings, Denied> {
        let mut query = Query::parse(request.query)?;
        let wire_order = query.clone_if_repeated_and_unsorted();
        query.pairs.sort_unstable();

        let mut plain = Vec::with_capacity(1024);
        write_line(&mut plain, request, recode_path, &query);
        let tail_at = plain.len();
        write_headers(&mut plain, request, signed)?;

        let mut others = Vec::new();
        let mut add = |path: WritePath, query: &Query<'_>| {
            let mut reading = Vec::with_capacity(plain.len() + 64);
            write_line(&mut reading, request, path, query);
            reading.extend_from_slice(&plain[tail_at..]);
            others.push(reading);
        };
        if let Some(wire_order) = &wire_order {
            add(recode_path, wire_order);
        }
        if double_encoded_path && request.path.contains('%') {
            add(encode_path, &query);
        }
        Ok(Readings { plain, others })
    }

    /// Each reading in turn, for the body's hash to be appended.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Vec<u8>> {
        std::iter::once(&mut self.plain).chain(&mut self.others)
    }
}

type WritePath = fn(&mut Vec<u8>, &[u8]);

fn write_line(out: &mut Vec<u8>, request: &Request<'_>, path: WritePath, query: &Query<'_>) {
    out.extend_from_slice(request.method.as_str().as_bytes());
    out.push(b'\n');
    path(out, request.path.as_bytes());
    if out.last() != Some(&b'/') {
        out.push(b'/'); // for the signature only; the path on the wire stays as it is
    }
    out.push(b'\n');
    query.write(out);
    out.push(b'\n');
}

/// Decodes once, encodes once. A slash that was encoded counts as a slash: signers split after decoding.
fn recode_path(out: &mut Vec<u8>, mut raw: &[u8]) {
    while !raw.is_empty() {
        raw = copy_run(out, raw, is_path_byte);
        if let Some((byte, rest)) = decode_first(raw) {
            encode_byte(out, byte, is_path_byte);
            raw = rest;
        }
    }
}

/// Encodes what is encoded already: `%20` becomes `%2520`.
fn encode_path(out: &mut Vec<u8>, raw: &[u8]) {
    encode(out, raw, is_path_byte);
}

/// Lines of `name:value`, an empty line, the list of names.
fn write_headers(out: &mut Vec<u8>, request: &Request<'_>, signed: &SignedHeaders<'_>) -> Result<(), Denied> {
    for name in signed.names() {
        let value = match one(request.headers, name)? {
            Some(value) => value,
            None if name.eq_ignore_ascii_case("host") => {
                request.authority.map(str::as_bytes).ok_or_else(|| missing(name))?
            }
            None => return Err(missing(name)),
        };
        let at = out.len();
        out.extend_from_slice(name.as_bytes());
        out[at..].make_ascii_lowercase();
        out.push(b':');
        out.extend_from_slice(value);
        out.push(b'\n');
    }
    out.push(b'\n');
    out.extend_from_slice(signed.as_str().as_bytes());
    out.push(b'\n');
    Ok(())
}

fn missing(name: &str) -> Denied {
    match name.parse() {
        Ok(name) => Denied::HeaderMissing(name),
        Err(_) => Denied::Malformed("SignedHeaders lists something that is not a header name"),
    }
}

/// A query's parameters, decoded. A bare `+` is a plus: no Huawei signer writes a space that way.
#[derive(Clone)]
struct Query<'a> {
    pairs: Vec<(Text<'a>, Text<'a>)>,
}

/// Copied only where something was encoded.
type Text<'a> = Cow<'a, [u8]>;

/// Bounds what a stranger can make us sort: far above any real request, far below 32 KiB of `&`.
const QUERY_PAIRS_MAX: usize = 1024;

impl<'a> Query<'a> {
    fn parse(raw: &'a str) -> Result<Query<'a>, Denied> {
        if raw.is_empty() {
            return Ok(Query { pairs: Vec::new() });
        }
        if memchr::memchr_iter(b'&', raw.as_bytes()).count() >= QUERY_PAIRS_MAX {
            return Err(Denied::Malformed("too many query parameters"));
        }
        let pair = |part: &'a str| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            (decode(key.as_bytes()), decode(value.as_bytes()))
        };
        Ok(Query { pairs: raw.split('&').map(pair).collect() })
    }

    /// Only then can a client's idea of order differ from ours without being a mistake.
    fn clone_if_repeated_and_unsorted(&self) -> Option<Query<'a>> {
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
        let mut query = Query::parse(raw).unwrap();
        query.pairs.sort_unstable();
        let mut out = Vec::new();
        query.write(&mut out);
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
        let second = |raw| Query::parse(raw).unwrap().clone_if_repeated_and_unsorted().is_some();
        assert!(second("n=1&n=9&n=10"));
        assert!(!second("n=1&n=10&n=9"), "sorted already");
        assert!(!second("b=1&a=2"), "unsorted, but no key is repeated");
    }

    #[test]
    fn a_query_of_nothing_but_separators_is_refused() {
        assert!(Query::parse(&"&".repeat(QUERY_PAIRS_MAX)).is_err());
        assert!(Query::parse(&"&".repeat(QUERY_PAIRS_MAX - 1)).is_ok());
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
