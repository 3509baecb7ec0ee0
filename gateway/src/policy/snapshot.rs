//! The compiled policy: what one request reads, from its first byte to its access-log line.

use crate::auth;
use crate::ids::{CallerId, RouteId};
use crate::limit;
use crate::observe::metrics::RouteMetrics;
use crate::route::Table;
use crate::upstream::Pool;
use std::sync::Arc;
use std::time::Duration;

/// Everything one policy decides; immutable. A request takes one and keeps it to its end.
pub struct Snapshot {
    /// 1 for the policy at start, one more for each that took effect.
    pub version: u64,
    /// First 12 hex digits of the SHA-256 over all policy files: what replicas compare.
    pub digest: Arc<str>,
    /// Wall time when it took effect.
    pub loaded_ms: u64,
    /// Which route takes a request.
    pub table: Table,
    /// Indexed by [`RouteId`].
    pub routes: Vec<Arc<Route>>,
    /// Whose credential is it.
    pub keys: auth::Keyring,
    /// Indexed by [`CallerId`].
    pub callers: Vec<Arc<Caller>>,
    /// Requests per second and address before authentication; 0: no guard.
    pub guard_per_address: u32,
}

impl Snapshot {
    /// The route `find` named.
    pub fn route(&self, id: RouteId) -> &Arc<Route> {
        &self.routes[usize::from(id.0)]
    }

    /// The caller `auth` named.
    pub fn caller(&self, id: CallerId) -> &Arc<Caller> {
        &self.callers[id.0 as usize]
    }
}

/// A match and everything decided for it.
pub struct Route {
    /// As in the files; unique.
    pub name: Arc<str>,
    /// How usage is read and how a refusal looks.
    pub api: Api,
    /// None: anybody may call (`auth: none`).
    pub auth: Option<auth::Rules>,
    /// Who answers.
    pub pool: Arc<Pool>,
    /// Sizes a request may have.
    pub caps: Caps,
    /// How long it waits.
    pub timeouts: Timeouts,
    /// Counts its requests.
    pub metrics: RouteMetrics,
    /// Levels of the limits written at this route.
    pub limits: Arc<limit::Common>,
    /// `x-ratelimit-*` on every answer, not only on refusals.
    pub rate_headers: bool,
    /// Header that tells the upstream the tenant's name; None: not told.
    pub tenant_header: Option<http::HeaderName>,
}

/// How usage is read and how a refusal looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// Pangu large models, V1 shape.
    Pangu,
    /// OpenAI shape: MaaS, Pangu V2, ModelArts LLM services.
    OpenAi,
    /// ModelArts real-time services (`/v1/infers/...`).
    ModelArts,
    /// Anything else: not a model endpoint.
    Plain,
}

/// Sizes a request may have on a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Bytes of body; the lesser of the route's and the plan's counts.
    pub body_max: u64,
    /// Bytes of all header names and values.
    pub head_max: u32,
    /// Header lines.
    pub headers_max: u16,
    /// Bytes of path and query.
    pub target_max: u32,
}

/// How long a route waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Request sent until the answer's head.
    pub first_byte: Duration,
    /// Longest silence of the answer's body.
    pub idle: Duration,
    /// Request head in until answer out.
    pub total: Duration,
    /// Longest time the caller may take nothing off an answer.
    pub write: Duration,
}

/// Who calls: a tenant's user.
pub struct Caller {
    /// As in the files; unique.
    pub tenant_name: Arc<str>,
    /// As in the files; unique within the tenant.
    pub user_name: Arc<str>,
    /// Goes upstream in the route's `tenant_header`.
    pub tenant_value: http::HeaderValue,
    /// The tenant's levels.
    pub tenant: Arc<limit::Tenant>,
    /// The user's place among them.
    pub user: limit::UserIx,
    /// The plan's cap on bodies; `u64::MAX` if it has none.
    pub body_max: u64,
}
