//! Windows: what each promises for a period, wherever it starts.

use super::oracle::Log;
use super::*;
use crate::limit::quota::Quota;
use crate::limit::window::{Fixed, Sliding};
use proptest::prelude::*;

fn quota(n: u32, algorithm: Algorithm) -> Quota {
    Quota::new(some(n), SECOND, some(n), algorithm)
}

proptest! {
    #[test]
    fn sliding_never_exceeds_the_limit_in_any_period_nor_waits_long(
        n in 1..=20u32,
        gaps in prop::collection::vec(prop_oneof![0..1_000u64, 0..200_000u64, 0..3_000_000u64], 1..200),
    ) {
        let quota = quota(n, Algorithm::SlidingWindow);
        let (mut window, mut log, mut now_us) = (Sliding::default(), Log::default(), 0);
        for gap in gaps {
            now_us += gap;
            let wait_us = window.wait_us(&quota, now_us);
            prop_assert_eq!(quota.most - window.used(&quota, now_us) == 0, wait_us > 0);
            if wait_us == 0 {
                window.take(&quota, now_us);
                log.admit(now_us);
            } else {
                prop_assert!(window.wait_us(&quota, now_us + wait_us - 1) > 0);
                prop_assert_eq!(window.wait_us(&quota, now_us + wait_us), 0);
                prop_assert!(log.within(1_000_000 + 2 * 66_667, now_us) >= n as usize, "refused for a reason");
            }
            prop_assert!(log.within(1_000_000, now_us) <= n as usize);
            let reset_us = window.reset_us(&quota, now_us);
            prop_assert_eq!(window.used(&quota, now_us + reset_us), 0);
        }
    }

    #[test]
    fn fixed_agrees_with_the_oracle_and_keeps_twice_the_limit(
        n in 1..=10u32,
        gaps in prop::collection::vec(prop_oneof![0..1_000u64, 0..500_000u64, 0..3_000_000u64], 1..200),
    ) {
        let quota = quota(n, Algorithm::FixedWindow);
        let (mut window, mut log, mut now_us) = (Fixed::default(), Log::default(), 0);
        for gap in gaps {
            now_us += gap;
            let wait_us = window.wait_us(&quota, now_us);
            prop_assert_eq!(wait_us == 0, log.fixed_has_room(n, SECOND, now_us));
            if wait_us == 0 {
                window.take(&quota, now_us);
                log.admit(now_us);
            } else {
                prop_assert!(window.wait_us(&quota, now_us + wait_us - 1) > 0);
                prop_assert_eq!(window.wait_us(&quota, now_us + wait_us), 0);
            }
            prop_assert!(log.within(1_000_000, now_us) <= 2 * n as usize);
        }
    }

    #[test]
    fn a_clock_that_jumps_gives_no_credit_and_no_panic(
        times in prop::collection::vec(any::<u64>(), 1..50),
        algorithm in prop::sample::select(vec![Algorithm::FixedWindow, Algorithm::SlidingWindow]),
    ) {
        let quota = quota(3, algorithm);
        let (mut fixed, mut sliding) = (Fixed::default(), Sliding::default());
        let mut latest_us = 0;
        for now_us in times {
            let back = now_us < latest_us;
            for (wait_us, before, after) in [
                (fixed.wait_us(&quota, now_us), fixed.used(&quota, latest_us), fixed.used(&quota, now_us)),
                (sliding.wait_us(&quota, now_us), sliding.used(&quota, latest_us), sliding.used(&quota, now_us)),
            ] {
                prop_assert!(!back || after >= before);
                prop_assert!(wait_us == 0 || after >= 3);
            }
            if fixed.wait_us(&quota, now_us) == 0 {
                fixed.take(&quota, now_us);
            }
            if sliding.wait_us(&quota, now_us) == 0 {
                sliding.take(&quota, now_us);
            }
            latest_us = latest_us.max(now_us);
        }
    }
}

#[test]
fn fixed_lets_twice_the_limit_through_across_a_border_and_sliding_does_not() {
    let mut fixed = Fixed::default();
    let mut sliding = Sliding::default();
    let (of_fixed, of_sliding) = (quota(10, Algorithm::FixedWindow), quota(10, Algorithm::SlidingWindow));
    let (mut in_fixed, mut in_sliding) = (0, 0);
    for now_us in [0].into_iter().chain([999_999; 30]).chain([1_000_000; 30]) {
        if fixed.wait_us(&of_fixed, now_us) == 0 {
            fixed.take(&of_fixed, now_us);
            in_fixed += 1;
        }
        if sliding.wait_us(&of_sliding, now_us) == 0 {
            sliding.take(&of_sliding, now_us);
            in_sliding += 1;
        }
    }
    assert_eq!((in_fixed, in_sliding), (20, 10));
}
