//! Did each request reach the mock once, for the right tenant, and its answer the caller?

use super::Violations;
use super::evidence::{Evidence, Trace};
use crate::measure::Check;
use crate::mock::journal::Journal;
use crate::scenario::Scenario;

/// Three claims about the way of a request that no limit is needed for.
pub fn checks(scenario: &Scenario, evidence: &Evidence, journal: &Journal) -> [Check; 3] {
    [sent_once(evidence), passed_on(evidence), named(scenario, evidence, journal)]
}

fn sent_once(evidence: &Evidence) -> Check {
    let mut violations = Violations::default();
    for &(number, times) in &evidence.repeated {
        violations.add(|| format!("request {number} arrived {times} times"));
    }
    if evidence.complete && evidence.strangers > 0 {
        violations.add(|| format!("{} requests arrived that nobody sent", evidence.strangers));
    }
    let arrived = evidence.traces.iter().filter(|trace| trace.arrival.is_some()).count() as u64;
    check("no request reached the mock twice, and none that nobody sent", arrived, violations)
}

fn passed_on(evidence: &Evidence) -> Check {
    let mut violations = Violations::default();
    let mut seen = 0;
    for trace in &evidence.traces {
        let Trace { sample, arrival } = trace;
        let is_ok = sample.whole && (100..400).contains(&sample.status);
        if !is_ok && sample.status != 429 {
            continue;
        }
        seen += 1;
        match arrival {
            None if is_ok => violations.add(|| {
                format!("request {} was answered {} and never arrived", sample.number, sample.status)
            }),
            Some(arrival) if arrival.status != sample.status => violations.add(|| {
                let (number, got, sent) = (sample.number, sample.status, arrival.status);
                format!("request {number} was answered {got}, yet it arrived, and the mock said {sent}")
            }),
            _ => {}
        }
    }
    check("every good answer is the mock's, and nothing refused went upstream", seen, violations)
}

fn named(scenario: &Scenario, evidence: &Evidence, journal: &Journal) -> Check {
    let mut violations = Violations::default();
    let mut seen = 0;
    for trace in &evidence.traces {
        let Some(told) = trace.arrival.and_then(|arrival| arrival.tenant) else { continue };
        seen += 1;
        let (told, is) =
            (&journal.tenants[told as usize], &scenario.callers[trace.sample.caller as usize].tenant);
        if told != is {
            violations.add(|| format!("request {} of tenant {is} arrived as {told}'s", trace.sample.number));
        }
    }
    check("the mock was told the right tenant", seen, violations)
}

fn check(claim: &str, evidence: u64, violations: Violations) -> Check {
    Check { claim: claim.to_owned(), evidence, tightest: None, violations: violations.list() }
}
