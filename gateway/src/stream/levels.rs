//! All levels of all streams: what a reload finds again, and what operators see.

use super::level::Level;
use super::rules::Rules;
use ahash::AHashMap;
use parking_lot::Mutex;
use std::sync::Arc;

/// All levels, by the names of stream and tenant; one per gateway.
#[derive(Default)]
pub struct Levels {
    known: Mutex<AHashMap<Pair, Arc<Level>>>,
}

/// What a tenant has open on a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// Name of the stream.
    pub stream: Arc<str>,
    /// Name of the tenant; `-`: anybody.
    pub tenant: Arc<str>,
    /// Connections, at least one.
    pub connections: u32,
    /// What it is held to.
    pub rules: Rules,
}

/// Names of a stream and of a tenant.
type Pair = (Arc<str>, Arc<str>);

impl Levels {
    /// Levels for these pairs of stream and tenant, in their order: those there are, under new rules, or new ones.
    ///
    /// A tenant that has gone keeps its open connections under the rules it had, and its level as long as one is open.
    pub fn apply(&self, wanted: &[(Arc<str>, Arc<str>, Rules)], now_us: u64) -> Vec<Arc<Level>> {
        let mut known = self.known.lock();
        let mut level = |(stream, tenant, rules): &(Arc<str>, Arc<str>, Rules)| {
            let level = known
                .entry((stream.clone(), tenant.clone()))
                .and_modify(|level| level.apply(rules, now_us))
                .or_insert_with(|| Arc::new(Level::new(rules, now_us)));
            level.clone()
        };
        let levels = wanted.iter().map(&mut level).collect();
        known.retain(|_, level| Arc::strong_count(level) > 1);
        levels
    }

    /// All that have a connection open, also those that policy no longer has; in no order.
    pub fn in_use(&self) -> Vec<Use> {
        let known = self.known.lock();
        let open = |((stream, tenant), level): (&Pair, &Arc<Level>)| {
            let (connections, rules) = level.state();
            let (stream, tenant) = (stream.clone(), tenant.clone());
            (connections > 0).then_some(Use { stream, tenant, connections, rules })
        };
        known.iter().filter_map(open).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::level::Full;
    use super::*;
    use std::num::NonZeroU32;

    #[test]
    fn a_level_stays_while_policy_or_a_connection_has_it() {
        let levels = Levels::default();
        let pair = |tenant: &str| {
            (
                Arc::from("rpc"),
                Arc::from(tenant),
                Rules { connections: NonZeroU32::new(1), ..Rules::default() },
            )
        };
        let first = levels.apply(&[pair("acme")], 0).remove(0);
        let place = first.enter(0).ok().unwrap();
        drop(first);
        assert!(levels.apply(&[], 0).is_empty());
        let (in_use, rules) = (levels.in_use(), pair("acme").2);
        assert_eq!(in_use, [Use { stream: "rpc".into(), tenant: "acme".into(), connections: 1, rules }]);
        let again = levels.apply(&[pair("acme")], 0).remove(0);
        assert_eq!(
            again.enter(0).err(),
            Some(Full::Connections),
            "its open connection counts when it comes back"
        );
        drop((place, again));
        assert_eq!(levels.in_use(), []);
        levels.apply(&[], 0);
        assert!(levels.known.lock().is_empty());
    }
}
