//! One exchange, from the head of a request to the last byte of its answer; finishing it is its `Drop`,
//! so that a refused, a cancelled and a panicking one leave the same traces as a served one.

mod traces;

use super::address;
use super::deadline::{Deadline, Waiting};
use super::grpc;
use super::pause::retry_after;
use super::usage::{Told, Usage};
use super::worker::{Connection, InForce};
use crate::clock::{self, Now};
use crate::fair::Pass;
use crate::ids::{CallerId, RequestId, RouteId};
use crate::limit::Permit;
use crate::observe::metrics::{RouteMetrics, VersionMetrics};
use crate::observe::tenants::Activity;
use crate::policy::{Api, Caller, Fallback, Route};
use crate::reject::{self, Reject};
use crate::upstream::{Backend, Flight};
use crate::usage::Tokens;
use http::{HeaderMap, Method, Request, StatusCode};
use hyper::body::Incoming;
use std::borrow::Cow;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// What nginx made the custom for "the caller left before there was an answer".
const CALLER_LEFT: u16 = 499;
/// Instead, where it is the gateway that ended before there was one.
const GATEWAY_ENDED: u16 = 503;
/// Why what was open then was cut.
pub const DRAINED: &str = "the gateway stopped, and `timeouts.drain` is over";
/// Paths are cut to this in the log.
const LOGGED_PATH_MAX: usize = 1024;

/// How long a caller whose request no route takes may leave its refusal unread.
const WRITE: Duration = Duration::from_secs(10);

/// Everything known of one exchange.
pub struct Exchange {
    /// Where it came in.
    pub connection: Rc<Connection>,
    /// The one policy that decides all of it.
    pub policy: Rc<InForce>,
    /// When its head was complete.
    pub began: Now,
    /// Its `X-Request-Id`.
    pub id: RequestId,
    /// How long all of it may take.
    total: Duration,
    /// How long its caller waits, if that was said (`grpc-timeout`).
    callers_total: Option<Duration>,
    /// Who waits until when.
    pub deadline: Rc<Deadline>,
    /// The caller's address: the peer's, or what a trusted proxy says.
    pub address: IpAddr,
    /// Once found.
    pub route: Option<RouteId>,
    /// Once authenticated.
    caller: Option<CallerId>,
    /// Where its tenant's requests on this route are counted.
    activity: Option<Arc<Activity>>,
    /// Once admitted; its slots are given back with it.
    pub permit: Option<Permit>,
    /// Once admitted on a route to a model: what it costs.
    pub usage: Option<Box<Usage>>,
    /// Its place in a pool that takes only so much at a time.
    pub pass: Option<Pass>,
    /// How long it waited for that place, if it did.
    pub queued_us: Option<u64>,
    /// Once picked; of several that were asked the last.
    pub backend: Option<Arc<Backend>>,
    /// The version of the pool that it belongs to, if the pool has versions.
    pub version: Option<Arc<VersionMetrics>>,
    /// Counts it at the backend, if the pool looks at that.
    pub flight: Option<Flight>,
    /// How often somebody was asked.
    pub attempts: u32,
    /// The last of them was the route's fallback.
    pub fell_back: bool,
    /// Body bytes read.
    pub bytes_in: u64,
    /// Body bytes written.
    pub bytes_out: u64,
    method: Method,
    /// The path, as the log shows it. A copy: sharing hyper's buffer would keep it from being used again.
    path: Box<str>,
    status: u16,
    /// How a call of gRPC went.
    grpc_status: Option<u8>,
    outcome: &'static str,
    detail: Option<Cow<'static, str>>,
    first_byte_us: Option<u64>,
    first_token_us: Option<u64>,
    /// What it cost, once that is settled.
    cost: Option<Told>,
}

impl Exchange {
    /// Takes the policy in force and the time; everything after reads these.
    pub fn begin(connection: &Rc<Connection>, request: &Request<Incoming>) -> Exchange {
        let worker = &connection.worker;
        let path = request.uri().path();
        connection.task.request_began();
        Exchange {
            policy: worker.policy(),
            began: Now::read(),
            id: worker.request_id(),
            total: Duration::MAX,
            callers_total: None,
            deadline: connection.deadline(),
            address: address::of_caller(connection, request.headers()),
            route: None,
            caller: None,
            activity: None,
            permit: None,
            usage: None,
            pass: None,
            queued_us: None,
            backend: None,
            attempts: 0,
            fell_back: false,
            version: None,
            flight: None,
            bytes_in: 0,
            bytes_out: 0,
            method: request.method().clone(),
            path: path[..path.floor_char_boundary(LOGGED_PATH_MAX)].into(),
            status: CALLER_LEFT,
            grpc_status: None,
            outcome: "cancelled",
            detail: None,
            first_byte_us: None,
            first_token_us: None,
            cost: None,
            connection: connection.clone(),
        }
    }

    /// The route is known: its time runs, its metrics count.
    pub fn routed(&mut self, id: RouteId) {
        let route = self.policy.route(id);
        route.metrics.in_flight.increment(1.0);
        self.total = route.timeouts.total;
        self.deadline.end_in(self.total);
        self.route = Some(id);
    }

    /// Its caller waits no longer than this.
    pub fn shorten(&mut self, total: Duration) {
        self.callers_total = Some(total);
        self.total = self.total.min(total);
        self.deadline.end_in(self.total);
    }

    /// Has its caller said how long it waits?
    pub fn has_deadline(&self) -> bool {
        self.callers_total.is_some()
    }

    /// How much is left of the time that all of it may take.
    pub fn left(&self) -> Duration {
        self.total.saturating_sub(self.age())
    }

    /// The refusal for whatever took too long.
    pub fn late(&self, waiting: Waiting) -> Reject {
        let callers = self.callers_total.is_some_and(|callers| callers <= self.total);
        if callers && waiting == Waiting::Total { Reject::DeadlineOver } else { Reject::late(waiting) }
    }

    /// Its route, once found.
    pub fn route(&self) -> Option<&Route> {
        self.route.map(|id| &**self.policy.route(id))
    }

    /// The caller is known: what its tenant does on this route is counted.
    pub fn called_by(&mut self, id: CallerId) {
        self.caller = Some(id);
        let (route, caller) = (self.route(), self.caller());
        let activity = route.zip(caller).map(|(route, caller)| route.tenants.of(caller.tenant_name()));
        if let Some(activity) = &activity {
            activity.began();
        }
        self.activity = activity;
    }

    /// Its caller, once authenticated.
    pub fn caller(&self) -> Option<&Caller> {
        self.caller.map(|id| &**self.policy.caller(id))
    }

    /// The route's fallback, if that was asked.
    pub fn fallback(&self) -> Option<&Fallback> {
        self.route().filter(|_| self.fell_back)?.retry.as_ref()?.fallback.as_ref()
    }

    /// Does it ask for a head alone?
    pub fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }

    /// How large its body may be on `route`, as far as the caller is known.
    pub fn body_max(&self, route: &Route) -> u64 {
        let plan = self.caller().map_or(u64::MAX, |caller| caller.terms.body_max);
        plan.min(route.caps.body_max)
    }

    /// Gives the answer a deadline of its own and returns the one that the request's body still waits by.
    pub fn separate_deadline(&mut self) -> Rc<Deadline> {
        let fresh = self.connection.deadline();
        fresh.end_in(self.left());
        std::mem::replace(&mut self.deadline, fresh)
    }

    fn age(&self) -> Duration {
        Duration::from_micros(clock::mono_us().saturating_sub(self.began.mono_us))
    }

    /// The upstream's head has come.
    pub fn answered(&mut self, status: StatusCode, headers: &HeaderMap) {
        let now_us = clock::mono_us();
        let wait_us = now_us.saturating_sub(self.began.mono_us);
        self.pool_answered(status, headers, now_us);
        self.status = status.as_u16();
        self.first_byte_us = Some(wait_us);
        self.metrics().first_byte(wait_us);
    }

    /// A pool has given its last answer, of which the gate before it learns: also if another pool is asked then.
    pub fn pool_answered(&mut self, status: StatusCode, headers: &HeaderMap, now_us: u64) {
        if let Some(pass) = &mut self.pass {
            pass.answered(status.as_u16(), retry_after(headers, clock::wall_ms), now_us);
        }
    }

    /// A part of a metered answer's body has come.
    pub fn first_token(&mut self) {
        if self.first_token_us.is_none() {
            self.first_token_us = Some(clock::mono_us().saturating_sub(self.began.mono_us));
        }
    }

    /// Begins to meter an answer. Returns whether its length may change on the way.
    pub fn metered_head(&mut self, status: StatusCode, headers: &HeaderMap) -> bool {
        let policy = self.policy.clone();
        let metering = self.route.and_then(|id| policy.route(id).metering.as_ref());
        let cuts = self.permit.as_ref().is_some_and(Permit::cuts);
        match (&mut self.usage, metering) {
            (Some(usage), Some(metering)) => usage.answered(metering, status, headers, cuts),
            _ => false,
        }
    }

    /// The gateway says no; what the log may know beyond it stands in the refusal. Nobody waits for the pool until the
    /// caller has read it.
    pub fn refused(&mut self, reject: &Reject) {
        self.metrics().rejected(reject);
        self.status = reject.status().as_u16();
        self.grpc_status = self.is_call().then(|| reject::grpc::status(reject));
        self.outcome = reject.code();
        self.detail = reject.detail();
        self.settle(false);
        let write = self.route().map_or(WRITE, |route| route.timeouts.write);
        self.deadline.wait_for(Waiting::Write, write);
    }

    /// The answer has ended as it should.
    pub fn completed(&mut self) {
        if self.outcome == "cancelled" {
            self.outcome = "ok";
        }
        self.settle(true);
    }

    /// The answer was ended in its middle, because a limit on what it costs is spent. The caller sees a proper end.
    pub fn ended_by_limit(&mut self) {
        self.outcome = "limit_spent";
        self.settle(false);
    }

    /// Charges what it has cost in all; once.
    fn settle(&mut self, whole: bool) {
        if let (Some(usage), Some(permit), None) = (&mut self.usage, &mut self.permit, &self.cost) {
            let now = Now::read();
            let cost = usage.settle(permit, whole, now);
            self.cost = Some(cost);
            // What was for nothing in the end has had its turn all the same, and keeps what it was charged for it: else
            // a tenant whose requests all fail would always be the least served.
            if let Some(pass) = self.pass.as_mut().filter(|_| cost.tokens != Tokens::default()) {
                pass.settle(cost.tokens.prompt, cost.tokens.completion, now.mono_us);
            }
        }
        // Whoever waits for the pool waits no longer for the last bytes to be read.
        self.pass = None;
        self.flight = None;
    }

    /// The answer broke off after its head; the caller sees that it did.
    pub fn cut(&mut self, detail: impl Into<Cow<'static, str>>) {
        self.outcome = "cut";
        self.detail = Some(detail.into());
        if let Some(route) = self.route() {
            route.metrics.upstream_failed(crate::observe::metrics::UpstreamError::Cut);
        }
    }

    /// The status that it counts as, so far.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Is it a call of gRPC?
    pub fn is_call(&self) -> bool {
        self.route().is_some_and(|route| route.api == Api::Grpc)
    }

    /// A call has come to its end: it counts as what its status stands for in HTTP.
    pub fn call_ended(&mut self, status: u8) {
        self.grpc_status = Some(status);
        self.status = grpc::as_http(status).as_u16();
    }

    /// It was ended before its end, and not by the upstream.
    pub fn ended(&mut self, outcome: &'static str, detail: impl Into<Cow<'static, str>>) {
        self.outcome = outcome;
        self.detail = Some(detail.into());
    }

    /// Nobody has said how it ended.
    fn broke_off(&mut self) {
        if self.connection.worker.has_ended() {
            self.ended("drained", DRAINED);
            if self.status == CALLER_LEFT {
                self.status = GATEWAY_ENDED;
            }
        } else if self.deadline.expired() == Some(Waiting::Write) {
            self.detail = Some("the caller did not read its answer".into());
        }
    }

    /// The handles that count this exchange.
    pub fn metrics(&self) -> &RouteMetrics {
        match self.route() {
            Some(route) => &route.metrics,
            None => &self.connection.worker.shared.metrics.no_route,
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.outcome == "cancelled" {
            self.broke_off();
        }
        self.settle(false);
        let duration_us = clock::mono_us().saturating_sub(self.began.mono_us);
        self.count(duration_us);
        self.log(duration_us);
        self.connection.request_ended(&self.deadline);
    }
}
