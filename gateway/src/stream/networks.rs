//! Whose network is an address in? The longest prefix wins.

use ahash::AHashMap;
use ipnet::IpNet;
use std::net::IpAddr;

/// Networks, each with what it stands for. A look-up costs a hash per prefix length in use.
#[derive(Debug, Clone)]
pub struct Networks<T> {
    v4: Lengths<T>,
    v6: Lengths<T>,
}

/// Prefix lengths in use, the longest first; for each its networks, by their bits.
type Lengths<T> = Vec<(u8, AHashMap<u128, T>)>;

impl<T> Default for Networks<T> {
    fn default() -> Networks<T> {
        Networks { v4: Vec::new(), v6: Vec::new() }
    }
}

impl<T: Copy> Networks<T> {
    /// Adds a network; what it stood for before, if it was there.
    pub fn insert(&mut self, network: IpNet, value: T) -> Option<T> {
        let length = network.prefix_len();
        let (lengths, bits) = match network {
            IpNet::V4(network) => (&mut self.v4, u128::from(network.network().to_bits())),
            IpNet::V6(network) => (&mut self.v6, network.network().to_bits()),
        };
        let at = lengths.partition_point(|(other, _)| *other > length);
        if lengths.get(at).is_none_or(|(other, _)| *other != length) {
            lengths.insert(at, (length, AHashMap::new()));
        }
        lengths[at].1.insert(bits, value)
    }

    /// What the longest network around `address` stands for.
    pub fn find(&self, address: IpAddr) -> Option<T> {
        let (lengths, bits, width) = match address.to_canonical() {
            IpAddr::V4(v4) => (&self.v4, u128::from(v4.to_bits()), 32),
            IpAddr::V6(v6) => (&self.v6, v6.to_bits(), 128),
        };
        lengths.iter().find_map(|(length, networks)| networks.get(&masked(bits, width, *length)).copied())
    }
}

/// The first `length` of `width` bits.
fn masked(bits: u128, width: u8, length: u8) -> u128 {
    // A shift by all 128 bits would overflow.
    let dropped = u32::from(width - length);
    bits.checked_shr(dropped).map_or(0, |kept| kept << dropped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(networks: &[&str]) -> Networks<usize> {
        let mut table = Networks::default();
        for (i, network) in networks.iter().enumerate() {
            assert_eq!(table.insert(network.parse().unwrap(), i), None);
        }
        table
    }

    #[test]
    fn the_longest_prefix_wins_in_any_order() {
        let table = table(&["10.1.0.0/16", "10.0.0.0/8", "10.1.2.3/32", "2001:db8::/32", "::/0"]);
        let find = |address: &str| table.find(address.parse().unwrap());
        assert_eq!(find("10.1.2.3"), Some(2));
        assert_eq!(find("10.1.2.4"), Some(0));
        assert_eq!(find("10.2.0.1"), Some(1));
        assert_eq!(find("11.0.0.1"), None, "an IPv6 network is for IPv6 only");
        assert_eq!(find("2001:db8:1::1"), Some(3));
        assert_eq!(find("2001:db9::1"), Some(4));
        assert_eq!(find("::ffff:10.2.0.1"), Some(1), "the same address in IPv6");
    }

    #[test]
    fn a_network_twice_is_found_out() {
        let mut table = table(&["10.0.0.0/8"]);
        assert_eq!(table.insert("10.0.0.0/8".parse().unwrap(), 7), Some(0));
    }

    fn network() -> impl Strategy<Value = IpNet> {
        // Few bits, so that networks lie within one another.
        let v4 = (0u32..8, 0u8..=32).prop_map(|(top, length)| {
            IpNet::new(IpAddr::V4((top << 29).into()), length).expect("32 at most").trunc()
        });
        let v6 = (0u128..8, 0u8..=128).prop_map(|(top, length)| {
            IpNet::new(IpAddr::V6((top << 125).into()), length).expect("128 at most").trunc()
        });
        prop_oneof![v4, v6]
    }

    proptest! {
        #[test]
        fn it_finds_what_looking_at_every_network_finds(
            networks in proptest::collection::vec(network(), 0..12),
            (v4, v6, is_v4) in any::<(u32, u128, bool)>(),
        ) {
            let address: IpAddr = if is_v4 { IpAddr::V4(v4.into()) } else { IpAddr::V6(v6.into()) };
            let mut table = Networks::default();
            for network in &networks {
                table.insert(*network, *network);
            }
            let slow = networks.iter().filter(|network| network.contains(&address.to_canonical()));
            prop_assert_eq!(table.find(address), slow.max_by_key(|network| network.prefix_len()).copied());
        }
    }
}
