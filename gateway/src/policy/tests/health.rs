//! Health of backends, as written.

use super::*;
use crate::upstream::health::rules::{Eject, ErrorRate, Failures, Probe, Rules};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

const ALL: Failures = Failures { connect: true, reset: true, timeout: true, unavailable: true, cut: true };

/// `GOOD` with these keys in its pool.
fn rules(keys: &str) -> Rules {
    let text =
        GOOD.replace("weight: 2}]\n", &format!("weight: 2}}]\n    {}\n", keys.replace('\n', "\n    ")));
    load_text(text).map_err(|problems| lines(&problems)).unwrap().checked.pools[0].health.clone()
}

#[test]
fn without_a_word_nothing_is_asked_and_only_failed_connections_eject() {
    let expected = Rules { probe: None, eject: Some(Eject::default()), panic_percent: 10 };
    assert_eq!(rules(""), expected);
    assert_eq!(Eject::default().on, Failures { connect: true, ..Failures::default() });
    assert_eq!(rules("eject: false").eject, None);
}

#[test]
fn what_is_not_written_has_its_default() {
    let eject = Eject { on: ALL, ..Eject::default() };
    assert_eq!(rules("eject: true").eject, Some(eject));
    assert_eq!(rules("eject: {}").eject, Some(eject), "the table says what the code does");
    let probe = Probe {
        path: "/health".into(),
        every: Duration::from_secs(5),
        timeout: Duration::from_secs(1),
        healthy_after: 2,
        unhealthy_after: 3,
        expect: vec![200..=299],
        body: None,
        slow_start: Duration::ZERO,
    };
    assert_eq!(rules("health: {path: /health}").probe, Some(Arc::new(probe)));
}

#[test]
fn everything_may_be_written() {
    let rules = rules(
        "health: {path: \"/v1/ready?deep=1\", every: 2s, timeout: 2s, healthy_after: 1, unhealthy_after: 100, \
         expect: [204, 300-302], body: \"\\\"ok\\\"\", slow_start: 1h}\n\
         eject: {consecutive: 0, error_rate: 25%, of_last: 1m, at_least: 100, on: [reset, unavailable, cut], for: 30s, \
         max: 30s, keep: 0%}\npanic: 100%",
    );
    let probe = rules.probe.expect("a probe");
    assert_eq!((&*probe.path, probe.body.as_deref()), ("/v1/ready?deep=1", Some("\"ok\"")));
    assert_eq!(probe.expect, [204..=204, 300..=302]);
    assert_eq!((probe.healthy_after, probe.unhealthy_after), (1, 100));
    assert_eq!(probe.slow_start, Duration::from_secs(3_600));
    let expected = Eject {
        consecutive: NonZeroU32::new(0),
        rate: Some(ErrorRate { percent: 25, of_last_s: 60, at_least: 100 }),
        on: Failures { reset: true, unavailable: true, cut: true, ..Failures::default() },
        first: Duration::from_secs(30),
        longest: Duration::from_secs(30),
        keep_percent: 0,
    };
    assert_eq!(rules.eject, Some(expected));
    assert_eq!(rules.panic_percent, 100);
    assert_eq!(super::health::rules("health: {path: /h, expect: 204}").probe.unwrap().expect, [204..=204]);
}
