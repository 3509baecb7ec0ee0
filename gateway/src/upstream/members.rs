//! The backends of a version as they are now: written in the policy, or found out since.

use super::balance::{Balance, Chooser, Turns, of_two};
use super::load::Load;
use super::ring::{self, Ring};
use super::{Backend, Pick};
use crate::ids::mix;
use std::sync::Arc;

/// Backends with their weights, and what is kept to choose among them.
pub(super) struct Members {
    backends: Vec<(Arc<Backend>, u32)>,
    chooser: Chooser,
}

impl Members {
    pub(super) fn new(backends: Vec<(Arc<Backend>, u32)>, balance: &Balance) -> Members {
        let weights: Vec<u32> = backends.iter().map(|(_, weight)| *weight).collect();
        let chooser = match balance {
            Balance::RoundRobin => Chooser::Turns(Turns::new(&weights)),
            Balance::LeastRequests => Chooser::LeastRequests,
            Balance::Ewma => Chooser::Ewma,
            Balance::Hash(_) => {
                let names: Vec<_> = backends.iter().map(|(b, weight)| (ring::name(b), *weight)).collect();
                Chooser::Hash(Ring::new(&names), Turns::new(&weights))
            }
        };
        Members { backends, chooser }
    }

    pub(super) fn has(&self, id: u64) -> bool {
        self.backends.iter().any(|(backend, _)| backend.id == id)
    }

    pub(super) fn backends(&self) -> &[(Arc<Backend>, u32)] {
        &self.backends
    }

    /// Hot path. `share`: the part of its weight that a backend gets now, in 256ths.
    pub(super) fn choose(&self, ask: &Pick<'_>, share: impl Fn(&Backend) -> u32) -> Option<&Arc<Backend>> {
        let share = |at: usize| match &self.backends[at].0 {
            backend if ask.tried.contains(&backend.id) => 0,
            backend => share(backend),
        };
        let at = match self.backends.len() {
            1 => (share(0) > 0).then_some(0),
            _ => self.choose_of_many(ask, share),
        };
        at.and_then(|at| self.backends.get(at)).map(|(backend, _)| backend)
    }

    pub(super) fn any(&self, serves: impl Fn(&Backend) -> bool) -> bool {
        self.backends.iter().any(|(backend, _)| serves(backend))
    }

    fn choose_of_many(&self, ask: &Pick<'_>, share: impl Fn(usize) -> u32) -> Option<usize> {
        match &self.chooser {
            Chooser::Turns(turns) => turns.next(share),
            Chooser::Hash(ring, turns) => match ask.keys.backend {
                Some(key) => ring.find(key, share),
                None => turns.next(share),
            },
            Chooser::LeastRequests => self.of_two(ask, share, |at| f64::from(self.load(at).in_flight())),
            Chooser::Ewma => self.of_two(ask, share, |at| {
                let (load, now_ms) = (self.load(at), ask.now_ms);
                let first_byte_us = load.first_byte_us(now_ms).unwrap_or_else(|| self.usual_us(now_ms));
                first_byte_us.max(1.0) * f64::from(load.in_flight().saturating_add(1))
            }),
        }
    }

    /// Of two, the one with less `load` for its weight.
    fn of_two(
        &self,
        ask: &Pick<'_>,
        share: impl Fn(usize) -> u32,
        load: impl Fn(usize) -> f64,
    ) -> Option<usize> {
        let weight = |at: usize| u64::from(self.backends[at].1) * u64::from(share(at));
        of_two(self.backends.len(), weight, |at| load(at) / weight(at) as f64, mix(ask.turn as u64))
    }

    fn load(&self, at: usize) -> &Load {
        &self.backends[at].0.load
    }

    /// What a backend that has not answered yet is taken for: the mean of the others.
    fn usual_us(&self, now_ms: u64) -> f64 {
        let known = self.backends.iter().filter_map(|(backend, _)| backend.load.first_byte_us(now_ms));
        let (sum, n) = known.fold((0.0, 0.0), |(sum, n), us| (sum + us, n + 1.0));
        if n > 0.0 { sum / n } else { 1.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BackendSpec, Flight};
    use super::*;

    fn backend(number: usize) -> Arc<Backend> {
        Arc::new(Backend::new(BackendSpec::plain(&format!("10.0.0.{number}"), 80)).unwrap())
    }

    #[test]
    fn requests_are_compared_by_weight() {
        let backends = [(backend(1), 1), (backend(2), 3)];
        let members = Members::new(backends.to_vec(), &Balance::LeastRequests);
        let _one = Flight::begin(backends[0].0.clone(), 0);
        let _two = [0, 1].map(|_| Flight::begin(backends[1].0.clone(), 0));
        for turn in 0..100 {
            let at = members.choose_of_many(&Pick { turn, ..Pick::default() }, |_| 256);
            assert_eq!(at, Some(1), "two of three are less than one of one");
        }
    }

    #[test]
    fn a_new_backend_is_taken_for_one_like_the_others() {
        let backends = [1, 2, 3].map(|number| (backend(number), 1));
        let members = Members::new(backends.to_vec(), &Balance::Ewma);
        for (at, took_us) in [(0, 1_000), (1, 3_000)] {
            Flight::begin(backends[at].0.clone(), 5_000_000).answered(true, 0, 5_000_000 + took_us);
        }
        assert!((members.usual_us(5_000) - 2_000.0).abs() < 10.0);
        let mut counts = [0; 3];
        for turn in 0..3_000 {
            counts[members
                .choose_of_many(&Pick { turn, now_ms: 5_000, ..Pick::default() }, |_| 256)
                .unwrap()] += 1;
        }
        assert!(counts[0] > counts[2] && counts[2] > counts[1], "{counts:?}");
    }
}
