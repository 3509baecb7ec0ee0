//! A checked policy: plain data, all names resolved.

use super::streams::Stream;
use crate::auth::Kind;
use crate::fair;
use crate::iam::{CheckSpec, Login, Member, Membership};
use crate::limit;
use crate::limit::money::Currency;
use crate::limit::price::Price;
use crate::policy::secret::Secret;
use crate::policy::snapshot::{Api, Caps, Ceilings, Timeouts, WebSocket};
use crate::policy::spec::Rules;
use crate::route::Table;
use crate::stream::{self, Directory};
use crate::upstream::discover::{ServiceApi, Source};
use crate::upstream::health::rules as health;
use crate::upstream::networks::Networks;
use crate::upstream::retry::Rule;
use crate::upstream::{BackendSpec, Balance, Credential as Shown, Split};
use crate::usage::Shape;
use http::{HeaderName, Method};
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

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
    /// Does it count requests of `api`?
    pub fn counts(&self, api: Api) -> bool {
        api.is_counted(self.rule.per, self.rule.amount.is_spending())
    }

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
