//! The nine-in-ten mark against distributions whose mark is known.

use crate::limit::quantile::Quantile;
use proptest::prelude::*;

/// Steele, Lea, Flood: SplitMix64; even numbers in [0, 1).
struct Dice(u64);

impl Dice {
    fn even(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Median `median`, nine in ten below `median * e^(1.2816 * sigma)` (Box and Muller's transform).
    fn lognormal(&mut self, median: f64, sigma: f64) -> u64 {
        let normal = (-2.0 * (1.0 - self.even()).ln()).sqrt() * (std::f64::consts::TAU * self.even()).cos();
        (median * (sigma * normal).exp()).round() as u64
    }

    fn either(&mut self, often: u64, seldom: u64, chance: f64) -> u64 {
        if self.even() < chance { seldom } else { often }
    }
}

/// Learns `n` answers, then as many again: what part of those exceeded what had been held for them, and
/// the mean of what was held.
fn run(quantile: &mut Quantile, n: u32, mut answer: impl FnMut() -> u64) -> (f64, f64) {
    for _ in 0..n {
        quantile.learn(answer());
    }
    let (mut above, mut held) = (0u32, 0.0);
    for _ in 0..n {
        let answer = answer();
        above += u32::from(answer > quantile.reserve(None));
        held += quantile.reserve(None) as f64;
        quantile.learn(answer);
    }
    (f64::from(above) / f64::from(n), held / f64::from(n))
}

#[test]
fn starts_at_256_and_is_small() {
    assert_eq!(Quantile::default().reserve(None), 256);
    assert_eq!(size_of::<Quantile>(), 16);
}

#[test]
fn never_holds_more_than_the_caller_asked_for_nor_less_than_16() {
    let mut quantile = Quantile::default();
    assert_eq!(quantile.reserve(Some(100)), 100);
    assert_eq!(quantile.reserve(Some(4096)), 256);
    for _ in 0..1000 {
        quantile.learn(0);
    }
    assert_eq!(quantile.reserve(None), 16);
    assert_eq!(quantile.reserve(Some(5)), 5);
}

#[test]
fn equal_answers_are_hit_exactly() {
    for length in [16, 17, 100, 256, 1000, 4096, 100_000] {
        let mut quantile = Quantile::default();
        for _ in 0..200 {
            quantile.learn(length);
        }
        assert_eq!(quantile.reserve(None), length);
        quantile.learn(50 * length);
        assert!(quantile.reserve(None) <= length + length / 10, "one of another length is no change");
    }
}

#[test]
fn one_in_ten_lognormal_answers_is_above() {
    for (seed, median, sigma) in [(1, 150.0, 1.0), (2, 40.0, 0.5), (3, 3000.0, 1.5), (4, 800.0, 0.2)] {
        let mut dice = Dice(seed);
        let (above, held) = run(&mut Quantile::default(), 5_000, || dice.lognormal(median, sigma));
        let exact = median * (1.2816 * sigma).exp();
        assert!((0.08..0.13).contains(&above), "{above}");
        assert!((0.85..1.2).contains(&(held / exact)), "{held} for {exact}");
    }
}

#[test]
fn two_kinds_of_answers_are_told_apart_by_how_many_are_long() {
    let mut dice = Dice(7);
    let (_, held) = run(&mut Quantile::default(), 5_000, || dice.either(20, 2000, 0.5));
    assert!((1500.0..=2000.0).contains(&held), "half of them are long: {held}");

    let (_, held) = run(&mut Quantile::default(), 5_000, || dice.either(20, 2000, 0.02));
    assert!((20.0..60.0).contains(&held), "one in fifty is long: {held}");
}

#[test]
fn a_sudden_shift_is_followed() {
    let mut dice = Dice(9);
    let mut quantile = Quantile::default();
    run(&mut quantile, 1_000, || dice.lognormal(100.0, 0.46));
    assert!((150..215).contains(&quantile.reserve(None)), "of 180: {quantile:?}");

    let longer = learned_until(&mut quantile, |mark| mark > 4_000, || dice.lognormal(3_200.0, 0.46));
    assert!(longer <= 20, "{longer} answers until longer ones are held for");

    let shorter = learned_until(&mut quantile, |mark| mark < 120, || dice.lognormal(50.0, 0.46));
    assert!(shorter <= 100, "{shorter} answers until shorter ones are held for");
}

/// How many answers it takes until the mark is where it should be.
fn learned_until(
    quantile: &mut Quantile,
    there: impl Fn(u64) -> bool,
    mut answer: impl FnMut() -> u64,
) -> u32 {
    for n in 0..10_000 {
        if there(quantile.reserve(None)) {
            return n;
        }
        quantile.learn(answer());
    }
    panic!("never there: {quantile:?}");
}

proptest! {
    #[test]
    fn whatever_it_learns_it_holds_something_sensible(answers in prop::collection::vec(any::<u64>(), 0..300), max in any::<Option<u64>>()) {
        let mut quantile = Quantile::default();
        for answer in answers {
            let before = quantile.reserve(None);
            quantile.learn(answer);
            let after = quantile.reserve(None);
            prop_assert!((16..=1 << 24).contains(&after));
            let (least, most) = if answer > before { (before, answer) } else { (answer, before) };
            let between = least..=most.max(16);
            prop_assert!(between.contains(&after), "{} after {} and {}", after, before, answer);
            prop_assert_eq!(quantile.reserve(max), after.min(max.unwrap_or(u64::MAX)));
        }
    }
}
