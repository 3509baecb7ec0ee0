//! Is a fallback somebody else, and known?

use super::{Check, Fallback, Names, Retry, good};
use crate::policy::problem::{Located, nearest};
use crate::policy::snapshot::Api;
use crate::policy::spec;
use std::collections::HashMap;
use std::sync::Arc;

/// By all the names that requests may give a model, its index.
pub(super) type RequestNames = HashMap<Box<str>, usize>;

/// The names that requests may give the models.
pub(super) fn request_names(models: &[spec::Model]) -> RequestNames {
    let of = |(i, model): (usize, &spec::Model)| {
        let own = std::iter::once(Box::from(&*model.name.value));
        own.chain(model.names.iter().map(|name| name.value.clone()))
            .map(move |name| (name, i))
            .collect::<Vec<_>>()
    };
    models.iter().enumerate().flat_map(of).collect()
}

impl Check<'_> {
    /// What a route does after an attempt in vain; None only if there are problems.
    pub(super) fn retry(&self, route: &spec::Route, names: &Names) -> Option<Option<Retry>> {
        let Some(spec::Retry { rule, fallback }) = &route.retry else { return Some(None) };
        let fallback = fallback.as_ref().map(|fallback| self.fallback(route, fallback, names));
        Some(Some(Retry { rule: rule.clone(), fallback: good(fallback)? }))
    }

    fn fallback(&self, route: &spec::Route, fallback: &spec::Fallback, names: &Names) -> Option<Fallback> {
        let path = format!("routes.{}.retry.fallback", route.name.value);
        let own = fallback.pool.as_ref().unwrap_or(&route.pool);
        let pool = self.find(format!("{path}.pool"), "pool", own, &names.pools)?;
        let model = match &fallback.model {
            Some(model) => Some((model.value.clone(), self.stand_in(&path, route, model, &names.asked)?)),
            None => None,
        };
        if model.is_none() && own.value == route.pool.value {
            let help = "name another pool, or add `model`";
            self.problems.add(own.place, format!("{path}.pool"), "this is the pool that failed", help);
        }
        Some(Fallback { pool, model })
    }

    /// The model that answers in place of another.
    fn stand_in(
        &self,
        path: &str,
        route: &spec::Route,
        model: &Located<Arc<str>>,
        models: &RequestNames,
    ) -> Option<usize> {
        let path = format!("{path}.model");
        if route.api != Api::OpenAi {
            let help = "leave it out and name a pool whose backends serve the other model";
            self.problems.add(model.place, path, "only bodies of `api: openai` name their model", help);
            return None;
        }
        if route.metering.fixed {
            let help = "leave `model_from` out, or name a pool whose backends serve the other model";
            let what = "the body does not say the model here (`model_from: route`)";
            self.problems.add(model.place, path, what, help);
            return None;
        }
        let found = models.get(&*model.value).copied();
        if found.is_none() && !self.broken.contains(&model.value) {
            let near = nearest(&model.value, super::sorted(models.keys().map(AsRef::as_ref)));
            let help = if near.is_empty() {
                "add it to `models`: what it answers is charged at its price".into()
            } else {
                near
            };
            let what = format!("no model is called `{}`", model.value);
            self.problems.add(model.place, path, what, help);
        }
        found
    }
}
