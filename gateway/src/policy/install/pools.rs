//! Where requests go: pools, what keeps them supplied, and the gates before them.

use crate::clock::Now;
use crate::fair;
use crate::observe::metrics::queue_wait;
use crate::policy::Live;
use crate::policy::check;
use crate::policy::snapshot::{Queue, QueueClass};
use crate::upstream::discover::{self, How, Part, Source, Supply};
use crate::upstream::networks::Networks;
use crate::upstream::{Pool, PoolSpec, VersionSpec, seen_by_workers};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The pool with what is known of its backends, and what will keep it supplied.
pub fn pool(spec: &check::Pool, live: &Live, starting: bool, now: Now) -> (Arc<Pool>, Vec<Supply>) {
    let part = |at| part(spec, at, live);
    let parts: Vec<Vec<Part>> =
        spec.versions.iter().map(|version| version.backends.clone().map(part).collect()).collect();
    let seen: Vec<u64> = parts.iter().map(|parts| discover::seen(parts)).collect();
    let version = |(version, parts): (&check::Version, &Vec<Part>)| VersionSpec {
        name: version.name.clone(),
        weight: version.weight,
        backends: discover::backends(parts, &live.backends),
    };
    let pool = Arc::new(Pool::new(PoolSpec {
        name: spec.name.clone(),
        versions: spec.versions.iter().zip(&parts).map(version).collect(),
        split: spec.split.clone(),
        balance: spec.balance.clone(),
        connect_timeout: spec.connect_timeout,
        credential: spec.credential.clone(),
        health: spec.health.clone(),
        starting,
        now_ms: seen_by_workers(now.mono_us / 1_000),
    }));
    let supply = |(version, (parts, seen))| Supply::new(pool.clone(), version, parts, seen);
    let supplies = parts.into_iter().zip(seen).enumerate().map(supply);
    let supplies = supplies.filter(|supply| supply.feeds().next().is_some()).collect();
    (pool, supplies)
}

/// What the pool's backend at this place comes of.
fn part(pool: &check::Pool, at: usize, live: &Live) -> Part {
    let (spec, weight) = &pool.backends[at];
    let discover = pool.discovers.iter().find(|discover| discover.at == at);
    let networks = |default| pool.networks.clone().unwrap_or(default);
    let (source, how) = match discover {
        Some(check::Discover { source, every, api, .. }) => {
            let (networks, api) = (networks(Networks::Private), api.clone());
            (source.clone(), How { networks, every: *every, tls_only: pool.tls_only, api })
        }
        None if spec.host.parse::<IpAddr>().is_ok() => {
            let backend = live.backends.backend(spec.clone());
            return Part::Written(backend.expect("`check` has built a backend of the same spec"), *weight);
        }
        None => {
            let loopback = &*spec.host == "localhost" || spec.host.ends_with(".localhost");
            let networks = networks(Networks::Any { loopback });
            let how = How { networks, every: Duration::ZERO, tls_only: false, api: None };
            (Source::Name(spec.host.clone()), how)
        }
    };
    Part::Found { feed: live.feeds.feed(&pool.name, &source, how), form: spec.clone(), weight: *weight }
}

/// For each pool the gate before it, if it has one.
pub fn queues(pools: &[check::Pool], live: &Live, now: Now) -> Vec<Option<Queue>> {
    let wanted = pools.iter().filter_map(|pool| Some((pool.name.clone(), pool.queue.clone()?))).collect();
    let mut gates = live.gates.apply(wanted, now.mono_us).into_iter();
    let mut queue = |pool: &check::Pool| {
        let class = |class: &fair::Class| QueueClass {
            name: class.name.clone(),
            wait_seconds: queue_wait(&pool.name, &class.name),
        };
        let classes = pool.queue.as_ref()?.classes.iter().map(class).collect();
        Some(Queue { gate: gates.next().expect("a gate for each pool that wants one"), classes })
    };
    pools.iter().map(&mut queue).collect()
}
