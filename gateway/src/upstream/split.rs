//! Which version? Before a backend, a pool with versions chooses one of these: by rule (A/B), or by weight (grey
//! release).
//!
//! *Who moves when weights do.* By subject each version has a score, and the highest takes it ("weighted rendezvous hashing",
//! Schindelhauer and Schomaker 2005). A score rises with its version's weight and depends on no other: a version that gets
//! more takes subjects over, one that gets less gives some away, and nobody else moves. From 90/10 to 50/50, 40 of 100.
//! Order in the files means nothing.

use super::balance::part_of;
use super::subject::{Asker, Digest, Subject};
use crate::ids::mix;
use http::HeaderName;
use std::sync::Arc;

/// How a pool chooses among its versions.
#[derive(Debug, Clone, Default)]
pub struct Split {
    /// Who stays with a version while weights stay; `None`: every request anew.
    pub by: Option<Subject>,
    /// Asked in their order, before any weight.
    pub rules: Vec<Rule>,
}

/// Some callers have a version of their own.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Whose.
    pub when: When,
    /// Index of the version.
    pub version: usize,
}

/// Whom a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// All users of a tenant.
    Tenant(Arc<str>),
    /// Requests with this header, its first value letter by letter.
    Header(HeaderName, Box<[u8]>),
}

impl Rule {
    fn is_about(&self, asker: &Asker<'_>) -> bool {
        match &self.when {
            When::Tenant(tenant) => asker.caller.is_some_and(|(name, _)| name == &**tenant),
            When::Header(name, value) => {
                asker.headers.get(name).is_some_and(|have| have.as_bytes() == &**value)
            }
        }
    }
}

impl Split {
    /// The version that the rules give this asker.
    pub(super) fn ruled(&self, asker: &Asker<'_>) -> Option<usize> {
        self.rules.iter().find(|rule| rule.is_about(asker)).map(|rule| rule.version)
    }
}

/// Versions to choose among, by index.
pub(super) struct Shares {
    /// Hash of the name, and the weight.
    versions: Vec<(u64, u32)>,
}

/// Versions that have nobody to serve, a bit each. Policy allows fewer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Out(u64);

impl Out {
    pub(super) fn add(&mut self, version: usize) {
        self.0 |= 1 << version;
    }

    pub(super) fn has(self, version: usize) -> bool {
        self.0 >> version & 1 == 1
    }
}

impl Shares {
    pub(super) fn new<'a>(versions: impl Iterator<Item = (&'a str, u32)>) -> Shares {
        Shares { versions: versions.map(|(name, weight)| (Digest::of(name.as_bytes()), weight)).collect() }
    }

    /// Hot path. The version of a subject; `None` if all that have a weight are out.
    pub(super) fn of_subject(&self, key: u64, out: Out) -> Option<usize> {
        let scores = self.there(out).map(|(at, name, weight)| (at, score(mix(key ^ name), weight)));
        scores.max_by(|(_, one), (_, other)| one.total_cmp(other)).map(|(at, _)| at)
    }

    /// Hot path. The version of a request by its turn. Multiples of the golden ratio fall evenly into any stretch (Weyl), so
    /// that each version has its part of few requests as well as of many.
    pub(super) fn of_turn(&self, turn: u64, out: Out) -> Option<usize> {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15; // 2^64 divided by it
        let total = self.there(out).map(|(.., weight)| u64::from(weight)).sum();
        let mut point = part_of(turn.wrapping_mul(GOLDEN), total)?;
        let mut there = self.there(out);
        let here = there.find(|(.., weight)| {
            let weight = u64::from(*weight);
            let here = point < weight;
            point = point.saturating_sub(weight);
            here
        });
        here.map(|(at, ..)| at)
    }

    fn there(&self, out: Out) -> impl Iterator<Item = (usize, u64, u32)> {
        let versions = self.versions.iter().enumerate().map(|(at, &(name, weight))| (at, name, weight));
        versions.filter(move |&(at, _, weight)| weight > 0 && !out.has(at))
    }
}

/// The larger the weight, the more often the highest: -w/ln(u), with u evenly between 0 and 1.
fn score(hash: u64, weight: u32) -> f64 {
    let even = ((hash >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    -f64::from(weight) / even.ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderMap;
    use proptest::prelude::*;

    const KEYS: u64 = 50_000;
    const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

    fn shares(weights: &[u32]) -> Shares {
        Shares::new(NAMES.iter().copied().zip(weights.iter().copied()))
    }

    /// Where each subject goes.
    fn versions(weights: &[u32], out: Out) -> Vec<usize> {
        let shares = shares(weights);
        (0..KEYS).map(|key| shares.of_subject(mix(key), out).expect("some version serves")).collect()
    }

    fn part(versions: &[usize], of: usize) -> f64 {
        versions.iter().filter(|at| **at == of).count() as f64 / versions.len() as f64
    }

    fn moves(before: &[usize], after: &[usize]) -> Vec<(usize, usize)> {
        before.iter().copied().zip(after.iter().copied()).filter(|(from, to)| from != to).collect()
    }

    #[test]
    fn from_90_10_to_50_50_only_40_of_100_move() {
        let (before, after) = (versions(&[90, 10], Out::default()), versions(&[50, 50], Out::default()));
        assert!((part(&before, 1) - 0.1).abs() < 0.005 && (part(&after, 1) - 0.5).abs() < 0.01);
        let moved = moves(&before, &after);
        assert!(moved.iter().all(|step| *step == (0, 1)), "somebody moved the other way");
        assert!((moved.len() as f64 / KEYS as f64 - 0.4).abs() < 0.01, "{} moved", moved.len());
    }

    #[test]
    fn the_order_in_the_files_means_nothing() {
        let one = Shares::new([("a", 30), ("b", 70)].into_iter());
        let other = Shares::new([("b", 70), ("a", 30)].into_iter());
        for key in (0..1_000).map(mix) {
            let [at, again] = [&one, &other].map(|shares| shares.of_subject(key, Out::default()).unwrap());
            assert_eq!(at, 1 - again);
        }
    }

    #[test]
    fn turns_are_even_from_the_first_hundred_on() {
        let weights = [90, 10, 0];
        let shares = shares(&weights);
        for from in [0, 1, 77, u64::MAX - 50] {
            let turns = (0..100).map(|turn| shares.of_turn(from.wrapping_add(turn), Out::default()));
            let chosen: Vec<usize> = turns.map(|at| at.expect("two serve")).collect();
            assert!((part(&chosen, 1) - 0.1).abs() <= 0.02 && part(&chosen, 2) == 0.0, "{chosen:?}");
        }
    }

    #[test]
    fn a_weight_of_nothing_is_only_for_rules() {
        let mut out = Out::default();
        out.add(0);
        let shares = shares(&[100, 0]);
        assert_eq!((shares.of_subject(1, out), shares.of_turn(1, out)), (None, None));
    }

    #[test]
    fn the_first_rule_that_is_about_a_caller_counts() {
        let header = HeaderName::from_static("x-preview");
        let rules = vec![
            Rule { when: When::Header(header, b"yes".as_slice().into()), version: 2 },
            Rule { when: When::Tenant("acme".into()), version: 1 },
        ];
        let split = Split { by: None, rules };
        let ruled = |tenant: &str, preview: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = preview {
                headers.insert("x-preview", value.parse().unwrap());
            }
            split.ruled(&Asker { caller: Some((tenant, "alice")), headers: &headers, prompt: None })
        };
        assert_eq!(ruled("acme", Some("yes")), Some(2));
        assert_eq!(ruled("acme", Some("YES")), Some(1));
        assert_eq!(ruled("acme-2", None), None);
        assert_eq!(ruled("globex", Some("yes")), Some(2));
    }

    proptest! {
        #![proptest_config(crate::proptests::cases(24))]

        #[test]
        fn only_who_must_moves(
            weights in proptest::collection::vec(1u32..100, 2..6),
            changed in 0usize..6,
            more in 1u32..200,
        ) {
            let changed = changed % weights.len();
            let mut raised = weights.clone();
            raised[changed] += more;
            let (before, after) = (versions(&weights, Out::default()), versions(&raised, Out::default()));
            prop_assert!(moves(&before, &after).iter().all(|(_, to)| *to == changed));
            let total: u32 = raised.iter().sum();
            for (at, weight) in raised.iter().enumerate() {
                let wanted = f64::from(*weight) / f64::from(total);
                prop_assert!((part(&after, at) - wanted).abs() < 0.015, "{:?}", raised);
            }
            // One that is out: its subjects go to the others, and nobody else moves.
            let mut out = Out::default();
            out.add(changed);
            let without = versions(&weights, out);
            prop_assert!(moves(&before, &without).iter().all(|(from, _)| *from == changed));
            prop_assert!(!without.contains(&changed));
        }
    }
}
