//! Ours: this package's generator, in this process, as `pangu-loadtest run` has it.

use super::generator::{Seen, Target, WAIT};
use super::{CONNECTIONS, LATENCY_MS};
use crate::compare::load::generated;
use crate::compare::problem::{Context, Problem};
use crate::generate;
use crate::measure::Report;
use crate::scenario::{self, Adjust, Scenario};

/// Runs the generator to its end, on the core that this thread is on.
pub fn run(target: &Target, seconds: u64) -> Result<Result<Seen, String>, Problem> {
    let outcome = generate::run(&scenario(&target.path, seconds)?, &generate::Options::to(target.address));
    let outcome = outcome.map_err(std::io::Error::other).while_doing("run the generator")?;
    Ok(seen(&outcome.report))
}

/// What the report says, if all went well.
fn seen(report: &Report) -> Result<Seen, String> {
    if let Some(reason) = report.void.first() {
        return Err(format!("its figures must not be used: {reason}"));
    }
    let requests = generated::answered(&report.totals)?;
    Ok(Seen {
        requests,
        // It waits for the last answers.
        open_max: 0,
        rate_per_s: requests as f64 / report.about.lasted_s.max(0.001),
        p50_us: generated::at(&report.totals.latency, 50.0),
        p99_us: generated::at(&report.totals.latency, 99.0),
    })
}

/// A file as users write them: what is checked here is what they run.
fn scenario(path: &str, seconds: u64) -> Result<Scenario, Problem> {
    let text = format!(
        r#"
about: The load that wrk and h2load give, as a scenario.
load: {{mode: closed, in_flight: {CONNECTIONS}, for: {seconds}s}}
connections: {{http: 1, open: {CONNECTIONS}}}
tenants:
  - {{name: one, credential: none, sends: [bytes]}}
requests:
  - {{name: bytes, api: plain, method: GET, path: {path}, headers: {{{WAIT}: "{LATENCY_MS}"}}, unlimited: "to the mock"}}
"#
    );
    let setup = scenario::read("agree", "agree.yaml", &text, &Adjust::default());
    Ok(setup.map_err(std::io::Error::other).while_doing("read the scenario")?.scenario)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::mock::{Mock, Options};
    use crate::scenario::Load;

    #[test]
    fn the_scenario_is_the_load_of_the_others() {
        let scenario = scenario("/mock/bytes/1024", 3).unwrap();
        let lasts = Duration::from_secs(3);
        assert_eq!(scenario.load, Load::Closed { in_flight: CONNECTIONS, lasts });
        assert_eq!((scenario.connections.open_max, scenario.connections.keep_alive), (CONNECTIONS, true));
        assert_eq!(scenario.requests[0].headers, [(WAIT.to_owned(), LATENCY_MS.to_string())]);
    }

    #[test]
    fn every_request_waits_and_is_counted_where_it_arrives() {
        let mock = Mock::start(&Options::default()).unwrap();
        let target = Target {
            address: mock.address(),
            path: "/mock/bytes/1024".to_owned(),
            core: 0,
            directory: "/".into(),
        };
        let seen = run(&target, 1).unwrap().unwrap();
        assert_eq!((seen.requests, seen.open_max), (mock.stats().requests, 0));
        assert!(seen.p50_us >= f64::from(LATENCY_MS) * 1000.0, "{seen:?}");
        assert!(
            seen.rate_per_s > 0.0 && seen.rate_per_s <= f64::from(CONNECTIONS * 1000 / LATENCY_MS),
            "{seen:?}"
        );
    }

    #[test]
    fn what_was_not_answered_well_is_no_turn() {
        let mock = Mock::start(&Options::default()).unwrap();
        let target = Target {
            address: mock.address(),
            path: "/mock/status/503".to_owned(),
            core: 0,
            directory: "/".into(),
        };
        let said = run(&target, 1).unwrap().unwrap_err();
        assert!(said.contains(", and 0 answered well: statuses [(503,"), "{said}");
    }
}
