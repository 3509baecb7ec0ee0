//! `pools` as written.

use super::credential::{client, credential};
use super::decode::Entry;
use super::discover::networks;
use super::health::health;
use super::keys;
use super::problem::{Located, quoted};
use super::protocol::protocol;
use super::queue::queue;
use super::sections::DAY;
use super::spec::{Discover, Pool};
use super::{streams, url, versions};
use crate::upstream::BackendSpec;
use crate::upstream::discover::Source;
use std::path::Path;

/// An entry of `pools`; None if something is wrong, which is recorded. Paths count from `dir`.
pub fn pool(entry: &Entry<'_>, dir: &Path) -> Option<Pool> {
    let name = entry.name("name");
    let connect_timeout = entry.duration("connect_timeout", DAY);
    let balance = versions::balance(entry);
    let protocol = protocol(entry);
    let tls = entry.object("tls", &keys::TLS)?;
    let ca_file = tls.text("ca").map(|ca| Located { value: dir.join(ca.value), place: ca.place });
    let client = client(&tls, dir);
    let credential = credential(entry);
    let tls_name = tls_name(&tls);
    let networks = networks(entry);
    let versions::Backends { all: mut backends, discovers, versions, raw } = versions::backends(entry, dir);
    if tls_name.is_none() {
        records_prove_nothing(entry, &backends, &discovers);
    }
    for (spec, _) in &mut backends {
        spec.value.protocol = protocol.unwrap_or_default();
        if let (Some(tls), Some(name)) = (&mut spec.value.tls, tls_name) {
            tls.name = name.into();
        }
    }
    let split = versions::split(entry);
    if entry.has("tls") {
        tls_is_spoken(entry, &backends);
    }
    let queue = queue(entry);
    let health = health(entry);
    let pool = Pool {
        name: name?,
        backends,
        versions,
        discovers,
        networks: networks?,
        tls_only: entry.has("tls"),
        split: split?,
        balance: balance?,
        ca_file,
        client,
        credential,
        connect_timeout: connect_timeout?,
        protocol: protocol?,
        queue,
        health: health?,
        raw,
    };
    if raw {
        streams::pool(entry, &pool);
    }
    Some(pool)
}

/// The name that certificates must carry, where it is not the host's.
fn tls_name<'a>(tls: &Entry<'a>) -> Option<&'a str> {
    let name = tls.text("name")?.value;
    if url::is_host(name) {
        return Some(name);
    }
    let help = "write the name the certificate carries";
    tls.wrong("name", format!("{} is not a host name", quoted(name)), help);
    None
}

/// Backends with their weights.
type Weighed = [(Located<BackendSpec>, u32)];

/// Whoever says where a backend is must not say as well by which name to trust it.
fn records_prove_nothing(entry: &Entry<'_>, backends: &Weighed, discovers: &[Discover]) {
    let proves_nothing = |discover: &Discover| {
        matches!(discover.source, Source::Records(_)) && backends[discover.at].0.value.tls.is_some()
    };
    if discovers.iter().any(proves_nothing) {
        let help = "write `tls: {name: ...}`: whoever can change the records could name a host of his own";
        entry.wrong("discover", "SRV records do not say whom to trust", help);
    }
}

fn tls_is_spoken(entry: &Entry<'_>, backends: &Weighed) {
    if !backends.is_empty() && backends.iter().all(|(spec, _)| spec.value.tls.is_none()) {
        let help = "write `https://` (or, for streams, `tls://`) in their urls, or leave `tls` out";
        entry.wrong("tls", "no backend of this pool speaks TLS", help);
    }
}
