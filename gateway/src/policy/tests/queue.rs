//! Queues of pools, and where plans stand in them.

use super::super::{Live, Posture, Snapshot, install};
use super::*;
use crate::clock::Now;
use crate::fair::{Adapt, Class, Config};
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

/// `GOOD` with this queue, and this in its plan.
fn text(queue: &str, plan: &str) -> String {
    let plan_before = "gold: [{name: user-rpm, per: user, requests: 20/min}]";
    assert!(GOOD.contains(plan_before));
    GOOD.replace("weight: 2}]\n", &format!("weight: 2}}]\n    queue: {queue}\n")).replace(
        plan_before,
        &format!("gold: {{limits: [{{name: user-rpm, per: user, requests: 20/min}}]{plan}}}"),
    )
}

fn checked(queue: &str, plan: &str) -> super::super::Checked {
    load_text(text(queue, plan)).map_err(|problems| lines(&problems)).unwrap().checked
}

fn config(queue: &str) -> Config {
    checked(queue, "").pools[0].queue.clone().expect("a queue")
}

fn refused(queue: &str, plan: &str) -> String {
    lines(&load_text(text(queue, plan)).err().expect("refused"))
}

#[test]
fn what_is_not_written_has_its_default() {
    let expected = Config {
        in_flight_max: NonZeroU32::new(64),
        tokens_max: None,
        queue_max: 1000,
        queue_bytes_max: 64 << 20,
        classes: vec![class("standard", 10, 0)],
        burst: 16,
        headroom_percent: 10,
        adapt: Some(Adapt::default()),
    };
    assert_eq!(config("{in_flight_max: 64}"), expected);
    assert_eq!(config("{}"), Config { in_flight_max: None, ..expected });
}

#[test]
fn everything_may_be_written() {
    let queue = "{in_flight_max: 64, tokens_max: 400k, waiting_max: 0, waiting_bytes_max: 1MiB, \
        classes: [{name: quick, wait_max: 5s, holdback: 10}, {name: bulk, wait_max: 1h}], \
        burst: 4, headroom: 20, adapt: {keep: 50, pause_max: 10s, first_token_factor: 4}}";
    let adapt = Adapt {
        keep_percent: 50,
        pause_max: Duration::from_secs(10),
        first_token_factor: NonZeroU32::new(4),
    };
    let expected = Config {
        in_flight_max: NonZeroU32::new(64),
        tokens_max: NonZeroU64::new(400_000),
        queue_max: 0,
        queue_bytes_max: 1 << 20,
        classes: vec![class("quick", 5, 10), class("bulk", 3600, 0)],
        burst: 4,
        headroom_percent: 20,
        adapt: Some(adapt),
    };
    assert_eq!(config(queue), expected);
    assert_eq!(config("{in_flight_max: 1, adapt: false}").adapt, None);
    assert_eq!(config("{in_flight_max: 1, adapt: true}").adapt, Some(Adapt::default()));
}

fn class(name: &str, wait_max_s: u64, holdback_percent: u8) -> Class {
    Class { name: name.into(), wait_max: Duration::from_secs(wait_max_s), holdback_percent }
}

#[test]
fn one_mistake_is_one_problem() {
    for (queue, what) in [
        ("{adapt: false}", "nothing ever waits in this queue"),
        ("{adapt: false, in_flight_max: 0}", "0 is out of range"),
        ("{adapt: false, tokens_max: few}", "not a count"),
        ("{adapt: {keep: 0}}", "0 is out of range"),
        ("{burst: 1001}", "1001 is out of range"),
        ("{headroom: 51}", "51 is out of range"),
        ("{adapt: often}", "not true or false"),
        ("{classes: [{name: a}, {name: a}]}", "named `a` already"),
        ("{classes: [{name: a, holdback: 101}]}", "101 is out of range"),
        ("{classes: [{name: a, wait_max: 2h}]}", "at most 1h"),
        ("{classes: [{name: \"a b\"}]}", "a b"),
        ("{classes: [{n: a, name: b}]}", ".n: unknown key"),
        ("64", "maas.queue"),
    ] {
        let said = refused(queue, "");
        assert!(said.contains(what), "{queue}: {said}");
        assert_eq!(said.matches("error:").count(), 1, "{queue}: {said}");
    }
    let many = (0..9).map(|n| format!("{{name: c{n}}}")).collect::<Vec<_>>().join(", ");
    assert!(refused(&format!("{{classes: [{many}]}}"), "").contains("more than 8 classes"));
}

#[test]
fn a_plan_names_a_class_that_some_pool_has() {
    let queue = "{in_flight_max: 1, classes: [{name: quick}, {name: bulk}]}";
    assert_eq!(checked(queue, ", class: quick").plans[0].class.as_deref(), Some("quick"));
    let said = refused(queue, ", class: quik");
    assert!(said.contains("no pool has a class `quik`") && said.contains("did you mean `quick`?"), "{said}");
    let said = refused("{in_flight_max: 1, classes: [{name: quick}]}", ", class: whatever");
    assert!(said.contains("`whatever`") && said.contains("classes"), "{said}");
    assert!(refused(queue, ", weight: 0").contains("1 to 1000 are possible"));
}

fn installed(text: &str, live: &Live) -> Snapshot {
    let loaded = load_text(text).map_err(|problems| lines(&problems)).unwrap();
    install::install(loaded.checked, live, 1, loaded.digest, Now::default())
}

#[test]
fn callers_carry_the_share_of_their_plan_and_routes_the_gate_of_their_pool() {
    let queue = "{in_flight_max: 1, classes: [{name: quick}, {name: middle}, {name: bulk}]}";
    let live = Live::default();
    let snapshot = installed(&text(queue, ", weight: 3, class: middle"), &live);
    let (caller, route) = (&snapshot.callers[0], &snapshot.routes[0]);
    assert_eq!((caller.terms.weight.get(), caller.terms.class.as_deref()), (3, Some("middle")));
    assert_eq!(caller.tenant_key(), snapshot.callers[1].tenant_key(), "two users of one tenant");
    let queue = route.queue.as_ref().expect("the pool has a queue");
    assert_eq!(["quick", "middle", "bulk", "other"].map(|name| queue.class(Some(name))), [0, 1, 2, 2]);
    assert_eq!(queue.class(None), 2, "a plan without a class is of the lowest");

    let without = installed(GOOD, &live);
    assert!(without.routes[0].queue.is_none());
    assert_eq!(without.callers[0].terms.weight.get(), 1);
}

#[test]
fn a_reload_keeps_the_gate_and_the_keys_of_tenants() {
    let live = Live::default();
    let [before, after] =
        [1, 2].map(|most| installed(&text(&format!("{{in_flight_max: {most}}}"), ""), &live));
    let gate = |snapshot: &Snapshot| Arc::clone(&snapshot.routes[0].queue.as_ref().unwrap().gate);
    assert!(Arc::ptr_eq(&gate(&before), &gate(&after)));
    assert_eq!(gate(&before).state(0, 0).in_flight_max, Some(2));
    assert_eq!(before.callers[0].tenant_key(), after.callers[0].tenant_key());
}

#[test]
fn posture_tells_queues_and_shares() {
    let said = |queue: &str, plan: &str| Posture::of(&checked(queue, plan)).to_string();
    let queue = "{in_flight_max: 64, tokens_max: 400k, waiting_max: 200, \
        classes: [{name: quick, wait_max: 5s, holdback: 10}, {name: bulk, wait_max: 5m}]}";
    let text = said(queue, ", weight: 3, class: quick");
    for part in [
        "  queue           64 requests and 400000 tokens at a time, fewer while the upstream refuses, \
            10 % of it for tenants below their share; up to 200 wait: quick 5s with 10 % kept free for it, bulk 5m\n",
        "  turn of gold    weight 3, class quick\n",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    assert!(
        said("{waiting_max: 0}", "").contains(
            "as much as the upstream takes, 10 % of it for tenants below their share; nobody waits\n"
        )
    );
    assert!(
        said("{tokens_max: 5, headroom: 0, adapt: false}", "")
            .contains("  queue           5 tokens at a time; up to 1000")
    );
    assert!(!Posture::of(&load_text(GOOD).ok().unwrap().checked).to_string().contains("queue"));
}
