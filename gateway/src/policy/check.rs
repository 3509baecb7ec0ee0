//! Does the policy make sense as a whole? Names resolved, duplicates found, secrets read.
//!
//! What comes out is plain data: no state, no strings left to look up. [`install`](super::install) turns it
//! into a snapshot.

mod coverage;
mod credential;
mod discover;
mod iam;
mod models;
mod protocols;
mod queues;
mod retries;
mod streams;
mod tenants;
mod versions;

pub use self::streams::Stream;

use self::retries::RequestNames;
use super::problem::{Located, Place, Problems, nearest};
use super::secret::{Missing, Secret, Secrets};
use super::snapshot::{Api, Caps, Ceilings, Timeouts, WebSocket};
use super::spec::{self, Amount, Budget, Rules};
use crate::auth::Kind;
use crate::fair;
use crate::iam::{CheckSpec, Login, Member, Membership};
use crate::ids::RouteId;
use crate::limit::money::Currency;
use crate::limit::price::Price;
use crate::limit::{self, Per};
use crate::route::{Conflict, Table, TableBuilder};
use crate::stream::{self, Directory};
use crate::upstream::discover::{ServiceApi, Source};
use crate::upstream::health::rules as health;
use crate::upstream::networks::Networks;
use crate::upstream::retry::Rule;
use crate::upstream::{Backend, BackendSpec, Balance, ClientIdentity, Credential as Shown, Split};
use crate::usage::Shape;
use http::{HeaderName, Method};
use std::cell::RefCell;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Routes of one policy: [`RouteId`] has 16 bits.
const ROUTES_MAX: usize = 10_000;
/// Limits of one plan or one route: one decision looks at all of them.
const LIMITS_MAX: usize = 16;

/// A policy that can be put in force.
pub struct Checked {
    pub routes: Vec<Route>,
    pub pools: Vec<Pool>,
    /// The last stands for all that are not declared.
    pub models: Vec<Model>,
    pub plans: Vec<Plan>,
    pub tenants: Vec<Tenant>,
    pub streams: Vec<Stream>,
    /// Who callers of streams are, by index into `tenants`.
    pub directory: Directory,
    /// How callers' tokens are checked.
    pub iam: Option<Iam>,
    /// 0: no guard.
    pub guard_per_address: u32,
    pub table: Table,
}

impl Checked {
    /// Every limit, wherever it is written.
    pub fn limits(&self) -> impl Iterator<Item = &Limit> {
        let of_plans = self.plans.iter().flat_map(|plan| &plan.limits);
        let of_routes = self.routes.iter().flat_map(|route| &route.limits);
        of_plans.chain(of_routes).chain(self.models.iter().flat_map(|model| &model.limits))
    }
}

pub struct Route {
    pub name: Arc<str>,
    pub path: String,
    pub methods: Vec<Method>,
    pub host: Option<String>,
    pub api: Api,
    pub auth: Option<Rules>,
    /// Index into `pools`.
    pub pool: usize,
    pub caps: Caps,
    pub timeouts: Timeouts,
    pub limits: Vec<Limit>,
    pub unlimited: Option<String>,
    pub websocket: Option<WebSocket>,
    pub rate_headers: bool,
    pub tenant_header: Option<HeaderName>,
    /// Index into `models`.
    pub model: Option<usize>,
    /// It is `model`, whatever the body says.
    pub model_fixed: bool,
    /// How answers tell what was used; None: nothing is metered.
    pub shape: Option<Arc<Shape>>,
    pub ceilings: Ceilings,
    /// Instead of its pool's.
    pub credential: Option<Arc<Shown>>,
    pub retry: Option<Retry>,
}

/// What a route does after an attempt in vain.
pub struct Retry {
    pub rule: Rule,
    pub fallback: Option<Fallback>,
}

pub struct Fallback {
    /// Index into `pools`; may be the route's own.
    pub pool: usize,
    /// As upstreams know it, and its index into `models`.
    pub model: Option<(Arc<str>, usize)>,
}

pub struct Pool {
    pub name: Arc<str>,
    /// Of all versions.
    pub backends: Vec<(BackendSpec, u32)>,
    /// At least one.
    pub versions: Vec<Version>,
    /// What backends are found by.
    pub discovers: Vec<Discover>,
    /// Where those that are found may lie, if that is written.
    pub networks: Option<Networks>,
    /// Only backends whom its `tls` can verify are used.
    pub tls_only: bool,
    pub split: Split,
    pub balance: Balance,
    pub connect_timeout: Duration,
    pub queue: Option<fair::Config>,
    /// Who the gateway is to its backends.
    pub credential: Arc<Shown>,
    pub health: health::Rules,
}

pub struct Discover {
    /// Which of the pool's backends stands for all that it finds.
    pub at: usize,
    pub source: Source,
    pub every: Duration,
    /// Who is asked, for a service.
    pub api: Option<Arc<ServiceApi>>,
}

pub struct Version {
    /// None: all there is of a pool without versions.
    pub name: Option<Arc<str>>,
    pub weight: u32,
    /// Which of the pool's.
    pub backends: Range<usize>,
}

pub struct Model {
    pub name: Arc<str>,
    /// What requests may call it besides.
    pub names: Vec<Box<str>>,
    pub price: Option<Price>,
    pub limits: Vec<Limit>,
    pub ceilings: Ceilings,
}

pub struct Plan {
    pub name: Arc<str>,
    pub limits: Vec<Limit>,
    pub body_max: Option<u64>,
    pub ceilings: Ceilings,
    pub weight: NonZeroU32,
    pub class: Option<Arc<str>>,
    pub streams: stream::Rules,
}

/// A limit, and what `posture` tells of it besides.
pub struct Limit {
    pub rule: limit::Limit,
    /// Time zone of a budget.
    pub zone: Option<Arc<str>>,
    /// Currency of a budget in money.
    pub currency: Option<Currency>,
}

impl Limit {
    /// Does it count per day or month?
    pub fn is_budget(&self) -> bool {
        matches!(self.rule.amount, limit::Amount::Budget { .. })
    }
}

/// How callers' tokens are checked.
pub struct Iam {
    pub login: Login,
    pub checks: CheckSpec,
}

pub struct Tenant {
    pub name: Arc<str>,
    /// Index into `plans`.
    pub plan: usize,
    pub users: Vec<User>,
    /// Is it known by a network or a certificate?
    pub on_streams: bool,
    /// Whose tokens are its own.
    pub iam: Option<Membership>,
}

pub struct User {
    pub name: Arc<str>,
    pub credentials: Vec<Credential>,
}

/// A credential with its secret: goes into the keyring and is forgotten.
pub enum Credential {
    AkSk { access_key: Box<str>, secret_key: Secret, security_token: Option<Secret> },
    AppCode([u8; 32]),
    ApiKey([u8; 32]),
    Iam(Member),
}

impl Credential {
    /// Which kind it is.
    pub fn kind(&self) -> Kind {
        match self {
            Credential::AkSk { .. } => Kind::AkSk,
            Credential::AppCode(_) => Kind::AppCode,
            Credential::ApiKey(_) => Kind::ApiKey,
            Credential::Iam(_) => Kind::IamToken,
        }
    }
}

/// Checks everything and records every problem. None only if there are problems.
pub fn check(mut policy: spec::Policy, secrets: &Secrets<'_>, problems: &Problems) -> Option<Checked> {
    policy.models.sort_by_key(|model| &*model.name.value == models::OTHER); // stable: the last, where there is one
    let check = Check { problems, secrets, broken: &policy.broken, codes: RefCell::default() };
    let pools = check.index("pools", policy.pools.iter().map(|pool| &pool.name));
    let models = check.index("models", policy.models.iter().map(|model| &model.name));
    let plans = check.index("plans", policy.plans.iter().map(|plan| &plan.name));
    check.index("routes", policy.routes.iter().map(|route| &route.name));
    let tenant_names = check.index("tenants", policy.tenants.iter().map(|tenant| &tenant.name));
    check.index("streams", policy.streams.iter().map(|stream| &stream.name));
    check.stream_pools(&policy, &pools);
    let directory = check.directory(&policy.tenants);
    check.credentials(&policy.tenants);
    check.tokens(&policy);
    check.coverage(&policy, &plans);
    check.request_names(&policy.models);
    check.money(&policy);
    check.classes(&policy);
    check.subjects(&policy);
    check.protocols(&policy, &pools);
    if policy.routes.is_empty() && policy.streams.is_empty() && problems.count() == 0 {
        let help = "a policy needs at least one entry in `routes`";
        problems.add(spec::whole(0), "routes", "no file has a route", help);
    }
    let guard_per_address = policy.guard.as_ref().map_or(0, |guard| guard.value.get());
    let iam = policy.iam.map(|iam| check.iam(iam.value));
    let table = check.table(&policy.routes);
    let names = retries::request_names(&policy.models);
    let routes = policy.routes.into_iter().map(|route| {
        let place = route.name.place;
        (check.route(route, &pools, &models, &names), place)
    });
    let routes = routes.collect::<Vec<_>>();
    let streams = policy.streams.into_iter().map(|stream| check.stream(stream, &pools, &policy.pools));
    let streams = streams.collect::<Vec<_>>();
    let tenants = policy.tenants.into_iter().map(|tenant| check.tenant(tenant, &plans)).collect::<Vec<_>>();
    let models = check.models(policy.models);
    let plans = policy.plans.into_iter().map(|plan| check.plan(plan)).collect();
    let pools = policy.pools.into_iter().map(|pool| check.pool(pool, &tenant_names)).collect::<Vec<_>>();
    check.one_meaning(&routes, &pools);
    Some(Checked {
        routes: routes.into_iter().map(|(route, _)| route).collect::<Option<_>>()?,
        pools: pools.into_iter().collect::<Option<_>>()?,
        models,
        plans,
        tenants: tenants.into_iter().collect::<Option<_>>()?,
        streams: streams.into_iter().collect::<Option<_>>()?,
        directory,
        iam: match iam {
            Some(None) => return None,
            iam => iam.flatten(),
        },
        guard_per_address,
        table,
    })
}

/// Where a key stood first, and at which path.
type Firsts<K> = HashMap<K, (Place, String)>;
type Index = HashMap<Arc<str>, usize>;

struct Check<'a> {
    problems: &'a Problems,
    secrets: &'a Secrets<'a>,
    broken: &'a [Arc<str>],
    /// AppCodes and API keys so far: where, and whose.
    codes: RefCell<Firsts<(Kind, [u8; 32])>>,
}

impl Check<'_> {
    /// Names of a section; a name used twice is a problem at its second place.
    fn index<'n>(&self, section: &str, names: impl Iterator<Item = &'n Located<Arc<str>>>) -> Index {
        let mut index = Index::new();
        let mut places: HashMap<&str, Place> = HashMap::new();
        for (i, name) in names.enumerate() {
            if let Some(first) = places.insert(&name.value, name.place) {
                let what = format!("`{}` is there already, at {}", name.value, self.at(first));
                self.problems.add(name.place, section, what, "give each a name of its own");
            }
            index.insert(name.value.clone(), i);
        }
        index
    }

    fn at(&self, place: Place) -> String {
        format!("{}:{}", self.problems.file(place.file), place.line)
    }

    /// The entry `name` refers to.
    fn find(&self, path: String, what: &str, name: &Located<Arc<str>>, index: &Index) -> Option<usize> {
        let found = index.get(&name.value).copied();
        if found.is_none() && !self.broken.contains(&name.value) {
            let names = index.keys().map(|name| name.as_ref());
            let mut help = nearest(&name.value, sorted(names));
            if help.is_empty() {
                help = match sorted(index.keys().map(|name| name.as_ref())).as_slice() {
                    [] => format!("there is no {what}; add it to `{what}s`"),
                    few if few.len() <= 8 => format!("there are: {}", few.join(", ")),
                    many => format!("there are {} {what}s, none with a similar name", many.len()),
                };
            }
            let what = format!("no {what} is named `{}`", name.value);
            self.problems.add(name.place, path, what, help);
        }
        found
    }

    /// The table of routes. Its own rules (patterns, overlaps) are problems like any other.
    fn table(&self, routes: &[spec::Route]) -> Table {
        let mut table = TableBuilder::default();
        if routes.len() > ROUTES_MAX {
            let what = format!("more than {ROUTES_MAX} routes");
            self.problems.add(
                routes[ROUTES_MAX].name.place,
                "routes",
                what,
                "patterns may take several paths",
            );
        }
        for (i, route) in routes.iter().enumerate().take(ROUTES_MAX) {
            let id = RouteId(i as u16); // below ROUTES_MAX
            let added = table.add(id, route.host.as_deref(), &route.methods, &route.path.value);
            let (what, help) = match added {
                Ok(()) => continue,
                Err(Conflict::Pattern { what, help }) => (what, help),
                Err(Conflict::Taken { other }) => {
                    let other = &routes[usize::from(other.0)];
                    let what = format!(
                        "route `{}` at {} takes these requests already",
                        other.name.value,
                        self.at(other.path.place)
                    );
                    (what, "tell them apart by path, method or host".to_string())
                }
            };
            self.problems.add(
                route.path.place,
                format!("routes.{}.match.path", route.name.value),
                what,
                help,
            );
        }
        table.build()
    }

    fn route(
        &self,
        route: spec::Route,
        pools: &Index,
        models: &Index,
        names: &RequestNames,
    ) -> Option<Route> {
        let path = format!("routes.{}", route.name.value);
        if route.auth.is_none() {
            for limit in route.limits.list.iter().filter(|limit| limit.per == Per::TenantRoute) {
                let path = format!("{path}.limits.{}.per", limit.name.value);
                let what = "this route has `auth: none`, so there is no tenant to count by";
                self.problems.add(
                    limit.name.place,
                    path,
                    what,
                    "write `per: route`, or ask for a credential",
                );
            }
        }
        if matches!(route.api, Api::Plain | Api::Grpc) {
            self.nothing_to_spend(&path, &route.limits);
        }
        let pool = self.find(format!("{path}.pool"), "pool", &route.pool, pools);
        let named = route.metering.model.as_ref();
        let model = named.map(|name| self.find(format!("{path}.model"), "model", name, models));
        let retry = self.retry(&route, pools, names);
        let credential = route.credential.map(|shown| self.shown(shown, &format!("{path}.credential")));
        Some(Route {
            limits: self.limits(&format!("{path}.limits"), route.limits),
            pool: pool?,
            name: route.name.value,
            path: route.path.value,
            methods: route.methods,
            host: route.host,
            api: route.api,
            auth: route.auth,
            caps: route.caps,
            timeouts: route.timeouts,
            unlimited: route.unlimited.map(|reason| reason.value),
            websocket: route.websocket,
            rate_headers: route.rate_headers,
            tenant_header: route.tenant_header,
            model: match model {
                Some(None) => return None,
                model => model.flatten(),
            },
            model_fixed: route.metering.fixed,
            shape: route.metering.shape,
            ceilings: route.ceilings,
            credential: match credential {
                Some(None) => return None,
                credential => credential.flatten(),
            },
            retry: retry?,
        })
    }

    fn plan(&self, plan: spec::Plan) -> Plan {
        let limits = self.limits(&format!("plans.{}", plan.name.value), plan.limits);
        let class = plan.class.map(|class| class.value);
        let (body_max, ceilings, weight) = (plan.body_max, plan.ceilings, plan.weight);
        Plan { name: plan.name.value, limits, body_max, ceilings, weight, class, streams: plan.streams }
    }

    fn limits(&self, path: &str, limits: spec::Limits) -> Vec<Limit> {
        self.index(path, limits.list.iter().map(|limit| &limit.name));
        if let Some(extra) = limits.list.get(LIMITS_MAX) {
            let what = format!("more than {LIMITS_MAX} limits in one place");
            self.problems.add(
                extra.name.place,
                path,
                what,
                "keep those that matter: every request asks them all",
            );
        }
        limits.list.into_iter().map(compiled).collect()
    }

    fn pool(&self, pool: spec::Pool, tenants: &Index) -> Option<Pool> {
        let name = pool.name.value;
        let split = self.split(&name, &pool.versions, pool.split, tenants);
        let ca_pem: Option<Arc<[u8]>> = match &pool.ca_file {
            None => None,
            Some(file) => match self.secrets.certificates(&file.value, "authorities") {
                Ok(pem) => Some(pem.into()),
                Err(Missing { what, help }) => {
                    self.problems.add(file.place, format!("pools.{name}.tls.ca"), what, help);
                    return None;
                }
            },
        };
        let client: Option<Option<ClientIdentity>> = pool.client.map(|files| self.client(&files, &name));
        let credential = match pool.credential {
            Some(shown) => self.shown(shown, &format!("pools.{name}.credential")),
            None => Some(Arc::default()),
        };
        let discovers = self.discovers(&name, pool.discovers);
        let client = match client {
            Some(None) => return None,
            client => client.flatten(),
        };
        let mut backends = Vec::new();
        for (Located { value: mut spec, place }, weight) in pool.backends {
            if let Some(tls) = &mut spec.tls {
                tls.ca_pem.clone_from(&ca_pem);
                tls.client.clone_from(&client);
            }
            // Built once to be sure that it can be; the registry builds the one that is used.
            if let Err(what) = Backend::new(spec.clone()) {
                self.problems.add(place, format!("pools.{name}.backends"), what, "check `url` and `tls`");
            }
            backends.push((spec, weight));
        }
        Some(Pool {
            versions: versions::of(pool.versions, backends.len()),
            discovers: discovers?,
            networks: pool.networks,
            tls_only: pool.tls_only,
            split: split?,
            balance: pool.balance,
            name,
            backends,
            connect_timeout: pool.connect_timeout,
            queue: pool.queue,
            credential: credential?,
            health: pool.health,
        })
    }
}

fn compiled(limit: spec::Limit) -> Limit {
    let (mut zone, mut currency) = (None, None);
    let amount = match limit.amount.value {
        Amount::Concurrent(most) => limit::Amount::Concurrent(most),
        Amount::Requests { rate, burst, algorithm } => {
            limit::Amount::Requests { requests: rate.count, period: rate.period, burst, algorithm }
        }
        Amount::Tokens { tokens, period, burst, measure } => {
            limit::Amount::Tokens { tokens, period, burst, measure }
        }
        Amount::Budget(budget) => {
            let Budget { most, measure, calendar, .. } = budget;
            (zone, currency) = (Some(budget.zone), budget.currency);
            limit::Amount::Budget { most, measure, calendar }
        }
    };
    let name = limit.name.value;
    let rule = limit::Limit { name, per: limit.per, amount, shadow: limit.shadow, cut: limit.cut };
    Limit { rule, zone, currency }
}

fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    names
}
