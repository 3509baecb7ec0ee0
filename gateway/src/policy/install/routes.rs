//! Routes, with handles to everything that their requests will need.

use crate::auth::Rules;
use crate::limit::Common;
use crate::observe::metrics::RouteMetrics;
use crate::observe::retries::{RetryMetrics, budget_exhausted};
use crate::policy::check;
use crate::policy::snapshot::{Fallback, Metering, Models, Queue, Retry, Route};
use crate::policy::spec;
use crate::policy::{Api, Live};
use crate::upstream::Pool;
use crate::upstream::budget::Budget;
use http::HeaderValue;
use std::sync::Arc;

/// Endpoints of OpenAI's format whose answers are no text. The route must name one: what a caller writes in place of a
/// parameter says nothing of what the upstream takes it for.
const TEXTLESS: [&str; 4] = ["/embeddings", "/rerank", "/images/generations", "/video/generations"];

/// What routes may go to, by the indexes of a checked policy.
pub struct Destinations<'a> {
    pub pools: &'a [Arc<Pool>],
    /// For each pool the gate before it, if it has one.
    pub queues: &'a [Option<Queue>],
    pub models: &'a Models,
    pub live: &'a Live,
}

impl Destinations<'_> {
    /// The route, with its levels.
    pub fn route(&self, spec: check::Route, limits: Arc<Common>) -> Arc<Route> {
        let textless = spec.api == Api::OpenAi && TEXTLESS.iter().any(|end| spec.path.ends_with(end));
        Arc::new(Route {
            metrics: RouteMetrics::new(&spec.name),
            tenants: self.live.tenants.route(&spec.name),
            retry: spec.retry.as_ref().map(|retry| self.retry(&spec, retry)),
            name: spec.name,
            api: spec.api,
            auth: spec.auth.as_ref().map(rules),
            pool: self.pools[spec.pool].clone(),
            caps: spec.caps,
            timeouts: spec.timeouts,
            limits,
            queue: self.queues[spec.pool].clone(),
            metering: spec.shape.map(|shape| Metering {
                model: spec.model.map(|model| self.models.all()[model].clone()),
                fixed: spec.model_fixed,
                textless,
                shape,
            }),
            ceilings: spec.ceilings,
            websocket: spec.websocket,
            rate_headers: spec.rate_headers,
            tenant_header: spec.tenant_header,
            credential: spec.credential,
        })
    }

    fn retry(&self, route: &check::Route, spec: &check::Retry) -> Box<Retry> {
        Box::new(Retry {
            rule: spec.rule.clone(),
            budget: self.budget(route.pool),
            fallback: spec.fallback.as_ref().map(|spec| self.fallback(spec)),
            metrics: RetryMetrics::new(&route.name),
        })
    }

    fn fallback(&self, spec: &check::Fallback) -> Fallback {
        let pool = &self.pools[spec.pool];
        let model = spec.model.as_ref();
        let model = model.map(|(name, model)| (name.clone(), self.models.all()[*model].clone()));
        let name = model.as_ref().map_or(&pool.name, |(name, _)| name).clone();
        Fallback {
            told: HeaderValue::from_str(&name).expect("names of pools and models are printable ASCII"),
            name,
            pool: pool.clone(),
            queue: self.queues[spec.pool].clone(),
            budget: self.budget(spec.pool),
            model,
        }
    }

    /// What all routes to a pool share for further attempts at it.
    fn budget(&self, pool: usize) -> Arc<Budget> {
        let name = &self.pools[pool].name;
        self.live.retries.of(name, || budget_exhausted(name))
    }
}

fn rules(spec: &spec::Rules) -> Rules {
    Rules {
        kinds: spec.kinds.iter().copied().collect(),
        skew: spec.skew,
        unsigned_payload: spec.unsigned_payload,
        double_encoded_path: spec.double_encoded_path,
        refuse_replay: spec.refuse_replay,
    }
}
