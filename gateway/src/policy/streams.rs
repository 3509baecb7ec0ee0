//! `streams`, and what tenants are known by there, as written.

use super::decode::{Entry, text};
use super::keys;
use super::problem::{Located, quoted};
use super::spec::{ClientCert, Pool, Rule, Stream};
use super::tenants::sha256;
use super::yaml::Value;
use crate::stream::{Admits, Rules};
use crate::upstream::{Balance, Subject, When};
use ipnet::IpNet;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

/// A connection may well stand open for a month.
const LONGEST: Duration = Duration::from_secs(30 * 86_400);

/// `streams[]`
pub fn stream(entry: &Entry<'_>, dir: &Path) -> Option<Stream> {
    let name = entry.name("name");
    let listener = entry.name("listener");
    let pool = entry.name("pool");
    let admits = admits(entry);
    let client_ca = entry.text("client_ca").map(|ca| Located { value: dir.join(ca.value), place: ca.place });
    let rules = entry.object("limits", &keys::STREAM_LIMITS).map(|limits| rules(&limits));
    let timeouts = entry.object("timeouts", &keys::STREAM_TIMEOUTS);
    let timeouts = timeouts.and_then(|timeouts| {
        let idle = timeouts.duration("idle", LONGEST);
        let total = timeouts.has("total").then(|| timeouts.duration("total", LONGEST));
        Some((idle?, total.map_or(Some(None), |total| total.map(Some))?))
    });
    let tells = entry.word("proxy_protocol", &[]).map(|word| word == "v2");
    let (idle, total) = timeouts?;
    Some(Stream {
        name: name?,
        listener: listener?,
        pool: pool?,
        admits: admits?,
        client_ca,
        rules: rules?,
        idle,
        total,
        tells: tells?,
    })
}

fn admits(entry: &Entry<'_>) -> Option<Admits> {
    match &entry.get("auth")?.value {
        Value::Text(word) if word == "none" => return Some(Admits::Anybody),
        Value::List(kinds) if !kinds.is_empty() => {}
        _ => {
            let help = "write `[client_cert, network]`, one of them, or `none` to let anybody in";
            entry.wrong("auth", "a list of ways to know a tenant is needed here", help);
            return None;
        }
    }
    let kinds = entry.words("auth", &[]);
    let has = |kind| kinds.contains(&kind);
    Some(Admits::Tenants { certificate: has("client_cert"), network: has("network") })
}

/// `limits` of a stream, `streams` of a plan.
pub fn rules(entry: &Entry<'_>) -> Rules {
    let speed = |key| if entry.has(key) { entry.speed(key) } else { None };
    let connections = if entry.has("connections") { entry.count("connections") } else { None };
    let connects = if entry.has("connects") { entry.rate("connects") } else { None };
    Rules {
        connections: connections.and_then(NonZeroU32::new),
        connects: connects.map(|rate| (rate.count, rate.period)),
        bytes_in: speed("bytes_in"),
        bytes_out: speed("bytes_out"),
        bytes: speed("bytes"),
    }
}

/// Says what a pool of streams has and cannot use: of a connection nothing is known but its tenant.
pub fn pool(entry: &Entry<'_>, pool: &Pool) {
    if pool.health.probe.as_ref().is_some_and(|probe| !probe.path.is_empty()) {
        let help = "leave `path` out: a connection that opens is a success";
        entry.wrong("health", "backends of streams are not asked for a path", help);
    }
    if pool.queue.is_some() {
        entry.wrong("queue", "connections of streams do not wait in a queue", "limit them at the stream");
    }
    if entry.has("credential") {
        let help = "leave it out; to `tls://` the gateway may show a certificate: `tls: {client: ...}`";
        entry.wrong("credential", "connections of streams have no place for a credential", help);
    }
    let other = |subject: &Subject| *subject != Subject::Tenant;
    match &pool.balance {
        Balance::Ewma => {
            let help = "write `least_requests`, which counts open connections";
            entry.wrong("balance", "`ewma` goes by answers, and streams have none", help);
        }
        Balance::Hash(subject) if other(subject) => {
            entry.wrong("hash", "of a stream nothing is known but its tenant", "write `by: tenant`");
        }
        _ => {}
    }
    let by_header = |rule: &Rule| matches!(rule.when.value, When::Header(..));
    if pool.split.by.as_ref().is_some_and(other) || pool.split.rules.iter().any(by_header) {
        let help = "split by `request` or `tenant`, with rules for tenants";
        entry.wrong("split", "of a stream nothing is known but its tenant", help);
    }
}

/// `tenants[].networks`
pub fn networks(tenant: &Entry<'_>) -> Vec<Located<IpNet>> {
    let at = tenant.at.key("networks");
    let items = tenant.items("networks").iter().filter_map(|node| text(node, at, tenant.problems));
    let network = |item: Located<&str>| match network(item.value) {
        Ok(value) => Some(Located { value, place: item.place }),
        Err((what, help)) => {
            tenant.problems.add(item.place, at, what, help);
            None
        }
    };
    items.filter_map(network).collect()
}

/// A network, or an address as the network of itself.
fn network(text: &str) -> Result<IpNet, (String, String)> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    let Ok(network) = address.or_else(|_| text.parse::<IpNet>()) else {
        let help = "write `10.1.0.0/16`, `2001:db8::/32` or an address";
        return Err((format!("{} is not a network", quoted(text)), help.into()));
    };
    let mapped = matches!(network, IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some());
    if mapped {
        let help = "write it as an IPv4 network".to_string();
        return Err((format!("{} is IPv4 in the shape of IPv6", quoted(text)), help));
    }
    if network.trunc() == network {
        return Ok(network);
    }
    Err((format!("{} has bits beyond its prefix", quoted(text)), format!("write `{}`", network.trunc())))
}

/// `tenants[].client_certs`
pub fn client_certs(tenant: &Entry<'_>) -> Vec<Located<ClientCert>> {
    let at = tenant.at.key("client_certs");
    let items = tenant.items("client_certs").iter().enumerate();
    let open = |(i, node)| Entry::open(node, &keys::CLIENT_CERT, at.item(i, node), tenant.problems);
    items.filter_map(open).filter_map(|entry| client_cert(&entry)).collect()
}

fn client_cert(entry: &Entry<'_>) -> Option<Located<ClientCert>> {
    let value = match (entry.text("name"), entry.text("sha256")) {
        (Some(name), None) => {
            if name.value.is_empty() || name.value.len() > 256 || name.value.contains('*') {
                let help = "write a whole name of the certificate, of at most 256 bytes";
                entry.wrong("name", format!("{} is not a name", quoted(name.value)), help);
                return None;
            }
            ClientCert::Name(name.value.to_ascii_lowercase().into())
        }
        (None, Some(digest)) => {
            let bytes = sha256(digest.value);
            if bytes.is_none() {
                let help = "`openssl x509 -in CERT -outform DER | sha256sum` prints them";
                entry.wrong("sha256", "64 hex digits are needed here", help);
            }
            ClientCert::Sha256(bytes?)
        }
        _ => {
            let what = "a certificate is known by its name or its digest";
            entry.problems.add(entry.place(), entry.at, what, "write exactly one of: name, sha256");
            return None;
        }
    };
    Some(Located { value, place: entry.place() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_written_without_bits_to_spare() {
        for good in ["10.1.0.0/16", "10.1.2.3", "2001:db8::/32", "::1", "0.0.0.0/0"] {
            assert!(network(good).is_ok(), "{good}");
        }
        let (what, help) = network("10.1.2.3/8").unwrap_err();
        assert!(what.contains("beyond its prefix") && help.contains("10.0.0.0/8"), "{what}; {help}");
        for wrong in ["", "10.0.0.0/33", "10.0.0/8", "all", "::ffff:10.0.0.0/104"] {
            assert!(network(wrong).is_err(), "{wrong}");
        }
    }
}
