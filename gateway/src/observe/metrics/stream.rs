//! What is counted of a stream of plain TCP.

use super::{STREAM_BYTES, STREAM_CONNECTIONS, STREAM_ENDED, STREAM_SECONDS};
use metrics::{Counter, Gauge, Histogram};
use std::sync::Arc;

/// The handles of one stream, resolved when its policy is compiled.
pub struct StreamMetrics {
    stream: Arc<str>,
    seconds: Histogram,
}

/// The handles of one tenant's connections on a stream.
pub struct TenantStreamMetrics {
    /// Open connections.
    pub open: Gauge,
    /// Bytes to the backend, and to the caller.
    pub bytes: [Counter; 2],
}

impl StreamMetrics {
    /// Resolves the handles of `stream`; `-` stands for connections that no stream takes.
    pub fn new(stream: &Arc<str>) -> StreamMetrics {
        let seconds = metrics::histogram!(STREAM_SECONDS, "stream" => stream.to_string());
        StreamMetrics { stream: stream.clone(), seconds }
    }

    /// The handles of a tenant; None: of anybody.
    pub fn of_tenant(&self, tenant: Option<&str>) -> TenantStreamMetrics {
        let labels = || [("stream", self.stream.to_string()), ("tenant", tenant.unwrap_or("-").to_owned())];
        let bytes = |direction: &'static str| {
            let [stream, tenant] = labels();
            metrics::counter!(STREAM_BYTES, &[stream, tenant, ("direction", direction.to_owned())])
        };
        TenantStreamMetrics {
            open: metrics::gauge!(STREAM_CONNECTIONS, &labels()),
            bytes: [bytes("in"), bytes("out")],
        }
    }

    /// Counts one connection that has ended. Looked up by name: it is once in the life of a connection.
    pub fn ended(&self, outcome: &'static str, duration_us: u64) {
        self.seconds.record(duration_us as f64 / 1e6);
        metrics::counter!(STREAM_ENDED, "stream" => self.stream.to_string(), "outcome" => outcome)
            .increment(1);
    }
}
