//! Models: their names, prices and ceilings, and which of them a route is for.

use super::super::{Ceilings, Live, Posture, Snapshot, install};
use super::*;
use crate::clock::Now;
use crate::usage::{CustomPaths, Shape};
use std::sync::Arc;

const MODELS: &str = r#"
models:
  - name: other
    ceilings: {completion_tokens: 100}
  - name: large
    match: ["Org/Large 1:latest", large-v2]
    price: {prompt: 0.1, completion: 0.3, per: 1k, currency: CNY}
    limits: [{name: tpm, per: model, tokens: 1M/min}]
    ceilings: {prompt_tokens: 8k, completion_tokens: 2k, on_excess: clamp, clamp_to_budget: true}
"#;

fn installed(text: &str) -> Snapshot {
    let loaded = load_text(text).map_err(|problems| lines(&problems)).unwrap();
    install::install(loaded.checked, &Live::default(), 1, loaded.digest, Now::default())
}

fn refused(text: &str) -> String {
    lines(&load_text(text).err().expect("refused"))
}

/// `GOOD` with `keys` at its route.
fn at_route(keys: &str) -> String {
    GOOD.replace("    pool: maas\n", &format!("    pool: maas\n    {keys}\n"))
}

#[test]
fn a_model_is_found_by_every_name_it_has_letter_by_letter() {
    let models = installed(&format!("{GOOD}{MODELS}")).models;
    for name in ["large", "large-v2", "Org/Large 1:latest"] {
        assert_eq!(&*models.find(name).name, "large", "{name}");
    }
    for name in ["Large", "large ", "", "org/large 1:latest", "gpt"] {
        assert_eq!(&*models.find(name).name, "other", "{name}");
    }
    let large = models.find("large");
    assert_eq!(large.price.cost(1, 1), 400_000, "0.1 and 0.3 per thousand, exactly");
    assert_eq!(&**large.limits.name(), "large");
    let Ceilings { prompt_tokens, completion_tokens, clamp, clamp_to_budget } = large.ceilings;
    assert_eq!((prompt_tokens, completion_tokens), (Some(8_000), Some(2_000)));
    assert!(clamp && clamp_to_budget);
}

#[test]
fn other_is_the_last_model_declared_or_not() {
    let declared = installed(&format!("{GOOD}{MODELS}")).models;
    assert_eq!(declared.other().ceilings.completion_tokens, Some(100));
    for models in [declared, installed(GOOD).models] {
        let last = models.all().last().unwrap();
        assert!(Arc::ptr_eq(last, models.other()) && Arc::ptr_eq(last, models.find("any")));
        assert_eq!(&**last.limits.name(), "other");
        assert_eq!(last.price.cost(1, 1), 0);
    }
}

#[test]
fn a_route_names_its_model_and_where_usage_is() {
    let metering = |keys: &str| {
        let text = at_route(keys).replace("api: openai", "api: modelarts");
        installed(&format!("{text}{MODELS}")).routes[0].metering.as_ref().map(|metering| {
            let model = metering.model.as_ref().map(|model| model.name.to_string());
            (model, metering.fixed, Shape::clone(&metering.shape))
        })
    };
    let large = || Some("large".to_string());
    assert_eq!(metering("rate_headers: false"), Some((None, false, Shape::open_ai())));
    assert_eq!(metering("model: large"), Some((large(), false, Shape::open_ai())));
    assert_eq!(metering("model: large\n    model_from: route"), Some((large(), true, Shape::open_ai())));
    let paths = CustomPaths { prompt: Some("usage.in"), completion: Some("usage.out"), total: None };
    let custom = Shape::custom(paths).unwrap();
    assert_eq!(metering("usage: {prompt: usage.in, completion: usage.out}"), Some((None, false, custom)));
    assert!(installed(&GOOD.replace("api: openai", "api: plain")).routes[0].metering.is_none());
}

#[test]
fn ceilings_stand_at_routes_and_plans_too() {
    let text = at_route("ceilings: {prompt_tokens: 10}").replace(
        "gold: [{name: user-rpm, per: user, requests: 20/min}]",
        "gold: {limits: [{name: user-rpm, per: user, requests: 20/min}], ceilings: {completion_tokens: 1M}}",
    );
    let snapshot = installed(&text);
    assert_eq!(snapshot.routes[0].ceilings, Ceilings { prompt_tokens: Some(10), ..Ceilings::default() });
    let million = Ceilings { completion_tokens: Some(1_000_000), ..Ceilings::default() };
    assert_eq!(snapshot.callers[0].terms.ceilings, million);
}

#[test]
fn the_strictest_ceiling_counts() {
    let none = Ceilings::default();
    let of = |completion, clamp| Ceilings { completion_tokens: Some(completion), clamp, ..none };
    for (one, other, both) in [
        (none, none, none),
        (of(5, true), none, of(5, true)),
        (of(5, false), none, of(5, false)),
        (of(5, true), of(9, false), of(5, true)),
        (of(5, false), of(9, true), of(5, false)),
        (of(5, true), of(5, false), of(5, false)),
        (of(5, true), of(5, true), of(5, true)),
    ] {
        assert_eq!((one.and(other), other.and(one)), (both, both), "{one:?} and {other:?}");
    }
    let (eight, nine) =
        (Ceilings { prompt_tokens: Some(8), ..none }, Ceilings { prompt_tokens: Some(9), ..none });
    assert_eq!(eight.and(nine), eight);
    assert_eq!(
        nine.and(Ceilings { clamp_to_budget: true, ..none }),
        Ceilings { clamp_to_budget: true, ..nine }
    );
}

#[test]
fn limits_of_models_cover_where_no_other_model_can_be_asked_for() {
    let bare = GOOD
        .replace("    limits: [{name: route-rps, per: route, requests: 500/s, burst: 20}]\n", "    KEYS\n")
        .replace("gold: [{name: user-rpm, per: user, requests: 20/min}]", "gold: []");
    let loads = |keys: &str, models: &str| load_text(bare.replace("KEYS", keys) + models).is_ok();
    let model = |name: &str, per: &str| {
        format!("models: [{{name: {name}, limits: [{{name: l, per: {per}, tokens: 1/s}}]}}]")
    };
    assert!(!loads("rate_headers: true", &model("m", "model")), "another model may be named");
    assert!(!loads("model: m", &model("m", "model")), "another model may be named");
    assert!(loads("model: m\n    model_from: route", &model("m", "model")));
    assert!(loads("rate_headers: true", &model("other", "tenant+model")));
    assert!(!loads("rate_headers: true", &model("other", "model, mode: shadow")));
    let open = |per: &str| {
        load_text(
            bare.replace("[api_key, ak_sk]", "none").replace("KEYS", "rate_headers: true")
                + &model("other", per),
        )
        .is_ok()
    };
    assert!(open("model") && !open("tenant+model"), "nobody is known on an open route");
}

/// As long as one model may be asked for that costs nothing, whoever calls it may go on for ever.
#[test]
fn money_covers_no_route_whose_model_may_cost_nothing() {
    let price = |name: &str, price: &str| {
        format!("{{name: {name}, price: {{prompt: {price}, completion: {price}, per: 1k, currency: CNY}}}}")
    };
    let bill = |at: &str| format!("{{name: bill, per: {at}, budget: 5 CNY/day}}");
    let policy = |plan: &str, route: &str, models: &str| {
        let text = GOOD.replace("{name: user-rpm, per: user, requests: 20/min}", plan);
        let text = text.replace("{name: route-rps, per: route, requests: 500/s, burst: 20}", route);
        format!("{text}models: [{models}]\n")
    };
    let loads = |text: String| load_text(text).map(drop).map_err(|problems| lines(&problems));
    let (m, other) = (price("m", "1"), price("other", "2"));
    let [free, given] = [price("other", "0"), "{name: other}".into()];
    let tenant = bill("tenant");
    assert_eq!(loads(policy(&tenant, "", &format!("{m}, {other}"))), Ok(()));
    assert_eq!(loads(policy(&tenant, "", &other)), Ok(()));
    for models in [m.clone(), format!("{m}, {free}"), format!("{m}, {given}")] {
        let said = loads(policy(&tenant, "", &models)).unwrap_err();
        let plan = "its plan `gold` refuses only by money, of which model `other` costs none\n";
        assert!(said.contains(plan) && said.contains("give model `other` a `price`"), "{models}: {said}");
        let said = loads(policy("", &bill("route"), &models)).unwrap_err();
        assert!(said.contains("limits nothing; its own count money, of which model `other` costs"), "{said}");
        assert_eq!(
            loads(policy(&format!("{tenant}, {{name: n, per: user, concurrent: 5}}"), "", &models)),
            Ok(())
        );
    }
    // The body has no say in it.
    let fixed =
        policy(&tenant, "", &m).replace("pool: maas\n", "pool: maas\n    model: m\n    model_from: route\n");
    assert_eq!(loads(fixed.clone()), Ok(()));
    assert!(loads(fixed.replace("prompt: 1, completion: 1", "prompt: 0, completion: 0")).is_err());
    assert_eq!(loads(fixed.replace("prompt: 1,", "prompt: 0,")), Ok(()), "it costs something");
    // Nor does a budget of a model that costs nothing.
    let own = |price: &str| {
        let models =
            format!("{other}, {}", price.replace("}}", &format!("}}, limits: [{}]}}", bill("model"))));
        policy("", "", &models.replacen("}}", &format!("}}, limits: [{}]}}", bill("model")), 1))
    };
    assert_eq!(loads(own(&m)), Ok(()));
    assert!(loads(own(&price("m", "0"))).is_err());
}

#[test]
fn names_and_money_that_do_not_fit_together_are_refused() {
    let price =
        |currency: &str| format!("price: {{prompt: 1, completion: 1, per: 1k, currency: {currency}}}");
    for (models, what) in [
        (
            format!("[{{name: a, {}}}, {{name: b, {}}}]", price("CNY"), price("EUR")),
            "write all prices in one currency",
        ),
        (format!("[{{name: a, {}}}]", price("yuan")), "not a currency"),
        (format!("[{{name: a, {}}}]", price("XXX")), "stands for no currency"),
        (format!("[{{name: a, {}}}]", price("CNY").replace("1,", "0.0000001,")), "per: 1M` has room"),
        (format!("[{{name: a, {}}}]", price("CNY").replace("1,", "1e-3,")), "not an amount of money"),
        ("[{name: a, match: [b]}, {name: b}]".into(), "already, for model `b`"),
        ("[{name: a, match: [a]}]".into(), "already, for model `a`"),
        ("[{name: a, match: [x, x]}]".into(), "`x` stands at"),
        ("[{name: a}, {name: a}]".into(), "give each a name of its own"),
        ("[{name: a/b}]".into(), "stands in `match`"),
        (format!("[{{name: a, match: [{}]}}]", "x".repeat(129)), "1 to 128 printable ASCII"),
        ("[{name: a, match: [\"\"]}]".into(), "printable ASCII"),
        ("[{name: a, match: [\"\u{6a21}\"]}]".into(), "printable ASCII"),
        ("[{name: other, match: [x]}]".into(), "every model that has no entry"),
        (
            "[{name: a, limits: [{name: l, per: model, budget: 1 CNY/day}]}]".into(),
            "add `price` to the model",
        ),
        (
            "[{name: a, limits: [{name: l, per: tenant, requests: 1/s}]}]".into(),
            "one of: model, tenant+model",
        ),
    ] {
        let said = refused(&format!("{GOOD}models: {models}\n"));
        assert!(said.contains(what), "{models}: {said}");
        assert_eq!(said.matches("error:").count(), 1, "{models}: {said}");
    }
}

#[test]
fn posture_tells_models_and_ceilings() {
    let text = at_route(
        "model: large\n    model_from: route\n    ceilings: {completion_tokens: 9, prompt_tokens: 7}",
    ) + MODELS;
    let said =
        Posture::of(&load_text(text).map_err(|problems| lines(&problems)).unwrap().checked).to_string();
    for part in [
        "  model           large, whatever the body says\n",
        "  ceilings        7 prompt tokens, refused beyond; 9 completion tokens, refused beyond\n",
        "model large\n  also called     Org/Large 1:latest, large-v2\n  price           100 CNY for a million prompt tokens, 300 CNY",
        "  limit           tpm: 1000000 tokens in 1m per model, 1000000 at once\n",
        "  ceilings        8000 prompt tokens, refused beyond; 2000 completion tokens, cut down to it; completion tokens cut",
        "model other\n  price           none\n",
    ] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
}

#[test]
fn usage_told_twice_at_one_place_is_refused() {
    let text =
        at_route("usage: {prompt: usage.n, completion: usage.n}").replace("api: openai", "api: modelarts");
    assert!(refused(&text).contains("the same path as that of the prompt"));
}
