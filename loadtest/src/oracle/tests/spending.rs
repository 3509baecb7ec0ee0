//! Limits on tokens and money: the right meter is never accused, and each wrong one is convicted.

use super::super::cost::Told;
use super::super::evidence::Evidence;
use super::super::judge_evidence;
use super::super::policy::Policy;
use super::broken;
use super::spender::{Counts, Defect, Keeps, START_US, Spender};
use crate::measure::Verdict;

const LIMIT: &str = "limit tested";
const REFUSED: &str = "nobody was refused";
const DAY_US: i64 = 86_400_000_000;

fn judged(world: &Spender) -> Verdict {
    // The first request is sent as a day begins.
    judged_from(world, 20_000 * DAY_US)
}

/// Judges what a world left behind, if it was that late when it began.
fn judged_from(world: &Spender, wall_us: i64) -> Verdict {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("policy.yaml"), world.policy()).unwrap();
    let (policy, run) = (Policy::read(dir.path()).unwrap(), world.run());
    let wall_ahead_us = wall_us - START_US as i64;
    let evidence = Evidence::gather(&run.scenario, &run.samples, true, &run.journal, wall_ahead_us).unwrap();
    judge_evidence(&policy, &run.scenario, &evidence, &run.journal)
}

fn worlds() -> Vec<Spender> {
    let bucket = |most, per_s, counts| Keeps { most, per_s, counts, ..Keeps::default() };
    let daily = |most, counts| bucket(most, 0, counts);
    let cut = |keeps| Keeps { cuts: true, ..keeps };
    let limits = [
        ("tokens: 500/s, burst: 1000", bucket(1_000, 500, Counts::Total)),
        ("tokens: 300/s, burst: 30", bucket(30, 300, Counts::Total)),
        ("tokens: 6k/min, counts: prompt", bucket(6_000, 100, Counts::Prompt)),
        ("tokens: 400/s, counts: completion", bucket(400, 400, Counts::Completion)),
        ("tokens: 500/s, on_exhausted: cut", cut(bucket(500, 500, Counts::Total))),
        ("tokens: 4k/day", daily(4_000, Counts::Total)),
        ("tokens: 4k/month, timezone: Asia/Shanghai, on_exhausted: cut", cut(daily(4_000, Counts::Total))),
        ("budget: 0.05 CNY/day", daily(50_000_000, Counts::Money)),
        ("tokens: 10/s, mode: shadow", Keeps { shadow: true, ..bucket(10, 10, Counts::Total) }),
    ];
    let mut worlds = Vec::new();
    for (limit, keeps) in limits {
        for (delay_us, every_us, leaves) in [(0, 1, 0.0), (300, 2_000, 0.2), (20_000, 10_000, 0.5)] {
            for told in [Told::EachEvent, Told::AtTheEnd, Told::Nowhere] {
                worlds.push(Spender { limit, keeps, delay_us, every_us, leaves, told, ..Spender::default() });
            }
        }
    }
    worlds
}

#[test]
fn a_correct_meter_is_never_accused_whatever_it_estimates() {
    for world in worlds() {
        for seed in 1..=4 {
            for (rate_per_s, estimates_least) in [(5.0, false), (40.0, true), (200.0, false)] {
                let lasts_us = 3_000_000;
                let world = Spender { seed, rate_per_s, estimates_least, lasts_us, ..world.clone() };
                let verdict = judged(&world);
                assert!(broken(&verdict).is_empty(), "{world:?}: {verdict:#?}");
            }
        }
    }
}

#[test]
fn what_is_checked_has_evidence() {
    let told = |world: &Spender| world.told == Told::EachEvent && world.delay_us == 300;
    for world in worlds().into_iter().filter(|world| told(world) && !world.keeps.shadow) {
        let verdict = judged(&Spender { rate_per_s: 100.0, ..world.clone() });
        let named = |part: &str| verdict.checks.iter().find(|check| check.claim.contains(part)).unwrap();
        assert!(named(LIMIT).evidence > 50 && named(REFUSED).evidence > 50, "{}: {verdict:#?}", world.limit);
        let tightest = named(LIMIT).tightest.unwrap();
        assert!((0.3..=1.0).contains(&tightest), "{}: {tightest}", world.limit);
    }
}

#[test]
fn a_limit_that_is_not_understood_is_said_not_to_be_judged() {
    let world = Spender { limit: "tokens: 10/s, unless: holiday", ..Spender::default() };
    let verdict = judged(&world);
    let check = verdict.checks.iter().find(|check| check.claim.contains(LIMIT)).unwrap();
    assert!(check.evidence == 0 && check.claim.contains("`unless`"), "{check:?}");
    let refused = verdict.checks.iter().find(|check| check.claim.contains(REFUSED)).unwrap();
    assert_eq!(refused.evidence, 0, "it may have refused anybody");
}

#[test]
fn a_budget_may_begin_anew_at_midnight_and_at_no_other_time() {
    let keeps = Keeps { most: 4_000, ..Keeps::default() };
    let resets = Spender { limit: "tokens: 4k/day", keeps, ..with(Defect::ResetsAtHalfTime) };
    let half = resets.lasts_us as i64 / 2;
    let accused =
        |limit, wall_us| !broken(&judged_from(&Spender { limit, ..resets.clone() }, wall_us)).is_empty();
    assert!(!accused("tokens: 4k/day", 20_000 * DAY_US - half), "that is midnight");
    assert!(accused("tokens: 4k/day", 20_000 * DAY_US));
    assert!(accused("tokens: 4k/day", 20_000 * DAY_US + 900_000_000 - half), "in Greenwich it is not");
    let elsewhere = "tokens: 4k/day, timezone: Asia/Kathmandu";
    assert!(!accused(elsewhere, 20_000 * DAY_US + 900_000_000 - half), "somewhere it is");
    assert!(accused(elsewhere, 20_000 * DAY_US + 100_000_000));
}

fn with(defect: Defect) -> Spender {
    Spender { defect: Some(defect), ..Spender::default() }
}

/// The check of this claim is broken, for each of a few seeds.
fn assert_found(world: &Spender, claim: &str) {
    for seed in 1..=3 {
        let world = Spender { seed, ..world.clone() };
        let right = Spender { defect: None, ..world.clone() };
        assert!(broken(&judged(&right)).is_empty(), "without the defect all is well");
        let verdict = judged(&world);
        let found = broken(&verdict).iter().any(|check| check.claim.contains(claim));
        assert!(found, "seed {seed}: `{claim}` should be broken: {verdict:#?}");
    }
}

#[test]
fn charging_only_at_the_end_is_found() {
    assert_found(&Spender { rate_per_s: 400.0, ..with(Defect::ChargesAtTheEnd) }, LIMIT);
    let keeps = Keeps { most: 2_000, ..Keeps::default() };
    assert_found(
        &Spender { limit: "tokens: 2k/day", keeps, rate_per_s: 400.0, ..with(Defect::ChargesAtTheEnd) },
        LIMIT,
    );
}

/// Less than two requests hold at least, and more come at once than are let in rightly in a second.
fn small(defect: Defect) -> Spender {
    let keeps = Keeps { most: 30, per_s: 300, ..Keeps::default() };
    let world = Spender { limit: "tokens: 300/s, burst: 30", keeps, ..with(defect) };
    Spender { rate_per_s: 2_000.0, lasts_us: 2_000_000, ..world }
}

#[test]
fn a_limit_below_two_requests_that_holds_nothing_is_found() {
    // What tells only at the end may have flown out before it is taken back: that much nobody can be accused of.
    for told in [Told::EachEvent, Told::Nowhere] {
        assert_found(&Spender { told, ..small(Defect::ChargesAtTheEnd) }, LIMIT);
    }
    for estimates_least in [true, false] {
        assert_found(&Spender { estimates_least, ..small(Defect::HoldsNothing) }, LIMIT);
    }
    let keeps = Keeps { most: 20, ..Keeps::default() };
    assert_found(&Spender { limit: "tokens: 20/day", keeps, ..small(Defect::HoldsNothing) }, LIMIT);
}

#[test]
fn a_limit_below_two_requests_that_is_reset_is_found() {
    let keeps = Keeps { most: 20, ..Keeps::default() };
    assert_found(&Spender { limit: "tokens: 20/day", keeps, ..small(Defect::ResetsAtHalfTime) }, LIMIT);
}

#[test]
fn a_service_that_tells_nothing_is_judged_all_the_same() {
    let crowd =
        Spender { told: Told::Nowhere, rate_per_s: 2_000.0, lasts_us: 3_000_000, ..Spender::default() };
    for defect in [Defect::ChargesAtTheEnd, Defect::ChargesNothing] {
        assert_found(&Spender { defect: Some(defect), ..crowd.clone() }, LIMIT);
    }
    // Its first words are long in coming, and until then only a hold tells.
    let slow = Spender { every_us: 200_000, ..crowd };
    assert_found(&Spender { defect: Some(Defect::HoldsNothing), ..slow }, LIMIT);
}

#[test]
fn debts_that_are_forgotten_are_found() {
    // Answers come faster than the bucket flows out, so that they leave debts.
    let keeps = Keeps { most: 200, per_s: 50, ..Keeps::default() };
    let world = Spender { limit: "tokens: 50/s, burst: 200", keeps, ..with(Defect::ForgetsDebts) };
    assert_found(&Spender { estimates_least: true, every_us: 500, lasts_us: 30_000_000, ..world }, LIMIT);
}

#[test]
fn holds_that_are_never_let_go_are_found() {
    assert_found(&with(Defect::LeaksHolds), REFUSED);
}

#[test]
fn disconnects_that_cost_nothing_are_found() {
    assert_found(&Spender { leaves: 0.7, rate_per_s: 80.0, ..with(Defect::IgnoresDisconnects) }, LIMIT);
}

#[test]
fn refusals_below_the_limit_are_found() {
    assert_found(&with(Defect::RefusesAtHalf), REFUSED);
}

#[test]
fn refusals_that_are_charged_are_found() {
    assert_found(&with(Defect::ChargesRefused), REFUSED);
}

#[test]
fn charging_twice_is_found() {
    assert_found(&with(Defect::ChargesTwice), REFUSED);
}

#[test]
fn holding_far_more_than_was_asked_for_is_found() {
    assert_found(&with(Defect::HoldsTooMuch), REFUSED);
}

#[test]
fn streams_that_are_not_cut_are_found() {
    let keeps = Keeps { most: 300, per_s: 20, cuts: true, ..Keeps::default() };
    let limit = "tokens: 20/s, burst: 300, on_exhausted: cut";
    let world = Spender { limit, keeps, longest: 400, asks: 20, every_us: 20_000, ..with(Defect::NeverCuts) };
    assert_found(&Spender { estimates_least: true, ..world }, LIMIT);
}

#[test]
fn a_refill_that_is_too_fast_is_found() {
    assert_found(&Spender { lasts_us: 60_000_000, ..with(Defect::RefillsFast) }, LIMIT);
}

#[test]
fn a_level_reset_by_a_reload_is_found() {
    let keeps = Keeps { most: 4_000, ..Keeps::default() };
    assert_found(&Spender { limit: "tokens: 4k/day", keeps, ..with(Defect::ResetsAtHalfTime) }, LIMIT);
}

#[test]
fn a_shadow_that_refuses_is_found() {
    let keeps = Keeps { most: 100, per_s: 100, shadow: true, ..Keeps::default() };
    assert_found(
        &Spender { limit: "tokens: 100/s, mode: shadow", keeps, ..with(Defect::EnforcesShadow) },
        REFUSED,
    );
}
