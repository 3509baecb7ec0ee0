//! What a policy amounts to: for every route, what limits it, who may call it, and what is worth a look.

mod lines;

use super::check::{Checked, Limit, Model, Plan, Pool, Route, Tenant};
use super::snapshot::Api;
use crate::auth::Kind;
use crate::limit::Amount;
use crate::limit::measure::Measure;
use crate::upstream::Credential;
use humantime::format_duration;
use lines::{bytes, ceilings_line, limit_line, price_line, queue_line, retry_line, share_line};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Tenants named for a route; with more, only their number is.
const TENANTS_SHOWN: usize = 8;

/// The posture of a policy. `Display` is for people, `Serialize` for programs.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Posture {
    /// In the order of the files.
    pub routes: Vec<RoutePosture>,
    /// In the order of the files; the last, `other`, stands for all that are not there.
    pub models: Vec<ModelPosture>,
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
        let mut notes = Vec::new();
        let named: BTreeSet<usize> = checked.tenants.iter().map(|tenant| tenant.plan).collect();
        for (_, plan) in checked.plans.iter().enumerate().filter(|(i, _)| !named.contains(i)) {
            notes.push(format!("plan `{}` is used by no tenant", plan.name));
        }
        let named: BTreeSet<usize> = checked.routes.iter().map(|route| route.pool).collect();
        for (_, pool) in checked.pools.iter().enumerate().filter(|(i, _)| !named.contains(i)) {
            notes.push(format!("pool `{}` is used by no route", pool.name));
        }
        for plan in checked.plans.iter().filter(|plan| plan.limits.is_empty()) {
            notes.push(format!("plan `{}` limits nothing", plan.name));
        }
        for plan in checked.plans.iter().filter(|plan| only_shadows(&plan.limits)) {
            notes.push(format!("plan `{}` refuses nobody: all its limits are shadows", plan.name));
        }
        notes.extend(free_of_budgets(checked));
        for tenant in checked.tenants.iter().filter(|tenant| tenant.users.is_empty()) {
            notes.push(format!("tenant `{}` has no users", tenant.name));
        }
        if checked.guard_per_address == 0 {
            notes.push("no guard: one address may send as many unauthenticated requests as it likes".into());
        }
        Posture { routes, models, notes }
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
            .map(|plan| (plan.name.to_string(), plan.limits.iter().map(limit_line).collect()))
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
            .filter_map(|plan| Some((plan.name.to_string(), ceilings_line(&plan.ceilings)?)))
            .collect(),
        queue: queue.map(queue_line),
        plan_shares: queue.map_or_else(BTreeMap::new, |queue| {
            plans.iter().map(|plan| (plan.name.to_string(), share_line(plan, queue))).collect()
        }),
        retry: route.retry.as_ref().map(|retry| retry_line(retry, &checked.pools)),
        notes: notes(route, pool, &callers, &plans),
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

fn only_shadows(limits: &[Limit]) -> bool {
    !limits.is_empty() && limits.iter().all(|limit| limit.rule.shadow)
}

/// Models that cost nothing where budgets in money are meant to hold.
fn free_of_budgets(checked: &Checked) -> Option<String> {
    let money = |limit: &Limit| matches!(limit.rule.amount, Amount::Budget { measure: Measure::Money, .. });
    let free: Vec<&str> = checked
        .models
        .iter()
        .filter(|model| model.price.is_none())
        .map(|model| model.name.as_ref())
        .collect();
    let counts = checked.limits().any(money) && !free.is_empty();
    counts.then(|| format!("budgets in money count nothing for models without a price: {}", free.join(", ")))
}

fn may_call(tenant: &Tenant, kinds: &[Kind]) -> bool {
    let mut credentials = tenant.users.iter().flat_map(|user| &user.credentials);
    credentials.any(|credential| kinds.contains(&credential.kind()))
}

/// What is missing or worth a look.
fn notes(route: &Route, pool: &Pool, callers: &[&Tenant], plans: &[&Plan]) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |text: String| notes.push(text);
    if let Some(reason) = &route.unlimited {
        note(format!("unlimited by permission: {reason}"));
    }
    match &route.auth {
        None => note("anybody may call (`auth: none`)".into()),
        Some(_) if callers.is_empty() => note("no tenant has a credential it takes: nobody may call".into()),
        Some(rules) => {
            if rules.unsigned_payload {
                note("UNSIGNED-PAYLOAD is accepted: a signature need not bind the body".into());
            }
            if !rules.refuse_replay {
                note(format!("a signature may be used again for {}", format_duration(rules.skew)));
            }
            if rules.double_encoded_path {
                note("doubly encoded paths are accepted in signatures".into());
            }
        }
    }
    let shown = route.credential.as_ref().unwrap_or(&pool.credential);
    if matches!(**shown, Credential::Pass) {
        note("callers' own credentials go on to the backends (`pass`)".into());
    }
    if shown.is_readable() && pool.backends.iter().any(|(backend, _)| backend.tls.is_none()) {
        note(format!("its `{}` for backends goes over plain `http`", shown.kind()));
    }
    if route.retry.as_ref().is_some_and(|retry| retry.rule.repeat_post) {
        note("a POST may be done, and paid for, twice (`retry.repeat_post`)".into());
    }
    let concurrent = |limits: &[Limit]| {
        limits.iter().any(|Limit { rule, .. }| !rule.shadow && matches!(rule.amount, Amount::Concurrent(_)))
    };
    if route.api != Api::Plain && !concurrent(&route.limits) {
        let without: Vec<&str> =
            plans.iter().filter(|plan| !concurrent(&plan.limits)).map(|plan| plan.name.as_ref()).collect();
        if !without.is_empty() {
            note(format!("no limit on concurrent requests for plan {}", without.join(", ")));
        } else if plans.is_empty() {
            note("no limit on concurrent requests".into());
        }
    }
    notes
}

impl fmt::Display for Posture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for route in &self.routes {
            writeln!(f, "{route}")?;
        }
        // Nothing to tell if all there is is the one that stands for all others.
        for model in self.models.iter().filter(|model| self.models.len() > 1 || model.is_told()) {
            writeln!(f, "{model}")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        let worth = self.notes.len() + self.routes.iter().map(|route| route.notes.len()).sum::<usize>();
        write!(f, "{} routes, {worth} things worth a look", self.routes.len())
    }
}

impl fmt::Display for RoutePosture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} -> {}", self.name, self.takes, self.pool)?;
        let more = self.tenants_total - self.tenants.len();
        let tenants = match (self.tenants.join(", "), more) {
            (names, 0) => names,
            (names, more) => format!("{names} and {more} more"),
        };
        match self.credentials.join(", ").as_str() {
            "" => writeln!(f, "  who may call    anybody")?,
            kinds if self.tenants_total == 0 => writeln!(f, "  who may call    nobody yet, by {kinds}")?,
            kinds => writeln!(f, "  who may call    {tenants}, by {kinds}")?,
        }
        if self.shown != "none" {
            writeln!(f, "  shows backends  {}", self.shown)?;
        }
        for limit in &self.limits {
            writeln!(f, "  limit           {limit}")?;
        }
        for (plan, limits) in &self.plan_limits {
            for limit in limits {
                writeln!(f, "  limit of {plan:<6} {limit}")?;
            }
        }
        if self.limits.is_empty() && self.plan_limits.values().all(Vec::is_empty) {
            writeln!(f, "  limit           none")?;
        }
        writeln!(f, "  caps            {}", self.caps)?;
        if let Some(model) = &self.model {
            writeln!(f, "  model           {model}")?;
        }
        if let Some(ceilings) = &self.ceilings {
            writeln!(f, "  ceilings        {ceilings}")?;
        }
        for (plan, ceilings) in &self.plan_ceilings {
            writeln!(f, "  ceilings {plan:<6} {ceilings}")?;
        }
        if let Some(queue) = &self.queue {
            writeln!(f, "  queue           {queue}")?;
        }
        for (plan, share) in &self.plan_shares {
            writeln!(f, "  turn of {plan:<7} {share}")?;
        }
        if let Some(retry) = &self.retry {
            writeln!(f, "  retry           {retry}")?;
        }
        for note in &self.notes {
            writeln!(f, "  note            {note}")?;
        }
        Ok(())
    }
}

impl ModelPosture {
    /// Is anything decided for it?
    fn is_told(&self) -> bool {
        self.price.is_some() || !self.limits.is_empty() || self.ceilings.is_some()
    }
}

impl fmt::Display for ModelPosture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "model {}", self.name)?;
        if !self.names.is_empty() {
            writeln!(f, "  also called     {}", self.names.join(", "))?;
        }
        writeln!(f, "  price           {}", self.price.as_deref().unwrap_or("none"))?;
        for limit in &self.limits {
            writeln!(f, "  limit           {limit}")?;
        }
        if let Some(ceilings) = &self.ceilings {
            writeln!(f, "  ceilings        {ceilings}")?;
        }
        Ok(())
    }
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
