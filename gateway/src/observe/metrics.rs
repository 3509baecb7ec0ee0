//! The table of metrics, and the handles that the data plane holds.
//!
//! A handle is resolved when policy is compiled, never looked up by a request. Label values come from
//! policy names and closed enums, so that no caller can make a series.

mod pool;
mod route;
mod server;
mod state;
mod stream;

pub use self::pool::{VersionMetrics, queue_wait, upstream_connects};
pub use self::route::{RouteMetrics, UpstreamError};
pub use self::server::{
    ListenerMetrics, ServerMetrics, access_log_dropped, buffered_bytes, framing_violation,
};
pub use self::state::{set_certificates, set_credentials, set_policy, set_saves};
pub use self::stream::{StreamMetrics, TenantStreamMetrics};

use super::limits::LABELS as LIMIT_LABELS;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// `gateway_<what>_<base unit>[_total]`.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// Label names.
    pub labels: &'static [&'static str],
    /// What it says, for `# HELP` and the documents.
    pub help: &'static str,
}

/// What a metric does over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

const REQUEST_SECONDS: &str = "gateway_request_duration_seconds";
const FIRST_BYTE_SECONDS: &str = "gateway_upstream_first_byte_seconds";
const REQUEST_BYTES: &str = "gateway_request_body_bytes_total";
const ANSWER_BYTES: &str = "gateway_answer_body_bytes_total";
const TOKENS: &str = "gateway_model_tokens_total";
const IN_FLIGHT: &str = "gateway_requests_in_flight";
pub(super) const TENANT_REQUESTS: &str = "gateway_tenant_requests_total";
pub(super) const TENANT_SECONDS: &str = "gateway_tenant_request_duration_seconds";
pub(super) const TENANT_FIRST_TOKEN: &str = "gateway_tenant_first_token_seconds";
pub(super) const TENANT_FAILURES: &str = "gateway_tenant_failures_total";
pub(super) const TENANT_TOKENS: &str = "gateway_tenant_model_tokens_total";
pub(super) const TENANT_IN_FLIGHT: &str = "gateway_tenant_requests_in_flight";
const CANCELLED: &str = "gateway_requests_cancelled_total";
const GRPC_CALLS: &str = "gateway_grpc_calls_total";
const REJECTS: &str = "gateway_rejects_total";
const UPSTREAM_ERRORS: &str = "gateway_upstream_errors_total";
pub(super) const RETRIES: &str = "gateway_retries_total";
pub(super) const FALLBACKS: &str = "gateway_fallbacks_total";
pub(super) const RETRY_BUDGET: &str = "gateway_retry_budget_exhausted_total";
const VERSION_REQUESTS: &str = "gateway_version_requests_total";
const UPSTREAM_CONNECTS: &str = "gateway_upstream_connects_total";
pub(super) const BACKEND_UP: &str = "gateway_upstream_backend_up";
pub(super) const EJECTIONS: &str = "gateway_upstream_ejections_total";
pub(super) const EJECTIONS_KEPT: &str = "gateway_upstream_ejections_kept_total";
pub(super) const PROBE_FAILURES: &str = "gateway_upstream_probe_failures_total";
pub(super) const DISCOVERY_BACKENDS: &str = "gateway_discovery_backends";
pub(super) const DISCOVERY_AGE: &str = "gateway_discovery_age_seconds";
pub(super) const DISCOVERY_FAILURES: &str = "gateway_discovery_failures_total";
pub(super) const DISCOVERY_REFUSED: &str = "gateway_discovery_refused_addresses";
pub(super) const PANIC: &str = "gateway_upstream_panic";
const CONNECTIONS: &str = "gateway_connections";
const CONNECTIONS_TOTAL: &str = "gateway_connections_total";
const CONNECTIONS_REFUSED: &str = "gateway_connections_refused_total";
const HANDSHAKE_FAILURES: &str = "gateway_tls_handshake_failures_total";
const FRAMING: &str = "gateway_framing_violations_total";
const POLICY_VERSION: &str = "gateway_policy_version";
const POLICY_RELOADS: &str = "gateway_policy_reloads_total";
const POLICY_FAILURES: &str = "gateway_policy_reload_failures_total";
const POLICY_PROBLEMS: &str = "gateway_policy_problems";
const CERT_RELOADS: &str = "gateway_certificate_reloads_total";
const CERT_FAILURES: &str = "gateway_certificate_reload_failures_total";
const LOG_DROPPED: &str = "gateway_access_log_lines_dropped_total";
const BUFFERED_BYTES: &str = "gateway_buffered_body_bytes";
const REPLAY_SIGNATURES: &str = "gateway_auth_signatures";
const FAILING_PAIRS: &str = "gateway_auth_failing_pairs";
pub(super) const IAM_CALLS: &str = "gateway_iam_calls_total";
pub(super) const IAM_TOKENS: &str = "gateway_iam_token_lookups_total";
pub(super) const IAM_TOKENS_KNOWN: &str = "gateway_iam_tokens_known";
pub(super) const IAM_TOKEN_ISSUED: &str = "gateway_iam_token_issued_timestamp_seconds";
pub(super) const IAM_TOKEN_END: &str = "gateway_iam_token_end_timestamp_seconds";
const STATE_FAILURES: &str = "gateway_state_save_failures_total";
const STATE_AGE: &str = "gateway_state_save_age_seconds";
const STREAM_CONNECTIONS: &str = "gateway_stream_connections";
const STREAM_SECONDS: &str = "gateway_stream_duration_seconds";
const STREAM_ENDED: &str = "gateway_stream_ended_total";
const STREAM_BYTES: &str = "gateway_stream_bytes_total";
pub(super) const QUEUE_WAITING: &str = "gateway_queue_waiting";
pub(super) const QUEUE_IN_FLIGHT: &str = "gateway_queue_in_flight";
pub(super) const QUEUE_IN_FLIGHT_MAX: &str = "gateway_queue_in_flight_max";
pub(super) const QUEUE_TOKENS: &str = "gateway_queue_tokens";
pub(super) const QUEUE_LET_IN: &str = "gateway_queue_let_in_total";
pub(super) const QUEUE_REFUSED: &str = "gateway_queue_refused_total";
const QUEUE_WAIT_SECONDS: &str = "gateway_queue_wait_seconds";
const LIMIT_TENANTS: &str = "gateway_limit_tenants";
const LIMIT_CELLS: &str = "gateway_limit_cells";
pub(super) const LIMIT_USED: &str = "gateway_limit_used";
pub(super) const LIMIT_HELD: &str = "gateway_limit_held";
pub(super) const LIMIT_REMAINING: &str = "gateway_limit_remaining";
pub(super) const LIMIT_DEBT: &str = "gateway_limit_debt";
pub(super) const LIMIT_REFUSED: &str = "gateway_limit_refused_total";
pub(super) const LIMIT_WOULD_REFUSE: &str = "gateway_limit_would_refuse_total";
pub(super) const LIMIT_OVERSHOOT: &str = "gateway_limit_overshoot_total";

/// Everything the gateway exports.
#[rustfmt::skip] // one metric a row
pub const METRICS: &[Metric] = &[
    histogram(REQUEST_SECONDS,     &["route", "status_class"], "First byte in to last byte out; `_count` counts requests."),
    histogram(FIRST_BYTE_SECONDS,  &["route"],                 "Request sent to the head of the answer received."),
    counter  (REQUEST_BYTES,       &["route"],                 "Body bytes read from callers."),
    counter  (ANSWER_BYTES,        &["route"],                 "Body bytes written to callers."),
    counter  (TOKENS,              &["route", "kind", "told"], "Model tokens charged: `kind` prompt or completion; `told` by the upstream, or counted here (`no`)."),
    gauge    (IN_FLIGHT,           &["route"],                 "Requests between head and last byte."),
    counter  (CANCELLED,           &["route"],                 "Callers who left before their answer ended."),
    counter  (GRPC_CALLS,          &["route", "grpc_status"],  "Calls of gRPC by how they went, refusals included; all other metrics count what a status stands for in HTTP (14 as 503)."),
    counter  (REJECTS,             &["route", "reason"],       "Refused here; `reason` is `Reject::code`. Requests that no route takes count as route `-`."),
    counter  (UPSTREAM_ERRORS,     &["route", "kind"],         "Upstream failures: connect, tls, reset, timeout, cut (after the head), local (this machine can open no more connections)."),
    counter  (RETRIES,             &["route", "reason", "outcome"], "Further attempts at the same pool: ok, failed; or not made: no_budget, no_backend. `reason` is what the one before came to."),
    counter  (FALLBACKS,           &["route", "reason", "outcome"], "Requests that went to the fallback of their route: ok, failed; or did not: no_backend."),
    counter  (RETRY_BUDGET,        &["pool"],                  "Further attempts that were not made, because the pool's budget for them was spent."),
    counter  (TENANT_REQUESTS,     &["route", "tenant", "status_class"], "Requests of a tenant on a route. At most 1,000 pairs of the two have series of their own; all others are tenant `other`."),
    histogram(TENANT_SECONDS,      &["route", "tenant"],       "First byte in to last byte out."),
    histogram(TENANT_FIRST_TOKEN,  &["route", "tenant"],       "First byte in to the first part of the answer's body, on routes to models."),
    counter  (TENANT_FAILURES,     &["route", "tenant"],       "Answers with 5xx, and those that broke off."),
    counter  (TENANT_TOKENS,       &["route", "tenant", "kind"], "Model tokens charged: `kind` prompt or completion."),
    gauge    (TENANT_IN_FLIGHT,    &["route", "tenant"],       "Requests between head and last byte."),
    counter  (UPSTREAM_CONNECTS,   &["pool"],                  "New connections to a pool's backends."),
    gauge    (BACKEND_UP,          &["pool", "backend"],       "1: it gets requests; 0: it does not, by its probes, or because it is ejected, or new and not ready yet."),
    counter  (EJECTIONS,           &["pool", "backend", "reason"], "Backends taken out because requests to them failed: consecutive, error_rate. Of all pools with this backend."),
    counter  (EJECTIONS_KEPT,      &["pool", "backend"],       "Ejections that did not happen because of `keep`."),
    counter  (PROBE_FAILURES,      &["pool", "backend", "reason"], "Probes that failed: connect, tls, timeout, broken, status, body. Of all pools with this backend."),
    gauge    (DISCOVERY_BACKENDS,  &["pool", "source"],        "Backends that a source (DNS, SRV, file, ModelArts service) named last."),
    gauge    (DISCOVERY_AGE,       &["pool", "source"],        "How long ago a source was last heard to name them; absent: not yet. Above a few minutes, somebody should look."),
    counter  (DISCOVERY_FAILURES,  &["pool", "source"],        "Answers of a source that were missing or could not be used; the last good set stayed."),
    gauge    (DISCOVERY_REFUSED,   &["pool", "source"],        "Addresses in its last answer that `networks` does not let in."),
    gauge    (PANIC,               &["pool"],                  "1: so few backends are well that all are used."),
    counter  (VERSION_REQUESTS,    &["pool", "version", "status_class"], "Requests that went to a version of a pool, by the status their callers got."),
    gauge    (CONNECTIONS,         &["listener"],              "Open connections."),
    counter  (CONNECTIONS_TOTAL,   &["listener"],              "Connections accepted."),
    counter  (CONNECTIONS_REFUSED, &["reason"],                "Connections closed at accept: `max` or `per_address`."),
    counter  (HANDSHAKE_FAILURES,  &[],                        "TLS handshakes that failed or took too long."),
    counter  (FRAMING,             &["code"],                  "HTTP/1 heads and bodies refused before they were parsed."),
    gauge    (STREAM_CONNECTIONS,  &["stream", "tenant"],      "Open connections of plain TCP that were let in; tenant `-` where anybody is."),
    histogram(STREAM_SECONDS,      &["stream"],                "From accepted to ended; `_count` counts connections."),
    counter  (STREAM_ENDED,        &["stream", "outcome"],     "How connections of plain TCP ended or were refused, as in the access log. Those of a listener without a stream count as stream `-`."),
    counter  (STREAM_BYTES,        &["stream", "tenant", "direction"], "Bytes written: `in` to backends, `out` to callers."),
    gauge    (POLICY_VERSION,      &[],                        "Version of the policy in force."),
    counter  (POLICY_RELOADS,      &[],                        "Policies that took effect after the first."),
    counter  (POLICY_FAILURES,     &[],                        "Policies refused; traffic kept the one before."),
    gauge    (POLICY_PROBLEMS,     &[],                        "Problems in the files on disk; 0 when they are in force."),
    counter  (CERT_RELOADS,        &[],                        "Certificate sets that took effect after the first."),
    counter  (CERT_FAILURES,       &[],                        "Certificate sets refused; handshakes kept the ones before."),
    counter  (LOG_DROPPED,         &[],                        "Access-log lines lost because their sink stood still."),
    gauge    (BUFFERED_BYTES,      &[],                        "Bytes of request bodies that are held whole: signed ones, those for models, those that wait or may be sent again."),
    gauge    (REPLAY_SIGNATURES,   &[],                        "Signatures remembered, so that none is accepted twice."),
    gauge    (FAILING_PAIRS,       &[],                        "Pairs of credential and address with failures that still count."),
    counter  (IAM_CALLS,           &["call", "outcome"],       "Calls of IAM: `call` issue or check; `outcome` ok, refused, limited, failed, unreachable, timeout, malformed; held or no_token: not made."),
    counter  (IAM_TOKENS,          &["result"],                "Look-ups of callers' IAM tokens: hit, stale (IAM does not answer), negative, miss."),
    gauge    (IAM_TOKENS_KNOWN,    &[],                        "Callers' IAM tokens that are remembered."),
    gauge    (IAM_TOKEN_ISSUED,    &["source"],                "When the gateway got its own IAM token; `source` is the pool it is for, or `iam`."),
    gauge    (IAM_TOKEN_END,       &["source"],                "When that token ends."),
    counter  (STATE_FAILURES,      &[],                        "Saves of budgets that failed; what they were to save is saved with the next."),
    gauge    (STATE_AGE,           &[],                        "How long ago all that was spent of budgets was on the disk; below 1 when all is well."),
    gauge    (QUEUE_WAITING,       &["pool", "class"],         "Requests that wait for their turn before a pool with a queue."),
    gauge    (QUEUE_IN_FLIGHT,     &["pool"],                  "Requests in such a pool."),
    gauge    (QUEUE_IN_FLIGHT_MAX, &["pool"],                  "Most at once as of now: by policy, or what the upstream has shown to take; absent: any number."),
    gauge    (QUEUE_TOKENS,        &["pool"],                  "Tokens of the requests in it, their answers as expected."),
    counter  (QUEUE_LET_IN,        &["pool"],                  "Requests let in, at once or after a wait."),
    counter  (QUEUE_REFUSED,       &["pool", "reason"],        "Requests refused: queue_full, displaced, hopeless, timed_out."),
    histogram(QUEUE_WAIT_SECONDS,  &["pool", "class"],         "How long requests waited that did not go at once, whatever came of it."),
    gauge    (LIMIT_TENANTS,       &[],                        "Tenants with levels in memory."),
    gauge    (LIMIT_CELLS,         &[],                        "User and tenant+route levels in memory."),
    gauge    (LIMIT_USED,          LIMIT_LABELS,               "What counts against a limit now, holds included, over all it counts separately; in `unit`, money in units of its currency."),
    gauge    (LIMIT_HELD,          LIMIT_LABELS,               "The part of it that requests hold whose cost is not known yet."),
    gauge    (LIMIT_REMAINING,     LIMIT_LABELS,               "What is left, over all that have used it."),
    gauge    (LIMIT_DEBT,          LIMIT_LABELS,               "What was spent beyond the limit, and is to be paid before the next admission."),
    counter  (LIMIT_REFUSED,       LIMIT_LABELS,               "Requests it refused."),
    counter  (LIMIT_WOULD_REFUSE,  LIMIT_LABELS,               "Requests it would have refused, were it not a shadow."),
    counter  (LIMIT_OVERSHOOT,     LIMIT_LABELS,               "What requests cost beyond what was held for them, in `unit`."),
];

const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram, labels, help }
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help }
}

/// Upper bounds of the duration histograms, in seconds: 100 us to 10 min, for models that think.
const SECONDS: &[f64] = &[
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0, 60.0, 120.0, 300.0, 600.0,
];

/// Installs the recorder behind all handles. Once per process, before anything takes a handle.
///
/// # Errors
/// If a recorder is installed already.
pub fn install() -> Result<PrometheusHandle, String> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|e| format!("metrics: {e}"))?;
    for metric in METRICS {
        match metric.kind {
            Kind::Counter => metrics::describe_counter!(metric.name, metric.help),
            Kind::Gauge => metrics::describe_gauge!(metric.name, metric.help),
            Kind::Histogram => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
    Ok(handle)
}

/// The table for people: `pangu-gateway metrics`.
pub fn table() -> String {
    use std::fmt::Write;
    let mut text = String::new();
    for m in METRICS {
        let kind = match m.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = writeln!(text, "{:<44} {kind:<9} {{{}}}\n    {}", m.name, m.labels.join(","), m.help);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rule_and_are_spelled_once() {
        let mut seen = std::collections::HashSet::new();
        for metric in METRICS {
            assert!(metric.name.starts_with("gateway_"), "{}", metric.name);
            assert_eq!(metric.kind == Kind::Counter, metric.name.ends_with("_total"), "{}", metric.name);
            assert!(seen.insert(metric.name), "{} stands twice", metric.name);
            assert!(table().contains(metric.name));
        }
    }
}
