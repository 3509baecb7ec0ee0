//! The compiled policy: what one request reads, from its first byte to its access-log line.

use crate::auth;
use crate::fair::{Gate, TenantKey};
use crate::iam;
use crate::ids::{CallerId, RouteId};
use crate::limit::price::Price;
use crate::limit::{self, Per};
use crate::observe::metrics::RouteMetrics;
use crate::observe::retries::RetryMetrics;
use crate::observe::tenants::OnRoute;
use crate::route::Table;
use crate::stream::Streams;
use crate::upstream::budget::Budget;
use crate::upstream::discover::Supply;
use crate::upstream::retry::Rule;
use crate::upstream::{Credential, Pool};
use crate::usage::Shape;
use ahash::AHashMap;
use metrics::Histogram;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// Everything one policy decides; immutable. A request takes one and keeps it to its end.
pub struct Snapshot {
    /// 1 for the policy at start, one more for each that took effect.
    pub version: u64,
    /// First 12 hex digits of the SHA-256 over all policy files: what replicas compare.
    pub digest: Arc<str>,
    /// Wall time when it took effect.
    pub loaded_ms: u64,
    /// Which route takes a request.
    pub table: Table,
    /// Indexed by [`RouteId`].
    pub routes: Vec<Arc<Route>>,
    /// Where requests go, in the order of the files.
    pub pools: Vec<Arc<Pool>>,
    /// What keeps pools supplied whose backends are found out.
    pub supplies: Vec<Supply>,
    /// Whose credential is it.
    pub keys: auth::Keyring,
    /// Whose IAM token is it.
    pub iam: Option<iam::Callers>,
    /// Indexed by [`CallerId`].
    pub callers: Vec<Arc<Caller>>,
    /// What requests may be for.
    pub models: Models,
    /// Requests per second and address before authentication; 0: no guard.
    pub guard_per_address: u32,
    /// What callers of listeners for plain TCP may reach.
    pub streams: Streams,
    /// Does any limit count tokens or money per day or month?
    pub budgets: bool,
}

impl Snapshot {
    /// The route `find` named.
    pub fn route(&self, id: RouteId) -> &Arc<Route> {
        &self.routes[usize::from(id.0)]
    }

    /// The caller `auth` named.
    pub fn caller(&self, id: CallerId) -> &Arc<Caller> {
        &self.callers[id.0 as usize]
    }
}

/// A match and everything decided for it.
pub struct Route {
    /// As in the files; unique.
    pub name: Arc<str>,
    /// How usage is read and how a refusal looks.
    pub api: Api,
    /// None: anybody may call (`auth: none`).
    pub auth: Option<auth::Rules>,
    /// Who answers.
    pub pool: Arc<Pool>,
    /// The gate before its pool, if that takes only so much at a time.
    pub queue: Option<Queue>,
    /// Sizes a request may have.
    pub caps: Caps,
    /// How long it waits.
    pub timeouts: Timeouts,
    /// Counts its requests.
    pub metrics: RouteMetrics,
    /// Counts those of each tenant.
    pub tenants: Arc<OnRoute>,
    /// Levels of the limits written at this route.
    pub limits: Arc<limit::Common>,
    /// What WebSockets may be used for; None: they may not be opened.
    pub websocket: Option<WebSocket>,
    /// `x-ratelimit-*` on every answer, not only on refusals.
    pub rate_headers: bool,
    /// Header that tells the upstream the tenant's name; None: not told.
    pub tenant_header: Option<http::HeaderName>,
    /// How its tokens are counted; None: not a model endpoint, and limits on tokens and budgets have no say.
    pub metering: Option<Metering>,
    /// How much one request may ask for; the strictest of route, caller and model counts.
    pub ceilings: Ceilings,
    /// Who the gateway is to the backends of `pool`, instead of what the pool says.
    pub credential: Option<Arc<Credential>>,
    /// Who is asked after an attempt in vain; None: nobody.
    pub retry: Option<Box<Retry>>,
}

impl Route {
    /// Who the gateway is to the backends of `pool`. The route's own word is for its own pool: no other is shown it.
    pub fn credential<'a>(&'a self, pool: &'a Pool) -> &'a Credential {
        match &self.credential {
            Some(own) if std::ptr::eq(pool, &*self.pool) => own,
            _ => &pool.credential,
        }
    }
}

/// When a route asks a second backend, and who that is.
pub struct Retry {
    /// After what, and how often.
    pub rule: Rule,
    /// What further attempts at the route's pool are paid from.
    pub budget: Arc<Budget>,
    /// Who is asked in the end.
    pub fallback: Option<Fallback>,
    /// Counts what came of it.
    pub metrics: RetryMetrics,
}

/// Who answers when a pool does not.
pub struct Fallback {
    /// Of the model as upstreams know it, or else of the pool: for logs.
    pub name: Arc<str>,
    /// The same, for the caller.
    pub told: http::HeaderValue,
    /// Who is asked; may be the route's own pool.
    pub pool: Arc<Pool>,
    /// The gate before that pool.
    pub queue: Option<Queue>,
    /// What further attempts at it are paid from.
    pub budget: Arc<Budget>,
    /// The model in place of the one that the request names, as upstreams know it.
    pub model: Option<(Arc<str>, Arc<Model>)>,
}

/// How usage is read and how a refusal looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// Pangu large models, V1 shape.
    Pangu,
    /// OpenAI shape: MaaS, Pangu V2, ModelArts LLM services.
    OpenAi,
    /// ModelArts real-time services (`/v1/infers/...`).
    ModelArts,
    /// Calls of gRPC, whose messages only the two ends understand.
    Grpc,
    /// Anything else: not a model endpoint.
    Plain,
}

impl Api {
    /// Are its requests for a model, and their tokens counted? Else limits on tokens, on money and of models have no say.
    pub fn is_metered(self) -> bool {
        !matches!(self, Api::Grpc | Api::Plain)
    }

    /// Does a limit per `per` count its requests? `spending`: it counts tokens or money.
    pub fn is_counted(self, per: Per, spending: bool) -> bool {
        self.is_metered() || !(per.is_of_model() || spending)
    }
}

/// The gate before a pool, and its classes of requests.
#[derive(Clone)]
pub struct Queue {
    /// Shared by all workers; it stays when a policy comes.
    pub gate: Arc<Gate>,
    /// The highest first; at least one.
    pub classes: Arc<[QueueClass]>,
}

/// A class of requests before one pool.
pub struct QueueClass {
    /// As in the files.
    pub name: Arc<str>,
    /// How long its requests wait.
    pub wait_seconds: Histogram,
}

impl Queue {
    /// The position of a class. A plan without one, or with one that this pool does not have, is of the last.
    pub fn class(&self, name: Option<&str>) -> u8 {
        let position = name.and_then(|name| self.classes.iter().position(|class| *class.name == *name));
        position.unwrap_or(self.classes.len() - 1) as u8 // policy allows few
    }
}

/// Sizes a request may have on a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Bytes of body; the lesser of the route's and the plan's counts.
    pub body_max: u64,
    /// Bytes of all header names and values.
    pub head_max: u32,
    /// Header lines.
    pub headers_max: u16,
    /// Bytes of path and query.
    pub target_max: u32,
}

/// What a WebSocket may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebSocket {
    /// Bytes of one message of the caller.
    pub message_max: u64,
}

impl Default for WebSocket {
    fn default() -> WebSocket {
        WebSocket { message_max: 1 << 20 }
    }
}

/// How long a route waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Request sent until the answer's head.
    pub first_byte: Duration,
    /// Longest silence of the answer's body.
    pub idle: Duration,
    /// Request head in until answer out.
    pub total: Duration,
    /// Longest time the caller may take nothing off an answer.
    pub write: Duration,
}

/// Who calls: a tenant's user.
pub struct Caller {
    /// As in the files; unique within the tenant.
    pub user_name: Arc<str>,
    /// The tenant: its name and its levels.
    pub tenant: Arc<limit::Tenant>,
    /// The user's place among them.
    pub user: limit::UserIx,
    /// What the tenant's plan says.
    pub terms: Arc<Terms>,
}

/// What a plan says beside its limits.
pub struct Terms {
    /// Longest body; `u64::MAX`: no cap.
    pub body_max: u64,
    /// How much one request may ask for.
    pub ceilings: Ceilings,
    /// Share where a pool has less room than everybody wants together.
    pub weight: NonZeroU32,
    /// Class there, as the plan names it.
    pub class: Option<Arc<str>>,
}

impl Caller {
    /// As in the files; unique.
    pub fn tenant_name(&self) -> &Arc<str> {
        self.tenant.name()
    }

    /// Tells its tenant from others at a gate: the address of the tenant's levels, which stays while it is in policy
    /// and while anything holds them.
    pub fn tenant_key(&self) -> TenantKey {
        TenantKey(Arc::as_ptr(&self.tenant).addr() as u64)
    }
}

/// A model: what its tokens cost, and what limits them.
pub struct Model {
    /// As in the files; unique.
    pub name: Arc<str>,
    /// What its tokens cost; the default is nothing, in no currency.
    pub price: Price,
    /// Levels of the limits written at it, and what it learned of how many tokens a text is.
    pub limits: Arc<limit::Common>,
    /// How much one request may ask for.
    pub ceilings: Ceilings,
}

/// All models, by the names requests give them.
pub struct Models {
    by_name: AHashMap<Box<str>, Arc<Model>>,
    /// In the order of the files; then [`other`](Models::other).
    all: Vec<Arc<Model>>,
    other: Arc<Model>,
}

impl Models {
    /// `models` with the names they have in requests, each name once; `other` takes all other names.
    pub fn new(models: impl IntoIterator<Item = (Arc<Model>, Vec<Box<str>>)>, other: Arc<Model>) -> Models {
        let (mut by_name, mut all) = (AHashMap::new(), Vec::new());
        for (model, names) in models {
            by_name.extend(names.into_iter().map(|name| (name, Arc::clone(&model))));
            all.push(model);
        }
        all.push(Arc::clone(&other));
        Models { by_name, all, other }
    }

    /// Hot path. The model that a request calls `name`, letter by letter; [`other`](Models::other) if policy has none.
    #[inline]
    pub fn find(&self, name: &str) -> &Arc<Model> {
        self.by_name.get(name).unwrap_or(&self.other)
    }

    /// What stands for every model that policy does not name.
    pub fn other(&self) -> &Arc<Model> {
        &self.other
    }

    /// Every model, the last of them [`other`](Models::other).
    pub fn all(&self) -> &[Arc<Model>] {
        &self.all
    }
}

/// How much one request may ask for. The default is no ceiling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ceilings {
    /// Most prompt tokens, as they are estimated.
    pub prompt_tokens: Option<u64>,
    /// Most completion tokens of one choice.
    pub completion_tokens: Option<u64>,
    /// A request for more completion tokens is cut down to `completion_tokens` and not refused.
    pub clamp: bool,
    /// Completion tokens are cut down to what is left of the limits on tokens and of the budgets.
    pub clamp_to_budget: bool,
}

impl Ceilings {
    /// The strictest of both. Of two ceilings the lower one also says whether it refuses or clamps; of two of one
    /// height, the one that refuses. One `clamp_to_budget` is enough.
    pub fn and(self, other: Ceilings) -> Ceilings {
        let lower = |a: Option<u64>, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (one, none) => one.or(none),
        };
        let completion_tokens = lower(self.completion_tokens, other.completion_tokens);
        let clamps = |one: Ceilings| one.clamp || one.completion_tokens != completion_tokens;
        Ceilings {
            prompt_tokens: lower(self.prompt_tokens, other.prompt_tokens),
            completion_tokens,
            clamp: completion_tokens.is_some() && clamps(self) && clamps(other),
            clamp_to_budget: self.clamp_to_budget || other.clamp_to_budget,
        }
    }
}

/// How the tokens of a route's requests are counted.
pub struct Metering {
    /// The model of requests whose body names none; of all, if `fixed`.
    pub model: Option<Arc<Model>>,
    /// Whatever the body says, it is `model` (`model_from: route`).
    pub fixed: bool,
    /// Answers are no text, so that bodies have no bound for it, and upstreams may refuse one.
    pub textless: bool,
    /// How answers tell what was used.
    pub shape: Arc<Shape>,
}
