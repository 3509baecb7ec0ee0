//! Who are the backends? What policy does not write down is found out, and found out again.
//!
//! A pool may name a *source*: a ModelArts service, whose API tells the addresses of its instances; SRV records; a file
//! that another program writes. And a backend written as a name has the addresses that DNS gives the name. For each of
//! these there is one [`Feed`], which outlives reloads; it is asked by [`follow`], and a [`Supply`] makes the backends of
//! a pool's version of what its feeds have found.
//!
//! *The last good set stays.* Nothing that goes wrong takes an address away: an answer that cannot be read, none at all, a
//! name that is gone. Only a service that says three times in a row that it has no instances is believed.
//!
//! *Nobody is led astray.* Addresses outside the pool's [`Networks`](super::networks::Networks) are not used, and link-local
//! ones (the metadata service) never.
//!
//! *Costs.* All of it runs on the main thread's runtime. A pick reads what it reads of a pool that is written down.
//!
//! *Not here.* Who of the backends is well ([`health`](super::health)), and which is next ([`select`](super::select)).

mod feed;
mod file;
mod follow;
mod host_endpoints;
mod modelarts;
mod names;
mod pace;
mod service_records;
mod standing;
mod supply;

pub use feed::{Feed, FeedState, Feeds, How};
pub use follow::{Means, follow};
pub use modelarts::ServiceApi;
pub use names::Resolver;
pub use supply::{Part, Supply, backends, seen};

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// Stands for the host in what policy knows of a backend before it is found; a name that nobody can have (RFC 6761).
pub const UNKNOWN_HOST: &str = "discovered.invalid";

/// Backends that one source may name. More are a mistake of somebody's, and refused whole.
const FOUND_MAX: usize = 1_000;

/// Where backends are found out.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// The addresses of this host.
    Name(Arc<str>),
    /// The SRV records of this name.
    Records(Arc<str>),
    /// A list in this file.
    File(PathBuf),
    /// The instances of a ModelArts service.
    Service(Service),
}

/// A ModelArts real-time service.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Service {
    /// Whose API tells: `host:port`.
    pub endpoint: Arc<str>,
    /// The project it belongs to.
    pub project_id: Arc<str>,
    /// Its own id.
    pub id: Arc<str>,
}

impl Source {
    /// What kind of source it is, as policy calls it.
    pub fn kind(&self) -> &'static str {
        match self {
            Source::Name(_) => "dns",
            Source::Records(_) => "srv",
            Source::File(_) => "file",
            Source::Service(_) => "modelarts_service",
        }
    }
}

/// `srv _http._tcp.models.internal`: for logs, metrics and pages.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Source::Name(name) | Source::Records(name) => write!(f, "{kind} {name}"),
            Source::File(path) => write!(f, "{kind} {}", path.display()),
            Source::Service(service) => write!(f, "{kind} {}", service.id),
        }
    }
}

/// A backend that was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Where it is.
    pub ip: IpAddr,
    /// Its port; `None`: the one that is written in the policy.
    pub port: Option<u16>,
    /// What it is called, where that is another name than the one in the policy.
    pub name: Option<Arc<str>>,
    /// Whether it speaks TLS; `None`: as the policy says.
    pub tls: Option<bool>,
    /// Its share of requests, or that of all addresses of its name together.
    pub weight: u32,
    /// So many addresses share the weight.
    pub sharers: u32,
}

impl Found {
    /// One with a weight of its own.
    pub fn at(ip: IpAddr, port: Option<u16>, weight: u32) -> Found {
        Found { ip, port, name: None, tls: None, weight, sharers: 1 }
    }
}

/// The first characters of what somebody else has written, for a message.
fn shown(text: &str) -> String {
    const SHOWN_MAX: usize = 40;
    let printable = |c: char| if c.is_control() { '.' } else { c };
    let mut shown: String = text.chars().map(printable).take(SHOWN_MAX).collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        shown.push_str("...");
    }
    format!("`{shown}`")
}

/// Sorted, each once; a list that is too long is refused.
fn whole(mut found: Vec<Found>) -> Result<Vec<Found>, String> {
    found.sort_unstable();
    found.dedup_by(|a, b| (a.ip, a.port, &a.name) == (b.ip, b.port, &b.name));
    if found.len() > FOUND_MAX {
        return Err(format!("{} backends, which is more than {FOUND_MAX}", found.len()));
    }
    Ok(found)
}
