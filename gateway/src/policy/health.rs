//! `pools[].health`, `eject` and `panic`, as written: when a backend gets no requests.

use super::decode::{Entry, text};
use super::keys;
use super::problem::quoted;
use super::yaml::Value;
use crate::upstream::health::rules::{Eject, ErrorRate, Failures, Probe, Rules, SLOW_START_MAX};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
/// The longest text that is looked for in a body.
const BODY_MAX: usize = 256;

/// How a pool judges its backends; None if something is wrong, which is recorded.
pub fn health(pool: &Entry<'_>) -> Option<Rules> {
    let panic = pool.percent("panic", 0..=100);
    let probe = probe(pool);
    let eject = eject(pool);
    Some(Rules { probe: probe?, eject: eject?, panic_percent: panic? })
}

/// `Some(None)`: no probe.
fn probe(pool: &Entry<'_>) -> Option<Option<Arc<Probe>>> {
    if !pool.has("health") {
        return Some(None);
    }
    let health = pool.object("health", &keys::HEALTH)?;
    let path = path(&health);
    let every = health.duration("every", DAY);
    let timeout = health.duration("timeout", DAY);
    let healthy_after = health.count("healthy_after");
    let unhealthy_after = health.count("unhealthy_after");
    let expect = expect(&health);
    let body = body(&health);
    let slow_start = match health.has("slow_start") {
        true => health.duration("slow_start", SLOW_START_MAX),
        false => Some(Duration::ZERO),
    };
    if let (Some(every), Some(timeout)) = (every, timeout)
        && timeout > every
    {
        let help = "let the next one begin when this one has ended: a longer `every` or a shorter `timeout`";
        health.wrong("timeout", "longer than `every`", help);
    }
    Some(Some(Arc::new(Probe {
        path: path?,
        every: every?,
        timeout: timeout?,
        healthy_after: healthy_after?,
        unhealthy_after: unhealthy_after?,
        expect: expect?,
        body: body?,
        slow_start: slow_start?,
    })))
}

fn path(health: &Entry<'_>) -> Option<Box<str>> {
    if !health.has("path") {
        for key in ["expect", "body"].into_iter().filter(|key| health.has(key)) {
            health.wrong(key, "nothing is asked that could be answered so", "add `path`, or leave it out");
        }
        return Some("".into());
    }
    let path = health.text("path")?.value;
    let good = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if !good {
        let what = format!("{} is not a path", quoted(path));
        health.wrong("path", what, "write a path that begins with `/`, such as `/health`, without spaces");
    }
    good.then(|| path.into())
}

fn body(health: &Entry<'_>) -> Option<Option<Box<str>>> {
    if !health.has("body") {
        return Some(None);
    }
    let wanted = health.text("body")?.value;
    if wanted.is_empty() || wanted.len() > BODY_MAX {
        let help = format!("1 to {BODY_MAX} bytes are possible; write the part that only a good answer has");
        health.wrong("body", "out of range", help);
        return None;
    }
    Some(Some(wanted.into()))
}

/// `200-299`, `204`, or a list of such; None if one is wrong.
fn expect(health: &Entry<'_>) -> Option<Vec<RangeInclusive<u16>>> {
    let Some(written) = health.get("expect") else { return Some(vec![200..=299]) };
    if matches!(&written.value, Value::List(items) if items.is_empty()) {
        health.wrong("expect", "no status at all", "leave `expect` out for 200 to 299");
        return None;
    }
    let items = health.many("expect");
    let at = health.at.key("expect");
    let read = items.iter().enumerate().map(|(i, node)| {
        let at = at.item(i, node);
        let text = text(node, at, health.problems)?;
        let statuses = statuses(text.value);
        if statuses.is_none() {
            let what = format!("{} is not a status", quoted(text.value));
            health.problems.add(text.place, at, what, "write `200`, or `200-299`, from 200 to 599");
        }
        statuses
    });
    let read: Vec<_> = read.collect(); // all of them, so that one wrong status does not hide the next
    read.into_iter().collect::<Option<Vec<_>>>().filter(|statuses| !statuses.is_empty())
}

fn statuses(text: &str) -> Option<RangeInclusive<u16>> {
    let status = |text: &str| text.trim().parse::<u16>().ok().filter(|status| (200..=599).contains(status));
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (status(first)?, status(last)?),
        None => (status(text)?, status(text)?),
    };
    (first <= last).then_some(first..=last)
}

/// `Some(None)`: nothing is ejected.
fn eject(pool: &Entry<'_>) -> Option<Option<Eject>> {
    match pool.get("eject").map(|node| &node.value) {
        None => return Some(Some(Eject::default())),
        Some(Value::Map(_)) => {}
        Some(_) if !pool.flag("eject") => return Some(None), // also if it is neither, which is recorded
        Some(_) => return Some(Some(Eject { on: ALL, ..Eject::default() })),
    }
    let eject = pool.object("eject", &keys::EJECT)?;
    let consecutive = eject.count("consecutive");
    let rate = rate(&eject);
    let on = failures(&eject);
    let first = eject.duration("for", HOUR);
    let longest = eject.duration("max", DAY);
    let keep = eject.percent("keep", 0..=100);
    if consecutive == Some(0) && !eject.has("error_rate") {
        let help = "write an `error_rate`, or `eject: false` if nothing shall be taken out";
        eject.wrong("consecutive", "nothing is ever ejected", help);
    }
    if let (Some(first), Some(longest)) = (first, longest)
        && longest < first
    {
        eject.wrong("max", "shorter than `for`", "a backend is out for `for` at least: write a longer `max`");
    }
    Some(Some(Eject {
        consecutive: NonZeroU32::new(consecutive?),
        rate: rate?,
        on: on?,
        first: first?,
        longest: longest?,
        keep_percent: keep?,
    }))
}

/// `Some(None)`: rates do not matter.
fn rate(eject: &Entry<'_>) -> Option<Option<ErrorRate>> {
    let of_last = eject.duration("of_last", DAY);
    let at_least = eject.count("at_least");
    if !eject.has("error_rate") {
        for key in ["of_last", "at_least"].into_iter().filter(|key| eject.has(key)) {
            eject.wrong(
                key,
                "there is no `error_rate` that it could belong to",
                "write one, or leave it out",
            );
        }
        return Some(None);
    }
    let percent = eject.percent("error_rate", 1..=100);
    let whole = |span: &Duration| span.subsec_millis() == 0 && (1..=60).contains(&span.as_secs());
    if of_last.is_some_and(|span| !whole(&span)) {
        eject.wrong("of_last", "out of range", "whole seconds are possible, 1s to 60s");
    }
    let of_last_s = of_last?.as_secs() as u8; // at most 60, or a problem is recorded
    Some(Some(ErrorRate { percent: percent?, of_last_s, at_least: at_least? }))
}

const ALL: Failures = Failures { connect: true, reset: true, timeout: true, unavailable: true, cut: true };

fn failures(eject: &Entry<'_>) -> Option<Failures> {
    if !eject.has("on") {
        return Some(ALL);
    }
    let words = eject.words("on", &[]);
    let has = |word: &str| words.contains(&word);
    let written = eject.items("on").len();
    if written == 0 && matches!(eject.get("on").map(|node| &node.value), Some(Value::List(_))) {
        eject.wrong("on", "nothing is a failure", "name one, or write `eject: false`");
    }
    let on = Failures {
        connect: has("connect"),
        reset: has("reset"),
        timeout: has("timeout"),
        unavailable: has("unavailable"),
        cut: has("cut"),
    };
    (written > 0 && words.len() == written).then_some(on)
}
