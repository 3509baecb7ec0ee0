//! The estimator against made-up tokenizers.

use crate::limit::estimate::Estimator;
use crate::usage::Text;
use proptest::prelude::*;

const fn text(ascii: u64, wide: u64) -> Text {
    Text { ascii, wide }
}

/// A model that counts by other coefficients, and a prompt for each turn: from a line to a document, in
/// English, in Chinese, and mixed.
struct Model {
    ascii: f64,
    wide: f64,
    message: f64,
    base: f64,
}

impl Model {
    fn tokens(&self, text: Text, messages: u32) -> u64 {
        let tokens = self.ascii * text.ascii as f64 + self.wide * text.wide as f64;
        (tokens + self.message * f64::from(messages) + self.base).round() as u64
    }

    /// Teaches `n` prompts; how far off the estimates of the last fifty were at worst, eight tokens aside.
    fn teach(&self, estimator: &mut Estimator, n: u32) -> f64 {
        let mut worst: f64 = 0.0;
        for turn in 0..n {
            let (text, messages) = prompt(turn);
            let actual = self.tokens(text, messages);
            let margin = 1.0 + 1.5 * f64::from(estimator.error());
            let off = (estimator.reserve(text, messages) as f64 / margin - actual as f64).abs() - 8.0;
            worst = if turn + 50 < n { 0.0 } else { worst.max(off / actual as f64) };
            estimator.learn(text, messages, actual);
        }
        worst
    }
}

fn prompt(turn: u32) -> (Text, u32) {
    let bytes = [80, 4_000, 700, 16_000, 250, 90_000][turn as usize % 6] + u64::from(turn * 37 % 101);
    let text = [text(bytes, 0), text(bytes / 10, bytes), text(bytes, bytes / 3)][turn as usize / 6 % 3];
    (text, 1 + turn % 7)
}

#[test]
fn starts_from_the_first_guess_and_its_error() {
    let estimator = Estimator::default();
    // 0.27 * 1000 + 0.25 * 400 + 4 * 2 + 3 = 381, and 1.5 * 20 % on top
    assert_eq!(estimator.reserve(text(1000, 400), 2), 496);
    assert_eq!(estimator.reserve(text(0, 0), 0), 4);
    assert_eq!(size_of::<Estimator>(), 20);
}

#[test]
fn a_streamed_text_is_counted_by_its_bytes_and_rounded_up() {
    let estimator = Estimator::default();
    assert_eq!(estimator.completion_of(text(0, 0)), 0);
    assert_eq!(estimator.completion_of(text(1, 0)), 1);
    assert_eq!(estimator.completion_of(text(100, 100)), 52);
}

#[test]
fn learns_what_another_tokenizer_counts() {
    for (ascii, wide, message, base) in
        [(0.22, 0.21, 3.0, 3.0), (0.31, 0.55, 7.0, 12.0), (0.4, 0.2, 10.0, 0.0), (0.25, 0.33, 4.0, 300.0)]
    {
        let model = Model { ascii, wide, message, base };
        let mut estimator = Estimator::default();
        let worst = model.teach(&mut estimator, 2_000);
        assert!(worst < 0.08, "{worst} with {estimator:?}");
        assert!(estimator.error() < 0.05, "{}", estimator.error());
    }
}

#[test]
fn holds_less_on_top_the_better_it_knows_the_model() {
    let mut estimator = Estimator::default();
    let model = Model { ascii: 0.27, wide: 0.25, message: 4.0, base: 3.0 };
    model.teach(&mut estimator, 300);
    let (text, messages) = (text(10_000, 0), 3);
    let over = estimator.reserve(text, messages) - model.tokens(text, messages);
    assert!(over < 30, "{over} more than the 2715 it takes");
}

#[test]
fn absurd_counts_teach_nothing() {
    let mut estimator = Estimator::default();
    for actual in [0, 2, 60_000, u64::MAX] {
        estimator.learn(text(1000, 400), 2, actual);
        assert_eq!(estimator, Estimator::default(), "{actual}");
    }
    estimator.learn(text(1, 0), 1, 2000);
    assert_ne!(estimator, Estimator::default(), "a long prompt of the service's own is no absurdity");
}

#[test]
fn no_run_of_wrong_counts_makes_a_coefficient_senseless() {
    for (actual, least, most) in [(20_000, 1_000, 1_000), (20, 50, 51)] {
        let mut estimator = Estimator::default();
        for _ in 0..2_000 {
            estimator.learn(text(1_000, 0), 1, actual);
            estimator.learn(text(0, 1_000), 1, actual);
        }
        for text in [text(1_000, 0), text(0, 1_000)] {
            assert!((least..=most).contains(&estimator.completion_of(text)), "{estimator:?}");
        }
    }
}

#[test]
fn a_model_that_adds_nothing_of_its_own_leaves_a_number() {
    let mut estimator = Estimator::default();
    for messages in (0..4).cycle().take(2_000) {
        estimator.learn(text(0, 0), messages, 1);
    }
    assert!((0.0..0.1).contains(&estimator.error()), "{estimator:?}");
    assert_eq!(estimator.reserve(text(0, 0), 0), 2, "one token, and its margin");
}

#[test]
fn one_wrong_count_moves_little() {
    let mut estimator = Estimator::default();
    estimator.learn(text(1000, 400), 2, 38_000);
    let held = estimator.reserve(text(1000, 400), 2);
    assert!((496..560).contains(&held), "{held}");
}

#[test]
fn a_long_prompt_of_the_services_own_is_found() {
    let mut estimator = Estimator::default();
    for _ in 0..500 {
        estimator.learn(text(40, 0), 1, 2_010);
    }
    let held = estimator.reserve(text(40, 0), 1);
    assert!((2_000..2_100).contains(&held), "{held}");
}

proptest! {
    #[test]
    fn whatever_it_learns_more_text_never_holds_less(
        lessons in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u32>(), any::<u64>()), 0..60),
        near in prop::collection::vec((0..100_000u64, 0..100_000u64, 0..50u32, 1..100_000u64), 0..200),
        (ascii, wide, messages) in (any::<u64>(), any::<u64>(), any::<u32>()),
        (more_ascii, more_wide, more_messages) in (any::<u64>(), any::<u64>(), any::<u32>()),
    ) {
        let mut estimator = Estimator::default();
        for (ascii, wide, messages, actual) in lessons.into_iter().chain(near) {
            estimator.learn(text(ascii, wide), messages, actual);
            prop_assert!((0.0..=1.0).contains(&estimator.error()), "{:?}", estimator);
        }
        let more = text(ascii.saturating_add(more_ascii), wide.saturating_add(more_wide));
        let held = estimator.reserve(text(ascii, wide), messages);
        prop_assert!(held >= 1);
        prop_assert!(held <= estimator.reserve(more, messages.saturating_add(more_messages)));
        prop_assert!(estimator.completion_of(text(ascii, wide)) <= estimator.completion_of(more));
        let bytes = ascii.saturating_add(wide);
        prop_assert!(estimator.completion_of(text(ascii, wide)) <= bytes.saturating_add(bytes / 1_000_000).saturating_add(2), "at most a token a byte");
        prop_assert!(estimator.completion_of(text(1_000, 1_000)) >= 100, "at least a token for twenty bytes");
    }
}
