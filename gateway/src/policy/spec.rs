//! The policy as written: typed, every value with its place, not yet asked whether it makes sense.

use super::problem::{Located, Place};
use super::snapshot::{Api, Caps, Ceilings, Timeouts, WebSocket};
use super::units::Rate;
use crate::auth::Kind;
use crate::fair;
use crate::iam::{Agency, Member, Membership, Ref, Terms};
use crate::limit::calendar::Calendar;
use crate::limit::measure::Measure;
use crate::limit::money::Currency;
use crate::limit::price::Price;
use crate::limit::{Algorithm, Per};
use crate::stream::{self, Admits};
use crate::upstream::discover::Source as Asked;
use crate::upstream::health::rules as health;
use crate::upstream::networks::Networks;
use crate::upstream::retry;
use crate::upstream::{BackendSpec, Balance, Protocol, Subject, When};
use crate::usage::Shape;
use http::{HeaderName, HeaderValue, Method};
use ipnet::IpNet;
use std::num::NonZeroU32;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// All files of a directory.
#[derive(Default)]
pub struct Policy {
    pub routes: Vec<Route>,
    pub pools: Vec<Pool>,
    pub models: Vec<Model>,
    pub plans: Vec<Plan>,
    pub tenants: Vec<Tenant>,
    pub streams: Vec<Stream>,
    pub guard: Option<Located<NonZeroU32>>,
    pub iam: Option<Located<Iam>>,
    /// There is an `iam`, but it could not be read.
    pub iam_broken: bool,
    /// Names of pools, models and plans that were declared but could not be read: whoever refers to them is right.
    pub broken: Vec<Arc<str>>,
}

/// `routes[]`
pub struct Route {
    pub name: Located<Arc<str>>,
    pub path: Located<String>,
    /// Empty: all.
    pub methods: Vec<Method>,
    pub host: Option<String>,
    pub api: Api,
    pub auth: Option<Rules>,
    pub pool: Located<Arc<str>>,
    pub caps: Caps,
    pub timeouts: Timeouts,
    pub limits: Limits,
    pub unlimited: Option<Located<String>>,
    pub websocket: Option<WebSocket>,
    pub rate_headers: bool,
    pub tenant_header: Option<HeaderName>,
    pub metering: Metering,
    pub ceilings: Ceilings,
    pub credential: Option<Located<Shown>>,
    pub retry: Option<Retry>,
}

/// `routes[].retry`
pub struct Retry {
    pub rule: retry::Rule,
    pub fallback: Option<Fallback>,
}

/// `routes[].retry.fallback`
pub struct Fallback {
    /// None: the route's own.
    pub pool: Option<Located<Arc<str>>>,
    /// As upstreams know it; None: the one that the request names.
    pub model: Option<Located<Arc<str>>>,
}

/// `routes[].model`, `model_from` and `usage`
#[derive(Default)]
pub struct Metering {
    pub model: Option<Located<Arc<str>>>,
    /// `model_from: route`
    pub fixed: bool,
    /// None: nothing is metered.
    pub shape: Option<Arc<Shape>>,
}

/// `routes[].auth` and `routes[].signing`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    pub kinds: Vec<Kind>,
    pub skew: Duration,
    pub unsigned_payload: bool,
    pub double_encoded_path: bool,
    pub refuse_replay: bool,
}

/// `pools[]`
pub struct Pool {
    pub name: Located<Arc<str>>,
    /// Of all versions.
    pub backends: Vec<(Located<BackendSpec>, u32)>,
    /// Empty: the pool has none.
    pub versions: Vec<Version>,
    /// What else backends are found by.
    pub discovers: Vec<Discover>,
    /// Where those that are found may lie, if that is written.
    pub networks: Option<Networks>,
    /// `tls` is written.
    pub tls_only: bool,
    pub split: Split,
    pub balance: Balance,
    /// PEM file of the only authorities to trust.
    pub ca_file: Option<Located<PathBuf>>,
    pub client: Option<ClientFiles>,
    pub credential: Option<Located<Shown>>,
    pub connect_timeout: Duration,
    pub protocol: Protocol,
    pub queue: Option<fair::Config>,
    pub health: health::Rules,
    /// Its backends are for streams, and for no route.
    pub raw: bool,
}

/// `streams[]`
pub struct Stream {
    pub name: Located<Arc<str>>,
    pub listener: Located<Arc<str>>,
    pub pool: Located<Arc<str>>,
    pub admits: Admits,
    /// PEM file of the authorities of callers.
    pub client_ca: Option<Located<PathBuf>>,
    pub rules: stream::Rules,
    pub idle: Duration,
    pub total: Option<Duration>,
    /// `proxy_protocol: v2`
    pub tells: bool,
}

/// `tenants[].client_certs[]`
pub enum ClientCert {
    Sha256([u8; 32]),
    /// In lower case.
    Name(Box<str>),
}

/// `pools[].versions[]`
pub struct Version {
    pub name: Located<Arc<str>>,
    pub weight: u32,
    /// Which of the pool's.
    pub backends: Range<usize>,
}

/// `discover` of a pool or version
pub struct Discover {
    /// Which of the pool's backends stands for all that it finds.
    pub at: usize,
    pub source: Asked,
    pub every: Duration,
    /// Who is asked, for a service.
    pub api: Option<DiscoverApi>,
}

/// Where the API is that is asked, and who the gateway is there.
pub struct DiscoverApi {
    pub endpoint: Located<BackendSpec>,
    /// PEM file of the only authorities to trust.
    pub ca_file: Option<Located<PathBuf>>,
    pub credential: Located<Shown>,
}

/// `pools[].split`
#[derive(Default)]
pub struct Split {
    /// None: every request anew.
    pub by: Option<Subject>,
    pub rules: Vec<Rule>,
}

/// `pools[].split.when[]`
pub struct Rule {
    pub when: Located<When>,
    pub version: Located<Arc<str>>,
}

/// `models[]`
pub struct Model {
    pub name: Located<Arc<str>>,
    /// What requests may call it besides.
    pub names: Vec<Located<Box<str>>>,
    pub price: Option<Located<Price>>,
    /// A price is written here, readable or not.
    pub priced: bool,
    pub limits: Limits,
    pub ceilings: Ceilings,
}

impl Model {
    /// Do its tokens cost nothing? A price that could not be read is one.
    pub fn is_free(&self) -> bool {
        self.price.as_ref().map_or(!self.priced, |price| price.value.cost(1, 1) == 0)
    }
}

/// `plans.*`
pub struct Plan {
    pub name: Located<Arc<str>>,
    pub limits: Limits,
    pub body_max: Option<u64>,
    pub ceilings: Ceilings,
    pub weight: NonZeroU32,
    pub class: Option<Located<Arc<str>>>,
    /// Of each tenant on each stream.
    pub streams: stream::Rules,
}

/// The limits of one place.
#[derive(Default)]
pub struct Limits {
    pub list: Vec<Limit>,
    /// Some could not be read: they may be what is missed.
    pub broken: bool,
}

/// `plans.*[]`, `routes[].limits[]`, `models[].limits[]`
pub struct Limit {
    pub name: Located<Arc<str>>,
    pub per: Per,
    pub amount: Located<Amount>,
    pub shadow: bool,
    /// `on_exhausted: cut`
    pub cut: bool,
}

impl Limit {
    /// Does it count money?
    pub fn is_money(&self) -> bool {
        matches!(&self.amount.value, Amount::Budget(budget) if budget.currency.is_some())
    }
}

/// How much a limit lets through, as written.
pub enum Amount {
    Requests { rate: Rate, burst: NonZeroU32, algorithm: Algorithm },
    Concurrent(NonZeroU32),
    Tokens { tokens: NonZeroU32, period: Duration, burst: NonZeroU32, measure: Measure },
    Budget(Budget),
}

/// So much in every day or month.
pub struct Budget {
    /// Tokens, or billionths of the currency.
    pub most: u64,
    pub measure: Measure,
    /// None: it counts tokens.
    pub currency: Option<Currency>,
    pub calendar: Arc<Calendar>,
    /// The calendar's, by name.
    pub zone: Arc<str>,
}

impl Amount {
    /// Does it count what requests cost, which only model endpoints tell?
    pub fn is_spending(&self) -> bool {
        matches!(self, Amount::Tokens { .. } | Amount::Budget(_))
    }
}

/// `iam`
pub struct Iam {
    pub login: Login,
    pub terms: Terms,
    /// Tokens remembered.
    pub max: usize,
    /// Per second.
    pub unknown: NonZeroU32,
    pub unknown_per_address: NonZeroU32,
}

/// Where IAM is and who asks it.
pub struct Login {
    pub endpoint: Located<BackendSpec>,
    /// PEM file of the only authorities to trust, as written.
    pub ca_file: Option<Located<PathBuf>>,
    pub who: Who,
    pub agency: Option<Agency>,
    pub project: Option<Ref>,
}

/// Who asks, its secrets named.
pub enum Who {
    Password { user: Box<str>, domain: Ref, password: Located<Source> },
    AkSk { access_key: Located<Source>, secret_key: Located<Source> },
}

/// `tenants[]`
pub struct Tenant {
    pub name: Located<Arc<str>>,
    pub plan: Located<Arc<str>>,
    pub users: Vec<User>,
    pub networks: Vec<Located<IpNet>>,
    pub client_certs: Vec<Located<ClientCert>>,
    pub iam: Option<Located<Membership>>,
    /// There is an `iam`, but it could not be read.
    pub iam_broken: bool,
}

/// `tenants[].users[]`
pub struct User {
    pub name: Located<Arc<str>>,
    pub credentials: Vec<Located<Credential>>,
}

/// A credential whose secrets are named.
pub enum Credential {
    AkSk {
        access_key: Box<str>,
        secret_key: Located<Source>,
        security_token: Option<Located<Source>>,
    },
    AppCode(Hashed),
    ApiKey(Hashed),
    /// No secret of ours: IAM vouches for it.
    Iam(Member),
}

/// `credential` of a pool or route: who the gateway is to backends.
pub enum Shown {
    None,
    Pass,
    AkSk(Signing),
    AppCode(Located<Source>),
    ApiKey(Located<Source>),
    Header(HeaderName, Located<Source>),
    IamToken(Box<Login>),
}

/// `credential.ak_sk`
pub struct Signing {
    pub access_key: Located<Source>,
    pub secret_key: Located<Source>,
    pub security_token: Option<Located<Source>>,
    /// `algorithm: v11`: region and service.
    pub derived: Option<(Box<str>, Box<str>)>,
    pub unsigned_payload: bool,
    pub project_id: Option<HeaderValue>,
}

/// `pools[].tls.client`: PEM files.
pub struct ClientFiles {
    pub cert: Located<PathBuf>,
    pub key: Located<PathBuf>,
}

/// A secret by its digest, or where it is.
pub enum Hashed {
    Sha256([u8; 32]),
    At(Source),
}

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Env(String),
    File(String),
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

impl Tenant {
    /// Has any user a credential that the route takes?
    pub fn may_call(&self, kinds: &[Kind]) -> bool {
        let mut credentials = self.users.iter().flat_map(|user| &user.credentials);
        credentials.any(|credential| kinds.contains(&credential.value.kind()))
    }
}

/// A place that stands for a whole file.
pub fn whole(file: u16) -> Place {
    Place { file, line: 0, column: 0 }
}
