//! What is counted of listeners and connections, and of what belongs to no route.

use super::{
    BUFFERED_BYTES, CONNECTIONS, CONNECTIONS_REFUSED, CONNECTIONS_TOTAL, FRAMING, HANDSHAKE_FAILURES,
    LOG_DROPPED, RouteMetrics, StreamMetrics,
};
use metrics::{Counter, Gauge};
use std::sync::Arc;

/// Handles of what belongs to no route.
pub struct ServerMetrics {
    /// Closed at accept: all connections together.
    pub refused_max: Counter,
    /// Closed at accept: this address alone.
    pub refused_per_address: Counter,
    /// Failed or slow TLS handshakes.
    pub handshake_failures: Counter,
    /// Requests that no route takes.
    pub no_route: RouteMetrics,
    /// Connections that no stream takes.
    pub no_stream: StreamMetrics,
}

impl Default for ServerMetrics {
    fn default() -> ServerMetrics {
        ServerMetrics {
            refused_max: metrics::counter!(CONNECTIONS_REFUSED, "reason" => "max"),
            refused_per_address: metrics::counter!(CONNECTIONS_REFUSED, "reason" => "per_address"),
            handshake_failures: metrics::counter!(HANDSHAKE_FAILURES),
            no_route: RouteMetrics::new(&Arc::from("-")),
            no_stream: StreamMetrics::new(&Arc::from("-")),
        }
    }
}

/// Handles of one listener.
pub struct ListenerMetrics {
    /// Open connections.
    pub open: Gauge,
    /// Connections accepted.
    pub accepted: Counter,
}

impl ListenerMetrics {
    /// Resolves the handles of the listener with this name.
    pub fn new(name: &str) -> ListenerMetrics {
        ListenerMetrics {
            open: metrics::gauge!(CONNECTIONS, "listener" => name.to_owned()),
            accepted: metrics::counter!(CONNECTIONS_TOTAL, "listener" => name.to_owned()),
        }
    }
}

/// Counts a head or body that was refused before it was parsed. Looked up by name: such a connection is
/// closed, so that its price is a handshake, not a look-up.
pub fn framing_violation(code: &'static str) {
    metrics::counter!(FRAMING, "code" => code).increment(1);
}

/// Counts access-log lines that were lost.
pub fn access_log_dropped(lines: u64) {
    metrics::counter!(LOG_DROPPED).increment(lines);
}

/// Body bytes held while their signatures are checked.
pub fn buffered_bytes() -> Gauge {
    metrics::gauge!(BUFFERED_BYTES)
}
