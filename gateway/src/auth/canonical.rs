//! The canonical request: the bytes that were signed, rebuilt from the bytes that came.
//!
//! [`signing`](crate::signing) says what it consists of.
//! Everything before the body's hash is known with the head of the request and is built then, into one buffer.
//!
//! *Readings.* Most clients sign the plain form. Two official SDKs deviate, so a request can have more than one
//! reading, each as binding as the plain one:
//! - the Python SDK sorts repeated query keys by the type of their values (1, 9, 10) and sends them in that
//!   order: if a key is repeated and the query did not come sorted, the order on the wire is tried second;
//! - the npm SDK encodes an already encoded path again: tried only where the route allows it.

use super::Request;
use super::authorization::one;
use super::denied::Denied;
use super::signed_headers::SignedHeaders;
use crate::signing::{Query, encode_path, recode_path, write_request_lines};

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
        let query = parse_query(request.query)?;
        let wire_order = query.clone_if_repeated_and_unsorted();
        let query = query.sorted();

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
    write_request_lines(out, request.method.as_str(), |out| path(out, request.path.as_bytes()), query);
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

/// Bounds what a stranger can make us sort: far above any real request, far below 32 KiB of `&`.
const QUERY_PAIRS_MAX: usize = 1024;

fn parse_query(raw: &str) -> Result<Query<'_>, Denied> {
    if memchr::memchr_iter(b'&', raw.as_bytes()).count() >= QUERY_PAIRS_MAX {
        return Err(Denied::Malformed("too many query parameters"));
    }
    Ok(Query::parse(raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_of_nothing_but_separators_is_refused() {
        assert!(parse_query(&"&".repeat(QUERY_PAIRS_MAX)).is_err());
        assert!(parse_query(&"&".repeat(QUERY_PAIRS_MAX - 1)).is_ok());
    }
}
