//! Consistent hashing: the same backend for the same key, and one more backend takes from each its part and no more.
//!
//! The ring is that of libketama and nginx, by `pingora-ketama`: 160 points for each unit of weight. It places backends
//! by socket address; ours may have names and base paths, so each is given an address made of a hash of what it is.

use super::Backend;
use super::subject::Digest;
use crate::ids::mix;
use pingora_ketama::{Bucket, Continuum};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

/// Units of weight on one ring, in all: some 13 MB. Beyond it all weights shrink alike.
const UNITS_MAX: u64 = 10_000;

/// Backends on a ring.
pub(super) struct Ring {
    continuum: Continuum,
    backends: usize,
}

impl Ring {
    /// Names and weights, by index.
    pub(super) fn new(backends: &[(u64, u32)]) -> Ring {
        let total: u64 = backends.iter().map(|(_, weight)| u64::from(*weight)).sum();
        let units = |weight: u32| match u64::from(weight) {
            weight if total <= UNITS_MAX => weight as u32,
            weight => (weight * UNITS_MAX / total) as u32,
        };
        let places = backends.iter().enumerate();
        let buckets: Vec<Bucket> =
            places.map(|(at, &(name, weight))| Bucket::new(place(name, at), units(weight).max(1))).collect();
        Ring { continuum: Continuum::new(&buckets), backends: backends.len() }
    }

    /// Hot path. The backend for a key; if it is out, the next one on the ring. Who has half a share keeps half of its
    /// keys, the same ones every time, and more of them as it gets more.
    pub(super) fn find(&self, key: u64, share: impl Fn(usize) -> u32) -> Option<usize> {
        let mut first = None;
        // Every backend has been met after so many points, but for one in thousands; that one is looked for below.
        let points = self.continuum.node_iter(&key.to_le_bytes()).take(8 * self.backends);
        for (at, name) in points.filter_map(named) {
            let share = share(at);
            if share > 0 {
                if mix(key ^ name) & 0xff < u64::from(share) {
                    return Some(at);
                }
                first = first.or(Some(at));
            }
        }
        first.or_else(|| (0..self.backends).find(|&at| share(at) > 0))
    }
}

/// What a backend is, whatever its place in the policy: all gateways give it the same points.
pub(super) fn name(backend: &Backend) -> u64 {
    let mut digest = Digest::default();
    digest.add(backend.address.as_bytes());
    digest.add(backend.spec.base_path.as_bytes());
    digest.end()
}

/// The address that stands for a backend. Points depend on IP and port; the flow label does not count, and carries the
/// index back.
fn place(name: u64, at: usize) -> SocketAddr {
    let ip = Ipv6Addr::from((u128::from(name) << 64) | u128::from(mix(name)));
    SocketAddr::V6(SocketAddrV6::new(ip, 0, at as u32, 0))
}

/// Index and name of the backend with this place.
fn named(place: &SocketAddr) -> Option<(usize, u64)> {
    match place {
        SocketAddr::V6(place) => Some((place.flowinfo() as usize, (place.ip().to_bits() >> 64) as u64)),
        SocketAddr::V4(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEYS: u64 = 10_000;

    /// Backends by number, each of weight 1.
    fn ring(numbers: impl IntoIterator<Item = u64>) -> (Ring, Vec<u64>) {
        let names: Vec<(u64, u32)> = numbers.into_iter().map(|number| (mix(number), 1)).collect();
        let ring = Ring::new(&names);
        (ring, names.into_iter().map(|(name, _)| name).collect())
    }

    /// Where each key goes, by name.
    fn homes((ring, names): &(Ring, Vec<u64>), share: impl Fn(usize) -> u32) -> Vec<u64> {
        (0..KEYS).map(|key| names[ring.find(mix(key), &share).expect("somebody is there")]).collect()
    }

    fn differing<'a>(one: &'a [u64], other: &'a [u64]) -> impl Iterator<Item = (u64, u64)> + 'a {
        one.iter().copied().zip(other.iter().copied()).filter(|(one, other)| one != other)
    }

    #[test]
    fn one_more_backend_takes_its_part_and_moves_nothing_else() {
        for n in [2, 3, 5, 10, 30] {
            let (before, after) = (homes(&ring(1..n), |_| 256), homes(&ring((1..=n).rev()), |_| 256));
            assert!(
                differing(&before, &after).all(|(_, to)| to == mix(n)),
                "moved to another than the new one"
            );
            let moved = differing(&before, &after).count() as f64 / KEYS as f64;
            assert!(
                (0.6 / n as f64..1.5 / n as f64).contains(&moved),
                "{moved} of all keys moved to one of {n}"
            );
        }
    }

    #[test]
    fn weights_are_parts_of_the_ring() {
        let ring = Ring::new(&[(mix(1), 10), (mix(2), 30), (mix(3), 60)]);
        let mut counts = [0.0; 3];
        for key in 0..KEYS {
            counts[ring.find(mix(key), |_| 256).expect("all are there")] += 1.0 / KEYS as f64;
        }
        for (count, part) in counts.iter().zip([0.1, 0.3, 0.6]) {
            assert!((count - part).abs() < 0.05, "{counts:?}");
        }
        assert!(Ring::new(&[(1, 1_000); 100]).find(7, |_| 256).is_some(), "as large as it gets");
    }

    #[test]
    fn who_has_half_a_share_keeps_half_of_its_keys_and_gets_the_others_back() {
        let ring = ring(1..=4);
        let part = |share: u32| homes(&ring, move |at| if at == 2 { share } else { 256 });
        let (none, half, whole) = (part(0), part(128), part(256));
        let own = |homes: &[u64]| homes.iter().filter(|home| **home == ring.1[2]).count() as f64;
        assert_eq!(own(&none), 0.0);
        assert!((own(&half) / own(&whole) - 0.5).abs() < 0.05);
        assert!(differing(&half, &whole).all(|(_, to)| to == ring.1[2]));
        assert!(differing(&none, &half).all(|(_, to)| to == ring.1[2]));
    }

    proptest! {
        #![proptest_config(crate::proptests::cases(16))]

        #[test]
        fn the_keys_of_one_that_is_out_go_on_and_all_others_stay(n in 2u64..8, out: u64) {
            let (ring, out) = (ring(1..=n), (out % n) as usize);
            let (before, after) = (homes(&ring, |_| 256), homes(&ring, |at| if at == out { 0 } else { 256 }));
            prop_assert!(differing(&before, &after).all(|(from, _)| from == ring.1[out]));
            prop_assert!(!after.contains(&ring.1[out]));
        }

        #[test]
        fn nobody_is_found_only_where_nobody_is(shares in proptest::collection::vec(0u32..3, 1..6), key: u64) {
            let found = ring(0..shares.len() as u64).0.find(key, |at| shares[at]);
            prop_assert_eq!(found.is_some(), shares.iter().any(|&share| share > 0));
            prop_assert!(found.is_none_or(|at| shares[at] > 0));
        }
    }
}
