//! The policy as written: typed, every value with its place, not yet asked whether it makes sense.

use super::problem::{Located, Place};
use super::snapshot::{Api, Caps, Timeouts};
use super::units::Rate;
use crate::auth::Kind;
use crate::limit::{Algorithm, Per};
use crate::upstream::BackendSpec;
use http::{HeaderName, Method};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// All files of a directory.
#[derive(Default)]
pub struct Policy {
    pub routes: Vec<Route>,
    pub pools: Vec<Pool>,
    pub plans: Vec<Plan>,
    pub tenants: Vec<Tenant>,
    pub guard: Option<Located<NonZeroU32>>,
    /// Names of pools and plans that were declared but could not be read: whoever refers to them is right.
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
    pub limits: Vec<Limit>,
    /// Limits are written here, readable or not.
    pub limited: bool,
    pub unlimited: Option<Located<String>>,
    pub rate_headers: bool,
    pub tenant_header: Option<HeaderName>,
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
    pub backends: Vec<(Located<BackendSpec>, u32)>,
    /// PEM file of the only authorities to trust.
    pub ca_file: Option<Located<PathBuf>>,
    pub connect_timeout: Duration,
}

/// `plans.*`
pub struct Plan {
    pub name: Located<Arc<str>>,
    pub limits: Vec<Limit>,
    /// Limits are written here, readable or not.
    pub limited: bool,
    pub body_max: Option<u64>,
}

/// `plans.*[]`, `routes[].limits[]`
pub struct Limit {
    pub name: Located<Arc<str>>,
    pub per: Per,
    pub amount: Amount,
}

/// How much a limit lets through, as written.
pub enum Amount {
    Requests { rate: Rate, burst: NonZeroU32, algorithm: Algorithm },
    Concurrent(NonZeroU32),
}

/// `tenants[]`
pub struct Tenant {
    pub name: Located<Arc<str>>,
    pub plan: Located<Arc<str>>,
    pub users: Vec<User>,
}

/// `tenants[].users[]`
pub struct User {
    pub name: Located<Arc<str>>,
    pub credentials: Vec<Located<Credential>>,
}

/// A credential whose secrets are named.
pub enum Credential {
    AkSk { access_key: Box<str>, secret_key: Located<Source>, security_token: Option<Located<Source>> },
    AppCode(Hashed),
    ApiKey(Hashed),
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
