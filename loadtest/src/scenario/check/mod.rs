//! Check: does a scenario make sense as a whole? Turns the spec into a [`Setup`], or names every problem at once.

mod load;
mod requests;
mod tenants;

use serde_saphyr::{Location, Spanned};

use super::problem::Problems;
use super::spec::{ConnectionsSpec, Spec};
use super::{Adjust, Connections, Http, Scenario, Setup};

/// Most connections that one machine's ports and descriptors allow without care.
const OPEN_MAX: u32 = 10_000;
/// What HTTP/2 servers commonly grant is 100; more only queues.
const STREAMS_MAX: u32 = 1_000;
/// Reloads closer together than this are read as one by whoever watches files.
const RELOAD_MIN_MS: u128 = 50;

/// Checks `spec`, with the changes that `adjust` asks for.
///
/// # Errors
/// Every problem found.
pub fn check(name: &str, spec: &Spec, adjust: &Adjust, problems: Problems) -> Result<Setup, Problems> {
    let mut checker = Checker { spec, seed: adjust.seed.unwrap_or(spec.seed), problems };
    let load = checker.load(adjust);
    let (time_max, requests_max) = checker.bounds(&load);
    let connections = checker.connections();
    let requests = checker.requests();
    let tenants = checker.tenants();
    let routes = checker.routes();
    let reload_every = checker.reload();

    let mut upstream = spec.upstream.clone();
    if upstream.seed == 0 {
        upstream.seed = checker.seed;
    }
    let scenario = Scenario {
        name: name.to_owned(),
        about: spec.about.trim().to_owned(),
        seed: checker.seed,
        load,
        connections,
        callers: tenants.callers,
        requests,
        groups: tenants.groups,
        time_max,
        requests_max,
    };
    checker.problems.or(Setup {
        scenario,
        routes,
        plans: tenants.plans,
        upstream,
        queue: spec.queue.clone(),
        reload_every,
    })
}

/// What every step of the check sees.
struct Checker<'a> {
    spec: &'a Spec,
    seed: u64,
    problems: Problems,
}

impl Checker<'_> {
    fn connections(&mut self) -> Connections {
        let (spec, at) = match &self.spec.connections {
            Some(spanned) => (&spanned.value, spanned.referenced),
            None => (&NO_CONNECTIONS, Location::UNKNOWN),
        };
        let http = match spec.http {
            1 => Http::One,
            2 => Http::Two,
            _ => {
                self.problems.add(at, "connections.http", "must be 1 or 2", "HTTP/1.1 is 1, HTTP/2 is 2");
                Http::One
            }
        };
        if http == Http::One && spec.streams.is_some() {
            let help = "set `http: 2`, or leave `streams` out";
            self.problems.add(at, "connections.streams", "HTTP/1.1 has no streams", help);
        }
        if http == Http::Two && spec.keep_alive == Some(false) {
            let what = "`keep_alive: false` would give each stream a connection of its own";
            self.problems.add(at, "connections.keep_alive", what, "set `http: 1`, or leave `keep_alive` out");
        }
        Connections {
            http,
            tls: spec.tls,
            open_max: self.within(at, "connections.open", spec.open.unwrap_or(64), OPEN_MAX),
            streams_max: self.within(at, "connections.streams", spec.streams.unwrap_or(32), STREAMS_MAX),
            keep_alive: spec.keep_alive.unwrap_or(true),
        }
    }

    fn reload(&mut self) -> Option<std::time::Duration> {
        let Spanned { value, referenced, .. } = self.spec.reload.as_ref()?;
        let every = value.every.0;
        if every.as_millis() < RELOAD_MIN_MS {
            let what = format!("is below {RELOAD_MIN_MS}ms: changes that close together are read as one");
            self.problems.add(*referenced, "reload.every", what, "write `100ms` or more");
        }
        Some(every)
    }

    /// A number from 1 to `max`, or a problem.
    fn within(&mut self, at: Location, path: &str, number: u32, max: u32) -> u32 {
        if !(1..=max).contains(&number) {
            self.problems.add(at, path, format!("{number} is not from 1 to {max}"), "");
        }
        number
    }

    /// Whether policies take `name`; a problem if not.
    fn name(&mut self, at: Location, path: &str, name: &str) {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        // Policies take 64; unfolding adds a number.
        let fits = (1..=40).contains(&name.len());
        if !fits || !name.as_bytes()[0].is_ascii_alphanumeric() || !name.bytes().all(allowed) {
            let help = "write 1 to 40 letters, digits, `.`, `_`, `-`, beginning with a letter or digit";
            self.problems.add(at, path, "is not a name", help);
        }
    }
}

const NO_CONNECTIONS: ConnectionsSpec =
    ConnectionsSpec { http: 1, tls: false, open: None, streams: None, keep_alive: None };
