//! `models`, their prices and ceilings, and how routes meter, as written.

use super::decode::{Entry, text};
use super::keys;
use super::limits::{currency_of, limits};
use super::problem::{Located, quoted};
use super::snapshot::{Api, Ceilings};
use super::spec::{Metering, Model};
use crate::limit::price::{Lot, NoPrice, Price};
use crate::usage::{BadPath, CustomPaths, Shape};
use std::sync::Arc;

/// The longest name a request may give a model, in bytes.
const REQUEST_NAME_MAX: usize = 128;

/// `models[]`
pub fn model(entry: &Entry<'_>) -> Option<Model> {
    let name = entry.name_or("name", "; what else requests call it stands in `match`");
    let names = names(entry);
    let price = price(entry);
    let limits = limits(entry, "limits", &keys::MODEL_LIMIT);
    let ceilings = ceilings(entry);
    Some(Model { name: name?, names, price, priced: entry.has("price"), limits, ceilings: ceilings? })
}

/// What requests may call it besides its name.
fn names(entry: &Entry<'_>) -> Vec<Located<Box<str>>> {
    let at = entry.at.key("match");
    let mut names = Vec::new();
    for (i, node) in entry.items("match").iter().enumerate() {
        let Some(name) = text(node, at.item(i, node), entry.problems) else { continue };
        if is_request_name(name.value) {
            names.push(Located { value: name.value.into(), place: name.place });
        } else {
            let help = format!(
                "1 to {REQUEST_NAME_MAX} printable ASCII characters are possible, such as `Qwen/Qwen3-32B`"
            );
            let what = format!("{} is no name of a model", quoted(name.value));
            entry.problems.add(name.place, at.item(i, node), what, help);
        }
    }
    names
}

/// What a request may call a model.
pub fn is_request_name(name: &str) -> bool {
    (1..=REQUEST_NAME_MAX).contains(&name.len()) && name.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
}

/// `price` of a model, from its decimals as written.
fn price(entry: &Entry<'_>) -> Option<Located<Price>> {
    let entry = entry.object("price", &keys::PRICE).filter(|_| entry.has("price"))?;
    let [prompt, completion] = ["prompt", "completion"].map(|key| entry.text(key));
    let lot = entry.word("per", &[]).and_then(Lot::parse);
    let currency = entry.text("currency").map(|text| currency_of(text.value));
    if let Some(Err(what)) = &currency {
        entry.wrong("currency", what.as_str(), "write the one that the bill is in");
    }
    let price = Price::new(prompt?.value, completion?.value, lot?, currency?.ok()?);
    let wrong = |no: NoPrice| {
        let key = if matches!(no, NoPrice::Prompt(_)) { "prompt" } else { "completion" };
        entry.wrong(key, no.to_string(), "a decimal such as `0.008`; `per: 1M` has room for smaller prices");
    };
    Some(Located { value: price.map_err(wrong).ok()?, place: entry.place() })
}

/// `ceilings` of a route, plan or model.
pub fn ceilings(entry: &Entry<'_>) -> Option<Ceilings> {
    let entry = entry.object("ceilings", &keys::CEILINGS)?;
    let [prompt, completion] = ["prompt_tokens", "completion_tokens"].map(|key| most(&entry, key));
    let on_excess = entry.word("on_excess", &[]);
    let clamp_to_budget = entry.flag("clamp_to_budget");
    if entry.has("on_excess") && !entry.has("completion_tokens") {
        let help =
            "add `completion_tokens: 2k`, or leave `on_excess` out: a prompt too long is always refused";
        entry.wrong("on_excess", "there is no ceiling on completion tokens", help);
    }
    Some(Ceilings {
        prompt_tokens: prompt?,
        completion_tokens: completion?,
        clamp: on_excess? == "clamp",
        clamp_to_budget,
    })
}

/// A ceiling, if one is written; None if it is wrong.
fn most<'a>(entry: &Entry<'a>, key: &'a str) -> Option<Option<u64>> {
    if !entry.has(key) {
        return Some(None);
    }
    entry.count(key).map(|count| Some(count.into()))
}

/// `model`, `model_from` and `usage` of a route.
pub fn metering(entry: &Entry<'_>, api: Option<Api>) -> Option<Metering> {
    let unread = match api? {
        Api::Plain | Api::Grpc => &["model", "model_from", "usage", "ceilings"][..],
        Api::OpenAi | Api::Pangu => &["usage"],
        Api::ModelArts => &[],
    };
    unread.iter().filter(|key| entry.has(key)).for_each(|key| no_use(entry, key, api));
    let model = if entry.has("model") { Some(entry.name("model")?) } else { None };
    let fixed = entry.word("model_from", &[])? == "route";
    if fixed && model.is_none() {
        entry.wrong(
            "model_from",
            "this route names no model",
            "add `model: NAME`, or leave `model_from` out",
        );
    }
    let shape = match api? {
        Api::Plain | Api::Grpc => None,
        Api::Pangu => Some(Shape::pangu()),
        Api::ModelArts if entry.has("usage") => Some(usage(entry)?),
        Api::OpenAi | Api::ModelArts => Some(Shape::open_ai()),
    };
    Some(Metering { model, fixed, shape: shape.map(Arc::new) })
}

/// A key without meaning for an API.
fn no_use(entry: &Entry<'_>, key: &str, api: Option<Api>) {
    let (what, help) = match api {
        Some(Api::Plain) => (
            "no tokens are counted on a route with `api: plain`",
            "leave it out, or write the `api` of the model endpoint this is",
        ),
        Some(Api::Grpc) => (
            "no tokens are counted on a route with `api: grpc`: only the two ends understand its messages",
            "leave it out, and limit `requests` and `concurrent`",
        ),
        _ => (
            "belongs to `api: modelarts`, where every service says it its own way",
            "leave it out: where other APIs say what was used is known",
        ),
    };
    entry.wrong(key, what, help);
}

fn usage(entry: &Entry<'_>) -> Option<Shape> {
    let usage = entry.object("usage", &keys::USAGE)?;
    let [prompt, completion] = ["prompt", "completion"].map(|key| usage.text(key).map(|text| text.value));
    let none = CustomPaths::default();
    let read = |key, paths| {
        let bad = |bad: BadPath| usage.wrong(key, "not a path in an answer", bad.to_string());
        Shape::custom(paths).map_err(bad).ok()
    };
    // One by one first, so that the problem is told where it is.
    let prompt_alone = read("prompt", CustomPaths { prompt: Some(prompt?), ..none });
    let completion_alone = read("completion", CustomPaths { completion: Some(completion?), ..none });
    prompt_alone.and(completion_alone)?;
    if prompt == completion {
        let help = "write where each is told: tokens of one kind would count for nothing";
        usage.wrong("completion", "the same path as that of the prompt", help);
    }
    read("prompt", CustomPaths { prompt, completion, ..none })
}
