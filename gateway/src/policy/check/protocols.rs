//! Does a route's pool speak what the route needs?

use super::{Check, Index};
use crate::policy::problem::Located;
use crate::policy::snapshot::Api;
use crate::policy::spec::{Policy, Pool, Route};
use crate::upstream::Protocol;
use std::sync::Arc;

impl Check<'_> {
    /// Calls of gRPC go over HTTP/2, WebSockets over HTTP/1.1, to every pool that may be asked.
    pub(super) fn protocols(&self, policy: &Policy, pools: &Index) {
        for route in &policy.routes {
            let fallback = route.retry.as_ref().and_then(|retry| retry.fallback.as_ref()?.pool.as_ref());
            let path = format!("routes.{}", route.name.value);
            for (name, key) in [(Some(&route.pool), "pool"), (fallback, "retry.fallback.pool")] {
                if let Some(name) = name
                    && let Some(pool) = pools.get(&name.value)
                {
                    self.protocol(route, name, &policy.pools[*pool], format!("{path}.{key}"));
                }
            }
        }
    }

    fn protocol(&self, route: &Route, name: &Located<Arc<str>>, pool: &Pool, path: String) {
        let problem = |what: String, help: &str| self.problems.add(name.place, &path, what, help);
        let name = &name.value;
        if route.websocket.is_some() && pool.protocol == Protocol::Http2 {
            let help = "write `protocol: h1` there, or give the WebSockets a pool of their own";
            problem(format!("pool `{name}` speaks HTTP/2, and WebSockets go over HTTP/1.1"), help);
        }
        if route.api != Api::Grpc {
            return;
        }
        if pool.protocol == Protocol::Http1 {
            let what = format!("pool `{name}` speaks HTTP/1.1, and gRPC goes over HTTP/2");
            problem(what, "write `protocol: h2` there");
        }
        if pool.queue.is_some() {
            let what = format!(
                "pool `{name}` has a queue, before which bodies are read whole: calls could not stream"
            );
            problem(what, "leave `queue` out there, and limit the route or the plans by `concurrent`");
        }
    }
}
