//! Limits on tokens and money, as written and as they come out.

use super::super::Posture;
use super::*;
use crate::limit::calendar::{Calendar, Unit};
use crate::limit::measure::Measure;
use crate::limit::{Amount, Limit, Per};
use std::time::Duration;

const PRICED: &str = "models: [{name: m, price: {prompt: 1, completion: 2, per: 1M, currency: CNY}}]";

/// `GOOD` with `limit` in its plan, beside prices.
fn with(limit: &str) -> String {
    format!("{}\n{PRICED}\n", GOOD.replace("plans:\n  gold: [", &format!("plans:\n  gold: [{limit}, ")))
}

fn limit(text: &str) -> Limit {
    let loaded = load_text(with(text)).map_err(|problems| lines(&problems)).unwrap();
    loaded.checked.plans[0].limits[0].rule.clone()
}

fn refused(text: &str) -> String {
    lines(&load_text(with(text)).err().expect("refused"))
}

#[test]
fn tokens_per_minute_are_a_bucket() {
    let Limit { per, amount, shadow, cut, .. } = limit("{name: a, per: tenant+model, tokens: 500k/min}");
    assert_eq!((per, shadow, cut), (Per::TenantModel, false, false));
    let Amount::Tokens { tokens, period, burst, measure } = amount else { panic!("{amount:?}") };
    assert_eq!((tokens.get(), period), (500_000, Duration::from_secs(60)));
    assert_eq!((burst.get(), measure), (500_000, Measure::Total), "without `burst`, as many as in a period");

    let text =
        "{name: a, per: user, tokens: 4G/h, burst: 10k, counts: completion, on_exhausted: cut, mode: shadow}";
    let Limit { amount, shadow, cut, .. } = limit(text);
    assert!(shadow && cut);
    let Amount::Tokens { tokens, burst, measure, .. } = amount else { panic!("{amount:?}") };
    assert_eq!((tokens.get(), burst.get(), measure), (4_000_000_000, 10_000, Measure::Completion));
}

#[test]
fn tokens_per_day_go_by_the_calendar() {
    let amount =
        limit("{name: a, per: tenant, tokens: 20G/month, counts: prompt, timezone: Asia/Shanghai}").amount;
    let Amount::Budget { most, measure, calendar, .. } = amount else { panic!("{amount:?}") };
    assert_eq!((most, measure), (20_000_000_000, Measure::Prompt));
    assert_eq!(*calendar, Calendar::new(Unit::Month, "Asia/Shanghai").unwrap());

    let amount = limit("{name: a, per: tenant, tokens: 1/day}").amount;
    let Amount::Budget { calendar, .. } = amount else { panic!("{amount:?}") };
    assert_eq!(*calendar, Calendar::new(Unit::Day, "UTC").unwrap(), "UTC unless a zone is named");
}

#[test]
fn a_budget_is_exact_money() {
    for (text, nano) in [
        ("100 CNY/month", 100_000_000_000),
        ("0.1CNY/month", 100_000_000),
        ("0.000000001 CNY / month", 1),
        ("9007199254.740993001 CNY/month", 9_007_199_254_740_993_001),
    ] {
        let amount = limit(&format!("{{name: a, per: tenant, budget: {text}}}")).amount;
        let Amount::Budget { most, measure, calendar, .. } = amount else { panic!("{amount:?}") };
        assert_eq!((most, measure, calendar.unit()), (nano, Measure::Money, Unit::Month), "{text}");
    }
}

#[test]
fn a_budget_that_is_none_is_refused_with_a_way_out() {
    for text in [
        "100",
        "100/month",
        "CNY/day",
        "1e3 CNY/day",
        "-1 CNY/day",
        "0 CNY/day",
        "100 cny/day",
        "100 CNY/h",
        "100 XXX/day",
        "0.0000000001 CNY/day",
        "99999999999 CNY/day",
        "\"\"",
    ] {
        let said = refused(&format!("{{name: a, per: tenant, budget: {text}}}"));
        assert!(said.contains("such as `100 CNY/month`"), "{text}: {said}");
        assert_eq!(said.matches("error:").count(), 1, "{text}: {said}");
    }
}

#[test]
fn keys_of_other_amounts_are_refused() {
    for (extra, amounts) in [
        ("burst: 5", &["concurrent: 5", "budget: 1 CNY/day", "tokens: 5/day"][..]),
        ("algorithm: token_bucket", &["concurrent: 5", "budget: 1 CNY/day", "tokens: 5/day"]),
        ("algorithm: sliding_window", &["tokens: 5/min"]),
        ("counts: total", &["requests: 5/s", "concurrent: 5", "budget: 1 CNY/day"]),
        ("timezone: UTC", &["requests: 5/day", "concurrent: 5", "tokens: 5/min"]),
        ("on_exhausted: finish", &["requests: 5/s", "concurrent: 5"]),
    ] {
        for amount in amounts {
            let said = refused(&format!("{{name: a, per: tenant, {amount}, {extra}}}"));
            assert!(said.contains("leave it out"), "{amount}, {extra}: {said}");
            assert_eq!(said.matches("error:").count(), 1, "{amount}, {extra}: {said}");
        }
    }
}

#[test]
fn a_long_time_zone_is_not_looked_for() {
    let begun = crate::clock::mono_us();
    let said =
        refused(&format!("{{name: a, per: tenant, tokens: 5/day, timezone: {}}}", "x".repeat(1 << 20)));
    assert!(said.contains("not a time zone"), "{said}");
    assert!(crate::clock::mono_us() - begun < 2_000_000);
}

/// A route that only shadows cover is as good as without a limit.
#[test]
fn shadows_cover_no_model_endpoint() {
    let shadow = |text: &str| text.replace("per: route,", "per: route, mode: shadow,");
    assert!(load_text(shadow(GOOD)).is_ok(), "its plan has a limit");
    let both = shadow(GOOD).replace("per: user,", "per: user, mode: shadow,");
    let said = lines(&load_text(&both).err().expect("refused"));
    assert!(said.contains("its plan `gold` has only shadow limits; its own are shadows"), "{said}");
    assert!(load_text(both.replace("pool: maas", "pool: maas\n    unlimited: on trial")).is_ok());
}

#[test]
fn posture_tells_tokens_and_money() {
    let text = with(
        "{name: tpm, per: tenant+model, tokens: 5k/min, counts: prompt, mode: shadow}, \
         {name: daily, per: tenant, tokens: 1M/day, timezone: Asia/Shanghai}, \
         {name: bill, per: user, budget: 12.5 CNY/month, on_exhausted: cut}",
    );
    let posture = Posture::of(&load_text(text).map_err(|problems| lines(&problems)).unwrap().checked);
    let said = posture.to_string();
    for part in [
        "tpm: 5000 prompt tokens in 1m per tenant and model, 5000 at once; shadow: refuses nobody",
        "daily: 1000000 tokens in every day (Asia/Shanghai) per tenant\n",
        "bill: 12.5 CNY in every month (UTC) per user; cuts streams when spent",
        "model m\n  price           1 CNY for a million prompt tokens, 2 CNY for a million completion tokens",
        "note: budgets in money count nothing for models without a price: other",
    ] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
    let json = serde_json::to_value(&posture).unwrap();
    assert_eq!(json["models"][0]["name"], "m");
    assert_eq!(
        json["routes"][0]["plan_limits"]["gold"][2],
        "bill: 12.5 CNY in every month (UTC) per user; cuts streams when spent"
    );
}

/// What cannot be spent in the middle of an answer cuts none, nor does what ends nothing.
#[test]
fn posture_tells_only_of_limits_that_cut_that_they_do() {
    let text = with(
        "{name: prompts, per: tenant, tokens: 5k/min, counts: prompt, on_exhausted: cut}, \
         {name: trial, per: tenant, tokens: 1M/day, mode: shadow, on_exhausted: cut}, \
         {name: answers, per: tenant, tokens: 2k/min, counts: completion, on_exhausted: cut}",
    );
    let said =
        Posture::of(&load_text(text).map_err(|problems| lines(&problems)).unwrap().checked).to_string();
    for part in [
        "prompts: 5000 prompt tokens in 1m per tenant, 5000 at once\n",
        "trial: 1000000 tokens in every day (UTC) per tenant; shadow: refuses nobody\n",
        "answers: 2000 completion tokens in 1m per tenant, 2000 at once; cuts streams when spent\n",
    ] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
}

/// On a route that is not metered, neither tokens nor money nor models are known.
#[test]
fn posture_tells_of_a_plain_route_only_what_counts_there() {
    let text = with(
        "{name: tpm, per: tenant, tokens: 5k/min}, {name: bill, per: user, budget: 12.5 CNY/month}, \
         {name: each, per: tenant+model, requests: 5/min}",
    )
    .replace("api: openai", "api: plain");
    let posture = Posture::of(&load_text(text).map_err(|problems| lines(&problems)).unwrap().checked);
    let said: Vec<&str> = posture.routes[0].plan_limits["gold"].iter().map(String::as_str).collect();
    assert_eq!(said, ["user-rpm: 20 requests in 1m per user, 20 at once"]);
}

#[test]
fn posture_takes_no_shadow_for_a_limit() {
    let text = GOOD
        .replace("per: user, requests: 20/min", "per: user, mode: shadow, concurrent: 5")
        .replace("per: route, requests: 500/s, burst: 20", "per: route, requests: 500/s");
    let said =
        Posture::of(&load_text(text).map_err(|problems| lines(&problems)).unwrap().checked).to_string();
    for part in [
        "user-rpm: 5 requests at a time per user; shadow: refuses nobody",
        "plan `gold` refuses nobody: all its limits are shadows",
        "no limit on concurrent requests for plan gold",
    ] {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
}
