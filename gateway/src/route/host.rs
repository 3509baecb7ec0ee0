//! Whom a request is addressed to, in one spelling.

use super::Conflict;
use memchr::memchr;
use std::borrow::Cow;
use std::net::Ipv6Addr;

/// The longest name DNS has (RFC 1035 section 2.3.4), in bytes.
const NAME_MAX: usize = 253;

/// The host of a request: lower case, without port and final dot; an IPv6 address in brackets and in
/// its shortest form. Empty if the request named none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host<'a>(Cow<'a, str>);

impl<'a> Host<'a> {
    /// Reads a Host value or an `:authority`. Hot path: allocates only for capitals and IPv6 addresses.
    ///
    /// Accepted: nothing at all, or letters, digits, `-`, `_` and `.` with no empty label, or an IPv6
    /// address in brackets; then perhaps a port.
    ///
    /// # Errors
    /// The reason, short, for the caller.
    pub fn parse(value: &'a str) -> Result<Host<'a>, &'static str> {
        match plain(value.as_bytes()) {
            Some(len) => Ok(Host(Cow::Borrowed(&value[..len]))),
            None => Host::parse_any(value),
        }
    }

    /// Is this a host as a request may name it, and not empty? Said of bytes, since a plain one is seen to be text
    /// on the way.
    pub fn is_one(value: &[u8]) -> bool {
        let any = |value| Host::parse_any(value).is_ok_and(|host| !host.is_empty());
        plain(value).is_some() || std::str::from_utf8(value).is_ok_and(any)
    }

    fn parse_any(value: &'a str) -> Result<Host<'a>, &'static str> {
        if value.starts_with('[') {
            return Host::parse_v6(value);
        }
        match memchr(b':', value.as_bytes()) {
            Some(0) => Err("host: a port without a name"),
            Some(colon) => check_port(&value[colon + 1..]).and_then(|()| Host::parse_name(&value[..colon])),
            None => Host::parse_name(value),
        }
    }

    /// The host, as routes write it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Did the request name no host?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn parse_name(name: &'a str) -> Result<Host<'a>, &'static str> {
        let name = name.strip_suffix('.').filter(|rest| !rest.is_empty()).unwrap_or(name);
        if name.len() > NAME_MAX {
            return Err("host: longer than a name can be");
        }
        let mut capitals = false;
        let mut last = b'.'; // so that a leading dot is an empty label too
        for &byte in name.as_bytes() {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => {}
                b'A'..=b'Z' => capitals = true,
                b'.' if last != b'.' => {}
                b'.' => return Err("host: an empty label"),
                _ => return Err("host: a character no host name has"),
            }
            last = byte;
        }
        if last == b'.' && !name.is_empty() {
            return Err("host: an empty label");
        }
        Ok(Host(if capitals { Cow::Owned(name.to_ascii_lowercase()) } else { Cow::Borrowed(name) }))
    }

    fn parse_v6(value: &'a str) -> Result<Host<'a>, &'static str> {
        let (address, after) = value[1..].split_once(']').ok_or("host: `[` without `]`")?;
        match after.strip_prefix(':') {
            Some(port) => check_port(port)?,
            None if after.is_empty() => {}
            None => return Err("host: characters after `]`"),
        }
        let address: Ipv6Addr = address.parse().map_err(|_| "host: not an IPv6 address")?;
        Ok(Host(Cow::Owned(format!("[{address}]"))))
    }
}

/// The length of the name in `value`, if that is what nearly all requests have: a name in lower case or an IPv4
/// address, without a final dot, perhaps with a port. One look per byte; everything else goes the long way.
#[inline]
fn plain(value: &[u8]) -> Option<usize> {
    let mut last = b'.'; // so that a leading dot is an empty label too
    let odd = |&byte: &u8| {
        let empty_label = byte == b'.' && last == b'.';
        last = byte;
        empty_label || !PLAIN[usize::from(byte)]
    };
    let len = value.iter().position(odd).unwrap_or(value.len());
    let (name, port) = value.split_at(len);
    let port_fits = match port {
        [] => true,
        [b':', port @ ..] => is_port(port),
        _ => false,
    };
    (port_fits && len <= NAME_MAX && !matches!(name, [] | [.., b'.'])).then_some(len)
}

/// What names are made of, but for capitals.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        plain[byte] = matches!(byte as u8, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
        byte += 1;
    }
    plain
};

/// One to five digits that fit a port.
fn is_port(port: &[u8]) -> bool {
    let add = |sum: u32, byte: &u8| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0'));
    let number = if matches!(port.len(), 1..=5) { port.iter().try_fold(0, add) } else { None };
    matches!(number, Some(0..=0xffff))
}

fn check_port(port: &str) -> Result<(), &'static str> {
    if is_port(port.as_bytes()) { Ok(()) } else { Err("host: not a port") }
}

/// Checks a host as a route writes it; `name` is `host` without `*.`.
pub(super) fn check_pattern(host: &str, name: &str) -> Result<(), Conflict> {
    let problem =
        |what: &str, help: String| Conflict::Pattern { what: format!("host `{host}`: {what}"), help };
    if name.contains('*') {
        let help = "write `*.` once, at the front, for any one label; leave `host` out for every host";
        return Err(problem("`*` at the wrong place", help.to_owned()));
    }
    match Host::parse(name) {
        Ok(found) if found.is_empty() => {
            Err(problem("is empty", "write a host name, or leave `host` out for every host".to_owned()))
        }
        Ok(found) if found.as_str() == name => Ok(()),
        Ok(found) => {
            let star = if name.len() < host.len() { "*." } else { "" };
            let help = format!("write `{star}{}`: lower case, no port, no final dot", found.as_str());
            Err(problem("not in the spelling requests are compared in", help))
        }
        Err(why) => {
            let why = why.strip_prefix("host: ").unwrap_or(why);
            let help = "write a host name or address such as `api.example.com`, `*.example.com`, `[::1]`";
            Err(problem(why, help.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_short_way_ends_where_the_long_way_does(
            value in prop_oneof![
                "[a-c0-9._-]{0,8}(:[0-9]{0,6})?",
                "[a-zA-Z.:_\\[\\] -]{0,12}",
                "\\PC{0,12}",
                "[a-z]{250,256}(:80)?",
            ],
        ) {
            let long = Host::parse_any(&value);
            prop_assert_eq!(Host::parse(&value), long.clone());
            prop_assert_eq!(Host::is_one(value.as_bytes()), long.is_ok_and(|host| !host.is_empty()));
        }
    }

    #[test]
    fn what_requests_have_goes_the_short_way() {
        for value in ["a", "api.example.com", "api.example.com:8443", "127.0.0.1:80", "a_b-c.d"] {
            assert!(plain(value.as_bytes()).is_some(), "{value}");
        }
    }
}
