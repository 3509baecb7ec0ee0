//! `/streams`: who has how many connections of plain TCP open, and how the backends are that they go to.

use crate::policy::Store;
use crate::stream::{Rules, Use};
use crate::upstream::PoolState;
use serde::Serialize;
use std::sync::Arc;

/// Tenants shown of each stream: those with the most connections.
const TENANTS_MAX: usize = 20;

/// One stream.
#[derive(Debug, Serialize)]
pub struct Stream {
    /// Its name.
    pub stream: Arc<str>,
    /// Name of its listener; absent if policy no longer has the stream, and only connections are left of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listener: Option<Arc<str>>,
    /// Connections open now.
    pub connections: u64,
    /// Who has some, the most first; `-` is anybody.
    pub tenants: Vec<Tenant>,
    /// Where new connections go.
    #[serde(flatten)]
    pub pool: Option<PoolState>,
}

/// A tenant on a stream, and what it may use of it; numbers that are not limited are absent.
#[derive(Debug, Serialize)]
pub struct Tenant {
    /// Its name.
    pub tenant: Arc<str>,
    /// Open now.
    pub connections: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    connections_max: Option<u32>,
    /// Begun in each `connects_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    connects_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connects_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_in_per_s_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_out_per_s_max: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_per_s_max: Option<u32>,
}

impl From<Use> for Tenant {
    fn from(of: Use) -> Tenant {
        let Rules { connections, connects, bytes_in, bytes_out, bytes } = of.rules;
        Tenant {
            tenant: of.tenant,
            connections: of.connections,
            connections_max: connections.map(u32::from),
            connects_max: connects.map(|(most, _)| most.get()),
            connects_ms: connects.map(|(_, period)| period.as_millis() as u64),
            bytes_in_per_s_max: bytes_in.map(u32::from),
            bytes_out_per_s_max: bytes_out.map(u32::from),
            bytes_per_s_max: bytes.map(u32::from),
        }
    }
}

/// All streams of the policy in the order of its files, then those that only have connections left.
pub fn streams(policy: &Store, now_ms: u64) -> Vec<Stream> {
    let mut in_use = policy.live().streams.in_use();
    in_use.sort_by(|a, b| b.connections.cmp(&a.connections).then_with(|| a.tenant.cmp(&b.tenant)));
    let snapshot = policy.current();
    let mut shown = Vec::new();
    for stream in &snapshot.streams.all {
        let (of, others) = in_use.into_iter().partition(|of| of.stream == stream.name);
        in_use = others;
        let (listener, pool) = (Some(stream.listener.clone()), Some(stream.pool.state(now_ms)));
        shown.push(page(stream.name.clone(), listener, of, pool));
    }
    while let Some(left) = in_use.first().map(|of| of.stream.clone()) {
        let (of, others) = in_use.into_iter().partition(|of| of.stream == left);
        in_use = others;
        shown.push(page(left, None, of, None));
    }
    shown
}

fn page(stream: Arc<str>, listener: Option<Arc<str>>, of: Vec<Use>, pool: Option<PoolState>) -> Stream {
    let connections = of.iter().map(|of| u64::from(of.connections)).sum();
    let tenants = of.into_iter().take(TENANTS_MAX).map(Tenant::from).collect();
    Stream { stream, listener, connections, tenants, pool }
}
