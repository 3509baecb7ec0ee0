//! Where limits stand, as callers are told it in headers, sentences and ceilings.

use super::*;

fn shadow(amount: Amount) -> Limit {
    Limit { shadow: true, ..limit("ghost", Per::User, amount) }
}

#[test]
fn headers_tell_of_the_limits_in_force_with_the_least_share_left() {
    let order = Order { completion_max: Some(5), ..prompt(10) };
    let limits_of = |amounts: &[(&str, Amount)]| -> Vec<Limit> {
        amounts.iter().map(|(name, amount)| limit(name, Per::Tenant, amount.clone())).collect()
    };
    let (of_all, of_prompts, money) = (
        |most| budget(most, Measure::Total, "UTC"),
        |most| budget(most, Measure::Prompt, "UTC"),
        |most| budget(most, Measure::Money, "UTC"),
    );
    // 10 and 5 tokens cost 20,000 billionths.
    let cases = [
        (limits_of(&[]), None, None, None),
        (limits_of(&[("a", bucket(10, MINUTE)), ("b", bucket(5, MINUTE))]), Some("b"), None, None),
        (limits_of(&[("a", of_all(100)), ("b", of_all(200))]), None, Some("a"), Some(5 + 85)),
        (limits_of(&[("a", of_prompts(12)), ("b", of_all(20))]), None, Some("a"), Some(5 + 5)),
        // 90 of 100 are left, and 105 of 120: the share counts, not the number.
        (limits_of(&[("a", of_prompts(100)), ("b", tpm(120))]), None, Some("b"), Some(5 + 105)),
        (limits_of(&[("a", of_prompts(100))]), None, Some("a"), None),
        (limits_of(&[("a", tpm(1_000)), ("b", money(26_000))]), None, Some("a"), Some(5 + 3)),
    ];
    for (limits, requests, tokens, spare) in cases {
        for ghost in [bucket(1, MINUTE), tpm(16), money(20_001)] {
            let limits = limits.iter().cloned().chain([shadow(ghost)]).collect();
            let shop = Shop::open(&Rulebook::of_plan(limits), later(0));
            let permit = shop.admit(order, later(0)).expect("room");
            let name = |standing: &Option<Standing>| standing.as_ref().map(|standing| standing.limit.clone());
            let told = permit.standings();
            assert_eq!(name(&told.requests).as_deref(), requests, "{:?}", shop.book);
            assert_eq!(name(&told.tokens).as_deref(), tokens, "{:?}", shop.book);
            assert_eq!(permit.spare_completion(), spare, "{:?}", shop.book);
        }
    }
}

#[test]
fn a_refusal_says_what_is_counted_and_how_much_of_it() {
    let burst = tokens(60, MINUTE, 100, Measure::Completion);
    let cny = Amount::Budget {
        most: 200_000,
        measure: Measure::Money,
        currency: Currency::parse("CNY").expect("a currency"),
        calendar: Arc::new(Calendar::new(CalendarUnit::Month, "UTC").expect("a zone")),
    };
    for (amount, per, expected) in [
        (
            burst,
            Per::TenantModel,
            "Token limit p0 reached for tenant acme for model pangu: Limit 60 completion tokens per 1m and 100 at \
             once, used 90 (20 of it held for requests under way), requested 20. Please try again in ",
        ),
        (
            budget(90, Measure::Total, "UTC"),
            Per::Tenant,
            "Budget p0 reached for tenant acme: Limit 90 tokens per 1d, used 100 (30 of it held for requests under \
             way), requested 30. Please try again in ",
        ),
        (
            cny,
            Per::User,
            "Budget p0 reached for user alice: Limit 0.0002 CNY per month, used 0.00019 CNY (0.00005 CNY of it held \
             for requests under way), requested 0.00005 CNY. Please try again in ",
        ),
    ] {
        let limits = vec![limit("p0", per, amount)];
        let shop = Shop::open(&Rulebook::of_plan(limits), later(0));
        let order = Order { completion_max: Some(20), ..prompt(10) };
        let mut first = shop.admit(order, later(0)).expect("room");
        let _open = shop.admit(order, later(0)).expect("room");
        first.settle(cost(0, 70), later(0));
        let limited = shop.admit(order, later(0)).err();
        let said = limited.map(|limited| limited.to_string()).unwrap_or_default();
        assert!(said.starts_with(expected), "{said}\nis not\n{expected}");
    }
}
