//! Limits that end streams in their middle.

use super::*;

fn cutting(amount: Amount) -> Rulebook {
    let limit = limit("p0", Per::Tenant, amount);
    Rulebook::of_plan(vec![Limit { cut: true, ..limit }])
}

#[test]
fn only_streams_that_could_spend_more_of_a_limit_are_ended_by_it() {
    for (measure, cut) in [
        (Measure::Total, true),
        (Measure::Completion, true),
        (Measure::Money, true),
        // What is left of an answer has no other prompt.
        (Measure::Prompt, false),
    ] {
        let shop = Shop::open(&cutting(budget(20, measure, "UTC")), later(0));
        let mut permit = shop.admit(prompt(15), later(0)).expect("room");
        assert!(permit.cuts(), "{measure:?}");
        assert_eq!(permit.progress(cost(25, 30), later(1)), cut, "{measure:?}");
    }
}

#[test]
fn a_limit_that_all_callers_share_ends_the_streams_of_each() {
    let shared = |per| vec![Limit { cut: true, ..limit("shared", per, tpm(1_000)) }];
    let books = [
        Rulebook { route: shared(Per::Route), ..Rulebook::default() },
        Rulebook { model: shared(Per::Model), ..Rulebook::default() },
    ];
    for (book, caller) in books.iter().flat_map(|book| [(book, None), (book, Some((0, 0)))]) {
        let shop = Shop::open(book, later(0));
        let mut permit = shop.admit(Order { caller, ..prompt(15) }, later(0)).expect("room");
        assert!(permit.cuts() && shop.level(later(0)).cut, "{caller:?} by {book:?}");
        assert!(!permit.progress(cost(15, 900), later(0)), "{caller:?} by {book:?}");
        assert!(permit.progress(cost(15, 985), later(0)), "{caller:?} by {book:?}");
    }
}

#[test]
fn who_pays_nothing_is_not_ended_by_a_budget_of_money() {
    let shop = Shop::open(&cutting(budget(20_000, Measure::Money, "UTC")), later(0));
    let mut dear = shop.admit(prompt(10), later(0)).expect("room");
    let mut free = shop.admit(prompt(10), later(0)).expect("room");
    free.reprice(Price::default());
    assert!(
        dear.progress(cost(10, 5), later(1)),
        "ten thousand for the prompt, two for each token of the answer"
    );
    assert!(!free.progress(cost(10, 5), later(1)), "it costs nothing");
}
