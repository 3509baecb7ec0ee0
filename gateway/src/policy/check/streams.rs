//! Streams: one for each listener, pools that are for bytes, and tenants that can be told apart.

use super::{Check, Firsts, Index};
use crate::policy::problem::Located;
use crate::policy::secret::Missing;
use crate::policy::spec::{self, ClientCert};
use crate::stream::{Admits, Directory, Rules};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub struct Stream {
    pub name: Arc<str>,
    pub listener: Arc<str>,
    /// Index into the pools.
    pub pool: usize,
    pub admits: Admits,
    pub verifier: Option<Arc<dyn ClientCertVerifier>>,
    pub rules: Rules,
    pub idle: Duration,
    pub total: Option<Duration>,
    pub tells: bool,
}

impl Check<'_> {
    pub(super) fn stream(&self, stream: spec::Stream, pools: &Index, specs: &[spec::Pool]) -> Option<Stream> {
        let path = format!("streams.{}", stream.name.value);
        let pool = self.find(format!("{path}.pool"), "pool", &stream.pool, pools);
        if pool.is_some_and(|pool| !specs[pool].raw && !specs[pool].backends.is_empty()) {
            let what = format!("pool `{}` is for HTTP", stream.pool.value);
            let help = "write `tcp://` or `tls://` in the urls of a pool of its own";
            self.problems.add(stream.pool.place, format!("{path}.pool"), what, help);
        }
        let certificate = matches!(stream.admits, Admits::Tenants { certificate: true, .. });
        let verifier = match (&stream.client_ca, certificate) {
            (Some(file), true) => Some(self.verifier(file, &path, stream.admits)?),
            (None, false) => None,
            (None, true) => {
                let help = "write `client_ca: callers.pem`, a PEM file of those who issue them";
                let what = "`client_cert` needs the authorities of callers' certificates";
                self.problems.add(stream.name.place, format!("{path}.auth"), what, help);
                return None;
            }
            (Some(file), false) => {
                let help = "add `client_cert` to `auth`, or leave `client_ca` out";
                let what = "this stream asks for no certificate";
                self.problems.add(file.place, format!("{path}.client_ca"), what, help);
                return None;
            }
        };
        Some(Stream {
            pool: pool?,
            name: stream.name.value,
            listener: stream.listener.value,
            admits: stream.admits,
            verifier,
            rules: stream.rules,
            idle: stream.idle,
            total: stream.total,
            tells: stream.tells,
        })
    }

    fn verifier(
        &self,
        file: &Located<PathBuf>,
        path: &str,
        admits: Admits,
    ) -> Option<Arc<dyn ClientCertVerifier>> {
        let wrong = |Missing { what, help }| {
            self.problems.add(file.place, format!("{path}.client_ca"), what, help);
        };
        let pem = self.secrets.certificates(&file.value, "authorities").map_err(wrong).ok()?;
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(&pem).flatten() {
            if let Err(error) = roots.add(authority) {
                let what =
                    format!("`{}` holds no certificate of an authority: {error}", file.value.display());
                wrong(Missing { what, help: "name a PEM file of authorities".into() });
                return None;
            }
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        // Whoever is known by network need not show one.
        let optional = matches!(admits, Admits::Tenants { network: true, .. });
        let builder = if optional { builder.allow_unauthenticated() } else { builder };
        let unusable = |error| {
            let help = "name a PEM file of authorities".to_string();
            wrong(Missing { what: format!("`{}` cannot be used: {error}", file.value.display()), help });
        };
        builder.build().map_err(unusable).ok()
    }

    /// No pool of bytes is asked for HTTP, no listener has two streams.
    pub(super) fn stream_pools(&self, policy: &spec::Policy, pools: &Index) {
        for route in &policy.routes {
            if pools.get(&route.pool.value).is_some_and(|pool| policy.pools[*pool].raw) {
                self.not_http(&route.pool, format!("routes.{}.pool", route.name.value));
            }
        }
        for route in &policy.routes {
            let fallback = route.retry.as_ref().and_then(|retry| retry.fallback.as_ref()?.pool.as_ref());
            let Some(fallback) = fallback else { continue };
            if pools.get(&fallback.value).is_some_and(|pool| policy.pools[*pool].raw) {
                self.not_http(fallback, format!("routes.{}.retry.fallback.pool", route.name.value));
            }
        }
        let mut listeners: Firsts<&str> = Firsts::new();
        for stream in &policy.streams {
            let path = format!("streams.{}.listener", stream.name.value);
            let place = stream.listener.place;
            if let Some((first, other)) = listeners.insert(&stream.listener.value, (place, path.clone())) {
                let what = format!(
                    "listener `{}` has a stream already, at {}: `{other}`",
                    stream.listener.value,
                    self.at(first)
                );
                self.problems.add(place, path, what, "the bytes of a listener go one way: give each its own");
            }
        }
    }

    fn not_http(&self, pool: &Located<Arc<str>>, path: String) {
        let what = format!("pool `{}` is for streams, not for HTTP", pool.value);
        let help = "write `http://` or `https://` in the urls of a pool of its own";
        self.problems.add(pool.place, path, what, help);
    }

    /// Tenants by certificates and networks, numbered as they are in the policy.
    pub(super) fn directory(&self, tenants: &[spec::Tenant]) -> Directory {
        let mut directory = Directory::default();
        let mut networks = Firsts::new();
        let mut names = Firsts::new();
        let mut fingerprints = Firsts::new();
        for (tenant, ix) in tenants.iter().zip(0..) {
            let path = |key: &str| format!("tenants.{}.{key}", tenant.name.value);
            for Located { value, place } in &tenant.networks {
                self.once(&mut networks, *value, "network", path("networks"), *place);
                directory.networks.insert(*value, ix);
            }
            for Located { value, place } in &tenant.client_certs {
                let path = path("client_certs");
                match value {
                    ClientCert::Name(name) => {
                        self.once(&mut names, name.clone(), "name", path, *place);
                        directory.names.insert(name.clone(), ix);
                    }
                    ClientCert::Sha256(digest) => {
                        self.once(&mut fingerprints, *digest, "certificate", path, *place);
                        directory.fingerprints.insert(*digest, ix);
                    }
                }
            }
        }
        directory
    }
}
