//! `pools[].queue`, as written: whose turn it is while a pool has less room than callers want.

use super::decode::Entry;
use super::keys;
use super::yaml::Value;
use crate::fair::{Adapt, Class, Config};
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

/// A request that waits longer has been given up by whoever sent it.
const WAIT_MAX: Duration = Duration::from_secs(3_600);
/// Classes of one pool; more than anybody can tell apart.
const CLASSES_MAX: usize = 8;
/// Bytes of bodies that may wait: 1 TiB, far from overflow.
const BYTES_MAX: u64 = 1 << 40;

/// The queue of a pool; None if it has none, or a wrong one that is recorded.
pub fn queue(pool: &Entry<'_>) -> Option<Config> {
    if !pool.has("queue") {
        return None;
    }
    let queue = pool.object("queue", &keys::QUEUE)?;
    let in_flight_max = optional(&queue, "in_flight_max");
    let tokens_max = optional(&queue, "tokens_max").map(NonZeroU64::from);
    let queue_max = queue.count("waiting_max");
    let queue_bytes_max = queue.size("waiting_bytes_max", 0..=BYTES_MAX);
    let burst = queue.count("burst");
    let headroom = queue.count("headroom");
    let adapt = adapt(&queue);
    let classes = classes(&queue);
    let bounded = queue.has("in_flight_max") || queue.has("tokens_max");
    if !bounded && is_off(&queue) {
        let help = "add `in_flight_max` or `tokens_max`, or let it `adapt` to what the upstream takes";
        queue.problems.add(queue.place(), queue.at, "nothing ever waits in this queue", help);
    }
    Some(Config {
        in_flight_max,
        tokens_max,
        queue_max: queue_max?,
        queue_bytes_max: queue_bytes_max?,
        classes,
        burst: burst?,
        headroom_percent: headroom? as u8,
        adapt,
    })
}

/// Is it written down that the upstream's answers do not matter?
fn is_off(queue: &Entry<'_>) -> bool {
    matches!(queue.get("adapt").map(|node| &node.value), Some(Value::Text(text)) if text == "false")
}

fn optional(entry: &Entry<'_>, key: &'static str) -> Option<NonZeroU32> {
    if entry.has(key) { NonZeroU32::new(entry.count(key)?) } else { None }
}

fn classes(queue: &Entry<'_>) -> Vec<Class> {
    let at = queue.at.key("classes");
    let items = queue.items("classes");
    if items.len() > CLASSES_MAX {
        queue.wrong(
            "classes",
            format!("more than {CLASSES_MAX} classes"),
            "keep those that callers can tell apart",
        );
    }
    let open = |(i, node)| Entry::open(node, &keys::QUEUE_CLASS, at.item(i, node), queue.problems);
    let mut classes: Vec<Class> = Vec::new();
    for entry in items.iter().enumerate().filter_map(open) {
        let Some(class) = class(&entry) else { continue };
        if classes.iter().any(|other| other.name == class.name) {
            let what = format!("a class is named `{}` already", class.name);
            entry.wrong("name", what, "give each a name of its own");
            continue;
        }
        classes.push(class);
    }
    if classes.is_empty() {
        classes.push(Class {
            name: "standard".into(),
            wait_max: Duration::from_secs(10),
            holdback_percent: 0,
        });
    }
    classes
}

fn class(entry: &Entry<'_>) -> Option<Class> {
    let name: Option<Arc<str>> = entry.name("name").map(|name| name.value);
    let wait_max = entry.duration("wait_max", WAIT_MAX);
    let holdback = entry.count("holdback");
    Some(Class { name: name?, wait_max: wait_max?, holdback_percent: holdback? as u8 })
}

/// `true` (the default), `false`, or how.
fn adapt(queue: &Entry<'_>) -> Option<Adapt> {
    match queue.get("adapt").map(|node| &node.value) {
        None => Some(Adapt::default()),
        Some(Value::Map(_)) => {
            let adapt = queue.object("adapt", &keys::QUEUE_ADAPT)?;
            let keep = adapt.count("keep");
            let pause_max = adapt.duration("pause_max", WAIT_MAX);
            let first_token_factor = optional(&adapt, "first_token_factor");
            Some(Adapt { keep_percent: keep? as u8, pause_max: pause_max?, first_token_factor })
        }
        Some(_) => queue.flag("adapt").then(Adapt::default),
    }
}
