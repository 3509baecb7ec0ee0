//! Levels: which limits count a request, and together with which others.

use std::collections::HashMap;

use super::evidence::Evidence;
use super::policy::{Amount, Limit, Policy};
use crate::scenario::Scenario;

/// A limit and where it stands.
pub struct LimitAt<'p> {
    /// `plan gold`, `route chat`.
    pub owner: String,
    /// The limit.
    pub limit: &'p Limit,
    /// What it counts separately; None if that is not understood.
    pub per: Option<Per>,
}

/// What is counted separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// All requests of a tenant.
    Tenant,
    /// Those of one of its users.
    User,
    /// All on a route.
    Route,
    /// Those of a tenant on a route.
    TenantRoute,
}

/// All requests that one limit counts together.
pub struct Level {
    /// Index into [`Levels::limits`].
    pub limit: usize,
    /// Who is counted: `tenant acme`, `user alice of acme`.
    pub subject: String,
    /// Indexes into [`Evidence::traces`].
    pub traces: Vec<u32>,
}

/// All levels of a run.
pub struct Levels<'p> {
    /// Every limit of the policy, plans first.
    pub limits: Vec<LimitAt<'p>>,
    /// Every level that counted a request.
    pub levels: Vec<Level>,
    /// By trace: a limit applies that may have refused it, and that cannot be judged from outside.
    pub excused: Vec<bool>,
}

impl<'p> Levels<'p> {
    /// Sorts all requests into the levels that count them.
    pub fn of(policy: &'p Policy, scenario: &Scenario, evidence: &Evidence) -> Levels<'p> {
        let mut limits = Vec::new();
        let plans = policy.plans.iter().map(|(name, list)| (format!("plan {name}"), list));
        let mut routes: Vec<_> = policy.routes.iter().collect();
        routes.sort_by_key(|&(name, _)| name);
        let routes = routes.into_iter().map(|(name, route)| (format!("route {name}"), &route.limits));
        for (owner, list) in plans.chain(routes) {
            limits.extend(list.iter().map(|limit| LimitAt {
                owner: owner.clone(),
                limit,
                per: Per::named(&limit.per),
            }));
        }
        let mut sorter =
            Sorter { policy, scenario, limits: &limits, by_subject: HashMap::new(), levels: Vec::new() };
        let mut places: HashMap<(u32, u16), Places> = HashMap::new();
        let mut excused = vec![false; evidence.traces.len()];
        for (at, trace) in evidence.traces.iter().enumerate() {
            let kind = (trace.sample.caller, trace.sample.request);
            let place = places.entry(kind).or_insert_with(|| sorter.places(kind));
            excused[at] = place.excused;
            for &level in &place.levels {
                sorter.levels[level].traces.push(at as u32); // samples are fewer than 2^32: they are held in memory
            }
        }
        let levels = sorter.levels;
        Levels { limits, levels, excused }
    }
}

impl LimitAt<'_> {
    /// Why this limit cannot be judged, if it cannot.
    pub fn not_judged(&self) -> Option<String> {
        match (&self.limit.amount, self.per) {
            (Amount::NotUnderstood(what), _) => Some(what.clone()),
            (_, None) => Some(format!("`per: {}` is not known here", self.limit.per)),
            _ if self.limit.shadow => Some("it is in shadow mode and refuses nobody".to_owned()),
            _ => None,
        }
    }

    /// Whether it may refuse for reasons that cannot be seen from outside.
    fn excuses(&self) -> bool {
        let hidden = matches!(self.limit.amount, Amount::Tokens(_) | Amount::NotUnderstood(_));
        !self.limit.shadow && (hidden || self.per.is_none())
    }
}

impl Per {
    fn named(word: &str) -> Option<Per> {
        match word {
            "tenant" => Some(Per::Tenant),
            "user" => Some(Per::User),
            "route" => Some(Per::Route),
            "tenant+route" => Some(Per::TenantRoute),
            _ => None,
        }
    }
}

/// The levels of one kind of request of one caller.
struct Places {
    levels: Vec<usize>,
    excused: bool,
}

struct Sorter<'a, 'p> {
    policy: &'p Policy,
    scenario: &'a Scenario,
    limits: &'a [LimitAt<'p>],
    by_subject: HashMap<(usize, String), usize>,
    levels: Vec<Level>,
}

impl Sorter<'_, '_> {
    fn places(&mut self, (caller, request): (u32, u16)) -> Places {
        let caller = &self.scenario.callers[caller as usize];
        let route_name = &self.scenario.requests[usize::from(request)].route;
        let route = self.policy.routes.get(route_name);
        let is_named = route.is_some_and(|route| !route.open_to_all);
        let plan = self.policy.tenants.get(&caller.tenant).filter(|_| is_named);
        let (of_plan, of_route) = (plan.map(|plan| format!("plan {plan}")), format!("route {route_name}"));

        let mut places = Places { levels: Vec::new(), excused: route.is_none() };
        for (at, limit) in self.limits.iter().enumerate() {
            if Some(&limit.owner) != of_plan.as_ref() && limit.owner != of_route {
                continue;
            }
            places.excused |= limit.excuses();
            let (tenant, user) = (&caller.tenant, &caller.user);
            let subject = match limit.per {
                Some(Per::Route) => format!("route {route_name}"),
                Some(_) if !is_named => continue,
                Some(Per::Tenant) => format!("tenant {tenant}"),
                Some(Per::User) => format!("user {user} of {tenant}"),
                Some(Per::TenantRoute) => format!("tenant {tenant} on route {route_name}"),
                None => continue,
            };
            let levels = &mut self.levels;
            let level = *self.by_subject.entry((at, subject.clone())).or_insert_with(|| {
                levels.push(Level { limit: at, subject, traces: Vec::new() });
                levels.len() - 1
            });
            places.levels.push(level);
        }
        places
    }
}
