//! `/queues`: where the gates before pools stand, and who fills them.

use crate::fair::{State, TenantKey};
use crate::policy::{Snapshot, Store};
use crate::proxy::ANYBODY;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;

/// Tenants shown of each pool: those that use most of it.
const TENANTS_MAX: usize = 20;

/// One gate.
#[derive(Debug, Serialize)]
pub struct Queue {
    /// Name of the pool.
    pub pool: Arc<str>,
    /// Tenants by name: `(anybody)` are the callers of routes with `auth: none`; `(gone)` is a tenant that is no longer in
    /// policy and still has requests here.
    #[serde(flatten)]
    pub state: State<Arc<str>>,
}

/// All gates, by the names of their pools.
pub fn queues(policy: &Store, now_us: u64) -> Vec<Queue> {
    let gates = policy.live().gates.all();
    let snapshot = policy.current();
    let names = if gates.is_empty() { HashMap::default() } else { names(&snapshot) };
    let name = |key: TenantKey| match names.get(&key) {
        Some(name) => Arc::clone(name),
        None if key == ANYBODY => "(anybody)".into(),
        None => "(gone)".into(),
    };
    let gates = gates.into_iter();
    gates.map(|(pool, gate)| Queue { pool, state: gate.state(TENANTS_MAX, now_us).named(name) }).collect()
}

fn names(policy: &Snapshot) -> HashMap<TenantKey, &Arc<str>, ahash::RandomState> {
    policy.callers.iter().map(|caller| (caller.tenant_key(), caller.tenant_name())).collect()
}
