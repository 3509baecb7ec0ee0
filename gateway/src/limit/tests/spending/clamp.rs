//! `clamp`: an answer is cut to what the limits have left, where it would else have to be refused.

use super::*;
use proptest::prelude::*;

/// An answer without a bound of its own: [`MARK`] tokens are expected.
const CUT: Order = Order { completion_max: None, clamp: true, ..BY_ALICE };

fn held(permit: &Permit) -> Tokens {
    permit.estimate().expect("metered")
}

/// A shop with one limit on tokens a minute, of which so many are used.
fn used(amount: Amount, used: u64) -> Shop {
    let shop = Shop::open(&Rulebook::of_plan(vec![limit("l", Per::Tenant, amount)]), later(0));
    let mut permit = shop.admit(prompt(used), later(0)).expect("nothing is used yet");
    permit.settle(cost(used, 0), later(0));
    shop
}

#[test]
fn what_is_left_is_held_and_no_more() {
    let shop = used(budget(1000, Measure::Total, "UTC"), 900);
    assert!(shop.admit(Order { clamp: false, ..CUT }, later(1)).is_err(), "256 are expected");
    let permit = shop.admit(Order { prompt: 30, ..CUT }, later(1)).expect("70 are left for the answer");
    assert_eq!(held(&permit), cost(30, 70));
    assert_eq!(permit.spare_completion(), Some(70));
    assert!(shop.admit(CUT, later(1)).is_err(), "all is held");
}

#[test]
fn with_room_for_all_of_it_nothing_is_cut() {
    let shop = used(tpm(1000), 100);
    assert_eq!(held(&shop.admit(CUT, later(1)).expect("room")), cost(0, MARK));
    let short = Order { completion_max: Some(5), ..CUT };
    assert_eq!(held(&shop.admit(short, later(1)).expect("room")), cost(0, 5));
}

#[test]
fn every_choice_has_a_token_at_least_or_the_request_waits() {
    let shop = used(budget(1000, Measure::Completion, "UTC"), 0);
    let mut first = shop.admit(Order { completion_max: Some(997), ..BY_ALICE }, later(0)).expect("room");
    first.settle(cost(0, 997), later(0));
    let choices = |choices| Order { choices, ..CUT };
    let refused = shop.admit(choices(4), later(1)).err().expect("three are left");
    assert_eq!(refused.full.requested, 4, "not what is expected: so much would do");
    assert_eq!(held(&shop.admit(choices(3), later(1)).expect("three are left")), cost(0, 3));
}

#[test]
fn money_is_cut_by_the_price_of_a_token() {
    // A token of the prompt is 1,000 billionths, one of the completion 2,000.
    let shop = used(budget(100_000, Measure::Money, "UTC"), 50);
    let permit = shop.admit(Order { prompt: 10, ..CUT }, later(1)).expect("40,000 are left for the answer");
    assert_eq!(held(&permit), cost(10, 20));
}

#[test]
fn a_limit_on_prompts_and_a_shadow_cut_nothing() {
    let shadow = Limit { shadow: true, ..limit("s", Per::User, tpm(10)) };
    let prompts = limit("p", Per::Tenant, budget(1000, Measure::Prompt, "UTC"));
    let shop = Shop::open(&Rulebook::of_plan(vec![shadow, prompts]), later(0));
    assert_eq!(held(&shop.admit(CUT, later(1)).expect("room")), cost(0, MARK));
}

proptest! {
    /// Who may be cut is let in whenever it would be uncut, or with one token; it holds what there is room for, and a
    /// refusal holds nothing.
    #[test]
    fn the_cut_is_as_little_as_it_must_be(
        most in 1..2000u32, spent in 0..2500u64, asked in 0..600u64, bound in 1..500u64, choices in 1..4u32,
    ) {
        let order = Order { prompt: asked, completion_max: Some(bound), choices, ..CUT };
        let shop = || used(tpm(most), spent);
        let (cut, uncut, least) = (shop(), shop(), shop());
        let cut_permit = cut.admit(order, later(1));
        let uncut_permit = uncut.admit(Order { clamp: false, ..order }, later(1));
        let least_permit = least.admit(Order { completion_max: Some(1), clamp: false, ..order }, later(1));
        prop_assert_eq!(cut_permit.is_ok(), least_permit.is_ok());
        prop_assert!(cut_permit.is_ok() || uncut_permit.is_err());
        let left = u64::from(most).saturating_sub(spent.min(u64::from(u32::MAX)));
        match cut_permit {
            Ok(permit) => {
                let held = held(&permit);
                let wanted = bound.min(MARK) * u64::from(choices);
                let room = left.saturating_sub(asked).max(u64::from(choices));
                prop_assert_eq!(held, cost(asked, wanted.min(room)));
            }
            Err(limited) => {
                prop_assert_eq!(cut.level(later(1)).held, 0);
                prop_assert!(Some(limited.retry_after) == least_permit.err().map(|limited| limited.retry_after));
            }
        }
    }
}
