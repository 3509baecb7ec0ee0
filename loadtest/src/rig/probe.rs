//! Probe: what the oracle has to ask a running gateway, put in the words of a scenario's caller.

use std::cell::Cell;
use std::net::SocketAddr;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request};
use http_body_util::BodyExt;
use tokio::runtime::Builder;

use super::Problem;
use crate::generate::RunError;
use crate::generate::ask::Asker;
use crate::generate::choose;
use crate::measure::Check;
use crate::oracle::policy::Policy;
use crate::oracle::probe::{self, Ask};
use crate::scenario::{Http, Scenario};

/// Longest `Retry-After` that is waited for, several times over: a probe should not outlast the load.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Checks that `Retry-After` is true, as the caller whose limit is soonest used up; once the load is over.
///
/// # Errors
/// The scenario is not HTTP, or no runtime can be had. That nobody could be asked is in the checks.
pub fn retry_after(
    policy: &Policy,
    scenario: &Scenario,
    gateway: Option<SocketAddr>,
) -> Result<Vec<Check>, Problem> {
    let Some(gateway) = gateway else { return Ok(probe::unasked("the target has no listener without TLS")) };
    let choice = match probe::choose(policy, scenario, WAIT_MAX) {
        Ok(choice) => choice,
        Err(why) => return Ok(probe::unasked(&why)),
    };
    let asker = Asker::new(&in_the_clear(scenario), &gateway.to_string())
        .map_err(|error| Problem::Generator(RunError::Plan(error.into())))?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Problem::Thread)?;
    Ok(runtime.block_on(ask(&asker, scenario, choice, gateway)))
}

async fn ask(asker: &Asker, scenario: &Scenario, choice: probe::Choice, gateway: SocketAddr) -> Vec<Check> {
    // Beyond those of the load.
    let number = Cell::new(scenario.requests_max);
    let next = || {
        number.set(number.get() + 1);
        let choice =
            choose::Choice { caller: choice.caller as u32, request: choice.request as u16, leaves: false };
        asker.ask(choice, number.get())
    };
    let headers = || -> Vec<(HeaderName, HeaderValue)> {
        next().headers().iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    let Ok(body) = Request::into_body(next()).collect().await;
    probe::retry_after(&Ask {
        gateway,
        method: scenario.requests[choice.request].method.clone(),
        target: scenario.requests[choice.request].target.clone(),
        headers,
        body: body.to_bytes(),
        wait_max: WAIT_MAX,
        requests_max: choice.requests_max,
    })
    .await
}

/// The probe speaks HTTP/1.1 without TLS; to the limits that is the same.
fn in_the_clear(scenario: &Scenario) -> Scenario {
    let mut scenario = scenario.clone();
    scenario.connections.http = Http::One;
    scenario.connections.tls = false;
    scenario
}
