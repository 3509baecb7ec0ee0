//! `plans` and the limits in them and at routes, as written.

use super::decode::Entry;
use super::keys;
use super::problem::Located;
use super::sections::BODY_MAX;
use super::spec::{Amount, Limit, Plan, Policy};
use super::yaml::{Key, Mark, Node, Value};
use crate::limit::{Algorithm, Per};
use std::num::NonZeroU32;
use std::sync::Arc;

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
        policy.plans.push(Plan { name, limits: limits(&entry, "limits", &keys::PLAN_LIMIT), body_max });
    }
}

fn plain_key(name: &'static str, mark: Mark) -> Key<'static> {
    Key { mark, name: name.into() }
}

/// Limits at `key`, a list by the table `object`.
pub fn limits(entry: &Entry<'_>, key: &str, object: &'static keys::Object) -> Vec<Limit> {
    let at = entry.at.key(key);
    let items = entry.items(key);
    let open = |(i, node)| Entry::open(node, object, at.item(i, node), entry.problems);
    items.iter().enumerate().filter_map(open).filter_map(|entry| limit(&entry)).collect()
}

fn limit(entry: &Entry<'_>) -> Option<Limit> {
    let name = entry.name("name");
    let per = entry.word("per", keys::PER_LATER);
    let algorithm = entry.word("algorithm", &[]);
    let amount = match (entry.has("requests"), entry.has("concurrent")) {
        (true, false) => requests(entry, algorithm),
        (false, true) => concurrent(entry),
        (false, false) if entry.has("tokens") || entry.has("budget") => None, // said already
        (true, true) => {
            entry.wrong(
                "concurrent",
                "a limit counts one thing",
                "make two limits of it, each with a name of its own",
            );
            None
        }
        (false, false) => {
            entry.problems.add(
                entry.place(),
                entry.at,
                "nothing is limited",
                "add `requests: 20/min` or `concurrent: 64`",
            );
            None
        }
    };
    Some(Limit {
        name: name?,
        per: match per? {
            "tenant" => Per::Tenant,
            "user" => Per::User,
            "route" => Per::Route,
            _ => Per::TenantRoute,
        },
        amount: amount?,
    })
}

fn requests(entry: &Entry<'_>, algorithm: Option<&str>) -> Option<Amount> {
    let rate = entry.rate("requests");
    let burst = if entry.has("burst") {
        entry.count("burst", 1..=u32::MAX)
    } else {
        rate.map(|rate| rate.count.get())
    };
    let algorithm = match algorithm? {
        "fixed_window" => Algorithm::FixedWindow,
        "sliding_window" => Algorithm::SlidingWindow,
        _ => Algorithm::TokenBucket,
    };
    if entry.has("burst") && algorithm != Algorithm::TokenBucket {
        entry.wrong("burst", "a window has no burst", "leave it out, or write `algorithm: token_bucket`");
    }
    Some(Amount::Requests { rate: rate?, burst: NonZeroU32::new(burst?)?, algorithm })
}

fn concurrent(entry: &Entry<'_>) -> Option<Amount> {
    for key in ["burst", "algorithm"] {
        if entry.has(key) {
            entry.wrong(
                key,
                "belongs to `requests`",
                "leave it out: `concurrent` counts what runs at the same time",
            );
        }
    }
    NonZeroU32::new(entry.count("concurrent", 1..=u32::from(u16::MAX))?).map(Amount::Concurrent)
}
