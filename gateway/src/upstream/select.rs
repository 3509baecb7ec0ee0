//! Which backend of a pool takes the next request: smooth weighted round robin.

use super::health::rules::Rules;
use super::watch::{PoolState, Watch};
use super::{Backend, Credential};
use crate::observe::metrics::UpstreamError;
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
    /// How it judges its backends.
    pub health: Rules,
    /// The program has just begun: backends of which nothing is known are taken for ready.
    pub starting: bool,
    /// By the monotonic clock.
    pub now_ms: u64,
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
    watch: Watch,
    members: ArcSwap<Members>,
}

/// The backends of a pool as they are now: written in the policy, or found out since.
struct Members {
    backends: Vec<(Arc<Backend>, u32)>,
    /// Indexes into `backends`, each as often as its weight says, spread evenly.
    order: Vec<u16>,
}

impl Members {
    fn new(backends: Vec<(Arc<Backend>, u32)>) -> Members {
        let weights: Vec<u32> = backends.iter().map(|(_, weight)| *weight).collect();
        Members { order: spread(&weights), backends }
    }
}

impl Pool {
    /// Makes the order of turns.
    pub fn new(spec: PoolSpec) -> Pool {
        let watch = Watch::new(spec.name.clone(), spec.health);
        watch.take_on(&spec.backends, spec.starting, spec.now_ms);
        Pool {
            watch,
            connects: crate::observe::metrics::upstream_connects(&spec.name),
            name: spec.name,
            connect_timeout: spec.connect_timeout,
            credential: spec.credential,
            members: ArcSwap::from_pointee(Members::new(spec.backends)),
        }
    }

    /// The backends are these from now on.
    pub fn replace(&self, backends: Vec<(Arc<Backend>, u32)>, now_ms: u64) {
        self.watch.take_on(&backends, false, now_ms);
        self.members.store(Arc::new(Members::new(backends)));
    }

    /// Hot path: the backend for a request; `None` if there is none to be had.
    pub fn pick(&self, ask: &Pick<'_>) -> Option<Arc<Backend>> {
        let members = self.members.load();
        let turns =
            (0..members.order.len()).map(|i| members.order[ask.turn.wrapping_add(i) % members.order.len()]);
        let mut fit = turns
            .map(|at| &members.backends[usize::from(at)].0)
            .filter(|backend| !ask.tried.contains(&backend.id))
            .map(|backend| (backend, self.watch.share(backend, ask.now_ms)))
            .filter(|(_, share)| *share > 0);
        // Whoever has a part of its share gets that part of its turns; if nobody has more, it is the one.
        let dice = (ask.turn as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
        let first = fit.next()?;
        let whole = |(_, share): &(&Arc<Backend>, u32)| u64::from(*share) > dice;
        let (backend, _) = Some(first).filter(whole).or_else(|| fit.find(whole)).unwrap_or(first);
        Some(backend.clone())
    }

    /// How it judges its backends.
    pub fn rules(&self) -> &Rules {
        self.watch.rules()
    }

    /// Its backends with their weights, as of now.
    pub fn backends(&self) -> Vec<(Arc<Backend>, u32)> {
        self.members.load().backends.clone()
    }

    /// Hot path: an attempt at a backend has ended with an answer.
    pub fn answered(&self, backend: &Backend, status: u16, now_ms: u64) {
        if let Some(reason) = self.watch.answered(backend, status, now_ms) {
            self.watch.eject(&self.members.load().backends, backend, reason, now_ms);
        }
    }

    /// An attempt at a backend has ended without an answer.
    pub fn failed(&self, backend: &Backend, error: UpstreamError, now_ms: u64) {
        if let Some(reason) = self.watch.failed(backend, error, now_ms) {
            self.watch.eject(&self.members.load().backends, backend, reason, now_ms);
        }
    }

    /// Looks whether enough of its backends are well. Ten times a second, and when that has changed.
    pub fn review(&self, now_ms: u64) {
        self.watch.review(&self.members.load().backends, now_ms);
    }

    /// How its backends are.
    pub fn state(&self, now_ms: u64) -> PoolState {
        self.watch.state(&self.members.load().backends, now_ms)
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
