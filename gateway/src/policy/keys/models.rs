//! `models[]`: what requests may be for.

use super::Kind::{self, Currency, Decimal, List, Name, Text, Word};
use super::Need::{Optional, Required};
use super::limits::{CEILINGS, MODEL_LIMIT};
use super::{Object, key};

/// `models[]`
pub static MODEL: Object = Object {
    doc: "A model that requests name; `other` stands for all that are not here.",
    keys: &[
        key("name", Name, Required, "pangu-large", "Unique; appears in metrics and refusals, and requests may name it so."),
        key("match", List(&Text), Optional, "[\"Qwen/Qwen3-32B\"]", "Further names it has in requests, letter by letter; printable ASCII, 128 at most."),
        key("price", Kind::Object(&PRICE), Optional, "{prompt: 0.008, completion: 0.02, per: 1k, currency: CNY}", "What its tokens cost; budgets in money are counted by it. Default: nothing."),
        key("limits", List(&Kind::Object(&MODEL_LIMIT)), Optional, "[{name: model-tpm, per: model, tokens: 2M/min}]", "Limits of this model, besides those of the route and the caller's plan."),
        key("ceilings", Kind::Object(&CEILINGS), Optional, "{completion_tokens: 4k}", "How much one request for it may ask for; of route, plan and model the strictest counts."),
    ],
};

/// `models[].price`
pub static PRICE: Object = Object {
    doc: "What tokens cost. All prices and budgets of a policy are in one currency.",
    keys: &[
        key("prompt", Decimal, Required, "0.008", "Price of `per` prompt tokens."),
        key("completion", Decimal, Required, "0.02", "Price of `per` completion tokens."),
        key("per", Word(&["1k", "1M"]), Required, "1k", "For how many tokens the prices are."),
        key("currency", Currency, Required, "CNY", "Three capital letters (ISO 4217)."),
    ],
};
