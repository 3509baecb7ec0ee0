//! Pools: backends that can be built, with the files and secrets they need.

use super::{Check, Index, Pool, good, versions};
use crate::policy::problem::Located;
use crate::policy::spec;
use crate::upstream::{Backend, BackendSpec, ClientIdentity};
use std::sync::Arc;

impl Check<'_> {
    /// None only if there are problems.
    pub(super) fn pool(&self, pool: spec::Pool, tenants: &Index) -> Option<Pool> {
        let name = pool.name.value;
        let path = format!("pools.{name}");
        let split = self.split(&name, &pool.versions, pool.split, tenants);
        let ca_pem = match pool.ca_file {
            Some(file) => Some(self.authorities(&file.value, file.place, format!("{path}.tls.ca"))?),
            None => None,
        };
        let client = pool.client.map(|files| self.client(&files, &name));
        let credential = match pool.credential {
            Some(shown) => self.shown(shown, &format!("{path}.credential")),
            None => Some(Arc::default()),
        };
        let discovers = self.discovers(&name, pool.discovers);
        let trust = Trust { ca_pem, client: good(client)? };
        let backends = pool.backends.into_iter();
        let backends = backends.map(|(spec, weight)| (self.backend(spec, &trust, &path), weight));
        let backends: Vec<(BackendSpec, u32)> = backends.collect();
        Some(Pool {
            versions: versions::of(pool.versions, backends.len()),
            discovers: discovers?,
            networks: pool.networks,
            tls_only: pool.tls_only,
            split: split?,
            balance: pool.balance,
            name,
            backends,
            connect_timeout: pool.connect_timeout,
            queue: pool.queue,
            credential: credential?,
            health: pool.health,
        })
    }

    /// Built once to be sure that it can be; the registry builds the one that is used.
    fn backend(&self, backend: Located<BackendSpec>, trust: &Trust, pool: &str) -> BackendSpec {
        let Located { value: mut spec, place } = backend;
        if let Some(tls) = &mut spec.tls {
            tls.ca_pem.clone_from(&trust.ca_pem);
            tls.client.clone_from(&trust.client);
        }
        if let Err(what) = Backend::new(spec.clone()) {
            self.problems.add(place, format!("{pool}.backends"), what, "check `url` and `tls`");
        }
        spec
    }
}

/// What all backends of a pool have in common when they speak TLS.
struct Trust {
    ca_pem: Option<Arc<[u8]>>,
    client: Option<ClientIdentity>,
}
