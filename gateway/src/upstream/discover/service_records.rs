//! Which targets of SRV records are used (RFC 2782).
//!
//! Those with the lowest priority number that have an address; the others stand by for the case that none of these has
//! one. Whether a target is well is for the pool's health to say, which knows no priorities.

use super::Found;
use std::net::IpAddr;
use std::sync::Arc;

/// The most targets that are looked up.
const TARGETS_MAX: usize = 100;

/// One SRV record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    pub priority: u16,
    /// Without the dot at its end.
    pub target: Arc<str>,
    pub port: u16,
    pub weight: u16,
}

/// Groups of equal priority, the one to use first. A target that is a single dot says that there is no such service.
///
/// # Errors
/// One sentence.
pub fn groups(mut records: Vec<Record>) -> Result<Vec<Vec<Record>>, String> {
    records.retain(|record| !record.target.is_empty() && record.port > 0);
    records.sort_unstable();
    records.dedup();
    if records.len() > TARGETS_MAX {
        return Err(format!("{} targets, which is more than {TARGETS_MAX}", records.len()));
    }
    if records.is_empty() {
        return Err("its SRV records name no target".into());
    }
    Ok(records.chunk_by(|a, b| a.priority == b.priority).map(<[Record]>::to_vec).collect())
}

/// The backends of one target. A weight of 0 has "a very small chance" by the RFC: here that of 1.
pub fn backends(record: &Record, addresses: &[IpAddr]) -> Vec<Found> {
    let (weight, sharers) = (u32::from(record.weight.max(1)), addresses.len() as u32);
    let backend = |ip: &IpAddr| Found {
        name: Some(record.target.clone()),
        sharers,
        ..Found::at(*ip, Some(record.port), weight)
    };
    addresses.iter().map(backend).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(priority: u16, target: &str, weight: u16) -> Record {
        Record { priority, target: target.into(), port: 8080, weight }
    }

    #[test]
    fn the_lowest_priority_number_comes_first() {
        let records = vec![record(20, "c", 1), record(10, "b", 5), record(10, "a", 0), record(10, "a", 0)];
        let groups = groups(records).unwrap();
        assert_eq!(groups, [vec![record(10, "a", 0), record(10, "b", 5)], vec![record(20, "c", 1)]]);
    }

    #[test]
    fn a_service_that_is_not_there_has_no_targets() {
        assert!(groups(vec![record(0, "", 0)]).is_err());
        assert!(groups((0..101).map(|n| record(n, "a", 1)).collect()).unwrap_err().contains("more than 100"));
    }

    #[test]
    fn addresses_share_the_weight_of_their_target() {
        let addresses = ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse().unwrap());
        let found = backends(&record(1, "a", 0), &addresses);
        assert!(found.iter().all(|one| (one.weight, one.sharers, one.port) == (1, 2, Some(8080))));
        assert_eq!(found[1].name.as_deref(), Some("a"));
    }
}
