//! The backends of a pool's version: those that are written in the policy, and those that its feeds have found.

use super::{Feed, Found, UNKNOWN_HOST};
use crate::upstream::{Backend, BackendSpec, Pool, Registry};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Largest sum of weights that are worked out here: turns are laid out one by one.
const WEIGHTS_MAX: u64 = 10_000;
/// Where addresses share weights, all of them are multiplied by no more than this to stay whole numbers.
const SCALE_MAX: u64 = 1_000_000;

/// What backends come of.
pub enum Part {
    /// One that is written with its address.
    Written(Arc<Backend>, u32),
    /// Those that a feed finds.
    Found {
        /// Finds them.
        feed: Arc<Feed>,
        /// What is the same for all.
        form: BackendSpec,
        /// Multiplies the weights that are found.
        weight: u32,
    },
}

/// Keeps one version of a pool supplied.
pub struct Supply {
    /// Whose.
    pub pool: Arc<Pool>,
    /// Which of its versions.
    version: usize,
    parts: Vec<Part>,
    /// Sum over the versions of all feeds when the pool got its backends.
    seen: AtomicU64,
}

impl Supply {
    /// The pool has the backends that [`backends`] makes of the parts, from when their feeds stood at `seen`.
    pub fn new(pool: Arc<Pool>, version: usize, parts: Vec<Part>, seen: u64) -> Supply {
        Supply { pool, version, parts, seen: AtomicU64::new(seen) }
    }

    /// Gives the pool what its feeds have found since. Cheap if that is nothing.
    pub fn update(&self, registry: &Registry, now_ms: u64) {
        let seen = seen(&self.parts);
        if self.seen.swap(seen, Relaxed) != seen {
            self.pool.replace(self.version, backends(&self.parts, registry), now_ms);
        }
    }

    /// All that it asks.
    pub fn feeds(&self) -> impl Iterator<Item = &Arc<Feed>> {
        self.parts.iter().filter_map(|part| match part {
            Part::Found { feed, .. } => Some(feed),
            Part::Written(..) => None,
        })
    }
}

/// Where the feeds stand. Read before [`backends`], so that what comes in between is seen again.
pub fn seen(parts: &[Part]) -> u64 {
    let version = |part: &Part| match part {
        Part::Found { feed, .. } => feed.version(),
        Part::Written(..) => 0,
    };
    parts.iter().map(version).sum()
}

/// Backends with their weights, as of now.
pub fn backends(parts: &[Part], registry: &Registry) -> Vec<(Arc<Backend>, u32)> {
    let (mut backends, mut shares) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Written(backend, weight) => {
                backends.push(backend.clone());
                shares.push((u64::from(*weight), 1));
            }
            Part::Found { feed, form, weight } => {
                for found in feed.found().iter() {
                    match registry.backend(at(form, found)) {
                        Ok(backend) => {
                            backends.push(backend);
                            shares.push((
                                u64::from(found.weight) * u64::from(*weight),
                                u64::from(found.sharers),
                            ));
                        }
                        Err(error) => {
                            tracing::warn!(pool = %feed.pool, source = %feed.source, address = %found.ip, error, "not used");
                        }
                    }
                }
            }
        }
    }
    backends.into_iter().zip(weights(&shares)).collect()
}

/// What is the same for all, with what was found of this one. A name that is written stays what certificates and `Host`
/// are about, whatever the address.
fn at(form: &BackendSpec, found: &Found) -> BackendSpec {
    let mut spec = form.clone();
    if &*form.host == UNKNOWN_HOST {
        spec.host = found.name.clone().unwrap_or_else(|| found.ip.to_string().into());
        if let Some(tls) = spec.tls.as_mut().filter(|tls| &*tls.name == UNKNOWN_HOST) {
            tls.name = spec.host.clone();
        }
    }
    spec.ip = spec.host.parse::<IpAddr>().is_err().then_some(found.ip);
    spec.port = found.port.unwrap_or(form.port);
    if found.tls == Some(false) {
        spec.tls = None;
    }
    spec
}

/// Whole weights in the proportion of these fractions, none of them 0.
fn weights(shares: &[(u64, u64)]) -> Vec<u32> {
    let common = shares
        .iter()
        .map(|(_, of)| (*of).max(1))
        .fold(1, |all, of| if all > SCALE_MAX { all } else { all / greatest_common_divisor(all, of) * of });
    let common = common.min(SCALE_MAX);
    let scaled: Vec<u64> =
        shares.iter().map(|(weight, of)| (weight * common / (*of).max(1)).max(1)).collect();
    let shared = scaled.iter().copied().reduce(greatest_common_divisor).unwrap_or(1).max(1);
    let total: u64 = scaled.iter().map(|weight| weight / shared).sum();
    let fit = |weight: u64| if total > WEIGHTS_MAX { (weight * WEIGHTS_MAX / total).max(1) } else { weight };
    scaled.into_iter().map(|weight| fit(weight / shared) as u32).collect()
}

fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::TlsSpec;
    use proptest::prelude::*;

    fn form(host: &str, tls: Option<&str>) -> BackendSpec {
        let tls = tls.map(|name| TlsSpec { ca_pem: None, name: name.into(), client: None });
        BackendSpec {
            host: host.into(),
            ip: None,
            port: 8443,
            base_path: "/b".into(),
            tls,
            protocol: Default::default(),
        }
    }

    fn found() -> Found {
        Found::at([10, 0, 0, 1].into(), None, 1)
    }

    #[test]
    fn a_name_stays_what_the_certificate_is_about() {
        let spec = at(&form("models.internal", Some("models.internal")), &found());
        assert_eq!((&*spec.host, spec.ip, spec.port), ("models.internal", Some([10, 0, 0, 1].into()), 8443));
        assert_eq!(&*spec.tls.unwrap().name, "models.internal");
    }

    #[test]
    fn without_a_name_the_address_is_the_host() {
        let found = Found { port: Some(31_997), tls: Some(true), ..found() };
        let spec = at(&form(UNKNOWN_HOST, Some(UNKNOWN_HOST)), &found);
        assert_eq!((&*spec.host, spec.ip, spec.port), ("10.0.0.1", None, 31_997));
        assert_eq!(&*spec.tls.unwrap().name, "10.0.0.1");
        let spec = at(&form(UNKNOWN_HOST, Some("own.name")), &found);
        assert_eq!(&*spec.tls.unwrap().name, "own.name");
        let plain = Found { tls: Some(false), ..found };
        assert!(at(&form(UNKNOWN_HOST, Some(UNKNOWN_HOST)), &plain).tls.is_none());
    }

    #[test]
    fn targets_of_srv_records_are_called_by_their_names() {
        let found = Found { name: Some("a.internal".into()), port: Some(80), ..found() };
        let spec = at(&form(UNKNOWN_HOST, None), &found);
        assert_eq!((&*spec.host, spec.ip), ("a.internal", Some(found.ip)));
    }

    #[test]
    fn addresses_share_the_weight_of_their_name() {
        assert_eq!(weights(&[(3, 1), (1, 1)]), [3, 1]);
        assert_eq!(weights(&[(3, 2), (3, 2), (1, 1)]), [3, 3, 2]);
        assert_eq!(weights(&[(1, 3), (1, 3), (1, 3)]), [1, 1, 1]);
        assert_eq!(weights(&[(0, 1), (4, 1)]), [1, 4]);
        assert_eq!(weights(&[]), [0; 0]);
    }

    proptest! {
        #[test]
        fn shares_stay_what_they_are(shares in proptest::collection::vec((1u64..1_000_000, 1u64..1_000), 1..40)) {
            let weights = weights(&shares);
            prop_assert!(weights.iter().all(|weight| *weight > 0));
            let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
            prop_assert!(sum <= WEIGHTS_MAX + shares.len() as u64);
            let exact: f64 = shares.iter().map(|(weight, of)| *weight as f64 / *of as f64).sum();
            for (weight, (wanted, of)) in weights.iter().zip(&shares) {
                let wanted = *wanted as f64 / *of as f64 / exact;
                prop_assert!((f64::from(*weight) / sum as f64 - wanted).abs() < 0.02, "{weights:?}");
            }
        }
    }
}
