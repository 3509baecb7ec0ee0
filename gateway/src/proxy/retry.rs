//! Who is asked next when an attempt was in vain: another backend, the fallback, nobody.
//!
//! All attempts of a request have one permit, one hold and one place in the access log; what is charged is what the
//! answer that goes down has cost. Nothing is tried again once a byte of an answer has gone down: who comes here has
//! not answered yet.

use super::admit::Admitted;
use super::body::{Held, Upload, read_whole};
use super::choose;
use super::deadline::Waiting;
use super::finish::Exchange;
use crate::observe::retries::{Outcome, Way};
use crate::policy::{Fallback, Retry, Route};
use crate::reject::Reject;
use crate::upstream::retry::{Reason, Replay};
use crate::upstream::{Keys, Pick, Picked, Pool};
use http::header::HeaderName;
use http::request::Parts;
use http_body::Body;
use hyper::body::Incoming;
use std::time::Duration;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The body of a request, for as many attempts as there will be.
pub enum Outgoing {
    /// There is none.
    Nothing,
    /// All there.
    Held(Held),
    /// Still with the caller: for one attempt.
    Passing(Incoming, u64),
    /// An attempt has it.
    Gone,
}

/// The attempts of one request.
pub struct Tries<'a> {
    route: &'a Route,
    retry: Option<&'a Retry>,
    request: Replay,
    /// Only its caller's key makes it repeatable, and that says nothing to the upstreams of another pool.
    keyed: bool,
    /// At the pool that is asked now.
    tried: Vec<u64>,
    left: u32,
    fallback: Option<&'a Fallback>,
    /// What its pool chooses by, and that of the fallback.
    keys: Keys,
    fallback_keys: Keys,
    /// What the running attempt was made for, unless it is the first.
    running: Option<(Way, Reason)>,
    /// When the time for the beginning of an answer is over, for all attempts together.
    until_ms: u64,
    /// The running attempt waits for less than that.
    short: bool,
    /// An attempt that failed may have been worked on.
    reached: bool,
}

/// Can this request be done twice? The method says so (RFC 9110 section 9.2.2), or its caller, who has given it a key.
fn is_repeatable(head: &Parts) -> bool {
    head.method.is_idempotent() || head.headers.contains_key(IDEMPOTENCY_KEY)
}

/// Reads the body whole if the route would want to send it again and it says that it is small enough for that.
///
/// # Errors
/// Whatever is wrong with the body.
pub async fn hold(
    exchange: &mut Exchange,
    route: &Route,
    head: &Parts,
    admitted: Admitted,
) -> Result<Admitted, Reject> {
    match (route.retry.as_deref(), admitted) {
        (Some(Retry { rule, .. }), Admitted::Passing(body, cap))
            if !body.is_end_stream()
                && body.size_hint().exact().is_some_and(|length| length <= rule.hold_max)
                && rule.needs_body(is_repeatable(head)) =>
        {
            read_whole(exchange, body, cap).await.map(Admitted::Held)
        }
        (_, admitted) => Ok(admitted),
    }
}

impl From<Admitted> for Outgoing {
    fn from(admitted: Admitted) -> Outgoing {
        match admitted {
            Admitted::Held(held) if held.bytes.is_empty() => Outgoing::Nothing,
            Admitted::Held(held) => Outgoing::Held(held),
            Admitted::Passing(body, _) if body.is_end_stream() => Outgoing::Nothing,
            Admitted::Passing(body, cap) => Outgoing::Passing(body, cap),
        }
    }
}

impl Outgoing {
    /// Reads what is still with the caller: a slow upload is to hold no place, and who waits is to be seen leaving.
    ///
    /// # Errors
    /// Whatever is wrong with the body.
    pub async fn hold(&mut self, exchange: &mut Exchange) -> Result<(), Reject> {
        *self = match std::mem::replace(self, Outgoing::Gone) {
            Outgoing::Passing(body, cap) => Outgoing::Held(read_whole(exchange, body, cap).await?),
            other => other,
        };
        Ok(())
    }

    /// How many bytes are there already.
    pub fn bytes(&self) -> u64 {
        match self {
            Outgoing::Held(held) => held.bytes.len() as u64,
            Outgoing::Nothing | Outgoing::Passing(..) | Outgoing::Gone => 0,
        }
    }

    /// For the next attempt. `last`: there will be no other.
    pub fn upload(&mut self, exchange: &Exchange, route: &Route, last: bool) -> Upload {
        match self {
            Outgoing::Nothing => Upload::nothing(),
            Outgoing::Held(held) if !last => Upload::held(held.again()),
            _ => match std::mem::replace(self, Outgoing::Gone) {
                Outgoing::Nothing | Outgoing::Gone => Upload::nothing(),
                Outgoing::Held(held) => Upload::held(held),
                Outgoing::Passing(body, cap) => Upload::passing(exchange, route, body, cap),
            },
        }
    }
}

impl<'a> Tries<'a> {
    /// Before the first attempt.
    pub fn new(exchange: &Exchange, route: &'a Route, head: &Parts, body: &Outgoing) -> Tries<'a> {
        let now_ms = exchange.deadline.now_ms();
        let retry = route.retry.as_deref();
        let keys = |pool: &Pool| choose::keys(exchange, route.api, pool, &head.headers, body);
        let fallback = retry.and_then(|retry| retry.fallback.as_ref());
        let repeatable = retry.is_some() && is_repeatable(head);
        Tries {
            keys: keys(&route.pool),
            fallback_keys: fallback.map_or_else(Keys::default, |fallback| keys(&fallback.pool)),
            route,
            retry,
            request: Replay { repeatable, held: !matches!(body, Outgoing::Passing(..)) },
            keyed: repeatable && !head.method.is_idempotent(),
            tried: Vec::new(),
            left: retry.map_or(0, |retry| retry.rule.attempts.saturating_sub(1)),
            fallback: None,
            running: None,
            until_ms: now_ms.saturating_add(route.timeouts.first_byte.as_millis() as u64),
            short: false,
            reached: false,
        }
    }

    /// The pool that is asked now.
    pub fn pool(&self) -> &'a Pool {
        self.fallback.map_or(&self.route.pool, |fallback| &fallback.pool)
    }

    /// The fallback, once it is asked.
    pub fn fallback(&self) -> Option<&'a Fallback> {
        self.fallback
    }

    /// Will the running attempt be the last, whatever comes of it?
    pub fn is_last(&self) -> bool {
        self.retry.is_none()
    }

    /// The backend of the first attempt; of the route's own pool only if the request has its turn there.
    pub fn first(&mut self, exchange: &Exchange, has_turn: bool) -> Option<Picked> {
        let Some(backend) = has_turn.then(|| self.pick(exchange)).flatten() else {
            return self.fall_back(exchange, Reason::NoBackend);
        };
        if let Some(Retry { rule, budget, .. }) = self.retry {
            budget.earn(rule.budget_percent, exchange.deadline.now_ms());
        }
        Some(backend)
    }

    /// The backend of the next attempt, after one that was in vain; `None`: there is none, and what came of the last one
    /// is what the caller gets.
    pub fn next(&mut self, exchange: &Exchange, reason: Reason) -> Option<Picked> {
        self.reached |= reason.may_have_been_processed();
        if !self.retry?.rule.allows(reason, self.request) {
            return None;
        }
        self.again(exchange, reason).or_else(|| self.fall_back(exchange, reason))
    }

    /// The same after an attempt that gave no answer; without a reason nobody else would do better.
    pub fn failed(&mut self, exchange: &Exchange, reason: Option<Reason>) -> Option<Picked> {
        self.reached |= reason.is_none();
        self.next(exchange, reason?)
    }

    fn again(&mut self, exchange: &Exchange, reason: Reason) -> Option<Picked> {
        let retry = self.retry.filter(|_| self.left > 0)?;
        self.tried.extend(exchange.backend.as_ref().map(|backend| backend.id));
        let Some(backend) = self.pick(exchange) else {
            retry.metrics.count(Way::Again, reason, Outcome::NoBackend);
            return None;
        };
        let budget = self.fallback.map_or(&retry.budget, |fallback| &fallback.budget);
        if !budget.spend(exchange.deadline.now_ms()) {
            retry.metrics.count(Way::Again, reason, Outcome::NoBudget);
            return None;
        }
        self.left -= 1;
        self.begin(Way::Again, reason);
        Some(backend)
    }

    /// Asked once. It costs no budget: its pool has not been asked for this request yet.
    fn fall_back(&mut self, exchange: &Exchange, reason: Reason) -> Option<Picked> {
        let retry = self.retry.filter(|_| self.fallback.is_none())?;
        let fallback = retry.fallback.as_ref()?;
        if self.reached && self.keyed && !retry.rule.repeat_post {
            return None;
        }
        let before = std::mem::take(&mut self.tried);
        self.fallback = Some(fallback);
        let Some(backend) = self.pick(exchange) else {
            (self.fallback, self.tried) = (None, before);
            retry.metrics.count(Way::Fallback, reason, Outcome::NoBackend);
            return None;
        };
        self.left = retry.rule.attempts.saturating_sub(1);
        fallback.budget.earn(retry.rule.budget_percent, exchange.deadline.now_ms());
        self.begin(Way::Fallback, reason);
        Some(backend)
    }

    fn pick(&self, exchange: &Exchange) -> Option<Picked> {
        if self.route.credential(self.pool()).missing().is_some() {
            return None; // who wants a token that the gateway does not have need not be asked
        }
        let worker = &exchange.connection.worker;
        let keys = if self.fallback.is_some() { self.fallback_keys } else { self.keys };
        let (turn, now_ms) = (worker.turn(), worker.deadlines.now_ms());
        self.pool().pick(&Pick { turn, now_ms, tried: &self.tried, keys })
    }

    fn begin(&mut self, way: Way, reason: Reason) {
        self.ended(Outcome::Failed); // the attempt before
        self.running = Some((way, reason));
    }

    fn ended(&mut self, outcome: Outcome) {
        if let (Some(retry), Some((way, reason))) = (self.retry, self.running.take()) {
            retry.metrics.count(way, reason, outcome);
        }
    }

    /// No further attempt is made: what came of the last one, and whether that is an answer.
    pub fn over(&mut self, answered: bool) {
        self.ended(if answered { Outcome::Ok } else { Outcome::Failed });
    }

    /// May the upstream have worked on an attempt that failed?
    pub fn reached(&self) -> bool {
        self.reached
    }

    /// The request has waited `waited_ms` for its turn: not for an answer.
    pub fn waited(&mut self, waited_ms: u64) {
        self.until_ms = self.until_ms.saturating_add(waited_ms);
    }

    /// May somebody else be asked if this attempt does not begin to answer in time?
    pub fn hastens(&self) -> bool {
        self.retry.is_some_and(|retry| {
            retry.rule.first_byte.is_some() && retry.rule.allows(Reason::FirstByte, self.request)
        })
    }

    /// From now on the beginning of an answer is waited for, as long as all attempts together may.
    pub fn wait_all(&mut self, exchange: &Exchange) {
        self.short = false;
        exchange.deadline.forgive();
        exchange.deadline.wait_for(Waiting::FirstByte, self.rest(exchange));
    }

    /// The same, as long as one attempt may while another may follow.
    pub fn wait_one(&mut self, exchange: &Exchange) {
        let rest = self.rest(exchange);
        let one = self.retry.and_then(|retry| retry.rule.first_byte).filter(|_| self.hastens());
        self.short = one.is_some_and(|one| one < rest);
        exchange.deadline.forgive();
        exchange.deadline.wait_for(Waiting::FirstByte, one.map_or(rest, |one| one.min(rest)));
    }

    /// The wait for one attempt is over. Who is asked now? `None`: nobody, and so this attempt gets all the time there is.
    pub fn late(&mut self, exchange: &Exchange) -> Option<Late> {
        if !self.short {
            return Some(Late::ForAll);
        }
        let next = self.next(exchange, Reason::FirstByte);
        if next.is_none() {
            self.wait_all(exchange);
        }
        next.map(Late::ForOne)
    }

    fn rest(&self, exchange: &Exchange) -> Duration {
        Duration::from_millis(self.until_ms.saturating_sub(exchange.deadline.now_ms()))
    }
}

/// An answer did not begin in time.
pub enum Late {
    /// Another backend is asked.
    ForOne(Picked),
    /// The time of all attempts is over.
    ForAll,
}
