//! What a pool makes of its backends' health: who is ejected, how many may be, and when there are too few.
//!
//! *Floor.* An ejection that would leave less than `keep` of the weight does not happen: requests that fail are better
//! than none that can be sent. *Panic.* When less than `panic` of it is open, the probes are likelier wrong than all
//! those backends: all are used again, except those that were never ready.
//!
//! Both look at all backends, and are worked out when something has changed and ten times a second ([`Watch::review`]),
//! never by a pick: that reads one more byte, which is the same for all.

use super::Backend;
use super::discover::FeedState;
use super::health::rules::{Eject, Rules};
use super::health::{Reason, State, WHOLE};
use crate::observe::metrics::UpstreamError;
use parking_lot::Mutex;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Workers look at the clock ten times a second: what opens is open for all of them this much later.
const WORKERS_LAG_MS: u64 = 200;

/// The time by which to count what is open, for whoever has a clock of his own: pools must not call it enough while some
/// worker finds nobody.
pub fn seen_by_workers(now_ms: u64) -> u64 {
    now_ms.saturating_sub(WORKERS_LAG_MS)
}

/// Backends with their weights.
pub type Weighed<'a> = &'a [(Arc<Backend>, u32)];

/// How one pool watches its backends.
pub struct Watch {
    pool: Arc<str>,
    rules: Rules,
    mode: AtomicU8,
    /// Held while an ejection is weighed: two at once could go below the floor.
    ejecting: Mutex<()>,
}

/// Which backends are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Mode {
    /// Those that are open.
    Calm,
    /// All that were ever ready.
    Panic,
    /// All: none was ever ready.
    Anyone,
}

impl Watch {
    /// Nothing is known of any backend.
    pub fn new(pool: Arc<str>, rules: Rules) -> Watch {
        Watch { pool, rules, mode: AtomicU8::new(Mode::Calm as u8), ejecting: Mutex::new(()) }
    }

    /// How it judges.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Hot path: the part of its weight that a backend gets from this pool now, in 256ths; 0: it gets nothing.
    #[inline]
    pub fn share(&self, backend: &Backend, now_ms: u64) -> u32 {
        match self.mode() {
            Mode::Calm => backend.health.share(now_ms),
            Mode::Panic if !backend.health.is_proven() => 0,
            Mode::Panic | Mode::Anyone => WHOLE,
        }
    }

    /// Which backends are used now.
    pub fn mode(&self) -> Mode {
        match self.mode.load(Relaxed) {
            0 => Mode::Calm,
            1 => Mode::Panic,
            _ => Mode::Anyone,
        }
    }

    /// These are its backends from now on. `starting`: the program has just begun, and had none before.
    pub fn take_on(&self, backends: Weighed<'_>, starting: bool, now_ms: u64) {
        for (backend, _) in backends {
            backend.health.join(self.rules.probe.as_ref(), starting);
        }
        self.review(backends, now_ms);
    }

    /// Hot path: an attempt at a backend has brought the head of an answer. Some: it has to be [ejected](Self::eject).
    pub fn answered(&self, backend: &Backend, status: u16, now_ms: u64) -> Option<Reason> {
        let eject = self.rules.eject.as_ref()?;
        backend.health.saw(eject.on.have_status(status), eject, now_ms)
    }

    /// Hot path: an answer of this status has come to its end.
    pub fn completed(&self, backend: &Backend, status: u16) {
        if self.rules.eject.as_ref().is_some_and(|eject| !eject.on.have_status(status)) {
            backend.health.saw_end();
        }
    }

    /// An attempt at a backend has ended without an answer, or with part of one. Some: it has to be [ejected](Self::eject).
    pub fn failed(&self, backend: &Backend, error: UpstreamError, now_ms: u64) -> Option<Reason> {
        let eject = self.rules.eject.as_ref()?;
        let failed = eject.on.have(error)?;
        match error {
            UpstreamError::Cut => backend.health.saw_cut(eject, now_ms),
            _ => backend.health.saw(failed, eject, now_ms),
        }
    }

    /// Takes a backend out, if enough of the others are open.
    pub fn eject(&self, backends: Weighed<'_>, backend: &Backend, reason: Reason, now_ms: u64) {
        let Some(rules) = &self.rules.eject else { return };
        let one_at_a_time = self.ejecting.lock();
        if !may_go(backends, backend, rules, now_ms) {
            backend.health.keep();
            return;
        }
        let length = backend.health.eject(rules, self.rules.slow_start(), reason, now_ms);
        drop(one_at_a_time);
        let Some(length) = length else { return };
        tracing::warn!(
            pool = %self.pool,
            backend = %backend.address,
            reason = reason.name(),
            "backend ejected for {}",
            humantime::format_duration(length)
        );
        self.review(backends, now_ms);
    }

    /// Looks whether enough of the weight is open, and tells what has changed.
    pub fn review(&self, backends: Weighed<'_>, now_ms: u64) {
        let (proven, open) = weigh(backends, now_ms);
        let panic = u64::from(self.rules.panic_percent);
        let mode = match () {
            () if panic == 0 || backends.is_empty() => Mode::Calm,
            () if proven == 0 => Mode::Anyone,
            () if open * 100 < panic * proven => Mode::Panic,
            () => Mode::Calm,
        };
        let before = self.mode.swap(mode as u8, Relaxed);
        if before == mode as u8 {
            return;
        }
        match mode {
            Mode::Calm => tracing::info!(pool = %self.pool, "enough backends are well: only those are used"),
            Mode::Panic => tracing::warn!(
                pool = %self.pool,
                "hardly any backend is well: all are used; look at `/backends` on the admin listener"
            ),
            Mode::Anyone => tracing::warn!(pool = %self.pool, "no backend has been ready yet: all are used"),
        }
    }

    /// What operators see.
    pub fn state(&self, backends: Weighed<'_>, now_ms: u64) -> PoolState {
        let shown = |(backend, weight): &(Arc<Backend>, u32)| BackendState {
            backend: format!("{}{}", backend.address, backend.spec.base_path),
            weight: *weight,
            health: backend.health.state(now_ms),
        };
        PoolState {
            pool: self.pool.clone(),
            mode: self.mode(),
            backends: backends.iter().map(shown).collect(),
            sources: Vec::new(),
        }
    }
}

/// The weight of all that were ever ready, and of those that are open.
fn weigh(backends: Weighed<'_>, now_ms: u64) -> (u64, u64) {
    let proven = backends.iter().filter(|(backend, _)| backend.health.is_proven());
    proven.fold((0, 0), |(proven, open), (backend, weight)| {
        let weight = u64::from(*weight);
        (proven + weight, open + if backend.health.share(now_ms) > 0 { weight } else { 0 })
    })
}

/// Is enough left without it?
fn may_go(backends: Weighed<'_>, backend: &Backend, rules: &Eject, now_ms: u64) -> bool {
    let (proven, open) = weigh(backends, now_ms);
    let own: u64 =
        backends.iter().filter(|(other, _)| other.id == backend.id).map(|(_, w)| u64::from(*w)).sum();
    open.saturating_sub(own) * 100 >= u64::from(rules.keep_percent) * proven
}

/// What operators see of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PoolState {
    /// Its name.
    pub pool: Arc<str>,
    /// Which backends are used.
    pub mode: Mode,
    /// All of them.
    pub backends: Vec<BackendState>,
    /// Where those come from that are found out; filled in by whoever knows the pool's supplies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<FeedState>,
}

/// What operators see of a backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackendState {
    /// Address and base path.
    pub backend: String,
    /// As in policy.
    pub weight: u32,
    /// How it is.
    #[serde(flatten)]
    pub health: State,
}

#[cfg(test)]
mod tests {
    use super::super::BackendSpec;
    use super::super::health::rules::{Failures, Probe};
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn backend(port: u16) -> Arc<Backend> {
        Arc::new(Backend::new(BackendSpec::plain("127.0.0.1", port)).unwrap())
    }

    fn probe() -> Arc<Probe> {
        Arc::new(Probe {
            path: "/health".into(),
            every: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            healthy_after: 1,
            unhealthy_after: 1,
            expect: vec![200..=299],
            body: None,
            slow_start: Duration::ZERO,
        })
    }

    fn watch(keep_percent: u8, panic_percent: u8) -> Watch {
        let on = Failures { connect: true, reset: true, timeout: true, unavailable: true, cut: true };
        let eject = Some(Eject { on, keep_percent, ..Eject::default() });
        Watch::new("pool".into(), Rules { probe: Some(probe()), eject, panic_percent })
    }

    fn shares(watch: &Watch, backends: Weighed<'_>) -> Vec<u32> {
        backends.iter().map(|(backend, _)| watch.share(backend, 0)).collect()
    }

    #[test]
    fn in_a_panic_all_are_used_that_were_ever_ready() {
        let (watch, backends) = (watch(50, 50), [1, 2, 3, 4].map(|port| (backend(port), 1)));
        watch.take_on(&backends[..3], true, 0);
        watch.take_on(&backends, false, 0);
        assert_eq!(shares(&watch, &backends), [WHOLE, WHOLE, WHOLE, 0], "the fourth is new");
        let fails = |i: usize| {
            let failed = backends[i].0.health.probed(&probe(), Err(super::super::ProbeFailure::Status), 0);
            assert!(failed.is_some());
            watch.review(&backends, 0);
        };
        fails(0);
        assert_eq!((watch.mode(), shares(&watch, &backends)), (Mode::Calm, vec![0, WHOLE, WHOLE, 0]));
        fails(1);
        assert_eq!((watch.mode(), shares(&watch, &backends)), (Mode::Panic, vec![WHOLE, WHOLE, WHOLE, 0]));
    }

    #[test]
    fn where_none_was_ever_ready_all_are_used_unless_policy_says_never() {
        for (panic, mode, share) in [(10, Mode::Anyone, WHOLE), (0, Mode::Calm, 0)] {
            let (watch, backends) = (watch(50, panic), [(backend(1), 1)]);
            watch.take_on(&backends, false, 0);
            assert_eq!((watch.mode(), shares(&watch, &backends)), (mode, vec![share]));
        }
    }

    #[test]
    fn what_breaks_off_counts_where_policy_says_so_and_a_503_in_between_forgives_nothing() {
        let (watch, backend) = (watch(0, 0), backend(1));
        let cut = |watch: &Watch| {
            assert_eq!(watch.answered(&backend, 200, 0), None);
            watch.failed(&backend, UpstreamError::Cut, 0)
        };
        assert!((0..4).all(|_| cut(&watch).is_none()));
        assert_eq!(watch.answered(&backend, 503, 0), None);
        watch.completed(&backend, 503);
        assert_eq!(cut(&watch), Some(Reason::Consecutive));
        watch.completed(&backend, 404);
        assert!((0..4).all(|_| cut(&watch).is_none()), "a 404 is as good as any whole answer");

        let by_default = Rules { probe: None, eject: Some(Eject::default()), panic_percent: 0 };
        let by_default = Watch::new("pool".into(), by_default);
        assert!((0..20).all(|_| cut(&by_default).is_none()), "callers can bring it about");
    }

    proptest! {
        #[test]
        fn ejections_leave_the_floor(
            weights in proptest::collection::vec(1_u32..100, 1..8),
            keep in 0_u8..=100,
            failing in proptest::collection::vec(0_usize..8, 0..40),
        ) {
            let watch = watch(keep, 0);
            let backends: Vec<_> = weights.iter().enumerate().map(|(i, weight)| (backend(i as u16), *weight)).collect();
            watch.take_on(&backends, true, 0);
            let total: u32 = weights.iter().sum();
            for (at, i) in failing.into_iter().enumerate() {
                let now_ms = at as u64 * 1_000;
                let (backend, weight) = &backends[i % backends.len()];
                let before: u32 = backends.iter().filter(|(b, _)| b.health.share(now_ms) > 0).map(|(_, w)| w).sum();
                let was_in = backend.health.share(now_ms) > 0;
                watch.eject(&backends, backend, Reason::Consecutive, now_ms);
                let after: u32 = backends.iter().filter(|(b, _)| b.health.share(now_ms) > 0).map(|(_, w)| w).sum();
                let room = was_in && (before - weight) * 100 >= u32::from(keep) * total;
                prop_assert_eq!(after, if room { before - weight } else { before });
            }
        }
    }
}
