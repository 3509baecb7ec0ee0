//! How many cases a property is tried on.
//!
//! A property that says nothing of it is tried on `PROPTEST_CASES` cases, 256 if that is not set. One that is dearer or
//! rarer than others says what it usually needs, and gets as many times that as others get of theirs: with
//! `PROPTEST_CASES=5120` every property is tried on twenty times its cases.

use proptest::test_runner::Config;

/// What `PROPTEST_CASES` is where it is not set.
const UNSET: u32 = 256;

/// Settings of a property that is usually tried on so many cases.
pub fn cases(usual: u32) -> Config {
    let config = Config::default();
    Config { cases: scaled(usual, config.cases), ..config }
}

fn scaled(usual: u32, asked: u32) -> u32 {
    let cases = u64::from(usual) * u64::from(asked) / u64::from(UNSET);
    u32::try_from(cases).unwrap_or(u32::MAX).max(1)
}

#[test]
fn properties_are_tried_in_proportion() {
    assert_eq!([16, 256, 2_000].map(|usual| scaled(usual, UNSET)), [16, 256, 2_000]);
    assert_eq!([16, 256, 2_000].map(|usual| scaled(usual, 20 * UNSET)), [320, 5_120, 40_000]);
    assert_eq!([16, 256, 2_000].map(|usual| scaled(usual, 1)), [1, 1, 7], "none is left out");
    assert_eq!(scaled(u32::MAX, u32::MAX), u32::MAX);
}
