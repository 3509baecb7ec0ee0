//! What is kept elsewhere, and written down just before a scrape.

use super::{
    CERT_FAILURES, CERT_RELOADS, FAILING_PAIRS, LIMIT_CELLS, LIMIT_TENANTS, POLICY_FAILURES, POLICY_PROBLEMS,
    POLICY_RELOADS, POLICY_VERSION, REPLAY_SIGNATURES, STATE_AGE, STATE_FAILURES,
};
use std::time::Duration;

/// Writes down the state of the policy and its levels.
pub fn set_policy(status: &crate::policy::Status, gauges: &crate::limit::Gauges) {
    metrics::gauge!(POLICY_VERSION).set(status.version as f64);
    metrics::counter!(POLICY_RELOADS).absolute(status.reloads);
    metrics::counter!(POLICY_FAILURES).absolute(status.failures);
    metrics::gauge!(POLICY_PROBLEMS).set(status.problems.len() as f64);
    metrics::gauge!(LIMIT_TENANTS).set(gauges.tenants as f64);
    metrics::gauge!(LIMIT_CELLS).set(gauges.users as f64);
}

/// Writes down how the saves of budgets go.
pub fn set_saves(failures: u64, age: Duration) {
    metrics::counter!(STATE_FAILURES).absolute(failures);
    metrics::gauge!(STATE_AGE).set(age.as_secs_f64());
}

/// Writes down how much is remembered of credentials.
pub fn set_credentials(held: &crate::auth::Held) {
    metrics::gauge!(REPLAY_SIGNATURES).set(held.signatures as f64);
    metrics::gauge!(FAILING_PAIRS).set(held.failing as f64);
}

/// Writes down the state of the certificates.
pub fn set_certificates(reloads: u64, failures: u64) {
    metrics::counter!(CERT_RELOADS).absolute(reloads);
    metrics::counter!(CERT_FAILURES).absolute(failures);
}
