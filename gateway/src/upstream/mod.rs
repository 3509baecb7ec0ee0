//! 4. Where to? (contract)

use std::sync::Arc;

/// One upstream address, shared by all snapshots that name it (pools keep their connections over reloads).
#[derive(Debug)]
pub struct Backend {
    /// Unique for the life of the process: the key of each worker's idle connections.
    pub id: u64,
    pub spec: BackendSpec,
}

/// What makes two backends the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BackendSpec {
    /// `https`?
    pub tls: bool,
    /// Host as written: a name or an address, without brackets.
    pub host: Arc<str>,
    pub port: u16,
    /// Base path put before every request path; empty or `/x` (no slash at the end).
    pub base_path: Arc<str>,
    /// PEM file of the only authorities to trust; None: those of the machine.
    pub ca_file: Option<Arc<std::path::Path>>,
    /// Name the certificate must carry; None: `host`.
    pub tls_name: Option<Arc<str>>,
}

/// A named set of backends.
#[derive(Debug)]
pub struct Pool {
    pub name: Arc<str>,
    /// With weights, 1 to 1000.
    pub backends: Vec<(Arc<Backend>, u32)>,
    pub connect_timeout: std::time::Duration,
}

/// Backends that live across reloads; one per gateway.
#[derive(Default)]
pub struct Registry;

impl Registry {
    /// The backend with this spec: the one there is, or a new one.
    pub fn backend(&self, _spec: BackendSpec) -> Arc<Backend> {
        todo!()
    }
}
