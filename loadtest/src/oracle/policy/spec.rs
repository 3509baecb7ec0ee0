//! Policy files as operators write them.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor, value};

use super::{Model, Route};
use crate::oracle::limit::{Limit, LimitSpec, number};
use crate::oracle::price::Price;

#[derive(Deserialize)]
pub struct File {
    #[serde(default)]
    pub routes: Vec<RouteSpec>,
    #[serde(default)]
    pub plans: BTreeMap<String, PlanSpec>,
    #[serde(default)]
    pub tenants: Vec<TenantSpec>,
    #[serde(default)]
    pub models: Vec<ModelSpec>,
    pub guard: Option<GuardSpec>,
}

#[derive(Deserialize)]
pub struct GuardSpec {
    pub per_address: String,
}

#[derive(Deserialize)]
pub struct TenantSpec {
    pub name: String,
    pub plan: String,
}

#[derive(Deserialize)]
pub struct RouteSpec {
    name: String,
    #[serde(default)]
    api: String,
    #[serde(default)]
    auth: Words,
    model: Option<String>,
    model_from: Option<String>,
    #[serde(default)]
    usage: BTreeMap<String, String>,
    #[serde(default)]
    limits: Vec<LimitSpec>,
    #[serde(default)]
    pub ceilings: CeilingsSpec,
}

#[derive(Deserialize)]
pub struct ModelSpec {
    name: String,
    #[serde(default, rename = "match")]
    matches: Vec<String>,
    price: Option<PriceSpec>,
    #[serde(default)]
    limits: Vec<LimitSpec>,
    #[serde(default)]
    pub ceilings: CeilingsSpec,
}

#[derive(Deserialize)]
pub struct PriceSpec {
    prompt: String,
    completion: String,
    per: String,
}

#[derive(Default, Deserialize)]
pub struct CeilingsSpec {
    completion_tokens: Option<String>,
    #[serde(default)]
    clamp_to_budget: bool,
}

impl CeilingsSpec {
    /// Fewest completion tokens that it leaves a request.
    pub fn lowest(&self) -> Option<u64> {
        if self.clamp_to_budget { Some(1) } else { number(self.completion_tokens.as_deref()?) }
    }
}

impl RouteSpec {
    pub fn named(self) -> (String, Route) {
        let route = Route {
            limits: all(self.limits),
            open_to_all: self.auth.0.iter().any(|word| word == "none"),
            api: self.api,
            model: self.model,
            model_fixed: self.model_from.as_deref() == Some("route"),
            usage: self.usage.into_values().collect(),
        };
        (self.name, route)
    }
}

impl ModelSpec {
    pub fn named(self) -> (String, Model) {
        let price = match &self.price {
            None => Some(Price::default()),
            Some(price) => Price::read(&price.prompt, &price.completion, &price.per),
        };
        (self.name, Model { matches: self.matches, price, limits: all(self.limits) })
    }
}

/// A plan: a list of limits, or a mapping with the list in `limits`.
pub struct PlanSpec {
    pub limits: Vec<LimitSpec>,
    pub ceilings: CeilingsSpec,
}

impl<'de> Deserialize<'de> for PlanSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PlanSpec, D::Error> {
        #[derive(Deserialize)]
        struct Mapping {
            limits: Vec<LimitSpec>,
            #[serde(default)]
            ceilings: CeilingsSpec,
        }
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = PlanSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of limits, or a mapping with `limits`")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<PlanSpec, A::Error> {
                let limits = Vec::deserialize(value::SeqAccessDeserializer::new(list))?;
                Ok(PlanSpec { limits, ceilings: CeilingsSpec::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PlanSpec, A::Error> {
                let Mapping { limits, ceilings } =
                    Mapping::deserialize(value::MapAccessDeserializer::new(map))?;
                Ok(PlanSpec { limits, ceilings })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// One word, or a list of words.
#[derive(Default)]
pub struct Words(Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Words, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Words;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word, or a list of words")
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Words, E> {
                Ok(Words(vec![word.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Words, A::Error> {
                Vec::deserialize(value::SeqAccessDeserializer::new(list)).map(Words)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Every limit, understood or not.
pub fn all(limits: Vec<LimitSpec>) -> Vec<Limit> {
    limits.into_iter().map(Limit::from).collect()
}
