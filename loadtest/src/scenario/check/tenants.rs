//! Who calls: groups as written, unfolded into callers.

use serde_saphyr::Location;

use super::Checker;
use crate::scenario::callers;
use crate::scenario::spec::{CredentialSpec, GroupSpec, RequestSpec, Sends};
use crate::scenario::{Caller, Group, Plan};

/// More callers than any gateway's policy holds, and their keys still fit in memory.
const CALLERS_CEILING: u64 = 100_000;
/// Each AK/SK pair is a file of its own beside the policy.
const SIGNERS_CEILING: u64 = 1_000;
const GROUPS_CEILING: usize = 100;

/// What becomes of `tenants`.
pub(super) struct Tenants {
    pub(super) callers: Vec<Caller>,
    pub(super) groups: Vec<Group>,
    pub(super) plans: Vec<Plan>,
}

impl<'a> Checker<'a> {
    pub(super) fn tenants(&mut self) -> Tenants {
        let written = &self.spec.tenants;
        self.group_names();
        let mut tenants = Tenants { callers: Vec::new(), groups: Vec::new(), plans: Vec::new() };
        if !self.countable() {
            return tenants;
        }
        for (index, group) in written.iter().enumerate() {
            let (spec, at) = (&group.value, group.referenced);
            let sends = self.sends(spec, at);
            let callers = callers::unfold(spec, index as u16, &sends, self.seed);
            let count = callers.len() as u32; // CALLERS_CEILING
            tenants.groups.push(Group { name: spec.name.clone(), callers: count });
            tenants.callers.extend(callers);
            if spec.credential != CredentialSpec::None {
                let limits = spec.plan.clone().unwrap_or_default();
                tenants.plans.push(Plan { name: spec.name.clone(), limits });
            } else if spec.plan.is_some() {
                let help = "leave it out, and write `limits` with the request";
                let what = "nobody can be counted: these callers show no credential";
                self.problems.add(at, &format!("tenants.{}.plan", spec.name), what, help);
            }
        }
        self.nothing_unsent();
        tenants
    }

    fn group_names(&mut self) {
        let written = &self.spec.tenants;
        if written.is_empty() || written.len() > GROUPS_CEILING {
            let what = format!("{} groups; 1 to {GROUPS_CEILING} are taken", written.len());
            let help =
                "write one: `- {name: quiet, count: 20, credential: api_key, sends: [chat], plan: [...]}`";
            self.problems.add(Location::UNKNOWN, "tenants", what, help);
        }
        for (i, group) in written.iter().enumerate() {
            self.name(group.referenced, "tenants[].name", &group.value.name);
            if written[..i].iter().any(|earlier| earlier.value.name == group.value.name) {
                let path = format!("tenants.{}", group.value.name);
                self.problems.add(group.referenced, &path, "two groups have this name", "rename one");
            }
        }
    }

    /// Whether the groups can be unfolded without running out of memory.
    fn countable(&mut self) -> bool {
        let (mut callers, mut signers) = (0_u64, 0_u64);
        for group in &self.spec.tenants {
            let GroupSpec { name, count, users, weight, credential, .. } = &group.value;
            if *count == 0 || *users == 0 {
                let help = "leave `count` or `users` out for one";
                self.problems.add(group.referenced, &format!("tenants.{name}"), "has nobody in it", help);
            }
            if !(*weight > 0.0 && weight.is_finite()) {
                let what = format!("{weight} is not a weight");
                let help = "write a number above 0: the share of this group against the others";
                self.problems.add(group.referenced, &format!("tenants.{name}.weight"), what, help);
            }
            let here = count.saturating_mul(*users);
            callers = callers.saturating_add(here);
            signers = signers.saturating_add(if *credential == CredentialSpec::AkSk { here } else { 0 });
        }
        for (number, ceiling, what) in [
            (callers, CALLERS_CEILING, "callers"),
            (signers, SIGNERS_CEILING, "callers that sign, each with a file for its secret"),
        ] {
            if number > ceiling {
                let what = format!("{number} {what}; {ceiling} are the most");
                self.problems.add(Location::UNKNOWN, "tenants", what, "lower `count` or `users`");
            }
        }
        callers <= CALLERS_CEILING
    }

    /// Index and weight of each request that the group sends.
    fn sends(&mut self, spec: &GroupSpec, at: Location) -> Vec<(u16, f64)> {
        let path = format!("tenants.{}.sends", spec.name);
        let named: Vec<(&str, f64)> = spec.sends.each().collect();
        if named.is_empty() {
            self.problems.add(at, &path, "is empty", "name a request: `sends: [chat]`");
        }
        let mut sends = Vec::with_capacity(named.len());
        for (name, weight) in named {
            if !(weight > 0.0 && weight.is_finite()) {
                let what = format!("{weight} is not a weight");
                self.problems.add(at, &format!("{path}.{name}"), what, "write a number above 0");
            }
            match self.spec.requests.iter().position(|request| request.value.name == name) {
                Some(index) => sends.push((index as u16, weight)),
                None => {
                    let names: Vec<_> =
                        self.spec.requests.iter().map(|request| request.value.name.as_str()).collect();
                    let what = format!("no request is named `{name}`");
                    self.problems.add(at, &path, what, format!("there are: {}", names.join(", ")));
                }
            }
        }
        sends
    }

    fn nothing_unsent(&mut self) {
        let all = &self.spec.requests;
        for request in all {
            let name = &request.value.name;
            if !self.spec.tenants.iter().any(|group| group.value.sends.has(name)) {
                let help = "name it in the `sends` of a group, or take it out";
                self.problems.add(request.referenced, &format!("requests.{name}"), "nobody sends it", help);
            }
        }
    }

    /// Groups that send to a route.
    pub(super) fn senders(&self, route: &str) -> impl Iterator<Item = &'a GroupSpec> {
        let spec = self.spec;
        let takes = move |request: &&RequestSpec| request.route_name() == route;
        let requests: Vec<&RequestSpec> =
            spec.requests.iter().map(|request| &request.value).filter(takes).collect();
        spec.tenants
            .iter()
            .map(|group| &group.value)
            .filter(move |group| requests.iter().any(|request| group.sends.has(&request.name)))
    }
}

impl Sends {
    fn each(&self) -> Box<dyn Iterator<Item = (&str, f64)> + '_> {
        match self {
            Sends::Evenly(names) => Box::new(names.iter().map(|name| (name.as_str(), 1.0))),
            Sends::Weighted(names) => Box::new(names.iter().map(|(name, weight)| (name.as_str(), *weight))),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.each().any(|(sent, _)| sent == name)
    }
}
