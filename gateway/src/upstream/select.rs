//! Which backend of a pool takes the next request: smooth weighted round robin.

use super::{Backend, Credential};
use arc_swap::ArcSwap;
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
    /// Who the gateway is to its backends.
    pub credential: Arc<Credential>,
}

/// What is asked of a pool.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pick<'a> {
    /// Counts up with every request of the worker.
    pub turn: usize,
    /// By the worker's clock.
    pub now_ms: u64,
    /// [`Backend::id`]s that this request has been to in vain.
    pub tried: &'a [u64],
}

/// A named set of backends.
pub struct Pool {
    /// Unique in the policy.
    pub name: Arc<str>,
    /// How long a connection may take to open, TLS included.
    pub connect_timeout: Duration,
    /// New connections.
    pub connects: Counter,
    /// Who the gateway is to its backends.
    pub credential: Arc<Credential>,
    members: ArcSwap<Members>,
}

/// The backends of a pool as they are now: written in the policy, or found out since.
struct Members {
    backends: Vec<Arc<Backend>>,
    /// Indexes into `backends`, each as often as its weight says, spread evenly.
    order: Vec<u16>,
}

impl Members {
    fn new(backends: Vec<(Arc<Backend>, u32)>) -> Members {
        let weights: Vec<u32> = backends.iter().map(|(_, weight)| *weight).collect();
        Members {
            order: spread(&weights),
            backends: backends.into_iter().map(|(backend, _)| backend).collect(),
        }
    }
}

impl Pool {
    /// Makes the order of turns.
    pub fn new(spec: PoolSpec) -> Pool {
        Pool {
            connects: crate::observe::metrics::upstream_connects(&spec.name),
            name: spec.name,
            connect_timeout: spec.connect_timeout,
            credential: spec.credential,
            members: ArcSwap::from_pointee(Members::new(spec.backends)),
        }
    }

    /// The backends are these from now on.
    pub fn replace(&self, backends: Vec<(Arc<Backend>, u32)>) {
        self.members.store(Arc::new(Members::new(backends)));
    }

    /// Hot path: the backend for a request; `None` if there is none to be had.
    pub fn pick(&self, ask: &Pick<'_>) -> Option<Arc<Backend>> {
        let members = self.members.load();
        let turns =
            (0..members.order.len()).map(|i| members.order[ask.turn.wrapping_add(i) % members.order.len()]);
        let mut fit = turns
            .map(|at| &members.backends[usize::from(at)])
            .filter(|backend| backend.health.share(ask.now_ms) > 0 && !ask.tried.contains(&backend.id));
        fit.next().cloned()
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
