//! `discover` of pools and versions, and `networks` of pools, as written.

use super::credential::api_credential;
use super::decode::{Entry, text};
use super::keys;
use super::problem::{Located, quoted};
use super::spec::{Discover, DiscoverApi};
use super::url;
use crate::upstream::discover::{Service, Source, UNKNOWN_HOST};
use crate::upstream::networks::Networks;
use crate::upstream::{BackendSpec, Protocol, TlsSpec};
use ipnet::IpNet;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Shorter, and one pool alone uses up what the API allows.
const EVERY_MIN: Duration = Duration::from_secs(3);
const EVERY_MAX: Duration = Duration::from_secs(3_600);
/// Networks of one pool.
const NETWORKS_MAX: usize = 64;
/// The sources, of which `discover` has one.
const SOURCES: [&str; 3] = ["modelarts_service", "srv", "file"];

/// What `discover` of a pool or a version asks, and what policy knows of the backends it finds. `at`: the place that
/// these will have among the pool's.
pub fn discover(entry: &Entry<'_>, at: usize, dir: &Path) -> Option<(Located<BackendSpec>, Discover)> {
    let place = entry.place_of("discover");
    let entry = entry.object("discover", &keys::DISCOVER).filter(|_| entry.has("discover"))?;
    let mut named = SOURCES.iter().copied().filter(|name| entry.has(name));
    let (Some(kind), None) = (named.next(), named.next()) else {
        let help = format!("write exactly one of: {}", SOURCES.join(", "));
        entry.problems.add(place, entry.at, "one source of backends is needed here", help);
        return None;
    };
    only_with(&entry, kind);
    let https = entry.word("scheme", &[]).is_some_and(|scheme| scheme == "https");
    let every = every(&entry);
    let (source, api) = match kind {
        "srv" => (Source::Records(service_name(&entry)?), None),
        "file" => (Source::File(file(&entry, dir)?), None),
        _ => {
            let (service, api) = service(&entry, dir)?;
            (Source::Service(service), Some(api))
        }
    };
    // What an API answers says whether it is TLS; what is written of that is kept for the case.
    let tls = https || api.is_some();
    let form = BackendSpec {
        host: UNKNOWN_HOST.into(),
        ip: None,
        port: if tls { 443 } else { 80 },
        base_path: "".into(),
        tls: tls.then(|| TlsSpec { ca_pem: None, name: UNKNOWN_HOST.into(), client: None }),
        protocol: Protocol::default(), // `protocol` of the pool decides
    };
    Some((Located { value: form, place }, Discover { at, source, every: every?, api }))
}

/// Keys that belong to another source.
fn only_with(entry: &Entry<'_>, kind: &str) {
    let service = ["project_id", "endpoint", "ca", "credential", "every"];
    let (others, whose): (&[&str], _) = match kind {
        "modelarts_service" => (&["scheme"], "`srv` or `file`: the API says which it is"),
        _ => (&service, "`modelarts_service`"),
    };
    for key in others.iter().copied().filter(|key| entry.has(key)) {
        entry.wrong(key, format!("only with {whose}"), format!("leave `{key}` out"));
    }
}

fn every(entry: &Entry<'_>) -> Option<Duration> {
    let every = entry.duration("every", EVERY_MAX)?;
    if every < EVERY_MIN {
        let help = "3s or more is possible: the API allows 20 calls a minute of one user";
        entry.wrong("every", "too often", help);
        return None;
    }
    Some(every)
}

/// `_http._tcp.models.internal`
fn service_name(entry: &Entry<'_>) -> Option<Arc<str>> {
    let name = entry.text("srv")?.value;
    let mut labels = name.strip_suffix('.').unwrap_or(name).split('.');
    let marked = |label: Option<&str>| label.is_some_and(|label| label.len() > 1 && label.starts_with('_'));
    let good = marked(labels.next()) && marked(labels.next()) && {
        let host = labels.collect::<Vec<_>>().join(".");
        url::is_host(&host) && host.parse::<std::net::IpAddr>().is_err()
    };
    if !good || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        let help = "write service, protocol and name, such as `_http._tcp.models.internal`";
        entry.wrong("srv", format!("{} is not the name of SRV records", quoted(name)), help);
        return None;
    }
    Some(name.to_ascii_lowercase().into())
}

fn file(entry: &Entry<'_>, dir: &Path) -> Option<PathBuf> {
    let written = Path::new(entry.text("file")?.value);
    let path = dir.join(written);
    let below = path.starts_with(dir) && !written.components().any(|part| part == Component::ParentDir);
    if below && path.extension().is_some_and(|ext| ext == "yaml" || ext == "yml") {
        let help = "call it `.json` (which may hold YAML as well), or keep it in another directory";
        entry.wrong("file", "every `.yaml` below the policy directory is read as policy", help);
        return None;
    }
    Some(path)
}

fn service(entry: &Entry<'_>, dir: &Path) -> Option<(Service, DiscoverApi)> {
    let needed = |key: &'static str| {
        if !entry.has(key) {
            let help = format!("`modelarts_service` needs it; see `pools[].discover.{key}` in the README");
            entry.problems.add(entry.place(), entry.at, format!("`{key}` is missing"), help);
        }
        entry.has(key)
    };
    let [project, endpoint, shown] = ["project_id", "endpoint", "credential"].map(needed);
    let [id, project_id] = [("modelarts_service", true), ("project_id", project)].map(|(key, there)| {
        let text = entry.text(key).filter(|_| there)?.value;
        let good = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !good {
            entry.wrong(key, format!("{} is not an id", quoted(text)), "write it as the console shows it");
        }
        good.then(|| Arc::<str>::from(text))
    });
    let endpoint = if endpoint { self::endpoint(entry) } else { None };
    let ca_file = entry.text("ca").map(|ca| Located { value: dir.join(ca.value), place: ca.place });
    let credential = if shown { api_credential(entry) } else { None };
    let (endpoint, credential) = (endpoint?, credential?);
    let spec = &endpoint.value;
    let service =
        Service { endpoint: format!("{}:{}", spec.host, spec.port).into(), project_id: project_id?, id: id? };
    Some((service, DiscoverApi { endpoint, ca_file, credential }))
}

/// What it answers decides where requests go: it has to be known who answers.
fn endpoint(entry: &Entry<'_>) -> Option<Located<BackendSpec>> {
    let text = entry.text("endpoint")?;
    let spec = match url::backend(text.value) {
        Ok(spec) => spec,
        Err(wrong) => {
            entry.wrong("endpoint", wrong.what, wrong.help);
            return None;
        }
    };
    let own = spec.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if spec.tls.is_none() && !own {
        entry.wrong("endpoint", "plain `http` to another machine", "write `https://`");
        return None;
    }
    Some(Located { value: spec, place: text.place })
}

/// `Some(None)`: not written.
pub fn networks(pool: &Entry<'_>) -> Option<Option<Networks>> {
    if !pool.has("networks") {
        return Some(None);
    }
    let at = pool.at.key("networks");
    let items = pool.items("networks");
    if items.is_empty() || items.len() > NETWORKS_MAX {
        let help = format!("write 1 to {NETWORKS_MAX}, or leave `networks` out");
        pool.wrong("networks", format!("{} networks", items.len()), help);
        return None;
    }
    let read = items.iter().enumerate().map(|(i, node)| {
        let at = at.item(i, node);
        let text = text(node, at, pool.problems)?;
        let network = text.value.parse::<IpNet>().ok().filter(|net| net.addr() == net.network());
        if network.is_none() {
            let what = format!("{} is not a network", quoted(text.value));
            pool.problems.add(text.place, at, what, "write its first address and its length: `10.1.0.0/16`");
        }
        network
    });
    let read: Vec<Option<IpNet>> = read.collect(); // all of them, so that one mistake does not hide the next
    let networks: Arc<[IpNet]> = read.into_iter().collect::<Option<Vec<_>>>()?.into();
    Some(Some(Networks::Only(networks)))
}
