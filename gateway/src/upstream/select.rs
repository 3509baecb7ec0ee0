//! Which backend of a pool takes the next request: first a version, if the pool has some, then a backend in it.

use super::balance::Balance;
use super::health::rules::Rules;
use super::load::Flight;
use super::members::Members;
use super::split::{Out, Shares, Split};
use super::subject::{Asker, Subject};
use super::watch::{PoolState, Watch};
use super::{Backend, Credential};
use crate::observe::metrics::{UpstreamError, VersionMetrics};
use arc_swap::ArcSwap;
use metrics::Counter;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A pool as policy describes it.
pub struct PoolSpec {
    /// Unique in the policy.
    pub name: Arc<str>,
    /// At least one, at most 64; the only one of a pool without versions has no name.
    pub versions: Vec<VersionSpec>,
    /// How a version is chosen.
    pub split: Split,
    /// How a backend of it is.
    pub balance: Balance,
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

/// Backends that serve one version of what a pool serves.
pub struct VersionSpec {
    /// Unique in the pool.
    pub name: Option<Arc<str>>,
    /// Its part of the requests, by that of the others; 0: only what a rule gives it.
    pub weight: u32,
    /// With weights, 1 to 1000; not empty.
    pub backends: Vec<(Arc<Backend>, u32)>,
}

/// What is asked of a pool.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pick<'a> {
    /// Counts up with every request of the worker: where chance comes from.
    pub turn: usize,
    /// By the worker's clock.
    pub now_ms: u64,
    /// [`Backend::id`]s that this request has been to in vain.
    pub tried: &'a [u64],
    /// As [`Pool::keys`] says.
    pub keys: Keys,
}

/// What a pool chooses by, worked out once for a request however often it is tried.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keys {
    /// The version that a rule gives it.
    version: Option<usize>,
    /// Of its subject for the split.
    split: Option<u64>,
    /// Of its subject for the backend.
    pub(super) backend: Option<u64>,
}

/// What was chosen.
#[derive(Clone)]
pub struct Picked {
    /// Takes the request.
    pub backend: Arc<Backend>,
    /// Its version, if the pool has versions.
    pub version: Option<Arc<VersionMetrics>>,
    watched: bool,
}

impl Picked {
    /// Counts the request at its backend, if the pool looks at that; to be kept until the request ends.
    pub fn begin(&self, now_us: impl FnOnce() -> u64) -> Option<Flight> {
        self.watched.then(|| Flight::begin(self.backend.clone(), now_us()))
    }
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
    balance: Balance,
    split: Split,
    shares: Shares,
    /// Requests whose version was chosen by their turn.
    turn: AtomicU64,
    versions: Vec<Version>,
}

struct Version {
    metrics: Option<Arc<VersionMetrics>>,
    members: ArcSwap<Members>,
}

impl Pool {
    /// Makes the order of turns, or whatever else the pool chooses by.
    pub fn new(spec: PoolSpec) -> Pool {
        let PoolSpec { name, versions, split, balance, connect_timeout, .. } = spec;
        let watch = Watch::new(name.clone(), spec.health);
        let all: Vec<_> = versions.iter().flat_map(|version| version.backends.iter().cloned()).collect();
        watch.take_on(&all, spec.starting, spec.now_ms);
        let shares = versions.iter().map(|spec| (spec.name.as_deref().unwrap_or_default(), spec.weight));
        let version = |spec: VersionSpec| Version {
            metrics: spec.name.map(|version| Arc::new(VersionMetrics::new(&name, version))),
            members: ArcSwap::from_pointee(Members::new(spec.backends, &balance)),
        };
        Pool {
            watch,
            connects: crate::observe::metrics::upstream_connects(&name),
            shares: Shares::new(shares),
            versions: versions.into_iter().map(version).collect(),
            turn: AtomicU64::new(0),
            name,
            split,
            balance,
            connect_timeout,
            credential: spec.credential,
        }
    }

    /// The backends of a version, by its place in the policy, are these from now on. A pool without versions has one.
    pub fn replace(&self, version: usize, backends: Vec<(Arc<Backend>, u32)>, now_ms: u64) {
        if let Some(version) = self.versions.get(version) {
            version.members.store(Arc::new(Members::new(backends, &self.balance)));
            self.watch.take_on(&self.backends(), false, now_ms);
        }
    }

    /// How it judges its backends.
    pub fn rules(&self) -> &Rules {
        self.watch.rules()
    }

    /// Its backends with their weights, those of all versions, as of now.
    pub fn backends(&self) -> Vec<(Arc<Backend>, u32)> {
        self.versions.iter().flat_map(|version| version.members.load().backends().to_vec()).collect()
    }

    /// Hot path: an attempt at a backend has brought the head of an answer.
    pub fn answered(&self, backend: &Backend, status: u16, now_ms: u64) {
        if let Some(reason) = self.watch.answered(backend, status, now_ms) {
            self.watch.eject(&self.backends(), backend, reason, now_ms);
        }
    }

    /// Hot path: an answer of this status has come to its end.
    pub fn completed(&self, backend: &Backend, status: u16) {
        self.watch.completed(backend, status);
    }

    /// An attempt at a backend has ended without an answer, or with part of one.
    pub fn failed(&self, backend: &Backend, error: UpstreamError, now_ms: u64) {
        if let Some(reason) = self.watch.failed(backend, error, now_ms) {
            self.watch.eject(&self.backends(), backend, reason, now_ms);
        }
    }

    /// Looks whether enough of its backends are well. Ten times a second, and when that has changed.
    pub fn review(&self, now_ms: u64) {
        self.watch.review(&self.backends(), now_ms);
    }

    /// How its backends are.
    pub fn state(&self, now_ms: u64) -> PoolState {
        self.watch.state(&self.backends(), now_ms)
    }

    /// How much of a prompt's text its choice depends on; `None`: none.
    pub fn prompt_bytes(&self) -> Option<usize> {
        match self.balance {
            Balance::Hash(Subject::Prompt { bytes }) => Some(bytes),
            _ => None,
        }
    }

    /// Hot path: what the pool will choose by.
    pub fn keys(&self, asker: &Asker<'_>) -> Keys {
        Keys {
            version: self.split.ruled(asker),
            split: self.split.by.as_ref().and_then(|subject| subject.of(asker)),
            backend: match &self.balance {
                Balance::Hash(subject) => subject.of(asker),
                _ => None,
            },
        }
    }

    /// Hot path: the backend for a request; `None` if there is none to be had.
    pub fn pick(&self, ask: &Pick<'_>) -> Option<Picked> {
        match self.versions.as_slice() {
            [only] => self.pick_in(only, ask),
            versions => self.pick_of(versions, ask),
        }
    }

    /// A version that has nobody left leaves its requests to the others. A request that is tried again stays with the
    /// version it was at.
    fn pick_of(&self, versions: &[Version], ask: &Pick<'_>) -> Option<Picked> {
        let first_tried = ask.tried.first();
        let before = || versions.iter().position(|version| first_tried.is_some_and(|id| version.has(*id)));
        let mut preferred = ask.keys.version.or_else(before);
        let (mut turn, mut out) = (None, Out::default());
        for _ in versions {
            let at = preferred.take().or_else(|| match ask.keys.split {
                Some(key) => self.shares.of_subject(key, out),
                None => {
                    let turn = turn.get_or_insert_with(|| self.turn.fetch_add(1, Ordering::Relaxed));
                    self.shares.of_turn(*turn, out)
                }
            })?;
            match versions.get(at).and_then(|version| self.pick_in(version, ask)) {
                Some(picked) => return Some(picked),
                None => out.add(at),
            }
        }
        None
    }

    /// Would [`pick`](Pool::pick) find somebody whom nobody has tried yet?
    pub fn has_anybody(&self, now_ms: u64) -> bool {
        let serves = |backend: &Backend| self.watch.share(backend, now_ms) > 0;
        self.versions.iter().any(|version| version.members.load().any(serves))
    }

    fn pick_in(&self, version: &Version, ask: &Pick<'_>) -> Option<Picked> {
        let members = version.members.load();
        let backend = members.choose(ask, |backend| self.watch.share(backend, ask.now_ms))?;
        let (backend, version) = (backend.clone(), version.metrics.clone());
        Some(Picked { backend, version, watched: self.balance.watches() })
    }
}

impl Version {
    fn has(&self, id: u64) -> bool {
        self.members.load().has(id)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BackendSpec, Rule, When};
    use super::*;
    use http::{HeaderMap, HeaderName};
    use proptest::prelude::*;

    fn backend(number: usize) -> Arc<Backend> {
        Arc::new(Backend::new(BackendSpec::plain(&format!("10.0.0.{number}"), 80)).unwrap())
    }

    /// A pool with so many backends in each version; one version has no name.
    fn pool(balance: Balance, split: Split, versions: &[(u32, usize)]) -> Pool {
        let name = |at: usize| (versions.len() > 1).then(|| format!("v{at}").into());
        let versions = versions.iter().enumerate().map(|(at, &(weight, n))| VersionSpec {
            name: name(at),
            weight,
            backends: (0..n).map(|number| (backend(at * 10 + number + 1), 1)).collect(),
        });
        Pool::new(PoolSpec {
            name: "p".into(),
            versions: versions.collect(),
            split,
            balance,
            connect_timeout: Duration::from_secs(1),
            credential: Arc::new(Credential::None),
            health: Rules { probe: None, eject: None, panic_percent: 0 },
            starting: true,
            now_ms: 0,
        })
    }

    fn balances() -> impl Strategy<Value = Balance> {
        prop_oneof![
            Just(Balance::RoundRobin),
            Just(Balance::LeastRequests),
            Just(Balance::Ewma),
            Just(Balance::Hash(Subject::Tenant)),
            Just(Balance::Hash(Subject::Header(HeaderName::from_static("x-absent")))),
        ]
    }

    fn splits() -> impl Strategy<Value = Split> {
        let rule = Rule { when: When::Tenant("acme".into()), version: 0 };
        let rules = prop_oneof![Just(vec![]), Just(vec![rule])];
        let by = prop_oneof![Just(None), Just(Some(Subject::Tenant)), Just(Some(Subject::User))];
        (by, rules).prop_map(|(by, rules)| Split { by, rules })
    }

    fn keys(pool: &Pool, user: &str) -> Keys {
        pool.keys(&Asker { caller: Some(("acme", user)), headers: &HeaderMap::new(), prompt: None })
    }

    proptest! {
        /// Whatever the pool chooses by: a request gets to every backend, to none twice, and then there is none.
        #[test]
        fn what_was_tried_is_never_tried_again(
            balance in balances(),
            split in splits(),
            versions in proptest::collection::vec((1u32..100, 1usize..4), 1..4),
            turn: usize,
        ) {
            let pool = pool(balance, split, &versions);
            let (keys, mut tried) = (keys(&pool, "alice"), Vec::new());
            while let Some(picked) = pool.pick(&Pick { turn, now_ms: 0, tried: &tried, keys }) {
                prop_assert!(!tried.contains(&picked.backend.id));
                tried.push(picked.backend.id);
            }
            prop_assert_eq!(tried.len(), versions.iter().map(|(_, n)| n).sum::<usize>());
        }

        #[test]
        fn a_caller_that_is_split_by_stays_where_it_is(turns: [usize; 8], user in "[a-z]{1,8}") {
            let split = Split { by: Some(Subject::User), rules: Vec::new() };
            let pool = pool(Balance::LeastRequests, split, &[(50, 2), (50, 2)]);
            let keys = keys(&pool, &user);
            let version = |turn| pool.pick(&Pick { turn, keys, ..Pick::default() })?.version.map(|v| v.name.clone());
            prop_assert!(turns.iter().all(|&turn| version(turn) == version(0)));
        }
    }

    #[test]
    fn a_request_that_is_tried_again_stays_with_its_version_while_that_has_somebody() {
        let pool = pool(Balance::RoundRobin, Split::default(), &[(50, 3), (50, 3)]);
        for turn in 0..20 {
            let mut tried = Vec::new();
            let mut versions = Vec::new();
            while let Some(picked) = pool.pick(&Pick { turn, tried: &tried, ..Pick::default() }) {
                tried.push(picked.backend.id);
                versions.push(picked.version.expect("named").name.clone());
            }
            assert!(versions[..3].iter().all(|name| *name == versions[0]), "{versions:?}");
        }
    }

    #[test]
    fn backends_are_counted_only_where_that_matters() {
        for (balance, counts) in [(Balance::RoundRobin, false), (Balance::LeastRequests, true)] {
            let pool = pool(balance, Split::default(), &[(1, 2)]);
            let picked = pool.pick(&Pick::default()).expect("two are there");
            let flight = picked.begin(|| 7);
            assert_eq!((flight.is_some(), picked.backend.load.in_flight()), (counts, u32::from(counts)));
        }
    }

    #[test]
    fn backends_may_change_and_go() {
        let pool = pool(Balance::Hash(Subject::Tenant), Split::default(), &[(1, 2)]);
        let new = backend(99);
        pool.replace(0, vec![(new.clone(), 1)], 0);
        assert_eq!(pool.pick(&Pick::default()).expect("the new one").backend.id, new.id);
        pool.replace(0, Vec::new(), 0);
        assert!(pool.pick(&Pick::default()).is_none());
    }
}
