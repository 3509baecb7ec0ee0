//! The step of one request's cost, beside what others hold.

use super::*;
use crate::limit::calendar::{Calendar, Unit};
use crate::limit::measure::{Cost, Measure};
use crate::limit::money::Currency;
use crate::limit::price::Price;
use crate::limit::{Amount, Limit, Per};
use crate::usage::Tokens;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// A stream's tokens are counted here as they pass; the upstream tells at its end that they were fewer.
#[test]
fn a_count_that_is_put_right_takes_nothing_of_what_others_hold() {
    let many = NonZeroU32::new(1000).expect("not zero");
    let amounts = [
        Amount::Tokens { tokens: many, period: Duration::from_secs(1), burst: many, measure: Measure::Total },
        Amount::Budget {
            most: 1000,
            measure: Measure::Total,
            currency: Currency::NONE,
            calendar: Arc::new(Calendar::new(Unit::Month, "UTC").expect("a zone")),
        },
    ];
    for amount in amounts {
        let rule =
            SpendRule::of(&Limit::new("tpm", Per::Tenant, amount), &Arc::default(), 0).expect("tokens");
        let now = Now { mono_us: 0, wall_ms: 0 };
        let mut spend = Spend::new(&rule);
        let (price, cost) = (Price::default(), |completion| Tokens { prompt: 0, completion });
        spend.hold(&rule, 100, now); // another's
        spend.hold(&rule, 100, now);
        let charged = [0, 70, 40, 55, 130, 30, 30];
        for (i, pair) in charged.windows(2).enumerate() {
            let last = i + 2 == charged.len();
            let [hold, from, to] = [100, pair[0], pair[1]].map(|n| Cost { tokens: cost(n), price }.by_each());
            let step = Step { hold: &hold, from: &from, to: &to, last, began_ms: 0 };
            spend.step(&rule, &step, now);
            let own = if last { 0 } else { 100_u64.saturating_sub(pair[1]) };
            assert_eq!((spend.spent(&rule, now), spend.held()), (pair[1], 100 + own), "{pair:?}");
        }
    }
}

/// Users are many.
#[test]
fn a_level_on_spending_takes_24_bytes_and_one_on_requests_16() {
    use crate::limit::level::Level;
    use crate::limit::window::Window;
    assert_eq!((size_of::<Spend>(), size_of::<Level>()), (24, 16));
    assert_eq!((size_of::<Dated>(), size_of::<Window>()), (56, 96), "what is boxed beside it");
}
