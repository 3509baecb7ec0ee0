//! Versions of pools and who gets them: do rules name what is there, and can a route tell what its pool asks for?

use super::super::problem::Located;
use super::super::spec;
use super::{Check, Index, Version};
use crate::upstream::{Balance, Rule, Split, Subject, When};
use std::sync::Arc;

/// The versions of a pool with so many backends; one without a name if it has none.
pub(super) fn of(versions: Vec<spec::Version>, backends: usize) -> Vec<Version> {
    if versions.is_empty() {
        return vec![Version { name: None, weight: 1, backends: 0..backends }];
    }
    let named =
        |spec::Version { name, weight, backends }| Version { name: Some(name.value), weight, backends };
    versions.into_iter().map(named).collect()
}

impl Check<'_> {
    /// Names that rules use become indexes.
    pub(super) fn split(
        &self,
        pool: &Arc<str>,
        versions: &[spec::Version],
        split: spec::Split,
        tenants: &Index,
    ) -> Option<Split> {
        let path = format!("pools.{pool}.split.when");
        let versions =
            self.index(&format!("pools.{pool}.versions"), versions.iter().map(|version| &version.name));
        let rule = |rule: spec::Rule| {
            let Located { value: when, place } = rule.when;
            let tenant = match &when {
                When::Tenant(name) => {
                    let name = Located { value: name.clone(), place };
                    self.find(format!("{path}.tenant"), "tenant", &name, tenants)
                }
                When::Header(..) => Some(0),
            };
            let version = self.find(format!("{path}.version"), "version", &rule.version, &versions);
            tenant.and(version).map(|version| Rule { when, version })
        };
        let rules: Vec<Option<Rule>> = split.rules.into_iter().map(rule).collect();
        Some(Split { by: split.by, rules: rules.into_iter().collect::<Option<_>>()? })
    }

    /// A pool that tells requests apart by what none of its routes ever knows would treat them all alike.
    pub(super) fn subjects(&self, policy: &spec::Policy) {
        let by_caller: fn(&Subject) -> bool =
            |subject: &Subject| matches!(subject, Subject::Tenant | Subject::User);
        let by_prompt: fn(&Subject) -> bool = |subject: &Subject| matches!(subject, Subject::Prompt { .. });
        for pool in &policy.pools {
            let hashed = match &pool.balance {
                Balance::Hash(subject) => Some(subject),
                _ => None,
            };
            let goes_by = |what: fn(&Subject) -> bool| hashed.into_iter().chain(&pool.split.by).any(what);
            let mut routes = policy.routes.iter().filter(|route| route.pool.value == pool.name.value);
            let Some(first) = routes.clone().next() else { continue };
            let wrong = |why: &str, help: &str| {
                let what = format!("`{}` goes by {why}", pool.name.value);
                self.problems.add(first.pool.place, format!("routes.{}.pool", first.name.value), what, help);
            };
            if goes_by(by_caller) && routes.clone().all(|route| route.auth.is_none()) {
                let why = "callers, and nobody says who they are with `auth: none`";
                wrong(why, "ask for a credential here, or let the pool go by a header");
            }
            if goes_by(by_prompt) && routes.all(|route| route.metering.shape.is_none()) {
                let why = "prompts, which nobody reads with `api: plain`";
                wrong(why, "write another `api` here, or let the pool go by a header");
            }
        }
    }
}
