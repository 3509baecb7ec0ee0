//! Against an oracle that remembers every result, and one claim each.

use super::opening::Opening;
use super::rules::{Eject, ErrorRate, Failures, Probe};
use super::*;
use proptest::prelude::*;

const S: u64 = 1_000;

fn question(healthy_after: u32, unhealthy_after: u32, slow_start: Duration) -> Arc<Probe> {
    Arc::new(Probe {
        path: "/health".into(),
        every: Duration::from_secs(5),
        timeout: Duration::from_secs(1),
        healthy_after,
        unhealthy_after,
        expect: vec![200..=299],
        body: None,
        slow_start,
    })
}

fn eject() -> Eject {
    Eject {
        on: Failures { connect: true, reset: true, timeout: true, unavailable: true, cut: true },
        ..Eject::default()
    }
}

/// Known to some pool before anybody probes it.
fn known() -> Health {
    let health = Health::default();
    health.join(None, false);
    health
}

#[test]
fn a_backend_that_nobody_asks_is_in() {
    assert_eq!(Health::default().share(0), WHOLE);
    assert_eq!(known().share(0), WHOLE);
    assert!(known().is_proven());
}

#[test]
fn a_new_backend_gets_nothing_until_its_first_success() {
    let (health, probe) = (Health::default(), question(3, 3, Duration::ZERO));
    health.join(Some(&probe), false);
    assert_eq!((health.share(u64::MAX >> 30), health.is_proven()), (0, false));
    assert_eq!(health.probed(&probe, Err(Failure::Status), 5), None);
    assert!(!health.is_proven(), "a failure proves nothing");
    assert_eq!(health.probed(&probe, Ok(()), 10), Some(Change::Opened));
    assert_eq!((health.share(9), health.share(10)), (0, WHOLE));
}

#[test]
fn at_the_start_of_the_program_all_are_in_until_the_first_result() {
    let probe = question(2, 3, Duration::from_secs(30));
    let [well, ill] = [Health::default(), Health::default()];
    for health in [&well, &ill] {
        health.join(Some(&probe), true);
        assert_eq!(health.share(0), WHOLE);
    }
    well.probed(&probe, Ok(()), 5);
    assert_eq!(well.share(5), WHOLE, "no slow start for who was in");
    assert_eq!(ill.probed(&probe, Err(Failure::Connect), 5), Some(Change::Shut));
    assert_eq!((ill.share(5), ill.is_proven()), (0, true));
}

#[test]
fn a_new_question_changes_nothing_before_it_is_answered() {
    let [old, new] = [question(2, 2, Duration::ZERO), question(2, 3, Duration::ZERO)];
    let in_service = known();
    in_service.join(Some(&old), false);
    assert_eq!(in_service.share(0), WHOLE, "it served without probes, and does until they say no");
    in_service.probed(&old, Err(Failure::Status), 1);
    in_service.probed(&old, Err(Failure::Status), 2);
    assert_eq!(in_service.share(2), 0);
    in_service.join(Some(&new), false);
    in_service.keep_only(std::slice::from_ref(&new));
    assert_eq!(in_service.share(3), 0, "another `unhealthy_after` does not heal it");
    in_service.keep_only(&[]);
    assert_eq!(in_service.share(4), WHOLE, "nobody asks any more");
}

#[test]
fn with_two_questions_both_have_to_be_answered() {
    let [one, other] = [question(1, 1, Duration::ZERO), question(1, 2, Duration::ZERO)];
    let health = known();
    health.join(Some(&one), false);
    health.join(Some(&other), false);
    assert_eq!(health.probed(&one, Err(Failure::Timeout), 1), Some(Change::Shut));
    assert_eq!(health.probed(&other, Ok(()), 2), None);
    assert_eq!(health.share(2), 0);
    assert_eq!(health.probed(&one, Ok(()), 3), Some(Change::Opened));
}

#[test]
fn a_share_grows_from_a_256th_to_the_whole() {
    let opening = Opening::at(100, 1_000);
    let shares = [99, 100, 104, 600, 1_099, 1_100, 1 << 40].map(|now| opening.share(now));
    assert_eq!(shares, [0, 1, 2, 128, 255, WHOLE, WHOLE]);
    assert_eq!(Opening::at(7, 0).share(7), WHOLE);
    assert_eq!(Opening(0).share(0), WHOLE);
    for never in [Opening::SHUT, Opening::UNPROVEN] {
        assert_eq!(never.share(1 << 41), 0);
    }
}

#[test]
fn failures_in_a_row_eject_and_a_success_between_them_does_not() {
    let (health, rules) = (known(), eject());
    for round in 0..10 {
        for _ in 0..4 {
            assert_eq!(health.saw(true, &rules, round), None);
        }
        assert_eq!(health.saw(false, &rules, round), None);
    }
    let reasons: Vec<_> = (0..5).map(|_| health.saw(true, &rules, 10)).collect();
    assert_eq!(reasons, [None, None, None, None, Some(Reason::Consecutive)]);
}

#[test]
fn answers_that_break_off_eject_though_their_heads_were_good() {
    let (health, rules) = (known(), eject());
    let cut = |now| {
        assert_eq!(health.saw(false, &rules, now), None);
        health.saw_cut(&rules, now)
    };
    for round in 0..10 {
        assert!((0..4).all(|_| cut(round).is_none()));
        assert_eq!(health.state(round).failing, 4);
        health.saw_end();
        assert_eq!(health.state(round).failing, 0, "a whole answer forgives them");
    }
    let reasons: Vec<_> = (0..5).map(|_| cut(10)).collect();
    assert_eq!(reasons, [None, None, None, None, Some(Reason::Consecutive)]);
    health.eject(&rules, Duration::ZERO, Reason::Consecutive, 10);
    assert_eq!(health.saw_cut(&rules, 20), None, "sent before");
    assert_eq!(health.saw_cut(&rules, 11 * S), None, "what was before it went does not count");
}

/// A stream may take minutes: until its end a backend that is reached now and then must not seem out of reach.
#[test]
fn failures_to_answer_are_forgiven_by_a_head_and_not_only_by_an_end() {
    let (health, rules) = (known(), eject());
    for now in 0..20 {
        assert_eq!(health.saw(true, &rules, now), None);
        health.saw(false, &rules, now);
    }
    for now in 0..4 {
        assert_eq!(health.saw(true, &rules, now), None);
    }
    health.saw_end();
    assert_eq!(
        health.saw(true, &rules, 4),
        Some(Reason::Consecutive),
        "an end says nothing of what failed since"
    );
}

#[test]
fn an_answer_that_breaks_off_is_one_failure_of_one_attempt() {
    let rate = ErrorRate { percent: 60, of_last_s: 10, at_least: 10 };
    let rules = Eject { consecutive: None, rate: Some(rate), ..eject() };
    let health = known();
    for n in 0..9 {
        health.saw(false, &rules, n);
    }
    for n in 0..5 {
        assert_eq!(health.saw_cut(&rules, n), None, "{n} of 9");
    }
    health.saw(false, &rules, 9);
    assert_eq!(health.saw_cut(&rules, 10), Some(Reason::ErrorRate), "6 of 10");
}

#[test]
fn an_ejection_ends_by_itself_and_is_told_once() {
    let (health, rules) = (known(), eject());
    let out = health.eject(&rules, Duration::ZERO, Reason::Consecutive, S);
    assert_eq!(out, Some(Duration::from_secs(10)));
    assert_eq!(health.eject(&rules, Duration::ZERO, Reason::Consecutive, 2 * S), None, "out already");
    assert_eq!(health.saw(true, &rules, 2 * S), None, "sent before");
    assert_eq!([S, 11 * S - 1, 11 * S].map(|now| health.share(now)), [0, 0, WHOLE]);
    assert_eq!([11 * S - 1, 11 * S, 11 * S + 1].map(|now| health.is_back(now)), [false, true, false]);
}

#[test]
fn each_ejection_is_twice_as_long_until_it_has_behaved() {
    let (health, rules) = (known(), eject());
    let (mut now, mut lengths) = (S, Vec::new());
    for _ in 0..7 {
        let length = health.eject(&rules, Duration::ZERO, Reason::Consecutive, now).unwrap();
        lengths.push(length.as_secs());
        now += length.as_millis() as u64 + 299 * S;
    }
    assert_eq!(lengths, [10, 20, 40, 80, 160, 300, 300]);
    let anew = health.eject(&rules, Duration::ZERO, Reason::Consecutive, now + S).unwrap();
    assert_eq!(anew.as_secs(), 10, "300 s without one");
}

#[test]
fn a_rate_counts_once_there_is_enough_to_count_and_only_the_last_seconds() {
    let rate = ErrorRate { percent: 50, of_last_s: 10, at_least: 10 };
    let rules = Eject { consecutive: None, rate: Some(rate), ..eject() };
    let health = known();
    for n in 0..4 {
        assert_eq!(health.saw(true, &rules, n), None, "too few");
        health.saw(false, &rules, n);
    }
    health.saw(false, &rules, 5);
    assert_eq!(health.saw(true, &rules, 9_999), Some(Reason::ErrorRate), "5 of 10");
    health.eject(&rules, Duration::ZERO, Reason::ErrorRate, 10 * S);
    assert_eq!(health.saw(true, &rules, 20 * S), None, "what was before it went does not count");
    for n in 0..40 {
        health.saw(n % 2 == 0, &rules, 30 * S);
    }
    let quiet = known();
    for n in 0..20 {
        quiet.saw(n % 3 == 0, &rules, S);
    }
    assert_eq!(quiet.saw(true, &rules, 11 * S), None, "ten seconds later");
}

#[test]
fn a_slow_start_follows_an_ejection_and_probes_that_failed() {
    let (health, probe) = (known(), question(1, 1, Duration::from_secs(30)));
    health.join(Some(&probe), false);
    assert_eq!(health.share(0), WHOLE);
    health.eject(&eject(), Duration::from_secs(30), Reason::Consecutive, 0);
    assert_eq!([10 * S, 25 * S, 40 * S].map(|now| health.share(now)), [1, 128, WHOLE]);
    health.probed(&probe, Err(Failure::Body), 50 * S);
    health.probed(&probe, Ok(()), 60 * S);
    assert_eq!([60 * S, 75 * S, 90 * S].map(|now| health.share(now)), [1, 128, WHOLE]);
}

#[test]
fn probes_that_pass_do_not_end_an_ejection() {
    let (health, probe) = (known(), question(1, 1, Duration::ZERO));
    health.join(Some(&probe), false);
    health.eject(&eject(), Duration::ZERO, Reason::Consecutive, 0);
    health.probed(&probe, Err(Failure::Status), S);
    health.probed(&probe, Ok(()), 2 * S);
    assert_eq!([2 * S, 10 * S].map(|now| health.share(now)), [0, WHOLE]);
}

/// What may happen to a backend.
#[derive(Debug, Clone, Copy)]
enum Event {
    Probed(bool),
    Ejected,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![4 => any::<bool>().prop_map(Event::Probed), 1 => Just(Event::Ejected)]
}

/// Answers by looking through everything that ever happened.
#[derive(Default)]
struct Oracle {
    results: Vec<bool>,
    /// Begin and end.
    ejections: Vec<(u64, u64)>,
}

impl Oracle {
    /// In, if the last run of equal results that was long enough was one of successes; at first, in by hope.
    fn is_in(&self, probe: &Probe) -> bool {
        let mut inside = true;
        for end in 1..=self.results.len() {
            let last = self.results[end - 1];
            let run = self.results[..end].iter().rev().take_while(|result| **result == last).count() as u32;
            // A run that began before the last change had its say then.
            let enough = if last { probe.healthy_after } else { probe.unhealthy_after };
            if run >= enough || end == 1 {
                inside = last;
            }
        }
        inside
    }
}

proptest! {
    #[test]
    fn the_machine_agrees_with_an_oracle(
        events in proptest::collection::vec((event(), 1_u64..20_000), 0..60),
        healthy_after in 1_u32..4,
        unhealthy_after in 1_u32..4,
    ) {
        let (health, probe, rules) = (Health::default(), question(healthy_after, unhealthy_after, Duration::ZERO), eject());
        health.join(Some(&probe), true);
        let (mut oracle, mut now) = (Oracle::default(), 1);
        for (event, wait) in events {
            match event {
                Event::Probed(passed) => {
                    let before = oracle.is_in(&probe);
                    oracle.results.push(passed);
                    let first = oracle.results.len() == 1;
                    let change = health.probed(&probe, passed.then_some(()).ok_or(Failure::Status), now);
                    let expected = match (before, oracle.is_in(&probe)) {
                        (false, true) => Some(Change::Opened),
                        (true, false) => Some(Change::Shut),
                        (true, true) if first => Some(Change::Opened),
                        _ => None,
                    };
                    prop_assert_eq!(change, expected);
                }
                Event::Ejected => {
                    let out = oracle.ejections.last().is_some_and(|(_, end)| now < *end);
                    let length = health.eject(&rules, Duration::ZERO, Reason::Consecutive, now);
                    prop_assert_eq!(length.is_none(), out);
                    if let Some(length) = length {
                        let since = oracle.ejections.last().map(|(begin, end)| (end - begin, now - end));
                        let expected = match since {
                            Some((last, back)) if back < 300 * S => (2 * last).min(300 * S),
                            _ => 10 * S,
                        };
                        prop_assert_eq!(length.as_millis() as u64, expected);
                        oracle.ejections.push((now, now + expected));
                    }
                }
            }
            let ejected = |at: u64| oracle.ejections.iter().any(|(begin, end)| (*begin..*end).contains(&at));
            for at in [now, now + wait] {
                let expected = if oracle.is_in(&probe) && !ejected(at) { WHOLE } else { 0 };
                prop_assert_eq!(health.share(at), expected, "at {}", at);
            }
            now += wait;
        }
    }

    #[test]
    fn a_share_never_shrinks_and_is_never_nothing(at in 0_u64..1 << 41, ramp in 0_u64..1 << 22, waits in proptest::collection::vec(0_u64..100_000, 1..50)) {
        let opening = Opening::at(at, ramp);
        let (mut now, mut before) = (at, 0);
        for wait in waits {
            now += wait;
            let share = opening.share(now);
            prop_assert!((1..=WHOLE).contains(&share) && share >= before);
            prop_assert_eq!(share == WHOLE, now - at >= ramp);
            before = share;
        }
    }

    #[test]
    fn the_tally_counts_what_an_oracle_counts(
        seen in proptest::collection::vec((0_u64..5, any::<bool>()), 0..200),
        seconds in 1_u8..=60,
    ) {
        let tally = tally::Tally::default();
        let (mut now, mut all) = (1_000, Vec::new());
        for (wait, failed) in seen {
            now += wait;
            tally.count(failed, now);
            all.push((now, failed));
        }
        let last: Vec<_> = all.into_iter().filter(|(at, _)| now - at < u64::from(seconds)).collect();
        let failed = last.iter().filter(|(_, failed)| *failed).count() as u64;
        prop_assert_eq!(tally.sum(seconds, now), (last.len() as u64, failed));
    }
}

#[test]
fn workers_that_count_at_once_lose_nothing() {
    let tally = tally::Tally::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1_000).for_each(|n| tally.count(n % 4 == 0, 7)));
        }
    });
    assert_eq!(tally.sum(1, 7), (4_000, 1_000));
}
