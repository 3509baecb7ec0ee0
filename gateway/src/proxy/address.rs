//! Whose address counts: the peer's, unless the peer is a proxy that we trust to name the caller's.

use super::worker::Connection;
use http::HeaderMap;
use ipnet::IpNet;
use std::net::IpAddr;

/// The address of the caller on `connection`.
pub fn of_caller(connection: &Connection, headers: &HeaderMap) -> IpAddr {
    let peer = connection.peer.ip().to_canonical();
    let trusted = &connection.worker.shared.settings.trusted_proxies;
    // As a rule nobody is trusted, and the headers are not looked at.
    if is_in(trusted, peer) { behind_proxies(peer, trusted, headers) } else { peer }
}

/// The last entry of `X-Forwarded-For` that no trusted proxy could have been told to make up: the rightmost
/// one that is not itself a trusted proxy.
fn behind_proxies(peer: IpAddr, trusted: &[IpNet], headers: &HeaderMap) -> IpAddr {
    let lists = headers.get_all("x-forwarded-for").into_iter().filter_map(|value| value.to_str().ok());
    let entries: Vec<&str> = lists.flat_map(|list| list.split(',')).collect();
    let mut address = peer;
    for entry in entries.iter().rev() {
        // What is no address breaks the chain: nothing left of it can be believed.
        let Ok(next) = entry.trim().parse::<IpAddr>() else { break };
        address = next.to_canonical();
        if !is_in(trusted, address) {
            break;
        }
    }
    address
}

fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(lists: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for list in lists {
            headers.append("x-forwarded-for", list.parse().unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        behind_proxies("10.0.0.1".parse().unwrap(), &trusted, &headers).to_string()
    }

    #[test]
    fn the_rightmost_address_that_is_no_proxy_counts() {
        assert_eq!(caller(&["203.0.113.9"]), "203.0.113.9");
        assert_eq!(caller(&["203.0.113.9, 10.0.0.2"]), "203.0.113.9");
        assert_eq!(caller(&["203.0.113.9", "10.0.0.3, 10.0.0.2"]), "203.0.113.9");
    }

    #[test]
    fn what_a_caller_makes_up_to_its_left_is_not_believed() {
        assert_eq!(caller(&["198.51.100.1, 203.0.113.9"]), "203.0.113.9");
        assert_eq!(caller(&["203.0.113.9, junk, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(caller(&[]), "10.0.0.1");
    }
}
