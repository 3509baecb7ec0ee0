//! Names and what DNS says of them: addresses, SRV records, and how long that holds.
//!
//! `/etc/hosts` and the search list of `/etc/resolv.conf` count, as they do for other programs. Nothing is remembered
//! here: whoever asks knows when to ask again.

use super::FOUND_MAX;
use super::service_records::{self, Record};
use super::{Found, whole};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// How long one name server may take; after it comes the next one, or the same again.
const TIMEOUT: Duration = Duration::from_secs(2);
/// An answer never holds for a shorter time: a name is asked for once a second at most.
const TTL_MIN: Duration = Duration::from_secs(1);
/// Nor for a longer one: who moves a service in an emergency does not wait for what was right yesterday.
const TTL_MAX: Duration = Duration::from_secs(300);

/// Asks name servers.
pub struct Resolver(TokioResolver);

impl Resolver {
    /// Asks `servers`, or those of `/etc/resolv.conf` if there is none.
    ///
    /// # Errors
    /// One sentence.
    pub fn new(servers: &[SocketAddr]) -> Result<Resolver, String> {
        let (config, mut options) = match servers {
            [] => read_system_conf().unwrap_or_else(|error| {
                tracing::warn!(%error, "no name server in /etc/resolv.conf: only names in /etc/hosts are known");
                Default::default()
            }),
            servers => {
                let servers = servers.iter().map(|server| name_server(*server)).collect();
                (ResolverConfig::from_parts(None, Vec::new(), servers), ResolverOpts::default())
            }
        };
        options.cache_size = 0;
        options.timeout = options.timeout.min(TIMEOUT);
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let resolver = builder.with_options(options).build();
        resolver.map(Resolver).map_err(|error| format!("dns: {error}"))
    }

    /// Addresses of a host, and how long they hold.
    ///
    /// # Errors
    /// One sentence: no such name, no address, no answer.
    pub async fn addresses(&self, host: &str) -> Result<(Vec<IpAddr>, Duration), String> {
        let answer = self.0.lookup_ip(host).await.map_err(|error| told(&error))?;
        let mut addresses: Vec<IpAddr> = answer.iter().collect();
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.is_empty() {
            return Err("the name has no address".into());
        }
        let ttl = answer.as_lookup().answers().iter().map(|record| record.ttl).min().unwrap_or_default();
        Ok((usable(addresses), held(ttl)))
    }

    /// The backends that the addresses of a host are.
    ///
    /// # Errors
    /// As [`addresses`](Self::addresses).
    pub async fn host(&self, host: &str) -> Result<(Vec<Found>, Duration), String> {
        let (addresses, ttl) = self.addresses(host).await?;
        let sharers = addresses.len() as u32;
        let found = addresses.into_iter().map(|ip| Found { sharers, ..Found::at(ip, None, 1) });
        Ok((whole(found.collect())?, ttl))
    }

    /// The backends that SRV records name.
    ///
    /// # Errors
    /// One sentence: no records, or no target that is used has an address.
    pub async fn service(&self, name: &str) -> Result<(Vec<Found>, Duration), String> {
        let name = Name::from_ascii(name).map_err(|error| format!("not a name: {error}"))?;
        let answer = self.0.lookup(name, RecordType::SRV).await.map_err(|error| told(&error))?;
        let mut ttl = held(answer.answers().iter().map(|record| record.ttl).min().unwrap_or_default());
        let records = answer.answers().iter().filter_map(|record| match &record.data {
            RData::SRV(srv) => Some(Record {
                priority: srv.priority,
                target: srv.target.to_ascii().trim_end_matches('.').to_ascii_lowercase().into(),
                port: srv.port,
                weight: srv.weight,
            }),
            _ => None,
        });
        let mut why = String::new();
        for group in service_records::groups(records.collect())? {
            let mut found = Vec::new();
            for record in &group {
                match self.addresses(&record.target).await {
                    Ok((addresses, holds)) => {
                        ttl = ttl.min(holds);
                        found.extend(service_records::backends(record, &addresses));
                    }
                    Err(error) => why = format!("`{}`: {error}", record.target),
                }
                if found.len() > FOUND_MAX {
                    break;
                }
            }
            if !found.is_empty() {
                return Ok((whole(found)?, ttl));
            }
        }
        Err(format!("no target of its SRV records has an address; {why}"))
    }
}

/// Over UDP, and over TCP where an answer does not fit.
fn name_server(address: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

/// The library's own text shows the whole query.
fn told(error: &NetError) -> String {
    match error.is_no_records_found() {
        true => "no such name, or nothing of the kind under it".into(),
        false => format!("the name servers do not answer as they should: {error}"),
    }
}

fn held(ttl_s: u32) -> Duration {
    Duration::from_secs(ttl_s.into()).clamp(TTL_MIN, TTL_MAX)
}

/// Those that this machine has a way to; all, if it has a way to none. Else every second request would fail where a name
/// has IPv6 addresses and the machine has none.
fn usable(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let mixed = addresses.iter().any(IpAddr::is_ipv4) && addresses.iter().any(IpAddr::is_ipv6);
    if !mixed {
        return addresses;
    }
    let some: Vec<IpAddr> = addresses.iter().copied().filter(|address| has_way(*address)).collect();
    if some.is_empty() { addresses } else { some }
}

/// Connecting a datagram socket asks the kernel for a route and sends nothing.
fn has_way(address: IpAddr) -> bool {
    let own: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    UdpSocket::bind((own, 0)).and_then(|socket| socket.connect((address, 53))).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_holds_for_a_second_at_least_and_for_five_minutes_at_most() {
        assert_eq!([0, 1, 30, 86_400].map(held), [1, 1, 30, 300].map(Duration::from_secs));
    }

    #[test]
    fn addresses_without_a_route_are_left_out_unless_there_are_no_others() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(usable(vec![ip("2001:db8::1")]), [ip("2001:db8::1")]);
        let both = usable(vec![ip("127.0.0.1"), ip("2001:db8::1")]);
        assert_eq!(both.contains(&ip("2001:db8::1")), has_way(ip("2001:db8::1")));
        assert!(both.contains(&ip("127.0.0.1")));
    }
}
