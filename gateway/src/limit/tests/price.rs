//! Money and prices: exact, or refused with what to do.

use crate::limit::money::{Currency, Money, NoAmount};
use crate::limit::price::{Lot, Price};
use proptest::prelude::*;

fn cny() -> Currency {
    Currency::parse("CNY").unwrap()
}

#[test]
fn amounts_are_read_exactly_and_written_shortest() {
    for (text, nano, written) in [
        ("100", 100_000_000_000, "100"),
        ("0.5", 500_000_000, "0.5"),
        ("12.50", 12_500_000_000, "12.5"),
        ("0.000000001", 1, "0.000000001"),
        ("0.1000000000000", 100_000_000, "0.1"),
        ("007", 7_000_000_000, "7"),
        ("18446744073.709551615", u64::MAX, "18446744073.709551615"),
    ] {
        let money = Money::parse(text).unwrap();
        assert_eq!((money.nano, money.to_string().as_str()), (nano, written), "{text}");
    }
    assert_eq!(format!("{} {}", Money::parse("12.5").unwrap(), cny()), "12.5 CNY");
}

#[test]
fn what_is_no_amount_is_refused_with_what_to_write() {
    for text in ["", ".", ".5", "5.", "-1", "+1", "1e3", "1,000", "1_000", " 1", "1.2.3", "NaN", "\u{661}"] {
        assert_eq!(Money::parse(text), Err(NoAmount::NotDecimal), "{text}");
    }
    let help = |text| Money::parse(text).unwrap_err().to_string();
    assert_eq!(help("0.0000000001"), "finer than is counted; round it to 9 places after the point");
    assert_eq!(help("18446744073.709551616"), "more than can be counted; write at most 18446744073");
    assert_eq!(help("99999999999999999999999999"), "more than can be counted; write at most 18446744073");
    for text in ["", "cny", "CN", "CNYX", "C1Y", "\u{a5}"] {
        assert!(Currency::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_price_is_per_thousand_or_per_million_tokens() {
    let price = Price::new("0.008", "0.02", Lot::Thousand, cny()).unwrap();
    assert_eq!(price.cost(1, 0), 8_000);
    assert_eq!(price.cost(1_000, 500), 18_000_000, "0.008 and half of 0.02");
    assert_eq!(Price::new("8", "20", Lot::Million, cny()), Ok(price));
    assert_eq!(price.cost(u64::MAX, u64::MAX), u64::MAX);
    assert_eq!((Lot::parse("1k"), Lot::parse("1M")), (Some(Lot::Thousand), Some(Lot::Million)));
    assert_eq!((Lot::parse("1m"), Lot::parse("1000")), (None, None));
}

#[test]
fn a_price_finer_than_a_billionth_per_token_is_refused() {
    assert_eq!(Price::new("0.000001", "0", Lot::Thousand, cny()).map(|price| price.cost(1, 0)), Ok(1));
    let help = |prompt, completion, lot| Price::new(prompt, completion, lot, cny()).unwrap_err().to_string();
    let text = "the price of prompt tokens is finer than is counted; round it to 6 places after the point";
    assert_eq!(help("0.0000005", "1", Lot::Thousand), text);
    let text =
        "the price of completion tokens is finer than is counted; round it to 3 places after the point";
    assert_eq!(help("1", "0.0005", Lot::Million), text);
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(nano in any::<u64>()) {
        prop_assert_eq!(Money::parse(&Money { nano }.to_string()), Ok(Money { nano }));
    }

    #[test]
    fn no_text_panics(text in "[0-9.]{0,30}|.{0,30}") {
        let _ = Money::parse(&text);
        let _ = Price::new(&text, &text, Lot::Million, cny());
    }
}
