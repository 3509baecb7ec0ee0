//! A budget that a reload takes away and brings back counts on from where it was.

use super::*;

/// The same limit at every place that can have one.
fn places() -> Vec<Rulebook> {
    places_of("UTC")
}

fn places_of(zone: &str) -> Vec<Rulebook> {
    let at = |per| limit("daily", per, budget(100, Measure::Total, zone));
    let plan = [Per::Tenant, Per::User, Per::TenantRoute, Per::TenantModel].map(|per| vec![at(per)]);
    let route = [Per::Route, Per::TenantRoute].map(|per| vec![at(per)]);
    let model = [Per::Model, Per::TenantModel].map(|per| vec![at(per)]);
    let plans = plan.into_iter().map(Rulebook::of_plan);
    let routes = route.into_iter().map(|route| Rulebook { route, ..Rulebook::default() });
    let models = model.into_iter().map(|model| Rulebook { model, ..Rulebook::default() });
    plans.chain(routes).chain(models).collect()
}

fn spend(shop: &Shop, tokens: u64, now: Now) {
    shop.admit(prompt(tokens), now).expect("room").settle(cost(tokens, 0), now);
}

fn used(shop: &Shop, now: Now) -> u64 {
    shop.any_level(now).map_or(0, |limit| limit.used)
}

#[test]
fn a_budget_that_was_taken_away_for_a_while_is_not_unspent() {
    for book in places() {
        let mut shop = Shop::open(&book, later(0));
        spend(&shop, 160, later(0));
        shop.reload(&Rulebook::default(), later(1));
        spend(&shop, 7, later(1));
        assert!(shop.any_level(later(1)).is_none(), "{book:?}");
        shop.reload(&Rulebook::default(), later(2));
        shop.reload(&book, later(3));
        assert_eq!(used(&shop, later(3)), 160, "{book:?}");
        assert!(shop.admit(prompt(1), later(3)).is_err(), "{book:?}");
    }
}

#[test]
fn nor_is_one_that_counted_something_else_for_a_while() {
    let book = |measure| Rulebook::of_plan(vec![limit("daily", Per::Tenant, budget(100, measure, "UTC"))]);
    let mut shop = Shop::open(&book(Measure::Total), later(0));
    spend(&shop, 160, later(0));
    shop.reload(&book(Measure::Completion), later(1));
    assert_eq!(used(&shop, later(1)), 0);
    shop.reload(&book(Measure::Total), later(2));
    assert_eq!(used(&shop, later(2)), 160);
}

#[test]
fn what_was_spent_of_a_budget_that_has_gone_is_forgotten_with_its_period() {
    let day = |n: u64| later(n * DAY_MS * 1000);
    for book in places() {
        let mut shop = Shop::open(&book, day(0));
        for n in 0..5 {
            spend(&shop, 60, day(n));
            shop.reload(&Rulebook::default(), day(n));
            shop.reload(&Rulebook::default(), day(n + 1));
            assert!(!shop.registry.look(|known| known.restored.is_empty()), "a zone may be a day behind");
            shop.reload(&Rulebook::default(), day(n + 2));
            assert!(shop.registry.look(|known| known.restored.is_empty()));
            shop.reload(&book, day(n + 1));
            assert_eq!(used(&shop, day(n + 1)), 0);
        }
    }
}

#[test]
fn a_reload_that_moves_no_budget_sets_nothing_aside() {
    for book in places() {
        let mut shop = Shop::open(&book, later(0));
        spend(&shop, 60, later(0));
        let mut edited = book.clone();
        for limit in edited.plan.iter_mut().chain(&mut edited.route).chain(&mut edited.model) {
            limit.amount = budget(200, Measure::Total, "UTC");
        }
        shop.reload(&edited, later(1));
        assert!(shop.registry.look(|known| known.restored.is_empty()));
        assert_eq!(used(&shop, later(1)), 60);
    }
}

#[test]
fn a_budget_whose_zone_is_edited_is_still_spent_after_a_restart() {
    let evening = Now { wall_ms: NOON_MS + DAY_MS / 3, ..later(0) }; // tomorrow in Shanghai
    for (book, edited) in places_of("UTC").into_iter().zip(places_of("Asia/Shanghai")) {
        let mut shop = Shop::open(&book, evening);
        spend(&shop, 160, evening);
        assert_eq!(shop.registry.unsaved().len(), 1);
        shop.reload(&edited, evening);
        let overwritten = shop.registry.unsaved();
        assert_eq!(overwritten.iter().filter(|count| count.used == 160).count(), 1, "{book:?}");
        let again = Shop::restored(&edited, evening, overwritten);
        assert_eq!(used(&again, evening), 160, "{book:?}");
        shop.reload(&edited, evening);
        assert_eq!(shop.registry.unsaved(), [], "nothing has changed since");
    }
}

#[test]
fn the_forecast_knows_the_last_hour_whatever_the_zone_is() {
    for (book, edited) in places_of("UTC").into_iter().zip(places_of("Asia/Shanghai")).take(4) {
        let (begin, now) = (later(0), later(3_600_000_000));
        let mut shop = Shop::open(&book, begin);
        spend(&shop, 60, now);
        let lately = |shop: &Shop| {
            let budgets = shop.registry.forecast("acme", now).expect("acme").budgets;
            budgets.iter().map(|budget| budget.lately.per_hour).max()
        };
        let before = lately(&shop);
        assert!(before > Some(0), "{book:?}");
        shop.reload(&edited, now);
        assert_eq!(lately(&shop), before, "{book:?}");
    }
}

#[test]
fn money_of_one_currency_is_not_money_of_another() {
    let book = |currency| {
        let Amount::Budget { most, measure, calendar, .. } = budget(1_000_000, Measure::Money, "UTC") else {
            unreachable!("a budget")
        };
        let currency = Currency::parse(currency).expect("a currency");
        let amount = Amount::Budget { most, measure, currency, calendar };
        Rulebook::of_plan(vec![limit("money", Per::Tenant, amount)])
    };
    let mut shop = Shop::open(&book("CNY"), later(0));
    spend(&shop, 160, later(0));
    let spent = used(&shop, later(0));
    let disk = shop.registry.unsaved();
    assert!(spent > 0 && disk[0].key == "tenant/acme/money/CNY/day", "{disk:?}");
    let open = shop.admit(prompt(7), later(1)).expect("room");
    shop.reload(&book("USD"), later(1));
    drop(open);
    assert_eq!(used(&shop, later(1)), 0);
    assert_eq!(used(&Shop::restored(&book("USD"), later(1), disk.clone()), later(1)), 0);
    assert_eq!(used(&Shop::restored(&book("CNY"), later(1), disk), later(1)), spent);
    shop.reload(&book("CNY"), later(2));
    assert_eq!(used(&shop, later(2)), spent);
}
