//! What a policy amounts to: for every route, what limits it, who may call it, and what is worth a look.

mod lines;
mod notes;
mod shown;
mod streams;
mod versions;

use super::check::{Checked, Limit, Model, Plan, Route, Tenant};
use super::snapshot::Api;
use crate::auth::Kind;
use lines::{bytes, ceilings_line, limit_line, price_line, queue_line, retry_line, share_line};
use std::collections::{BTreeMap, BTreeSet};
use streams::of_stream;

pub use streams::StreamPosture;

/// Tenants named for a route; with more, only their number is.
const TENANTS_SHOWN: usize = 8;

/// The posture of a policy. `Display` is for people, `Serialize` for programs.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Posture {
    /// In the order of the files.
    pub routes: Vec<RoutePosture>,
    /// In the order of the files; the last, `other`, stands for all that are not there.
    pub models: Vec<ModelPosture>,
    /// In the order of the files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<StreamPosture>,
    /// Worth a look, beyond single routes.
    pub notes: Vec<String>,
}

/// The posture of one route.
#[derive(Debug, Clone, serde::Serialize)]
pub struct RoutePosture {
    /// As in the files.
    pub name: String,
    /// How usage is read and how a refusal looks.
    pub api: Api,
    /// Methods, host and path.
    pub takes: String,
    /// Who answers.
    pub pool: String,
    /// What the pool's backends are shown: a kind of credential, `pass` or `none`.
    pub shown: &'static str,
    /// Kinds of credential; empty: anybody may call.
    pub credentials: Vec<&'static str>,
    /// Tenants with a user who may call: the first few by name.
    pub tenants: Vec<String>,
    /// How many there are.
    pub tenants_total: usize,
    /// Limits of the route itself.
    pub limits: Vec<String>,
    /// Limits of the plans of those who may call.
    pub plan_limits: BTreeMap<String, Vec<String>>,
    /// Sizes a request may have.
    pub caps: String,
    /// The model of requests whose body names none.
    pub model: Option<String>,
    /// How much one request may ask for by the route itself.
    pub ceilings: Option<String>,
    /// How much by the plans of those who may call.
    pub plan_ceilings: BTreeMap<String, String>,
    /// Versions of the pool, and how many get each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<String>,
    /// Who gets which, whatever they weigh.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub version_rules: Vec<String>,
    /// How much the pool takes at a time, and who waits for it.
    pub queue: Option<String>,
    /// Where the plans of those who may call stand in it.
    pub plan_shares: BTreeMap<String, String>,
    /// Who is asked after an attempt in vain.
    pub retry: Option<String>,
    /// What is missing or worth a look.
    pub notes: Vec<String>,
}

/// The posture of one model.
#[derive(Debug, Clone, serde::Serialize)]
pub struct ModelPosture {
    /// As in the files.
    pub name: String,
    /// What requests may call it besides.
    pub names: Vec<String>,
    /// What its tokens cost.
    pub price: Option<String>,
    /// Limits of the model itself.
    pub limits: Vec<String>,
    /// How much one request may ask for.
    pub ceilings: Option<String>,
}

impl Posture {
    pub(super) fn of(checked: &Checked) -> Posture {
        let routes = checked.routes.iter().map(|route| of_route(route, checked)).collect();
        let models = checked.models.iter().map(of_model).collect();
        let streams = checked.streams.iter().map(|stream| of_stream(stream, checked)).collect();
        Posture { routes, models, streams, notes: notes::beyond_routes(checked) }
    }

    /// Of a gateway without a state directory.
    pub(super) fn in_memory(mut self, checked: &Checked) -> Posture {
        if checked.limits().any(Limit::is_budget) {
            let note = "no state directory: budgets per day and month begin anew with a restart";
            self.notes.push(note.into());
        }
        self
    }
}

fn of_route(route: &Route, checked: &Checked) -> RoutePosture {
    let callers: Vec<&Tenant> = match &route.auth {
        Some(rules) => checked.tenants.iter().filter(|tenant| may_call(tenant, &rules.kinds)).collect(),
        None => Vec::new(),
    };
    let plans: BTreeSet<usize> = callers.iter().map(|tenant| tenant.plan).collect();
    let plans: Vec<&Plan> = plans.into_iter().map(|plan| &checked.plans[plan]).collect();
    let pool = &checked.pools[route.pool];
    let queue = pool.queue.as_ref();
    RoutePosture {
        name: route.name.to_string(),
        api: route.api,
        takes: takes(route),
        pool: pool.name.to_string(),
        shown: route.credential.as_ref().unwrap_or(&pool.credential).kind(),
        credentials: route.auth.iter().flat_map(|rules| &rules.kinds).map(|kind| kind_word(*kind)).collect(),
        tenants: callers.iter().take(TENANTS_SHOWN).map(|tenant| tenant.name.to_string()).collect(),
        tenants_total: callers.len(),
        limits: route.limits.iter().map(limit_line).collect(),
        plan_limits: plans
            .iter()
            .map(|plan| {
                let counting = plan.limits.iter().filter(|limit| limit.counts(route.api));
                (plan.name.to_string(), counting.map(limit_line).collect())
            })
            .collect(),
        caps: format!(
            "body {}, head {}, {} headers, target {}",
            bytes(route.caps.body_max),
            bytes(route.caps.head_max.into()),
            route.caps.headers_max,
            bytes(route.caps.target_max.into())
        ),
        model: route.model.map(|model| {
            let by = if route.model_fixed { "whatever the body says" } else { "if the body names none" };
            format!("{}, {by}", checked.models[model].name)
        }),
        ceilings: ceilings_line(&route.ceilings),
        plan_ceilings: plans
            .iter()
            .filter(|_| route.api.is_metered())
            .filter_map(|plan| Some((plan.name.to_string(), ceilings_line(&plan.ceilings)?)))
            .collect(),
        versions: versions::lines(pool),
        version_rules: versions::rules(pool),
        queue: queue.map(queue_line),
        plan_shares: queue.map_or_else(BTreeMap::new, |queue| {
            plans.iter().map(|plan| (plan.name.to_string(), share_line(plan, queue))).collect()
        }),
        retry: route.retry.as_ref().map(|retry| retry_line(retry, &checked.pools)),
        notes: notes::of_route(route, pool, &callers, &plans),
    }
}

fn of_model(model: &Model) -> ModelPosture {
    ModelPosture {
        name: model.name.to_string(),
        names: model.names.iter().map(|name| name.to_string()).collect(),
        price: model.price.as_ref().map(price_line),
        limits: model.limits.iter().map(limit_line).collect(),
        ceilings: ceilings_line(&model.ceilings),
    }
}

fn may_call(tenant: &Tenant, kinds: &[Kind]) -> bool {
    let mut credentials = tenant.users.iter().flat_map(|user| &user.credentials);
    credentials.any(|credential| kinds.contains(&credential.kind()))
}

fn takes(route: &Route) -> String {
    let methods: Vec<&str> = route.methods.iter().map(|method| method.as_str()).collect();
    let methods = if methods.is_empty() { "any method".to_string() } else { methods.join("|") };
    format!("{methods} {}{}", route.host.as_deref().unwrap_or_default(), route.path)
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::AkSk => "ak_sk",
        Kind::AppCode => "app_code",
        Kind::ApiKey => "api_key",
        Kind::IamToken => "iam_token",
    }
}
