//! Reloads: the policy rewritten again and again under load. Nobody may notice.

use std::thread::{self, sleep};
use std::time::Duration;

use super::outcome::Reloads;
use super::policy;
use super::problem::Problem;
use super::revision;
use super::stage::{Scene, Stage};
use crate::clock::mono_us;
use crate::compare::Spread;
use crate::generate::{self, RunError};
use crate::measure::Totals;
use crate::scenario::{
    Arrivals, BodyKind, Caller, Connections, Credential, Group, Http, Load, Phase, Request, Scenario,
};

const TENANTS: u32 = 20;
/// From one rename to the next, unless the first is not in force by then.
const EVERY: Duration = Duration::from_millis(50);
/// What the load lasts for each: reloads that take longer find its end, and are not made.
const LOAD_FOR_EACH: Duration = Duration::from_millis(65);
/// Load before the first and after the last.
const LOAD_AROUND: Duration = Duration::from_secs(2);
const PER_SECOND: f64 = 300.0;
/// Of the requests: 20 begin a second, and each lasts two.
const STREAMS_SHARE: f64 = 0.067;
const CONNECTIONS_MAX: u32 = 128;

/// Writes so many policies under load, the next when the last is in force.
///
/// # Errors
/// See [`Problem`]. Requests that failed are in the result.
pub fn measure(stage: &Stage, wanted: u32) -> Result<Reloads, Problem> {
    let scene = stage.set(TENANTS)?;
    let (loaded, effects_ms) = thread::scope(|scope| {
        let load = scope.spawn(|| put_under_load(&scene, LOAD_AROUND * 2 + LOAD_FOR_EACH * wanted));
        sleep(LOAD_AROUND);
        let effects = rewrite(&scene, wanted, || load.is_finished());
        (load.join(), effects)
    });
    let totals = loaded.map_err(|_| RunError::Panicked)??;
    let effects_ms = effects_ms?;
    let spread = Spread::of(effects_ms.iter().copied());
    let totals_failed = totals.sent - totals.ok;
    Ok(Reloads {
        wanted,
        made: effects_ms.len() as u32,
        effect_median_ms: spread.map_or(0.0, |spread| spread.median),
        effect_max_ms: spread.map_or(0.0, |spread| spread.high),
        requests: totals.sent,
        streams: totals.stream.count,
        failed: totals_failed,
        failures: failures(&totals),
    })
}

/// The time that each took until it was in force, milliseconds.
fn rewrite(scene: &Scene, wanted: u32, over: impl Fn() -> bool) -> Result<Vec<f64>, Problem> {
    let mut connection = scene.connect()?;
    let mut effects_ms = Vec::new();
    for revision in 1..=wanted {
        if over() {
            break;
        }
        let next_us = mono_us() + EVERY.as_micros() as u64;
        effects_ms.push(revision::effect(scene, &mut connection, revision)?.as_secs_f64() * 1e3);
        sleep(Duration::from_micros(next_us.saturating_sub(mono_us())));
    }
    Ok(effects_ms)
}

fn put_under_load(scene: &Scene, lasts: Duration) -> Result<Totals, Problem> {
    let options = generate::Options::to(scene.gateway.address);
    Ok(generate::run(&scenario(lasts), &options)?.report.totals)
}

/// What became of requests that were not answered well, in words.
fn failures(totals: &Totals) -> Vec<String> {
    let statuses = totals.statuses.iter().filter(|(status, _)| *status >= 400);
    let statuses = statuses.map(|(status, count)| format!("{count} times status {status}"));
    let broken = totals.failures.iter().map(|(why, count)| format!("{count} times {why}"));
    statuses.chain(broken).collect()
}

/// Calls and streams of every tenant.
fn scenario(lasts: Duration) -> Scenario {
    let phase = Phase { lasts, from_per_s: PER_SECOND, to_per_s: PER_SECOND };
    // A GET that meets the end of a connection would be sent again, unseen; a POST is not.
    let request = |name: &str, method, target: &str, body, stream| Request {
        name: name.to_owned(),
        route: name.to_owned(),
        method,
        target: target.to_owned(),
        body_bytes: if body == BodyKind::Empty { 0 } else { 512 },
        body,
        stream,
        max_tokens: None,
        read_bytes_per_s: None,
        leave: None,
        headers: Vec::new(),
    };
    let caller = |tenant| Caller {
        tenant: format!("tenant-{tenant}"),
        user: "user-0".to_owned(),
        group: 0,
        weight: 1.0,
        credential: Credential::AppCode(policy::code(tenant)),
        sends: vec![(0, 1.0 - STREAMS_SHARE), (1, STREAMS_SHARE)],
    };
    Scenario {
        name: "reloads".to_owned(),
        about: "calls and streams while the policy is rewritten".to_owned(),
        seed: 1,
        load: Load::Open { arrivals: Arrivals::Constant, phases: vec![phase] },
        connections: Connections {
            http: Http::One,
            tls: false,
            open_max: CONNECTIONS_MAX,
            streams_max: 1,
            keep_alive: true,
        },
        callers: (0..TENANTS).map(caller).collect(),
        requests: vec![
            request("answer", http::Method::POST, policy::ANSWER, BodyKind::Filler, false),
            request("stream", http::Method::GET, policy::STREAM, BodyKind::Empty, true),
        ],
        groups: vec![Group { name: "all".to_owned(), callers: TENANTS }],
        time_max: lasts + Duration::from_secs(5),
        requests_max: 10_000_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_told_by_status_and_by_reason() {
        let totals = Totals {
            statuses: vec![(0, 1), (200, 7), (404, 2)],
            failures: vec![("connection: reset".into(), 1)],
            ..Totals::default()
        };
        assert_eq!(failures(&totals), ["2 times status 404", "1 times connection: reset"]);
    }

    #[test]
    fn the_load_outlasts_reloads_that_keep_to_the_pace() {
        assert!(LOAD_FOR_EACH > EVERY);
        let open = PER_SECOND * STREAMS_SHARE * 2.0;
        assert!(open > 30.0 && open < f64::from(CONNECTIONS_MAX) / 2.0, "{open} streams at once");
    }
}
