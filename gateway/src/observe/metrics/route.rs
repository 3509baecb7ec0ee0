//! What is counted of the requests of a route.

use super::{
    ANSWER_BYTES, CANCELLED, FIRST_BYTE_SECONDS, GRPC_CALLS, IN_FLIGHT, REJECTS, REQUEST_BYTES,
    REQUEST_SECONDS, TOKENS, UPSTREAM_ERRORS,
};
use crate::reject::Reject;
use crate::usage::Tokens;
use metrics::{Counter, Gauge, Histogram, Label};
use parking_lot::RwLock;
use std::sync::{Arc, OnceLock};

/// The handles of one route, resolved when its policy is compiled.
pub struct RouteMetrics {
    route: Arc<str>,
    /// By the first digit of the status, 1 to 5.
    seconds: [Histogram; 5],
    first_byte_seconds: Histogram,
    /// Body bytes read from callers.
    pub request_bytes: Counter,
    /// Body bytes written to callers.
    pub answer_bytes: Counter,
    /// Requests between head and last byte.
    pub in_flight: Gauge,
    /// Callers who left early.
    pub cancelled: Counter,
    /// By who told them (upstream, gateway), then prompt and completion.
    tokens: [[OnceLock<Counter>; 2]; 2],
    upstream_errors: [OnceLock<Counter>; UpstreamError::ALL.len()],
    rejects: RwLock<Vec<(&'static str, Counter)>>,
    /// By status.
    grpc_calls: [OnceLock<Counter>; GRPC_STATUSES],
}

impl RouteMetrics {
    /// Resolves the handles of `route`; `-` stands for requests that no route takes.
    pub fn new(route: &Arc<str>) -> RouteMetrics {
        let labels = || vec![Label::new("route", route.to_string())];
        let class = |n: usize| {
            let mut labels = labels();
            labels.push(Label::new("status_class", STATUS_CLASSES[n]));
            metrics::histogram!(REQUEST_SECONDS, labels)
        };
        RouteMetrics {
            route: route.clone(),
            seconds: std::array::from_fn(class),
            first_byte_seconds: metrics::histogram!(FIRST_BYTE_SECONDS, labels()),
            request_bytes: metrics::counter!(REQUEST_BYTES, labels()),
            answer_bytes: metrics::counter!(ANSWER_BYTES, labels()),
            in_flight: metrics::gauge!(IN_FLIGHT, labels()),
            cancelled: metrics::counter!(CANCELLED, labels()),
            tokens: Default::default(),
            upstream_errors: Default::default(),
            rejects: RwLock::default(),
            grpc_calls: Default::default(),
        }
    }

    /// Counts one finished request.
    pub fn finished(&self, status: u16, duration_us: u64) {
        self.seconds[class_of(status)].record(duration_us as f64 / 1e6);
    }

    /// Counts what one request was charged. The series appear with their first count.
    pub fn spent(&self, tokens: Tokens, by_upstream: bool) {
        let told = if by_upstream { "yes" } else { "no" };
        let kinds = [("prompt", tokens.prompt), ("completion", tokens.completion)];
        for ((kind, n), counter) in kinds.into_iter().zip(&self.tokens[usize::from(by_upstream)]) {
            if n > 0 {
                let labels =
                    || [("route", self.route.to_string()), ("kind", kind.into()), ("told", told.into())];
                counter.get_or_init(|| metrics::counter!(TOKENS, &labels())).increment(n);
            }
        }
    }

    /// Counts one head of an answer.
    pub fn first_byte(&self, wait_us: u64) {
        self.first_byte_seconds.record(wait_us as f64 / 1e6);
    }

    /// Counts one refusal. The series appears with its first count.
    pub fn rejected(&self, reject: &Reject) {
        let code = reject.code();
        let known = |(seen, counter): &(&str, Counter)| (*seen == code).then(|| counter.increment(1));
        if self.rejects.read().iter().find_map(known).is_some() {
            return;
        }
        let mut rejects = self.rejects.write();
        if rejects.iter().find_map(known).is_none() {
            let labels = [("route", self.route.to_string()), ("reason", code.to_owned())];
            let counter = metrics::counter!(REJECTS, &labels);
            counter.increment(1);
            rejects.push((code, counter));
        }
    }

    /// Counts one call of gRPC. The series appears with its first count.
    pub fn called(&self, status: u8) {
        let Some(counter) = self.grpc_calls.get(usize::from(status)) else { return };
        let labels = || [("route", self.route.to_string()), ("grpc_status", status.to_string())];
        counter.get_or_init(|| metrics::counter!(GRPC_CALLS, &labels())).increment(1);
    }

    /// Counts one failure of an upstream. The series appears with its first count.
    pub fn upstream_failed(&self, error: UpstreamError) {
        let labels = || [("route", self.route.to_string()), ("kind", error.name().to_owned())];
        self.upstream_errors[error as usize]
            .get_or_init(|| metrics::counter!(UPSTREAM_ERRORS, &labels()))
            .increment(1);
    }
}

/// How an upstream failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamError {
    /// No TCP connection.
    Connect,
    /// No TLS session, or a certificate that is not to be trusted.
    Tls,
    /// Closed or broken before the head of an answer.
    Reset,
    /// No head in time.
    Timeout,
    /// Broke off, or fell silent, after the head.
    Cut,
    /// No connection, because this machine has no port or file descriptor left.
    Local,
}

impl UpstreamError {
    const ALL: [UpstreamError; 6] =
        [Self::Connect, Self::Tls, Self::Reset, Self::Timeout, Self::Cut, Self::Local];

    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Reset => "reset",
            Self::Timeout => "timeout",
            Self::Cut => "cut",
            Self::Local => "local",
        }
    }
}

/// From OK to UNAUTHENTICATED.
const GRPC_STATUSES: usize = 17;

/// Values of the label `status_class`.
pub(super) const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Index of a status among them.
pub(super) fn class_of(status: u16) -> usize {
    usize::from(status / 100).clamp(1, 5) - 1
}
