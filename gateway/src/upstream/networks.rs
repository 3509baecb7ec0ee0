//! Where an upstream may lie: what no address may be, and what one that was found out may be besides.
//!
//! Whoever answers for a name, an API or a file could otherwise make the gateway speak to whatever it can reach: to
//! itself, to its neighbours on the machine, to the service that hands out the machine's credentials.

use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// Which addresses that were found out are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Networks {
    /// Those of private networks: [`PRIVATE`].
    Private,
    /// All but this machine's own; those too with `loopback`.
    Any {
        /// This machine's own as well.
        loopback: bool,
    },
    /// Those in one of these networks.
    Only(Arc<[IpNet]>),
}

/// RFC 1918, RFC 6598 (shared, which clouds use for what is their own) and RFC 4193.
const PRIVATE: [&str; 5] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"];

impl Networks {
    /// Why an address is not used; `None`: it is.
    pub fn why_not(&self, address: IpAddr) -> Option<&'static str> {
        let meant = meant(address);
        let private =
            |meant| PRIVATE.iter().any(|net| net.parse::<IpNet>().is_ok_and(|net| net.contains(&meant)));
        match self {
            _ if refused(address).is_some() => refused(address),
            Networks::Private if !private(meant) => Some("in no private network"),
            Networks::Any { loopback: false } if meant.is_loopback() => Some("of this machine itself"),
            Networks::Only(nets) if !nets.iter().any(|net| net.contains(&meant)) => {
                Some("outside `networks`")
            }
            _ => None,
        }
    }
}

/// Why no policy and no resolver may name this address; `None`: it may.
///
/// Link-local ranges hold the cloud's metadata service (169.254.169.254), which hands out credentials.
/// IPv6 forms that carry an IPv4 address count as that address.
pub fn refused(address: IpAddr) -> Option<&'static str> {
    match meant(address) {
        meant if meant.is_unspecified() => Some("no address at all"),
        meant if meant.is_multicast() => Some("a multicast address"),
        IpAddr::V4(v4) if v4.is_broadcast() => Some("a broadcast address"),
        IpAddr::V4(v4) if v4.is_link_local() => Some("link-local: the metadata service lives there"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("link-local: the metadata service lives there"),
        _ => None,
    }
}

fn meant(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => carried(v6).map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// The IPv4 address in `::ffff:a.b.c.d`, `::a.b.c.d` and `64:ff9b::a.b.c.d`.
fn carried(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = v6.segments();
    let prefixed =
        matches!(s, [0, 0, 0, 0, 0, 0xffff | 0, ..]) || matches!(s, [0x64, 0xff9b, 0, 0, 0, 0, ..]);
    let v4 = Ipv4Addr::from((u32::from(s[6]) << 16) | u32::from(s[7]));
    (prefixed && u32::from(v4) > 1).then_some(v4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(networks: &Networks, addresses: &[&str]) -> Vec<bool> {
        addresses.iter().map(|address| networks.why_not(address.parse().unwrap()).is_none()).collect()
    }

    #[test]
    fn by_default_what_is_found_lies_in_private_networks() {
        let inside =
            ["10.1.2.3", "172.31.0.1", "192.168.205.58", "100.125.0.1", "fd00::1", "::ffff:10.0.0.1"];
        assert_eq!(used(&Networks::Private, &inside), [true; 6]);
        let outside = ["8.8.8.8", "172.32.0.1", "127.0.0.1", "::1", "2001:db8::1", "::ffff:127.0.0.1"];
        assert_eq!(used(&Networks::Private, &outside), [false; 6]);
    }

    #[test]
    fn a_name_never_leads_to_this_machine_unless_it_says_so() {
        let own = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"];
        assert_eq!(used(&Networks::Any { loopback: false }, &own), [false; 5]);
        assert_eq!(used(&Networks::Any { loopback: true }, &own), [true; 5]);
        assert_eq!(used(&Networks::Any { loopback: false }, &["8.8.8.8", "10.0.0.1"]), [true; 2]);
    }

    #[test]
    fn no_network_that_is_named_lets_the_metadata_service_in() {
        let all = Networks::Only(["0.0.0.0/0", "::/0"].map(|net| net.parse().unwrap()).into());
        let never = ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "0.0.0.0", "224.0.0.1"];
        assert_eq!(used(&all, &never), [false; 5]);
        assert_eq!(used(&all, &["127.0.0.1", "8.8.8.8"]), [true; 2]);
        let some = Networks::Only(["10.1.0.0/16"].map(|net| net.parse().unwrap()).into());
        assert_eq!(used(&some, &["10.1.9.9", "10.2.0.1", "127.0.0.1"]), [true, false, false]);
    }
}
