//! Probe: is `Retry-After` true? Asked of a gateway that runs, as a caller that nobody else is.
//!
//! The probe uses a limit up until it is refused, and takes the refusal at its word. *Long enough*: a caller that waits as
//! long as it was told, from when it was told, is admitted. *No longer than needed*: the wait may carry up to a tenth of
//! jitter and is rounded up to a millisecond, so the shortest true wait follows from what was said; a request that
//! was answered before that time has passed since the refused one was *sent* must be refused as well. What came too
//! late to show that, on a busy machine say, shows nothing and is tried again.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::limit::{Amount, Bound, Counting, Limit, Measure, Rate};
use super::not_judged;
use super::policy::Policy;
use super::price::Price;
use crate::clock::mono_us;
use crate::measure::Check;
use crate::scenario::{Credential, Request as Asked, Scenario};

const LONG_ENOUGH: &str = "who waits as long as Retry-After says is admitted";
const NOT_LONGER: &str = "Retry-After is no longer than needed, a tenth of jitter aside";

/// Times that each claim is shown, if it can be.
const SHOWN: u64 = 3;
/// Attempts at that.
const ROUNDS_MAX: u32 = 12;
/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How much earlier than the last possible moment the too early request is sent, at least.
const EARLIER_US: u64 = 3_000;

/// What is sent, and how long it may take.
pub struct Ask<F> {
    /// The gateway's plain HTTP listener.
    pub gateway: SocketAddr,
    /// Method.
    pub method: Method,
    /// Path and query.
    pub target: String,
    /// Gives the headers of one request, credentials included; asked anew for each, since signatures age.
    pub headers: F,
    /// Body.
    pub body: Bytes,
    /// Longest `Retry-After` that is waited for. Default for callers of [`choose`]: 5 s.
    pub wait_max: Duration,
    /// Requests after which it is given up that one is refused.
    pub requests_max: u32,
}

/// Checks `Retry-After`. Never fails: what went wrong is in the checks, without evidence.
pub async fn retry_after<F>(ask: &Ask<F>) -> Vec<Check>
where
    F: Fn() -> Vec<(HeaderName, HeaderValue)>,
{
    let mut found = Found::default();
    let end = found.run(ask).await;
    let check = |claim: &str, evidence: u64, violations: Vec<String>| match &end {
        Err(why) if evidence == 0 && violations.is_empty() => not_judged(claim, why),
        Ok(()) if evidence == 0 => not_judged(claim, "no answer came early enough to show it"),
        _ => Check { claim: claim.to_owned(), evidence, tightest: None, violations },
    };
    vec![check(LONG_ENOUGH, found.waited, found.too_short), check(NOT_LONGER, found.knocked, found.too_long)]
}

#[derive(Default)]
struct Found {
    waited: u64,
    too_short: Vec<String>,
    knocked: u64,
    too_long: Vec<String>,
}

/// A refusal, and when.
struct Refusal {
    sent_us: u64,
    answered_us: u64,
    wait: Wait,
}

/// What a refusal says of when to try again.
#[derive(Debug, Clone, Copy)]
struct Wait {
    ms: u64,
    /// What it is rounded up to.
    step_ms: u64,
}

impl Found {
    async fn run<F>(&mut self, ask: &Ask<F>) -> Result<(), String>
    where
        F: Fn() -> Vec<(HeaderName, HeaderValue)>,
    {
        let mut line = Line::new(ask);
        for _ in 0..ROUNDS_MAX {
            if self.waited < SHOWN {
                let refusal = line.exhaust().await?;
                self.wait_it_out(&mut line, &refusal).await?;
            }
            if self.knocked < SHOWN {
                let refusal = line.exhaust().await?;
                self.knock_early(&mut line, &refusal).await?;
            }
            if self.waited >= SHOWN && self.knocked >= SHOWN {
                break;
            }
        }
        Ok(())
    }

    async fn wait_it_out<F>(&mut self, line: &mut Line<'_, F>, refusal: &Refusal) -> Result<(), String>
    where
        F: Fn() -> Vec<(HeaderName, HeaderValue)>,
    {
        sleep_until(refusal.answered_us + refusal.wait.ms * 1_000).await;
        let answer = line.send().await?;
        self.waited += 1;
        if answer.status == 429 {
            let after_ms = (answer.sent_us - refusal.answered_us) as f64 / 1e3;
            let wait_ms = refusal.wait.ms;
            self.too_short.push(format!("told to wait {wait_ms} ms, and refused after {after_ms:.3} ms"));
        }
        Ok(())
    }

    async fn knock_early<F>(&mut self, line: &mut Line<'_, F>, refusal: &Refusal) -> Result<(), String>
    where
        F: Fn() -> Vec<(HeaderName, HeaderValue)>,
    {
        // What is said is at most the true wait and a tenth, rounded up.
        let Wait { ms, step_ms } = refusal.wait;
        let least_us = ms.saturating_sub(step_ms) * 10_000 / 11;
        let opens_us = refusal.sent_us + least_us;
        let earlier_us = EARLIER_US.max(3 * (refusal.answered_us - refusal.sent_us)).min(least_us / 2);
        sleep_until(opens_us - earlier_us).await;
        let answer = line.send().await?;
        if answer.answered_us >= opens_us {
            return Ok(());
        }
        self.knocked += 1;
        if answer.status != 429 {
            let after_ms = (answer.answered_us - refusal.sent_us) as f64 / 1e3;
            let wait_ms = refusal.wait.ms;
            self.too_long.push(format!("told to wait {wait_ms} ms, and admitted after {after_ms:.3} ms"));
        }
        Ok(())
    }
}

async fn sleep_until(due_us: u64) {
    // The runtime's timer rounds to milliseconds, up; what is left is slept again.
    while let Some(left_us) = due_us.checked_sub(mono_us()).filter(|&left_us| left_us > 0) {
        sleep(Duration::from_micros(left_us)).await;
    }
}

/// One caller, one request after the other on one connection, as long as that lasts.
struct Line<'a, F> {
    ask: &'a Ask<F>,
    open: Option<SendRequest<Full<Bytes>>>,
}

/// An answer, and when.
struct Answer {
    status: u16,
    sent_us: u64,
    answered_us: u64,
    wait: Option<Wait>,
}

impl<'a, F> Line<'a, F>
where
    F: Fn() -> Vec<(HeaderName, HeaderValue)>,
{
    fn new(ask: &'a Ask<F>) -> Line<'a, F> {
        Line { ask, open: None }
    }

    /// Sends until it is refused.
    async fn exhaust(&mut self) -> Result<Refusal, String> {
        for _ in 0..self.ask.requests_max {
            let answer = self.send().await?;
            if answer.status != 429 {
                continue;
            }
            let wait = answer.wait.ok_or("a refusal did not say when to try again")?;
            if u128::from(wait.ms) > self.ask.wait_max.as_millis() {
                return Err(format!("a wait of {} ms is longer than the probe waits", wait.ms));
            }
            return Ok(Refusal { sent_us: answer.sent_us, answered_us: answer.answered_us, wait });
        }
        Err(format!("none of {} requests was refused", self.ask.requests_max))
    }

    async fn send(&mut self) -> Result<Answer, String> {
        let exchange = timeout(ANSWER_MAX, self.exchange()).await;
        exchange.unwrap_or_else(|_| Err(format!("no answer within {} s", ANSWER_MAX.as_secs())))
    }

    async fn exchange(&mut self) -> Result<Answer, String> {
        let mut open = match self.open.take().filter(|open| !open.is_closed()) {
            Some(open) => open,
            None => connect(self.ask.gateway)
                .await
                .map_err(|e| format!("the gateway takes no connection: {e}"))?,
        };
        open.ready().await.map_err(|e| e.to_string())?;
        let sent_us = mono_us();
        let answer = open.send_request(self.request()?).await.map_err(|e| e.to_string())?;
        let answered_us = mono_us();
        let number = |name: &str| answer.headers().get(name)?.to_str().ok()?.parse::<u64>().ok();
        let exact = number("retry-after-ms").map(|ms| Wait { ms, step_ms: 1 });
        let wait = exact.or_else(|| Some(Wait { ms: number("retry-after")? * 1_000, step_ms: 1_000 }));
        let status = answer.status().as_u16();
        answer.into_body().collect().await.map_err(|e| e.to_string())?;
        self.open = Some(open);
        Ok(Answer { status, sent_us, answered_us, wait })
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, String> {
        let Ask { gateway, method, target, headers, body, .. } = self.ask;
        let mut request = Request::new(Full::new(body.clone()));
        *request.method_mut() = method.clone();
        *request.uri_mut() = target.parse().map_err(|e| format!("{target}: {e}"))?;
        request.headers_mut().extend(headers());
        if !request.headers().contains_key(http::header::HOST) {
            let host = HeaderValue::try_from(gateway.to_string()).expect("an address is printable");
            request.headers_mut().insert(http::header::HOST, host);
        }
        Ok(request)
    }
}

async fn connect(gateway: SocketAddr) -> Result<SendRequest<Full<Bytes>>, Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(gateway).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the sender; its errors reach whoever sends.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

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
/// No caller has such a limit; the text is for [`unasked`].
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

/// The checks of [`retry_after`] when nobody was asked, and why.
pub fn unasked(why: &str) -> Vec<Check> {
    vec![not_judged(LONG_ENOUGH, why), not_judged(NOT_LONGER, why)]
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
    fn of(limit: &Limit, request: &Asked, metered: bool) -> Option<Use> {
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
