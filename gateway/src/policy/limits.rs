//! `plans` and the limits in them, at routes and at models, as written.

use super::decode::Entry;
use super::keys;
use super::models::ceilings;
use super::problem::{Located, quoted};
use super::sections::BODY_MAX;
use super::spec::{Amount, Budget, Limit, Limits, Plan, Policy};
use super::streams::rules;
use super::units::{self, Span};
use super::yaml::{Key, Mark, Node, Value};
use crate::limit::calendar::{Calendar, Unit};
use crate::limit::measure::Measure;
use crate::limit::money::{Currency, Money};
use crate::limit::{Algorithm, Per};
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

/// `plans.*`: a plain list of limits, or a mapping that says more.
pub fn plans(top: &Entry<'_>, policy: &mut Policy) {
    let Some(node) = top.get("plans") else { return };
    let Value::Map(entries) = &node.value else {
        top.wrong("plans", "a mapping from names to plans is needed here", "write `gold: [...]` below it");
        return;
    };
    let at = top.at.key("plans");
    for (key, node) in entries {
        let name = Located { value: Arc::from(key.name.as_ref()), place: at.place(key.mark) };
        let holder =
            Node { mark: key.mark, value: Value::Map(vec![(plain_key("limits", key.mark), node.clone())]) };
        let (node, key_at) = match &node.value {
            Value::List(_) => (&holder, at.key(&key.name)),
            _ => (node, at.key(&key.name)),
        };
        let Some(entry) = Entry::open(node, &keys::PLAN_OBJECT, key_at, top.problems) else {
            policy.broken.push(name.value);
            continue;
        };
        let body_max = entry.size("body_max", 0..=BODY_MAX);
        let limits = limits(&entry, "limits", &keys::PLAN_LIMIT);
        let ceilings = ceilings(&entry);
        let weight = entry.count("weight").and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
        let class = if entry.has("class") { entry.name("class") } else { None };
        let ceilings = ceilings.unwrap_or_default();
        let streams = entry.object("streams", &keys::STREAM_LIMITS).map(|limits| rules(&limits));
        let streams = streams.unwrap_or_default();
        policy.plans.push(Plan { name, limits, body_max, ceilings, weight, class, streams });
    }
}

fn plain_key(name: &'static str, mark: Mark) -> Key<'static> {
    Key { mark, name: name.into() }
}

/// Limits at `key`, a list by the table `object`.
pub fn limits(entry: &Entry<'_>, key: &str, object: &'static keys::Object) -> Limits {
    let at = entry.at.key(key);
    let items = entry.items(key);
    let open = |(i, node)| Entry::open(node, object, at.item(i, node), entry.problems);
    let list: Vec<Limit> =
        items.iter().enumerate().filter_map(open).filter_map(|entry| limit(&entry)).collect();
    Limits { broken: list.len() < items.len(), list }
}

fn limit(entry: &Entry<'_>) -> Option<Limit> {
    let name = entry.name("name");
    let per = entry.word("per", keys::PER_LATER);
    let amount = amount(entry);
    let mode = entry.word("mode", &[]);
    let on_exhausted = entry.word("on_exhausted", &[]);
    Some(Limit {
        name: name?,
        per: match per? {
            "tenant" => Per::Tenant,
            "user" => Per::User,
            "route" => Per::Route,
            "model" => Per::Model,
            "tenant+model" => Per::TenantModel,
            _ => Per::TenantRoute,
        },
        amount: amount?,
        shadow: mode? == "shadow",
        cut: on_exhausted? == "cut",
    })
}

/// The keys of which a limit has one, and what each counts.
const AMOUNTS: &[(&str, &str)] = &[
    ("requests", "requests as they come"),
    ("concurrent", "what runs at the same time"),
    ("tokens", "model tokens"),
    ("budget", "money, by the calendar"),
];

/// Keys that have a meaning beside some of [`AMOUNTS`] only.
const BELONGING: &[(&str, &[&str])] = &[
    ("burst", &["requests", "tokens"]),
    ("algorithm", &["requests", "tokens"]),
    ("counts", &["tokens"]),
    ("timezone", &["tokens", "budget"]),
    ("on_exhausted", &["tokens", "budget"]),
];

fn amount(entry: &Entry<'_>) -> Option<Located<Amount>> {
    let written: Vec<_> = AMOUNTS.iter().filter(|(key, _)| entry.has(key)).collect();
    let &(key, what) = match written[..] {
        [one] => one,
        [] => {
            let help =
                "add `requests: 20/min`, `tokens: 500k/min`, `budget: 100 CNY/month` or `concurrent: 64`";
            entry.problems.add(entry.place(), entry.at, "nothing is limited", help);
            return None;
        }
        [_, (second, _), ..] => {
            let help = "make two limits of it, each with a name of its own";
            entry.wrong(second, "a limit counts one thing", help);
            return None;
        }
    };
    for (extra, owners) in
        BELONGING.iter().filter(|(extra, owners)| entry.has(extra) && !owners.contains(&key))
    {
        let owners: Vec<String> = owners.iter().map(|owner| format!("`{owner}`")).collect();
        let help = format!("leave it out: `{key}` counts {what}");
        entry.wrong(extra, format!("belongs to {}", owners.join(" and ")), help);
    }
    let value = match key {
        "requests" => requests(entry),
        "concurrent" => concurrent(entry),
        "tokens" => tokens(entry),
        _ => budget(entry),
    };
    Some(Located { value: value?, place: entry.place_of(key) })
}

fn requests(entry: &Entry<'_>) -> Option<Amount> {
    let rate = entry.rate("requests");
    let burst = burst(entry, rate.map(|rate| rate.count));
    let algorithm = match entry.word("algorithm", &[])? {
        "fixed_window" => Algorithm::FixedWindow,
        "sliding_window" => Algorithm::SlidingWindow,
        _ => Algorithm::TokenBucket,
    };
    if entry.has("burst") && algorithm != Algorithm::TokenBucket {
        entry.wrong("burst", "a window has no burst", "leave it out, or write `algorithm: token_bucket`");
    }
    Some(Amount::Requests { rate: rate?, burst: burst?, algorithm })
}

/// As written, or as many as in a period.
fn burst(entry: &Entry<'_>, in_a_period: Option<NonZeroU32>) -> Option<NonZeroU32> {
    if !entry.has("burst") {
        return in_a_period;
    }
    NonZeroU32::new(entry.count("burst")?)
}

fn concurrent(entry: &Entry<'_>) -> Option<Amount> {
    NonZeroU32::new(entry.count("concurrent")?).map(Amount::Concurrent)
}

/// Per s, min or h a bucket; per day or month a budget.
fn tokens(entry: &Entry<'_>) -> Option<Amount> {
    let tokens = entry.parsed("tokens", units::tokens, "a number of tokens in a period", units::TOKENS_HELP);
    let measure = match entry.word("counts", &[])? {
        "prompt" => Measure::Prompt,
        "completion" => Measure::Completion,
        _ => Measure::Total,
    };
    match tokens?.per {
        Span::Period(period) => token_bucket(entry, tokens?.count, period, measure),
        Span::Calendar(unit) => token_budget(entry, tokens?.count, unit, measure),
    }
}

fn token_bucket(entry: &Entry<'_>, count: NonZeroU64, period: Duration, measure: Measure) -> Option<Amount> {
    if entry.has("timezone") {
        let help = "leave it out, or count per day or month";
        entry.wrong("timezone", "a bucket refills bit by bit, in every time zone", help);
    }
    if entry.word("algorithm", &[])? != "token_bucket" {
        let help = "leave it out; for so many in a fixed time count them per day or month, such as `tokens: 50M/day`";
        entry.wrong("algorithm", "tokens are counted by a bucket or by the calendar, not by a window", help);
    }
    let tokens = NonZeroU32::try_from(count);
    if tokens.is_err() {
        let help = format!("{} per s, min or h are possible; count more of them per day or month", u32::MAX);
        entry.wrong("tokens", format!("{count} is out of range"), help);
    }
    let burst = burst(entry, tokens.ok());
    Some(Amount::Tokens { tokens: tokens.ok()?, period, burst: burst?, measure })
}

fn token_budget(entry: &Entry<'_>, most: NonZeroU64, unit: Unit, measure: Measure) -> Option<Amount> {
    for key in ["burst", "algorithm"].into_iter().filter(|key| entry.has(key)) {
        let what = format!("a {} begins by the calendar and is no bucket", unit.name());
        entry.wrong(key, what, "leave it out, or count per s, min or h");
    }
    let (calendar, zone) = calendar(entry, unit)?;
    Some(Amount::Budget(Budget { most: most.get(), measure, currency: None, calendar, zone }))
}

fn budget(entry: &Entry<'_>) -> Option<Amount> {
    let money = money(entry);
    // A wrong time zone is told, too, where the budget itself is wrong.
    let (calendar, zone) = calendar(entry, money.map_or(Unit::Month, |(_, _, unit)| unit))?;
    let (most, currency, _) = money?;
    Some(Amount::Budget(Budget { most, measure: Measure::Money, currency: Some(currency), calendar, zone }))
}

/// `100 CNY/month`
fn money(entry: &Entry<'_>) -> Option<(u64, Currency, Unit)> {
    let text = entry.text("budget")?.value;
    let wrong = |what: String| {
        let help = "write an amount, a currency and `/day` or `/month`, such as `100 CNY/month`";
        entry.wrong("budget", what, help);
    };
    let Some((money, unit)) =
        text.split_once('/').and_then(|(money, unit)| Some((money, units::calendar(unit)?)))
    else {
        wrong(format!("{} is not a budget per day or month", quoted(text)));
        return None;
    };
    let amount = money.trim_end().trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let (amount, currency) = (amount.trim(), money[amount.len()..].trim());
    let amount = Money::parse(amount).map_err(|no| wrong(format!("{} is {no}", quoted(amount)))).ok()?;
    let currency = currency_of(currency).map_err(wrong).ok()?;
    if amount.nano == 0 {
        wrong("a budget of nothing".into());
        return None;
    }
    Some((amount.nano, currency, unit))
}

/// The currency `text` is the code of.
///
/// # Errors
/// what is wrong with it
pub fn currency_of(text: &str) -> Result<Currency, String> {
    match Currency::parse(text) {
        Ok(currency) if currency != Currency::NONE => Ok(currency),
        Ok(_) => Err("`XXX` stands for no currency".into()),
        Err(_) if text.is_empty() => Err("no currency is named".into()),
        Err(no) => Err(format!("{} is {no}", quoted(text))),
    }
}

/// The longest name of a time zone that is looked for, in bytes; there is none of half its length.
const ZONE_MAX: usize = 64;

fn calendar(entry: &Entry<'_>, unit: Unit) -> Option<(Arc<Calendar>, Arc<str>)> {
    let zone = entry.text("timezone")?.value;
    if zone.len() > ZONE_MAX || entry.problems.full() {
        // Looking for what was meant takes time, which a hostile file must not ask for without end.
        entry.wrong("timezone", "not a time zone", "write an IANA name, such as `Asia/Shanghai`");
        return None;
    }
    match Calendar::new(unit, zone) {
        Ok(calendar) => Some((Arc::new(calendar), zone.into())),
        Err(no) => {
            entry.wrong("timezone", format!("no time zone is named {}", quoted(zone)), no.help());
            None
        }
    }
}
