//! PROXY protocol, version 2: what a proxy says of a connection before the connection's own bytes.
//!
//! After the specification of HAProxy (`proxy-protocol.txt`, 2020). Read strictly: a header that has two readings, or
//! a part that is not understood where it matters, ends the connection. Version 1 is text of any length that a caller
//! could have typed, so it is refused. Pure: bytes in, bytes out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What every header begins with: no protocol in use begins so.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length of the rest.
pub const FIXED: usize = 16;
/// Addresses and what else may follow; the longest that known proxies send are some hundred bytes.
const REST_MAX: usize = 4096;

/// Version 2 in the upper half of the 13th byte; the command is in the lower.
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
/// Family and transport in the 14th byte: streams over IPv4 and IPv6.
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
/// Bytes of both addresses and both ports.
const ADDRESSES_V4: usize = 12;
const ADDRESSES_V6: usize = 36;

/// A checksum over the whole header (Castagnoli's CRC), itself counted as zeros.
const TYPE_CRC32C: u8 = 0x03;
/// The first type that the specification leaves to applications: here, the tenant's name.
const TYPE_TENANT: u8 = 0xe0;

/// Whose connection it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// The proxy's own, such as a health check.
    Local,
    /// That of `source`, who asked for `destination`.
    From {
        /// The caller.
        source: SocketAddr,
        /// Where the proxy took the connection in.
        destination: SocketAddr,
    },
}

/// Why a header is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The first bytes are something else.
    #[error("no PROXY header; the proxy must send version 2 (`send-proxy-v2`, `proxy_protocol`)")]
    Missing,
    /// The first bytes are a header of version 1.
    #[error("a PROXY header of version 1; let the proxy send version 2")]
    Version1,
    /// Another version than 2, or another command than LOCAL and PROXY.
    #[error("a PROXY header of an unknown version or command")]
    Command,
    /// Not a stream over IPv4 or IPv6.
    #[error("a PROXY header for something else than TCP over IPv4 or IPv6")]
    Family,
    /// Longer than any real one, or too short for what it says it holds.
    #[error("a PROXY header of an impossible length")]
    Length,
    /// A checksum that is not that of the header.
    #[error("a PROXY header whose checksum is wrong")]
    Checksum,
}

/// How many bytes follow the first [`FIXED`].
///
/// # Errors
/// [`Violation`]: these cannot be the beginning of a header.
pub fn rest(fixed: &[u8; FIXED]) -> Result<usize, Violation> {
    if !fixed.starts_with(&SIGNATURE) {
        return Err(if fixed.starts_with(b"PROXY ") { Violation::Version1 } else { Violation::Missing });
    }
    if !matches!(fixed[12], LOCAL | PROXY) {
        return Err(Violation::Command);
    }
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length <= REST_MAX { Ok(length) } else { Err(Violation::Length) }
}

/// Reads a whole header.
///
/// # Errors
/// [`Violation`], also if `header` is longer or shorter than it says.
pub fn read(header: &[u8]) -> Result<Told, Violation> {
    let (fixed, body) = header.split_first_chunk::<FIXED>().ok_or(Violation::Length)?;
    if rest(fixed)? != body.len() {
        return Err(Violation::Length);
    }
    // The addresses of a LOCAL header mean nothing, whatever their family: all of it is skipped.
    if fixed[12] == LOCAL {
        return Ok(Told::Local);
    }
    let (told, more) = match fixed[13] {
        TCP4 => {
            let (addresses, more) = body.split_first_chunk::<ADDRESSES_V4>().ok_or(Violation::Length)?;
            let (ips, ports) = addresses.split_at(8);
            let ip = |at: usize| Ipv4Addr::new(ips[at], ips[at + 1], ips[at + 2], ips[at + 3]);
            (from(ip(0).into(), ip(4).into(), ports), more)
        }
        TCP6 => {
            let (addresses, more) = body.split_first_chunk::<ADDRESSES_V6>().ok_or(Violation::Length)?;
            let (source, rest) = addresses.split_first_chunk::<16>().ok_or(Violation::Length)?;
            let (destination, ports) = rest.split_first_chunk::<16>().ok_or(Violation::Length)?;
            (from(Ipv6Addr::from(*source).into(), Ipv6Addr::from(*destination).into(), ports), more)
        }
        _ => return Err(Violation::Family),
    };
    check_extras(header, header.len() - more.len())?;
    Ok(told)
}

fn from(source: IpAddr, destination: IpAddr, ports: &[u8]) -> Told {
    let port = |at: usize| u16::from_be_bytes([ports[at], ports[at + 1]]);
    let address = |ip: IpAddr, port| SocketAddr::new(ip.to_canonical(), port);
    Told::From { source: address(source, port(0)), destination: address(destination, port(2)) }
}

/// Types, lengths and values behind the addresses: they must fill the header, and a checksum must be right.
fn check_extras(header: &[u8], mut at: usize) -> Result<(), Violation> {
    while at < header.len() {
        let &[kind, high, low, ..] = &header[at..] else { return Err(Violation::Length) };
        let value = at + 3;
        let end = value + usize::from(u16::from_be_bytes([high, low]));
        let told = header.get(value..end).ok_or(Violation::Length)?;
        if kind == TYPE_CRC32C {
            let told: [u8; 4] = told.try_into().map_err(|_| Violation::Length)?;
            let real = crc32c([&header[..value], &[0; 4], &header[end..]]);
            if real != u32::from_be_bytes(told) {
                return Err(Violation::Checksum);
            }
        }
        at = end;
    }
    Ok(())
}

/// Castagnoli's CRC, bit by bit: a header is short and comes once per connection.
fn crc32c(parts: [&[u8]; 3]) -> u32 {
    const REFLECTED: u32 = 0x82f6_3b78;
    let bytes = parts.into_iter().flatten();
    !bytes.fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (REFLECTED & (crc & 1).wrapping_neg()))
    })
}

/// The header for a backend: whose connection it is, where it came in, and the tenant's name, if it has one.
pub fn write(source: SocketAddr, destination: SocketAddr, tenant: Option<&str>) -> Vec<u8> {
    let mut header = Vec::with_capacity(FIXED + ADDRESSES_V6 + 3 + 64);
    header.extend_from_slice(&SIGNATURE);
    header.push(PROXY);
    match (source.ip().to_canonical(), destination.ip().to_canonical()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            header.extend_from_slice(&[TCP4, 0, 0]);
            header.extend_from_slice(&source.octets());
            header.extend_from_slice(&destination.octets());
        }
        (source, destination) => {
            header.extend_from_slice(&[TCP6, 0, 0]);
            header.extend_from_slice(&mapped(source).octets());
            header.extend_from_slice(&mapped(destination).octets());
        }
    }
    header.extend_from_slice(&source.port().to_be_bytes());
    header.extend_from_slice(&destination.port().to_be_bytes());
    // Policy allows names of at most 64 bytes.
    if let Some((tenant, length)) = tenant.and_then(|name| Some((name, u8::try_from(name.len()).ok()?))) {
        header.extend_from_slice(&[TYPE_TENANT, 0, length]);
        header.extend_from_slice(tenant.as_bytes());
    }
    let length = (header.len() - FIXED) as u16; // below 400
    header[14..FIXED].copy_from_slice(&length.to_be_bytes());
    header
}

fn mapped(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// A header with this command, family and rest.
    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = (rest.len() as u16).to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    const V4: [u8; 12] = [10, 1, 2, 3, 10, 0, 0, 9, 0x30, 0x39, 0x01, 0xbb];

    #[test]
    fn addresses_of_both_families_are_read() {
        let told = Told::From { source: address("10.1.2.3:12345"), destination: address("10.0.0.9:443") };
        assert_eq!(read(&header(PROXY, TCP4, &V4)), Ok(told));
        let v6 = write(address("[2001:db8::1]:7"), address("[2001:db8::2]:8"), None);
        assert_eq!(v6.len(), FIXED + ADDRESSES_V6);
        let told = Told::From { source: address("[2001:db8::1]:7"), destination: address("[2001:db8::2]:8") };
        assert_eq!(read(&v6), Ok(told));
    }

    #[test]
    fn what_is_written_is_what_the_specification_says() {
        let ours = write(address("10.1.2.3:12345"), address("10.0.0.9:443"), Some("acme"));
        let extra = [&[0xe0, 0, 4][..], b"acme"].concat();
        assert_eq!(ours, header(0x21, 0x11, &[&V4[..], &extra].concat()));
    }

    #[test]
    fn a_local_header_says_nothing_whatever_stands_in_it() {
        for (family, rest) in [(0, &[][..]), (TCP4, &V4[..]), (0x31, &[1, 2, 3])] {
            assert_eq!(read(&header(LOCAL, family, rest)), Ok(Told::Local));
        }
    }

    #[test]
    fn everything_else_is_refused_by_its_reason() {
        let fixed = |bytes: &[u8]| *bytes.first_chunk::<FIXED>().unwrap();
        assert_eq!(rest(&fixed(b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n")), Err(Violation::Version1));
        assert_eq!(rest(&fixed(b"GET / HTTP/1.1\r\nhost: a\r\n")), Err(Violation::Missing));
        for command in [0x11, 0x22, 0x31, 0x00, 0xff] {
            assert_eq!(read(&header(command, TCP4, &V4)), Err(Violation::Command), "{command:#x}");
        }
        for family in [0x00, 0x01, 0x10, 0x12, 0x22, 0x31, 0x41] {
            assert_eq!(read(&header(PROXY, family, &[0; 300])), Err(Violation::Family), "{family:#x}");
        }
        assert_eq!(read(&header(PROXY, TCP4, &V4[..11])), Err(Violation::Length));
        assert_eq!(read(&header(PROXY, TCP6, &[0; 35])), Err(Violation::Length));
        assert_eq!(rest(&fixed(&header(PROXY, TCP4, &[0; REST_MAX + 1]))), Err(Violation::Length));
        let mut trailing = header(PROXY, TCP4, &V4);
        trailing.push(0);
        assert_eq!(read(&trailing), Err(Violation::Length));
    }

    #[test]
    fn extras_must_fill_the_header_and_a_checksum_must_be_right() {
        let with = |extras: &[u8]| read(&header(PROXY, TCP4, &[&V4[..], extras].concat()));
        assert!(with(&[0x04, 0, 2, 9, 9]).is_ok(), "padding");
        assert!(with(&[0xee, 0, 0]).is_ok(), "a type nobody knows");
        for cut in [&[0x04][..], &[0x04, 0], &[0x04, 0, 2, 9], &[TYPE_CRC32C, 0, 3, 1, 2, 3]] {
            assert_eq!(with(cut), Err(Violation::Length), "{cut:?}");
        }
        assert_eq!(with(&[TYPE_CRC32C, 0, 4, 1, 2, 3, 4]), Err(Violation::Checksum));
        let zero = header(PROXY, TCP4, &[&V4[..], &[TYPE_CRC32C, 0, 4, 0, 0, 0, 0]].concat());
        let checksum = crc32c([&zero, &[], &[]]).to_be_bytes();
        assert!(with(&[&[TYPE_CRC32C, 0, 4][..], &checksum].concat()).is_ok());
    }

    /// The check value of the catalogue of CRCs (CRC-32/ISCSI).
    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(crc32c([b"123", b"456", b"789"]), 0xe306_9283);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&bytes);
            let _ = read(&header(PROXY, TCP4, &[&V4[..], &bytes].concat()));
            let _ = read(&header(PROXY, TCP6, &bytes));
        }

        #[test]
        fn what_is_written_is_read(
            (a, b) in any::<(IpAddr, IpAddr)>(),
            (p, q) in any::<(u16, u16)>(),
            tenant in proptest::option::of("[a-z]{1,64}"),
        ) {
            let (source, destination) = (SocketAddr::new(a, p), SocketAddr::new(b, q));
            let written = write(source, destination, tenant.as_deref());
            let fixed = written.first_chunk::<FIXED>().expect("longer");
            prop_assert_eq!(rest(fixed), Ok(written.len() - FIXED));
            let canonical = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
            let told = Told::From { source: canonical(source), destination: canonical(destination) };
            prop_assert_eq!(read(&written), Ok(told));
        }
    }
}
