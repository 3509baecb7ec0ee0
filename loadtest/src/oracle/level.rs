//! Levels: which limits count a request, and together with which others.

use std::collections::HashMap;

use super::cost::{Answers, Terms, Told};
use super::evidence::Evidence;
use super::limit::{Amount, Limit, Measure};
use super::policy::{OTHER, Policy, Route};
use crate::generate::ask::CHAT_MODEL;
use crate::mock::endpoint::Endpoint;
use crate::scenario::{BodyKind, Request, Scenario};

/// A limit and where it stands.
pub struct LimitAt<'p> {
    /// `plan gold`, `route chat`.
    pub owner: String,
    /// The limit.
    pub limit: &'p Limit,
    /// What it counts separately; None if that is not understood.
    pub per: Option<Per>,
    /// A price that it needs and that is not understood.
    unpriced: Option<&'p str>,
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
    /// Those of a tenant for a model.
    TenantModel,
    /// All for a model.
    Model,
}

/// All requests that one limit counts together.
pub struct Level {
    /// Index into [`Levels::limits`].
    pub limit: usize,
    /// Who is counted: `tenant acme`, `user alice of acme`.
    pub subject: String,
    /// Indexes into [`Evidence::traces`].
    pub traces: Vec<u32>,
    /// Tokens are counted for requests of which it is not known how.
    pub hidden: bool,
}

/// All levels of a run.
pub struct Levels<'p> {
    /// Every limit of the policy, plans first.
    pub limits: Vec<LimitAt<'p>>,
    /// Every level that counted a request.
    pub levels: Vec<Level>,
    /// By trace: a limit applies that may have refused it, and that cannot be judged from outside.
    pub excused: Vec<bool>,
    /// What answers were like.
    pub answers: Answers,
    /// By trace: its place in `terms`.
    kinds: Vec<u32>,
    terms: Vec<Terms>,
}

impl<'p> Levels<'p> {
    /// Sorts all requests into the levels that count them.
    pub fn of(policy: &'p Policy, scenario: &Scenario, evidence: &Evidence) -> Levels<'p> {
        let mut limits = Vec::new();
        let mut prices = policy.models.iter().filter(|(_, model)| model.price.is_none());
        let unpriced = prices.next().map(|(name, _)| name.as_str());
        let plans = policy.plans.iter().map(|(name, list)| (format!("plan {name}"), list));
        let mut routes: Vec<_> = policy.routes.iter().collect();
        routes.sort_by_key(|&(name, _)| name);
        let routes = routes.into_iter().map(|(name, route)| (format!("route {name}"), &route.limits));
        let models = policy.models.iter().map(|(name, model)| (format!("model {name}"), &model.limits));
        for (owner, list) in plans.chain(routes).chain(models) {
            limits.extend(list.iter().map(|limit| LimitAt {
                owner: owner.clone(),
                limit,
                per: Per::named(&limit.per),
                unpriced: unpriced.filter(|_| matches!(limit.amount, Amount::Spend(Measure::Money, _))),
            }));
        }
        let mut sorter =
            Sorter { policy, scenario, limits: &limits, by_subject: HashMap::new(), levels: Vec::new() };
        let mut places: HashMap<(u32, u16), Places> = HashMap::new();
        let mut excused = vec![false; evidence.traces.len()];
        let (mut kinds, mut terms) = (Vec::with_capacity(evidence.traces.len()), Vec::new());
        for (at, trace) in evidence.traces.iter().enumerate() {
            let kind = (trace.sample.caller, trace.sample.request);
            let place = places.entry(kind).or_insert_with(|| {
                terms.push(sorter.terms(kind));
                sorter.places(kind, terms.len() as u32 - 1)
            });
            excused[at] = place.excused;
            kinds.push(place.terms);
            for &level in &place.levels {
                sorter.levels[level].traces.push(at as u32); // samples are fewer than 2^32: they are held in memory
            }
        }
        let levels = sorter.levels;
        let each = evidence.traces.iter().zip(&kinds).map(|(trace, &kind)| (trace, terms[kind as usize]));
        let answers = Answers::of(each, policy.completion_ceiling);
        Levels { limits, levels, excused, answers, kinds, terms }
    }

    /// What is known of the cost of a trace's request.
    pub fn terms(&self, trace: u32) -> Terms {
        self.terms[self.kinds[trace as usize] as usize]
    }
}

impl LimitAt<'_> {
    /// Why this limit cannot be judged, if it cannot.
    pub fn not_judged(&self) -> Option<String> {
        match (&self.limit.amount, self.per) {
            (Amount::NotUnderstood(what), _) => Some(what.clone()),
            (_, None) => Some(format!("`per: {}` is not known here", self.limit.per)),
            _ if self.limit.shadow => Some("it is in shadow mode; no refusal is excused by it".to_owned()),
            _ => self.unpriced.map(|model| format!("the price of model {model} is not understood")),
        }
    }

    /// Whether it may refuse for reasons that cannot be seen from outside.
    fn excuses(&self) -> bool {
        !self.limit.shadow && self.not_judged().is_some()
    }
}

impl Per {
    fn named(word: &str) -> Option<Per> {
        match word {
            "tenant" => Some(Per::Tenant),
            "user" => Some(Per::User),
            "route" => Some(Per::Route),
            "tenant+route" => Some(Per::TenantRoute),
            "tenant+model" => Some(Per::TenantModel),
            "model" => Some(Per::Model),
            _ => None,
        }
    }
}

/// The levels of one kind of request of one caller.
struct Places {
    levels: Vec<usize>,
    excused: bool,
    terms: u32,
}

struct Sorter<'a, 'p> {
    policy: &'p Policy,
    scenario: &'a Scenario,
    limits: &'a [LimitAt<'p>],
    by_subject: HashMap<(usize, String), usize>,
    levels: Vec<Level>,
}

impl Sorter<'_, '_> {
    /// The request, its route, and the model that it is for.
    fn asked(&self, request: u16) -> (&Request, Option<&Route>, Option<&str>) {
        let request = &self.scenario.requests[usize::from(request)];
        let route = self.policy.routes.get(&request.route);
        let named = Some(CHAT_MODEL).filter(|_| request.body == BodyKind::Chat);
        (request, route, route.and_then(|route| self.policy.model_of(route, named)))
    }

    fn terms(&self, (_, request): (u32, u16)) -> Terms {
        let (request, route, model) = self.asked(request);
        Terms {
            price: self.policy.price_of(model.unwrap_or(OTHER)).unwrap_or_default(),
            told: route.map_or(Told::Unknown, |route| told(route, request)),
            stream: request.stream,
            completion_max: request.max_tokens.map(u64::from),
            body_bytes: u64::from(request.body_bytes),
            target_bytes: request.target.len() as u64,
        }
    }

    fn places(&mut self, (caller, request): (u32, u16), terms: u32) -> Places {
        let caller = &self.scenario.callers[caller as usize];
        let route_name = &self.scenario.requests[usize::from(request)].route;
        let (asked, route, model) = self.asked(request);
        let model = model.map(ToOwned::to_owned);
        let is_named = route.is_some_and(|route| !route.open_to_all);
        let hidden = route.is_some_and(|route| told(route, asked) == Told::Unknown);
        let plan = self.policy.tenants.get(&caller.tenant).filter(|_| is_named);
        let owners = [
            plan.map(|plan| format!("plan {plan}")),
            Some(format!("route {route_name}")),
            model.as_ref().map(|model| format!("model {model}")),
        ];

        let mut places = Places { levels: Vec::new(), excused: route.is_none(), terms };
        for (at, limit) in self.limits.iter().enumerate() {
            let spends = matches!(limit.limit.amount, Amount::Spend(..));
            // On a plain route nothing is metered, and limits on tokens and money have no say.
            if !owners.iter().flatten().any(|owner| *owner == limit.owner) || (spends && model.is_none()) {
                continue;
            }
            let (tenant, user) = (&caller.tenant, &caller.user);
            let subject = match (limit.per, &model) {
                (Some(Per::Route), _) => format!("route {route_name}"),
                (Some(Per::Model), Some(model)) => format!("model {model}"),
                (Some(_), _) if !is_named => continue,
                (Some(Per::Tenant), _) => format!("tenant {tenant}"),
                (Some(Per::User), _) => format!("user {user} of {tenant}"),
                (Some(Per::TenantRoute), _) => format!("tenant {tenant} on route {route_name}"),
                (Some(Per::TenantModel), Some(model)) => format!("tenant {tenant} for model {model}"),
                (Some(Per::TenantModel | Per::Model), None) => continue,
                (None, _) => {
                    places.excused |= limit.excuses();
                    continue;
                }
            };
            places.excused |= limit.excuses();
            let levels = &mut self.levels;
            let level = *self.by_subject.entry((at, subject.clone())).or_insert_with(|| {
                levels.push(Level { limit: at, subject, traces: Vec::new(), hidden: false });
                levels.len() - 1
            });
            levels[level].hidden |= spends && hidden;
            places.levels.push(level);
        }
        places
    }
}

/// Where answers on a route tell what was used, as the mock answers this request.
fn told(route: &Route, request: &Request) -> Told {
    /// What a service of the mock's says in words of its own.
    const SAID: [&str; 6] = ["service_id", "path", "bytes", "sha256", "index", "result"];
    let speaks = |path: &String| SAID.iter().any(|said| path.split('.').next() == Some(said));
    match route.api.as_str() {
        "pangu" if request.target.starts_with("/v1/") => Told::EachEvent,
        "pangu" | "openai" => Told::AtTheEnd,
        "modelarts" if is_service(request) && !route.usage.iter().any(speaks) => Told::Nowhere,
        _ => Told::Unknown,
    }
}

/// Does the mock answer it as a service with a form of its own? Further down such a path may have a model's API.
fn is_service(request: &Request) -> bool {
    let path = request.target.split('?').next().unwrap_or_default();
    matches!(Endpoint::find(&request.method, path, ""), Endpoint::Predict { .. })
}
