//! Do the models make sense: their names, and the money in prices and budgets?

use super::{Check, Firsts, Model};
use crate::limit::money::Currency;
use crate::policy::problem::Place;
use crate::policy::snapshot::Ceilings;
use crate::policy::spec::{self, Amount, Limit, Limits, Policy};

/// The model that stands for all that policy does not name.
pub const OTHER: &str = "other";

impl Check<'_> {
    /// The models in the order given, and one for all others if it is not the last of them.
    pub(super) fn models(&self, models: Vec<spec::Model>) -> Vec<Model> {
        let mut models: Vec<Model> = models.into_iter().map(|model| self.model(model)).collect();
        if models.last().is_none_or(|model| &*model.name != OTHER) {
            let (names, limits) = (Vec::new(), Vec::new());
            models.push(Model {
                name: OTHER.into(),
                names,
                price: None,
                limits,
                ceilings: Ceilings::default(),
            });
        }
        models
    }

    fn model(&self, model: spec::Model) -> Model {
        let name = model.name.value;
        Model {
            limits: self.limits(&format!("models.{name}.limits"), model.limits),
            names: model.names.into_iter().map(|name| name.value).collect(),
            price: model.price.map(|price| price.value),
            ceilings: model.ceilings,
            name,
        }
    }

    /// A name in a request means one model.
    pub(super) fn request_names(&self, models: &[spec::Model]) {
        let mut seen = Firsts::new();
        for model in models {
            seen.entry(model.name.value.as_ref()).or_insert((model.name.place, model.name.value.to_string()));
        }
        for model in models {
            let path = format!("models.{}.match", model.name.value);
            if let (OTHER, Some(name)) = (model.name.value.as_ref(), model.names.first()) {
                let help = "leave `match` out, or give the model a name of its own";
                self.problems.add(name.place, &path, "`other` is every model that has no entry", help);
            }
            for name in &model.names {
                let Some((first, whose)) =
                    seen.insert(&name.value, (name.place, model.name.value.to_string()))
                else {
                    continue;
                };
                let what =
                    format!("`{}` stands at {} already, for model `{whose}`", name.value, self.at(first));
                self.problems.add(
                    name.place,
                    &path,
                    what,
                    "a model's own name always counts: give each name once",
                );
            }
        }
    }

    /// Amounts of different currencies are never added, and a budget needs prices to be counted by.
    pub(super) fn money(&self, policy: &Policy) {
        let mut prices = policy.models.iter().filter_map(|model| Some((model, model.price.as_ref()?)));
        let first = prices.next().map(|(_, price)| (price.value.currency(), price.place));
        for (model, price) in prices {
            let currency = price.value.currency();
            let (first, at) = first.unwrap_or((currency, price.place));
            if currency != first {
                let path = format!("models.{}.price.currency", model.name.value);
                let what = format!("this price is in {currency}, the one at {} in {first}", self.at(at));
                self.problems.add(price.place, path, what, "write all prices in one currency");
            }
        }
        for model in policy.models.iter().filter(|model| !model.priced) {
            for (limit, _) in budgets(&model.limits) {
                let path = format!("models.{}.limits.{}.budget", model.name.value, limit.name.value);
                let help = "add `price` to the model, or count tokens: `tokens: 50M/month`";
                self.problems.add(limit.amount.place, path, "this model has no price", help);
            }
        }
        let priced = policy.models.iter().any(|model| model.priced);
        for (place, limit, currency) in all_budgets(policy) {
            let path = format!("{place}.{}.budget", limit.name.value);
            self.budget(path, limit.amount.place, currency, first, priced);
        }
    }

    fn budget(
        &self,
        path: String,
        place: Place,
        currency: Currency,
        first: Option<(Currency, Place)>,
        priced: bool,
    ) {
        match first {
            Some((price, at)) if price != currency => {
                let what =
                    format!("this budget is in {currency}, prices are in {price}, as at {}", self.at(at));
                self.problems.add(place, path, what, "write both in one currency: nothing is converted");
            }
            None if !priced && self.broken.is_empty() => {
                let help = "add `price` to the entries of `models`, or count tokens: `tokens: 50M/month`";
                self.problems.add(place, path, "no model has a price, so this budget counts nothing", help);
            }
            _ => {}
        }
    }

    /// Limits that a route which is no model endpoint can never count.
    pub(super) fn nothing_to_spend(&self, path: &str, limits: &Limits) {
        for limit in limits.list.iter().filter(|limit| limit.amount.value.is_spending()) {
            let help = "write `requests`, or the `api` of the model endpoint this is";
            let path = format!("{path}.limits.{}", limit.name.value);
            self.problems.add(
                limit.amount.place,
                path,
                "no tokens are counted on a route with `api: plain` or `grpc`",
                help,
            );
        }
    }
}

/// The budgets in money among `limits`.
fn budgets(limits: &Limits) -> impl Iterator<Item = (&Limit, Currency)> {
    limits.list.iter().filter_map(|limit| match &limit.amount.value {
        Amount::Budget(budget) => Some((limit, budget.currency?)),
        _ => None,
    })
}

/// Those of the whole policy whose model may be any, and those of models with a price; and where they are.
fn all_budgets(policy: &Policy) -> impl Iterator<Item = (String, &Limit, Currency)> {
    let routes =
        policy.routes.iter().map(|route| (format!("routes.{}.limits", route.name.value), &route.limits));
    let plans = policy.plans.iter().map(|plan| (format!("plans.{}.limits", plan.name.value), &plan.limits));
    let models = policy.models.iter().filter(|model| model.priced);
    let models = models.map(|model| (format!("models.{}.limits", model.name.value), &model.limits));
    let all = routes.chain(plans).chain(models);
    all.flat_map(|(place, limits)| budgets(limits).map(move |(limit, money)| (place.clone(), limit, money)))
}
