//! `routes[].retry`, as written: who is asked after an attempt in vain.

use super::decode::Entry;
use super::keys;
use super::models::is_request_name;
use super::problem::{Located, quoted};
use super::snapshot::Timeouts;
use super::spec::{Fallback, Retry};
use crate::upstream::retry::{Reason, Reasons, Rule};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of one body that are held to be sent again: 64 MiB, a part of what all may take together.
const HOLD_MAX: u64 = 64 << 20;

/// The rule of a route; None if it has none, or a wrong one that is recorded.
pub fn retry(route: &Entry<'_>, timeouts: Option<Timeouts>) -> Option<Retry> {
    if !route.has("retry") {
        return None;
    }
    let retry = route.object("retry", &keys::RETRY)?;
    let on: Reasons = retry.words("on", &[]).into_iter().filter_map(reason).collect();
    let attempts = retry.count("attempts");
    let first_byte = first_byte(&retry, on, timeouts);
    let repeat_post = retry.flag("repeat_post");
    let hold_max = retry.size("hold_max", 0..=HOLD_MAX);
    let budget = retry.count("budget");
    let fallback = fallback(&retry);
    if attempts == Some(1) && !retry.has("fallback") {
        let help = "write the number of all attempts, the first included, or add a `fallback`";
        retry.wrong("attempts", "one attempt is no second one", help);
    }
    let rule = Rule {
        on,
        attempts: attempts?,
        first_byte: first_byte?,
        repeat_post,
        hold_max: hold_max?,
        budget_percent: budget?,
    };
    Some(Retry { rule, fallback })
}

fn reason(word: &str) -> Option<Reason> {
    Reason::ALL.into_iter().find(|reason| reason.name() == word)
}

/// `Some(None)`: none is written.
fn first_byte(retry: &Entry<'_>, on: Reasons, timeouts: Option<Timeouts>) -> Option<Option<Duration>> {
    match (on.contains(Reason::FirstByte), retry.has("first_byte")) {
        (false, false) => return Some(None),
        (true, false) => {
            let help = "add `first_byte: 2s`: how long one attempt may take before another is made";
            retry.wrong("on", "`first_byte` needs a time", help);
            return None;
        }
        (false, true) => {
            let help = "add `first_byte` to `on`, or leave the time out";
            retry.wrong("first_byte", "no attempt is given up after this time", help);
        }
        (true, true) => {}
    }
    let first_byte = retry.duration("first_byte", super::sections::DAY)?;
    if let Some(all) = timeouts.map(|timeouts| timeouts.first_byte).filter(|all| first_byte >= *all) {
        let all = humantime::format_duration(all);
        let help =
            format!("`timeouts.first_byte` is the time of all attempts together: write less than {all}");
        retry.wrong("first_byte", "leaves no time for another attempt", help);
    }
    Some(Some(first_byte))
}

fn fallback(retry: &Entry<'_>) -> Option<Fallback> {
    if !retry.has("fallback") {
        return None;
    }
    let fallback = retry.object("fallback", &keys::FALLBACK)?;
    let pool = if fallback.has("pool") { Some(fallback.name("pool")?) } else { None };
    let model = match fallback.text("model") {
        None if fallback.has("model") => return None,
        None => None,
        Some(text) if is_request_name(text.value) => {
            Some(Located { value: Arc::from(text.value), place: text.place })
        }
        Some(text) => {
            let what = format!("{} is no name of a model", quoted(text.value));
            fallback.wrong("model", what, "write the name that the upstream knows, such as `pangu-small`");
            return None;
        }
    };
    if pool.is_none() && model.is_none() {
        let help = "add `pool: NAME`, `model: NAME`, or both";
        retry.wrong("fallback", "neither another pool nor another model", help);
        return None;
    }
    Some(Fallback { pool, model })
}
