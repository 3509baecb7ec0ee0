//! Which backend of a pool takes the next request: smooth weighted round robin.

use super::Backend;
use metrics::Counter;
use std::sync::Arc;
use std::time::Duration;

/// A pool as policy describes it.
pub struct PoolSpec {
    /// Unique in the policy.
    pub name: Arc<str>,
    /// With weights, 1 to 1000; not empty.
    pub backends: Vec<(Arc<Backend>, u32)>,
    /// How long a connection may take to open, TLS included.
    pub connect_timeout: Duration,
}

/// A named set of backends.
pub struct Pool {
    /// Unique in the policy.
    pub name: Arc<str>,
    /// How long a connection may take to open, TLS included.
    pub connect_timeout: Duration,
    /// New connections.
    pub connects: Counter,
    backends: Vec<Arc<Backend>>,
    /// Indexes into `backends`, each as often as its weight says, spread evenly.
    order: Vec<u16>,
}

impl Pool {
    /// Makes the order of turns.
    pub fn new(spec: PoolSpec) -> Pool {
        let weights: Vec<u32> = spec.backends.iter().map(|(_, weight)| *weight).collect();
        Pool {
            connects: crate::observe::metrics::upstream_connects(&spec.name),
            name: spec.name,
            connect_timeout: spec.connect_timeout,
            order: spread(&weights),
            backends: spec.backends.into_iter().map(|(backend, _)| backend).collect(),
        }
    }

    /// Hot path: the backend for the `turn`-th request; `None` if the pool is empty.
    pub fn pick(&self, turn: usize) -> Option<&Arc<Backend>> {
        let at = self.order.get(turn % self.order.len().max(1))?;
        Some(&self.backends[usize::from(*at)])
    }
}

/// Each index as often as its weight (divided by what all weights share), never bunched: the one that is
/// furthest behind its share goes next. The idea is nginx's smooth weighted round robin.
fn spread(weights: &[u32]) -> Vec<u16> {
    let shared = weights.iter().copied().reduce(greatest_common_divisor).unwrap_or(1).max(1);
    let weights: Vec<i64> = weights.iter().map(|w| i64::from(w / shared)).collect();
    let total: i64 = weights.iter().sum();
    let mut behind = vec![0; weights.len()];
    let mut order = Vec::with_capacity(total as usize);
    for _ in 0..total {
        for (lag, weight) in behind.iter_mut().zip(&weights) {
            *lag += weight;
        }
        let next = (0..behind.len()).max_by_key(|&i| (behind[i], std::cmp::Reverse(i)));
        let next = next.expect("a positive total has a weight");
        behind[next] -= total;
        order.push(next as u16);
    }
    order
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_follow_weights_and_do_not_bunch() {
        assert_eq!(spread(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(spread(&[100, 100]), [0, 1]);
        assert_eq!(spread(&[7]), [0]);
        assert!(spread(&[]).is_empty());
    }
}
