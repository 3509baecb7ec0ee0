//! The token bucket against its definition, and proof that the oracle would notice a broken one.

use super::oracle::Log;
use super::*;
use crate::limit::meter::Meter;
use crate::limit::quota::Quota;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

fn quota(n: u32, period: Duration, burst: u32) -> Quota {
    Quota::new(some(n), period, some(burst), Algorithm::TokenBucket)
}

/// Something that admits one request at a time.
trait Bucket {
    fn take(&mut self, quota: &Quota, now_us: u64) -> bool;
}

impl Bucket for Meter {
    fn take(&mut self, quota: &Quota, now_us: u64) -> bool {
        let fits = self.fits(quota, 1, now_us);
        if fits {
            self.charge(quota, 1, now_us);
        }
        fits
    }
}

#[derive(Debug, Clone)]
struct Case {
    n: u32,
    period: Duration,
    burst: u32,
    /// Eighths of the time in which one request flows out.
    gaps: Vec<u64>,
}

fn cases() -> impl Strategy<Value = Case> {
    let periods = prop::sample::select(vec![1, 60, 3_600, 86_400]).prop_map(Duration::from_secs);
    (1..=1000u32, periods, 1..=12u32, prop::collection::vec(0..=20u64, 1..120))
        .prop_map(|(n, period, burst, gaps)| Case { n, period, burst, gaps })
}

/// Every decision of `bucket` is the oracle's.
fn agrees(mut bucket: impl Bucket, case: &Case) -> Result<(), TestCaseError> {
    let Case { n, period, burst, gaps } = case;
    let quota = quota(*n, *period, *burst);
    let (mut log, mut now_us) = (Log::default(), 5_000_000);
    for gap in gaps {
        now_us += gap * quota.period_us / u64::from(*n) / 8;
        let expected = log.bucket_has_room(*n, *period, *burst, now_us);
        prop_assert_eq!(bucket.take(&quota, now_us), expected, "at {}", now_us);
        if expected {
            log.admit(now_us);
        }
    }
    Ok(())
}

/// Ends a hold and charges what it really cost.
fn settle(meter: &mut Meter, quota: &Quota, held: u64, actual: u64, now_us: u64) {
    meter.release(held);
    meter.charge(quota, actual, now_us);
}

proptest! {
    #[test]
    fn admits_exactly_what_its_bound_allows(case in cases()) {
        agrees(Meter::default(), &case)?;
    }

    #[test]
    fn the_wait_is_exact(n in 1..=5000u32, burst in 1..=50u32, spent in 0..200u64, cost in 1..=60u64, later in 0..10_000_000u64) {
        let quota = quota(n, MINUTE, burst);
        let mut meter = Meter::default();
        meter.charge(&quota, spent, 7);
        let now_us = 7 + later;
        let wait_us = meter.wait_us(&quota, cost, now_us);
        prop_assert!(meter.fits(&quota, cost, now_us + wait_us));
        prop_assert_eq!(wait_us == 0, meter.fits(&quota, cost, now_us));
        if wait_us > 0 {
            prop_assert!(!meter.fits(&quota, cost, now_us + wait_us - 1));
        }
    }

    #[test]
    fn nothing_remains_exactly_when_the_next_is_refused(n in 1..=5000u32, burst in 1..=50u32, spent in 0..60u64, held in 0..4u64, later in 0..2_000_000u64) {
        let quota = quota(n, MINUTE, burst);
        let mut meter = Meter::default();
        meter.charge(&quota, spent, 0);
        meter.hold(held);
        let remaining = quota.most.saturating_sub(meter.used(&quota, later));
        prop_assert_eq!(remaining == 0, !meter.fits(&quota, 1, later));
    }

    #[test]
    fn another_quota_keeps_the_used_count(
        (n, burst, m, other) in (1..=100_000u32, 1..=5000u32, 1..=100_000u32, 1..=5000u32),
        spent in 0..5000u64,
        later in 0..100_000_000u64,
    ) {
        let (from, to) = (quota(n, MINUTE, burst), quota(m, Duration::from_secs(86_400), other));
        let mut meter = Meter::default();
        meter.charge(&from, spent, 0);
        let carried = meter.carried(&from, &to, later);
        prop_assert_eq!(carried.used(&to, later), meter.used(&from, later));
        prop_assert_eq!(meter.carried(&from, &from, later).wait_us(&from, 1, later), meter.wait_us(&from, 1, later));
    }

    /// Admission holds, settlement charges: over any order of both, what was consumed stays within the bound and
    /// the under-estimates.
    #[test]
    fn consumption_stays_within_the_bound_and_the_under_estimates(
        burst in 1..=100u32,
        steps in prop::collection::vec((0..3u8, 1..=40u64, 0..=60u64, 0..800_000u64), 1..80),
    ) {
        let quota = quota(60, MINUTE, burst);
        let mut meter = Meter::default();
        let (mut open, mut consumed, mut under, mut now_us) = (Vec::new(), 0u64, 0u64, 0u64);
        for (what, cost, actual, gap) in steps {
            now_us += gap;
            if what < 2 {
                if meter.fits(&quota, cost, now_us) {
                    meter.hold(cost);
                    open.push(cost);
                }
            } else if let Some(taken) = open.pop() {
                settle(&mut meter, &quota, taken, actual, now_us);
                consumed += actual;
                under += actual.saturating_sub(taken.min(u64::from(burst)));
            }
            let bound = u128::from(burst + 1) * 60_000_000 + 60 * u128::from(now_us);
            prop_assert!(u128::from(consumed - under) * 60_000_000 <= bound, "{consumed} consumed, {under} under");
        }
        for taken in open.drain(..) {
            settle(&mut meter, &quota, taken, 0, now_us);
        }
        prop_assert!(meter.idle(&quota, now_us + 100 * meter.reset_us(&quota, now_us)));
    }

    #[test]
    fn no_numbers_panic(
        (n, burst, period_us) in (1..=u32::MAX, 1..=u32::MAX, prop_oneof![Just(0), Just(1), any::<u64>()]),
        moves in prop::collection::vec((any::<u64>(), any::<u64>(), 0..4u8), 0..20),
    ) {
        let quota = quota(n, Duration::from_micros(period_us), burst);
        let mut meter = Meter::default();
        for (now_us, cost, what) in moves {
            match what {
                0 => meter.charge(&quota, cost, now_us),
                1 => {
                    meter.hold(cost);
                    settle(&mut meter, &quota, cost, cost, now_us);
                }
                2 => meter = meter.carried(&quota, &quota, now_us),
                _ => {}
            }
            let _ = (meter.wait_us(&quota, cost, now_us), meter.used(&quota, now_us), meter.reset_us(&quota, now_us));
        }
    }
}

#[test]
fn a_drained_bucket_gives_one_request_per_period_of_one() {
    let quota = quota(20, MINUTE, 20);
    let mut meter = Meter::default();
    assert_eq!((0..100).filter(|_| meter.take(&quota, 0)).count(), 20);
    assert_eq!(meter.wait_us(&quota, 1, 0), 3_000_000);
    assert!(!meter.take(&quota, 2_999_999));
    assert!(meter.take(&quota, 3_000_000));
    assert!(!meter.take(&quota, 3_000_000));
}

#[test]
fn a_clock_that_steps_back_gives_no_credit() {
    let quota = quota(1, SECOND, 1);
    let mut meter = Meter::default();
    assert!(meter.take(&quota, 10_000_000));
    assert!(!meter.take(&quota, 0));
    assert_eq!(meter.wait_us(&quota, 1, 0), 11_000_000, "its time starts again where it was");
    assert!(!meter.take(&quota, 10_999_999));
    assert!(meter.take(&quota, 11_000_000));
}

#[test]
fn a_charge_by_a_clock_that_stepped_back_lets_no_time_pass_twice() {
    let quota = quota(60, MINUTE, 60);
    let mut meter = Meter::default();
    meter.charge(&quota, 60, 60_000_000);
    meter.charge(&quota, 1, 30_000_000);
    meter.refund(&quota, 1, 20_000_000);
    assert_eq!(meter.used(&quota, 60_000_000), 60);
    assert_eq!(meter.used(&quota, 61_000_000), 59);
}

#[test]
fn an_oversize_cost_is_admitted_when_idle_and_only_then() {
    let quota = quota(60, MINUTE, 10);
    let mut meter = Meter::default();
    assert!(meter.fits(&quota, 1_000, 0));
    meter.charge(&quota, 1, 0);
    assert!(!meter.fits(&quota, 1_000, 999_999));
    assert!(meter.fits(&quota, 1_000, 1_000_000));
    meter.hold(1_000); // the bucket for itself
    assert!(!meter.fits(&quota, 1, 1_000_000));
}

#[test]
fn a_hold_does_not_flow_out_and_a_debt_is_kept() {
    let quota = quota(60, MINUTE, 10);
    let mut meter = Meter::default();
    meter.hold(10);
    assert!(!meter.fits(&quota, 1, 3_600_000_000), "an hour later it is held still");
    settle(&mut meter, &quota, 10, 25, 3_600_000_000);
    assert_eq!(meter.used(&quota, 3_600_000_000), 25);
    assert_eq!(meter.wait_us(&quota, 1, 3_600_000_000), 16_000_000, "15 of debt and one for itself");
}

#[test]
fn an_over_estimate_is_never_credited_twice() {
    // Charge and refund: the charge of 10 would have flowed out, and the refund would make room a second time.
    let quota = quota(60, MINUTE, 10);
    let mut meter = Meter::default();
    meter.hold(10);
    settle(&mut meter, &quota, 10, 1, 10_000_000);
    assert_eq!(meter.used(&quota, 10_000_000), 1);
    assert!(!meter.fits(&quota, 10, 10_000_000));
    assert!(meter.fits(&quota, 9, 10_000_000));
}

#[test]
fn the_largest_limits_are_exact_or_stricter() {
    let day = Duration::from_secs(86_400);
    for n in [u32::MAX, u32::MAX - 1, 1_000_000_000, 106_751_991, 1] {
        let quota = quota(n, day, n);
        let mut meter = Meter::default();
        meter.charge(&quota, quota.most, 0);
        assert!(quota.most <= u64::from(n) && !meter.fits(&quota, 1, 0), "{n}");
        let wait_us = meter.wait_us(&quota, 1, 0);
        assert_eq!(wait_us, 86_400_000_000u64.div_ceil(u64::from(n)), "{n}: the rate is exact");
    }
    assert_eq!(quota(1_000_000_000, day, 1_000_000_000).most, 1_000_000_000);
}

/// A bucket broken in one of the ways buckets break.
#[derive(Clone)]
struct Broken {
    meter: Meter,
    last_us: u64,
    take: fn(&mut Broken, &Quota, u64) -> bool,
}

impl Bucket for Broken {
    fn take(&mut self, quota: &Quota, now_us: u64) -> bool {
        (self.take)(self, quota, now_us)
    }
}

/// Whole requests flow out; what is left of the time is thrown away.
fn forgets_parts(it: &mut Broken, quota: &Quota, now_us: u64) -> bool {
    let one_us = (quota.period_us / quota.requests).max(1);
    it.meter.take(quota, now_us / one_us * one_us)
}

fn admits_one_too_many(it: &mut Broken, quota: &Quota, now_us: u64) -> bool {
    let fits = it.meter.used(quota, now_us) <= quota.most;
    if fits {
        it.meter.charge(quota, 1, now_us);
    }
    fits
}

fn charges_refusals(it: &mut Broken, quota: &Quota, now_us: u64) -> bool {
    let fits = it.meter.fits(quota, 1, now_us);
    it.meter.charge(quota, 1, now_us);
    fits
}

fn refills_after_a_pause(it: &mut Broken, quota: &Quota, now_us: u64) -> bool {
    if now_us - it.last_us > 2 * quota.period_us / quota.requests {
        it.meter = Meter::default();
    }
    it.last_us = now_us;
    it.meter.take(quota, now_us)
}

/// A sixty-fourth too fast.
fn leaks_too_fast(it: &mut Broken, quota: &Quota, now_us: u64) -> bool {
    it.meter.take(quota, now_us + now_us / 64)
}

/// Always the same cases: what is found out once is found out always.
fn is_found_out(bucket: impl Bucket + Clone) -> bool {
    let config = Config { failure_persistence: None, ..crate::proptests::cases(2_000) };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    runner.run(&cases(), |case| agrees(bucket.clone(), &case)).is_err()
}

#[test]
fn the_oracle_finds_broken_buckets_out() {
    let ways = [forgets_parts, admits_one_too_many, charges_refusals, refills_after_a_pause, leaks_too_fast];
    for (i, take) in ways.into_iter().enumerate() {
        assert!(is_found_out(Broken { meter: Meter::default(), last_us: 5_000_000, take }), "way {i}");
    }
    assert!(!is_found_out(Meter::default()), "and lets the sound one be");
}
