//! 4. Where to? Pools of backends, and the connections each worker keeps to them.
//!
//! Asked by [`proxy::forward`](crate::proxy) once the request is admitted. A [`Backend`] is shared by
//! all snapshots that name it, so that a reload keeps its connections; [`connect`] opens new ones, [`http1`] and [`http2`]
//! speak on them, [`idle`] and [`http2::Sessions`] keep them, one set per worker, so that nothing on the walk takes a lock.
//! [`health`] knows which backends are to be had, from what [`probe`] finds and from how requests go; [`watch`] is
//! what a pool makes of that.
//!
//! Who the backends are says policy, or [`discover`] finds it out.
//!
//! When a request may go to a second one says [`retry`], how often [`budget`].
//!
//! *Not here.* Which headers go upstream and what a failure means for the caller (`proxy`, `reject`).

mod balance;
pub mod budget;
mod call;
mod client;
mod connect;
mod credential;
pub mod discover;
pub mod health;
pub mod http1;
pub mod http2;
mod idle;
mod load;
mod members;
pub mod networks;
mod probe;
mod raw;
pub mod retry;
mod ring;
mod select;
mod socket;
mod split;
mod subject;
mod watch;

pub use balance::Balance;
pub use call::{Call, Error, Line};
pub use client::ClientIdentity;
pub use connect::{ConnectError, Trust, dial};
pub use credential::{AkSk, Credential, Outgoing, SignedBody};
pub use health::Health;
pub use http1::Link;
pub use idle::Idle;
pub use load::{Flight, Load};
pub use probe::{Failure as ProbeFailure, probe};
pub use raw::{dial_raw, reset_on_close};
pub use select::{Keys, Pick, Picked, Pool, PoolSpec, VersionSpec};
pub use socket::{RawSocket, Socket};
pub use split::{Rule, Split, When};
pub use subject::{Asker, Digest, Subject};
pub use watch::{BackendState, Mode, PoolState, seen_by_workers};

use http::{HeaderValue, uri::Authority};
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// What makes two backends the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BackendSpec {
    /// Host as written: a name or an address, without brackets.
    pub host: Arc<str>,
    /// The one of the name's addresses that this backend is; `None`: the host is an address itself, or is looked up with
    /// each connection.
    pub ip: Option<IpAddr>,
    /// TCP port.
    pub port: u16,
    /// Put before every request path: empty, or `/x` without a slash at the end.
    pub base_path: Arc<str>,
    /// How to know that it is the right one; `None`: plain HTTP.
    pub tls: Option<TlsSpec>,
    /// What it speaks.
    pub protocol: Protocol,
}

/// What a backend speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Protocol {
    /// HTTP/1.1: a connection for each request at a time.
    #[default]
    Http1,
    /// HTTP/2 from the first byte: by ALPN over TLS, known beforehand in clear.
    Http2,
}

/// How to know that a backend is the right one. Verification cannot be turned off.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TlsSpec {
    /// The only authorities to trust, as PEM; `None`: those of the machine. Part of the identity, so that
    /// another CA never meets a warm connection.
    pub ca_pem: Option<Arc<[u8]>>,
    /// Name that the certificate must carry.
    pub name: Arc<str>,
    /// The gateway's own certificate. Part of the identity as well: a connection belongs to who opened it.
    pub client: Option<ClientIdentity>,
}

/// One upstream address.
pub struct Backend {
    /// Unique for the life of the process: the key of each worker's idle connections.
    pub id: u64,
    /// What was configured.
    pub spec: BackendSpec,
    /// `host:port`, for `Host`.
    pub host_header: HeaderValue,
    /// `host:port`, for logs; `host@address:port` if it is one of the host's addresses.
    pub address: Arc<str>,
    /// Whether it is to be had, shared by all pools and snapshots that name it.
    pub health: Health,
    /// What it has to do, and how soon it answers.
    pub load: Load,
    tls: Option<(Trust, ServerName<'static>)>,
}

impl Backend {
    /// # Errors
    /// One sentence: a name that is none, or authorities that cannot be read.
    pub fn new(spec: BackendSpec) -> Result<Backend, String> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let bracketed =
            if spec.host.contains(':') { format!("[{}]", spec.host) } else { spec.host.to_string() };
        let default_port = if spec.tls.is_some() { 443 } else { 80 };
        let address = format!("{bracketed}:{}", spec.port);
        let host = if spec.port == default_port { &bracketed } else { &address };
        let host: Authority = host.parse().map_err(|_| format!("`{host}` is not a host name"))?;
        let tls = match &spec.tls {
            None => None,
            Some(tls) => {
                let name = ServerName::try_from(tls.name.to_string())
                    .map_err(|_| format!("`{}` is not a name that a certificate can carry", tls.name))?;
                Some((Trust::new(tls.ca_pem.as_deref(), tls.client.as_ref(), spec.protocol)?, name))
            }
        };
        let address = match spec.ip {
            None => address,
            Some(ip) => format!("{}@{}", spec.host, SocketAddr::new(ip, spec.port)),
        };
        Ok(Backend {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            host_header: HeaderValue::from_str(host.as_str()).expect("an authority is a header value"),
            address: address.into(),
            health: Health::default(),
            load: Load::default(),
            spec,
            tls,
        })
    }
}

/// Backends that live across reloads; one per gateway.
#[derive(Default)]
pub struct Registry {
    backends: Mutex<HashMap<BackendSpec, Weak<Backend>>>,
}

impl Registry {
    /// The backend with this spec: the one there is, or a new one.
    ///
    /// # Errors
    /// As [`Backend::new`].
    pub fn backend(&self, spec: BackendSpec) -> Result<Arc<Backend>, String> {
        let mut backends = self.backends.lock();
        if let Some(backend) = backends.get(&spec).and_then(Weak::upgrade) {
            return Ok(backend);
        }
        backends.retain(|_, backend| backend.strong_count() > 0);
        let backend = Arc::new(Backend::new(spec.clone())?);
        backends.insert(spec, Arc::downgrade(&backend));
        Ok(backend)
    }
}

#[cfg(test)]
impl BackendSpec {
    /// HTTP/1.1 without TLS, as most tests want it.
    pub(crate) fn plain(host: &str, port: u16) -> BackendSpec {
        let (base_path, protocol) = ("".into(), Protocol::Http1);
        BackendSpec { host: host.into(), ip: None, port, base_path, tls: None, protocol }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(host: &str, port: u16, tls: Option<TlsSpec>) -> BackendSpec {
        BackendSpec { tls, ..BackendSpec::plain(host, port) }
    }

    #[test]
    fn a_backend_outlives_a_reload_and_goes_when_nobody_names_it() {
        let registry = Registry::default();
        let first = registry.backend(spec("10.0.0.1", 8080, None)).unwrap();
        let again = registry.backend(spec("10.0.0.1", 8080, None)).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let id = first.id;
        drop((first, again));
        assert_ne!(registry.backend(spec("10.0.0.1", 8080, None)).unwrap().id, id);
        assert_eq!(registry.backends.lock().len(), 1);
    }

    #[test]
    fn host_leaves_the_default_port_out() {
        let tls = Some(TlsSpec { ca_pem: None, name: "a.example".into(), client: None });
        assert_eq!(Backend::new(spec("a.example", 443, tls)).unwrap().host_header, "a.example");
        assert_eq!(Backend::new(spec("::1", 8080, None)).unwrap().host_header, "[::1]:8080");
        assert_eq!(Backend::new(spec("a.example", 443, None)).unwrap().host_header, "a.example:443");
    }

    #[test]
    fn verification_cannot_be_lost_by_an_empty_name() {
        let tls = Some(TlsSpec { ca_pem: None, name: "".into(), client: None });
        assert!(Backend::new(spec("a.example", 443, tls)).is_err());
    }

    #[test]
    fn another_authority_is_another_backend() {
        let registry = Registry::default();
        let with = |pem: Option<&str>| {
            let ca_pem = pem.map(|p| Arc::from(p.as_bytes()));
            registry.backend(spec(
                "a.example",
                443,
                Some(TlsSpec { ca_pem, name: "a.example".into(), client: None }),
            ))
        };
        let machine = with(None).unwrap();
        let error = with(Some("not a certificate")).err().unwrap();
        assert!(error.contains("certificate"), "{error}");
        assert!(Arc::ptr_eq(&machine, &with(None).unwrap()));
    }
}
