//! `models`, their prices and ceilings, and how routes meter, as written.

use super::decode::{Entry, text};
use super::keys;
use super::limits::{currency_of, limits};
use super::problem::{Located, quoted};
use super::snapshot::{Api, Ceilings};
use super::spec::{Metering, Model};
use crate::limit::price::{Lot, NoPrice, Price};
use crate::usage::{CustomPaths, Shape};
use std::sync::Arc;

/// The longest name a request may give a model, in bytes.
const REQUEST_NAME_MAX: usize = 128;
/// The longest path to a number in an answer, in bytes.
const PATH_MAX: usize = 256;

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

fn is_request_name(name: &str) -> bool {
    (1..=REQUEST_NAME_MAX).contains(&name.len()) && name.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
}

/// `price` of a model, from its decimals as written.
fn price(entry: &Entry<'_>) -> Option<Located<Price>> {
    let entry = entry.object("price", &keys::PRICE).filter(|_| entry.has("price"))?;
    let [prompt, completion] = ["prompt", "completion"].map(|key| entry.text(key));
    let lot = entry.word("per", &[]).and_then(Lot::parse);
    let currency = entry.text("currency").map(|text| currency_of(text.value));
    if let Some(Err(what)) = &currency {
        entry.wrong("currency", what.as_str(), "write the one your bill is in, such as `CNY`");
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
    entry.count(key, 1..=u32::MAX).map(|count| Some(count.into()))
}

/// `model`, `model_from` and `usage` of a route.
pub fn metering(entry: &Entry<'_>, api: Option<&Api>) -> Option<Metering> {
    if api == Some(&Api::Plain) {
        unmetered(entry);
        return Some(Metering::default());
    }
    let model = if entry.has("model") { Some(entry.name("model")?) } else { None };
    let fixed = entry.word("model_from", &[])? == "route";
    if fixed && model.is_none() {
        entry.wrong(
            "model_from",
            "this route names no model",
            "add `model: NAME`, or leave `model_from` out",
        );
    }
    if entry.has("usage") && api.is_some_and(|api| *api != Api::ModelArts) {
        let help = "leave it out: where its API says what was used is known; only `api: modelarts` differs by service";
        entry.wrong("usage", "belongs to `api: modelarts`", help);
    }
    let told = if entry.has("usage") { Some(usage(entry)?) } else { None };
    Some(Metering { model, fixed, told })
}

/// Keys without meaning where no tokens are counted.
fn unmetered(entry: &Entry<'_>) {
    for key in ["model", "model_from", "usage", "ceilings"].into_iter().filter(|key| entry.has(key)) {
        let help = "leave it out, or write the `api` of the model endpoint this is";
        entry.wrong(key, "no tokens are counted on a route with `api: plain`", help);
    }
}

fn usage(entry: &Entry<'_>) -> Option<Arc<Shape>> {
    let usage = entry.object("usage", &keys::USAGE)?;
    let [prompt, completion] = ["prompt", "completion"].map(|key| path(&usage, key));
    let paths = CustomPaths { prompt: Some(prompt?), completion: Some(completion?), total: None };
    match Shape::custom(paths) {
        Ok(shape) => Some(Arc::new(shape)),
        Err(bad) => {
            entry.wrong("usage", "these paths cannot be followed", bad.to_string());
            None
        }
    }
}

fn path<'a>(usage: &Entry<'a>, key: &'a str) -> Option<&'a str> {
    let path = usage.text(key)?.value;
    if path.len() <= PATH_MAX && path.split('.').all(|name| !name.is_empty()) {
        return Some(path);
    }
    let help = format!(
        "write the names of keys with `.` between them, such as `usage.input`; {PATH_MAX} bytes at most"
    );
    usage.wrong(key, format!("{} is no path of keys", quoted(path)), help);
    None
}
