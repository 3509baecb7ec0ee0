//! Whom to ask: the caller whose limit is soonest used up.

use std::time::Duration;

use crate::oracle::limit::{Amount, Bound, Counting, Limit, Measure, Rate};
use crate::oracle::policy::Policy;
use crate::oracle::price::Price;
use crate::scenario::{Credential, Request, Scenario};

/// Who should ask what: indexes into the scenario's callers and requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The caller.
    pub caller: usize,
    /// The request.
    pub request: usize,
    /// Requests that use the limit up, with some to spare.
    pub requests_max: u32,
}

/// Longest use of a limit that the probe makes.
const EXHAUSTED_MAX: u64 = 1_000;
/// Waits below this cannot be told from the time that a request takes.
const WAIT_MIN_US: u64 = 20_000;

/// Chooses the caller and request whose smallest limit is soonest used up, and makes nobody wait longer than
/// `wait_max` for its next request. Streams are not chosen: they would take their time.
///
/// # Errors
/// No caller has such a limit; the text is for [`unasked`](super::unasked).
pub fn choose(policy: &Policy, scenario: &Scenario, wait_max: Duration) -> Result<Choice, String> {
    let mut best: Option<(u64, Choice)> = None;
    for (caller, who) in scenario.callers.iter().enumerate() {
        for &(request, _) in &who.sends {
            let request = usize::from(request);
            let Some(most) = usable(policy, scenario, caller, request, wait_max) else { continue };
            if best.is_none_or(|(least, _)| most < least) {
                let requests_max = 2 * most as u32 + 10; // most <= EXHAUSTED_MAX
                best = Some((most, Choice { caller, request, requests_max }));
            }
        }
    }
    best.map(|(_, choice)| choice).ok_or_else(|| {
        let wait = wait_max.as_secs_f64();
        format!(
            "no caller has a limit of at most {EXHAUSTED_MAX} requests that makes it wait 0.02 to {wait} s"
        )
    })
}

/// How many requests use up the smallest limit, if that is one to be asked.
fn usable(
    policy: &Policy,
    scenario: &Scenario,
    caller: usize,
    request: usize,
    wait_max: Duration,
) -> Option<u64> {
    let (who, what) = (&scenario.callers[caller], &scenario.requests[request]);
    let route = policy.routes.get(&what.route)?;
    if what.stream || what.leave.is_some() || what.read_bytes_per_s.is_some() {
        return None;
    }
    let plan = policy.tenants.get(&who.tenant).and_then(|plan| policy.plans.get(plan));
    let plan = plan.filter(|_| !route.open_to_all && who.credential != Credential::None);
    let limits = plan.into_iter().flatten().chain(&route.limits).filter(|limit| !limit.shadow);
    let uses = limits.filter_map(|limit| Use::of(limit, what, route.api != "plain"));
    let Use { most, wait_us } = uses.min_by_key(|found| found.most)?;
    let fits = (WAIT_MIN_US..=wait_max.as_micros() as u64).contains(&wait_us);
    (fits && most <= EXHAUSTED_MAX).then_some(most)
}

/// What it takes to be refused by a limit.
struct Use {
    /// Requests that use it up.
    most: u64,
    /// How long it then makes one wait, about.
    wait_us: u64,
}

impl Use {
    /// None: it is not used up by requests alone, or only once a day.
    fn of(limit: &Limit, request: &Request, metered: bool) -> Option<Use> {
        match limit.amount {
            Amount::Requests(rate, counting) => {
                let wait_us = match counting {
                    Counting::Bucket => rate.period_us / rate.count,
                    Counting::Fixed => rate.period_us,
                    Counting::Sliding => rate.period_us + rate.period_us / 15,
                };
                Some(Use { most: most(&rate, counting), wait_us })
            }
            // An answer is as long as it is; what is asked for is all that is known of it here.
            Amount::Spend(measure, Bound::Bucket(rate)) if metered && measure != Measure::Money => {
                let answer = u64::from(request.max_tokens?);
                let cost = measure.of(1, answer, Price::default()).clamp(1, rate.burst);
                Some(Use { most: rate.burst.div_ceil(cost), wait_us: cost * rate.period_us / rate.count })
            }
            _ => None,
        }
    }
}

fn most(rate: &Rate, counting: Counting) -> u64 {
    if counting == Counting::Bucket { rate.burst } else { rate.count }
}
