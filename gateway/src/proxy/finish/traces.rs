//! What an exchange leaves behind: counts, and a line in the access log.

use super::Exchange;
use crate::observe::line::Line;
use crate::observe::tenants::Ended;

impl Exchange {
    pub(super) fn count(&self, duration_us: u64) {
        let metrics = self.metrics();
        metrics.finished(self.status, duration_us);
        if self.bytes_in > 0 {
            metrics.request_bytes.increment(self.bytes_in);
        }
        if self.bytes_out > 0 {
            metrics.answer_bytes.increment(self.bytes_out);
        }
        if self.outcome == "cancelled" {
            metrics.cancelled.increment(1);
        }
        if let Some(status) = self.grpc_status {
            metrics.called(status);
        }
        if let Some(version) = &self.version {
            version.finished(self.status);
        }
        if let Some(cost) = self.cost {
            metrics.spent(cost.tokens, cost.by_upstream);
        }
        if self.route.is_some() {
            metrics.in_flight.decrement(1.0);
        }
        if let Some(activity) = &self.activity {
            let ended = Ended {
                status: self.status,
                failed: self.status >= 500 || self.outcome == "cut",
                duration_us,
                first_token_us: self.first_token_us,
                tokens: self.cost.map(|cost| cost.tokens).unwrap_or_default(),
            };
            activity.ended(ended, (self.began.mono_us + duration_us) / 1_000_000);
        }
    }

    pub(super) fn log(&self, duration_us: u64) {
        let worker = &self.connection.worker;
        worker.log.borrow_mut().write(&Line {
            time: worker.stamp.borrow_mut().of(self.began.wall_ms),
            request_id: self.id.as_str(),
            listener: &self.connection.listener.name,
            peer: self.address,
            protocol: if self.connection.http2 { "h2" } else { "h1" },
            method: self.method.as_str(),
            path: &self.path,
            route: self.route().map(|route| &*route.name),
            tenant: self.caller().map(|caller| &**caller.tenant_name()),
            user: self.caller().map(|caller| &*caller.user_name),
            status: self.status,
            grpc_status: self.grpc_status,
            outcome: self.outcome,
            detail: self.detail.as_deref(),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            duration_us,
            queued_us: self.queued_us,
            first_byte_us: self.first_byte_us,
            backend: self.backend.as_ref().map(|backend| &*backend.address),
            attempts: Some(self.attempts).filter(|attempts| *attempts > 1),
            fallback: self.fallback().map(|fallback| &*fallback.name),
            version: self.version.as_ref().map(|version| &*version.name),
            model: self.usage.as_ref().map(|usage| usage.model()),
            tokens: self.cost.map(|cost| cost.tokens),
            policy: self.policy.version,
        });
    }
}
