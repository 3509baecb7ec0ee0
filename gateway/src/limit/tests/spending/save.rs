//! What is spent of days and months outlives the program, at any moment.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn everywhere() -> Rulebook {
    let limit = |name: &str, per, measure, zone| limit(name, per, budget(100, measure, zone));
    Rulebook {
        plan: vec![
            limit("p0", Per::Tenant, Measure::Total, "UTC"),
            limit("p1", Per::User, Measure::Prompt, "Asia/Shanghai"),
            limit("p2", Per::TenantRoute, Measure::Completion, "UTC"),
            limit("p3", Per::TenantModel, Measure::Total, "Asia/Shanghai"),
        ],
        route: vec![
            limit("r0", Per::Route, Measure::Total, "UTC"),
            limit("r1", Per::TenantRoute, Measure::Total, "UTC"),
        ],
        model: vec![
            limit("m0", Per::Model, Measure::Money, "UTC"),
            limit("m1", Per::TenantModel, Measure::Total, "UTC"),
        ],
        ..Rulebook::default()
    }
}

/// All that is spent, in an order of its own. Holds end with the program.
fn spent(shop: &Shop, now: Now) -> Vec<String> {
    let levels = shop.levels(now);
    let spent = levels.iter().filter(|(_, limit)| limit.used > limit.held);
    let mut spent: Vec<String> = spent
        .map(|(tenant, l)| {
            format!("{tenant:?} {} {:?} {:?} {:?}: {}", l.limit, l.user, l.route, l.model, l.used - l.held)
        })
        .collect();
    spent.sort();
    spent
}

/// What is on the disk: the last that was said of each name.
#[derive(Default)]
struct Disk(BTreeMap<String, (u32, u64)>);

impl Disk {
    fn save(&mut self, shop: &Shop) {
        for Saved { key, serial, used } in shop.registry.unsaved() {
            self.0.insert(key, (serial, used));
        }
    }

    fn load(&self) -> Vec<Saved> {
        self.0.iter().map(|(key, &(serial, used))| Saved { key: key.clone(), serial, used }).collect()
    }
}

#[derive(Debug, Clone)]
enum Step {
    Spend(Order, Tokens, bool),
    Save,
    Kill,
    Wait(u64),
    Back(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let order = (0..2usize, 0..2usize, 0..2usize, 0..2usize).prop_map(|(tenant, user, route, model)| Order {
        caller: Some((tenant, user)),
        route,
        model,
        ..BY_ALICE
    });
    let one = prop_oneof![
        6 => (order, 0..30u64, 0..30u64, any::<bool>())
            .prop_map(|(order, prompt, completion, open)| Step::Spend(order, cost(prompt, completion), open)),
        1 => Just(Step::Save),
        1 => Just(Step::Kill),
        2 => (0..30 * 3_600_000_000u64).prop_map(Step::Wait),
        1 => (0..3_600_000u64).prop_map(Step::Back),
    ];
    prop::collection::vec(one, 1..60)
}

proptest! {
    #![proptest_config(crate::proptests::cases(200))]

    #[test]
    fn killed_right_after_a_save_nothing_is_lost(steps in steps()) {
        let (book, mut disk, mut now) = (everywhere(), Disk::default(), later(0));
        let mut shop = Shop::open(&book, now);
        let (mut open, mut back) = (Vec::new(), false);
        for step in steps {
            match step {
                Step::Spend(order, cost, keep) => {
                    let Ok(mut permit) = shop.admit(order, now) else { continue };
                    permit.progress(cost, now);
                    if keep { open.push(permit) }
                }
                Step::Save => disk.save(&shop),
                Step::Kill => {
                    disk.save(&shop);
                    let before = spent(&shop, now);
                    open.clear(); // of the run that is over
                    shop = Shop::restored(&book, now, disk.load());
                    let after = spent(&shop, now);
                    prop_assert!(before.iter().all(|level| after.contains(level)), "{:?} of {:?}", after, before);
                    // Back in a day that was over, the disk may know what memory had let go of.
                    prop_assert!(after == before || back, "{:?} for {:?}", after, before);
                }
                Step::Wait(us) => now = now.after(Duration::from_micros(us)),
                Step::Back(ms) => (now.wall_ms, back) = (now.wall_ms - ms, true),
            }
        }
    }
}

#[test]
fn every_budget_is_saved_wherever_it_is_written() {
    let book = everywhere();
    let parts = [&book.plan, &book.route, &book.model].into_iter().enumerate();
    for (at, limits) in parts {
        for limit in limits {
            let mut alone = Rulebook::default();
            [&mut alone.plan, &mut alone.route, &mut alone.model][at].push(limit.clone());
            let shop = Shop::open(&alone, later(0));
            let mut permit = shop.admit(BY_ALICE, later(0)).expect("room");
            let told = |n| shop.registry.unsaved().iter().filter(|saved| saved.used == n).count();
            permit.progress(cost(3, 2), later(0));
            let spent = shop.level(later(0)).used;
            assert_eq!((told(spent), spent > 0), (1, true), "{limit:?}");
            assert_eq!(told(spent), 0, "nothing has changed since");
            permit.settle(cost(8, 8), later(0));
            assert_eq!(told(shop.level(later(0)).used), 1, "told again: {limit:?}");
        }
    }
}

#[test]
fn a_day_that_the_clock_was_put_back_from_is_not_forgotten() {
    let book = Rulebook::of_plan(vec![limit("p0", Per::Tenant, budget(100, Measure::Total, "UTC"))]);
    let midnight = Now { mono_us: 0, wall_ms: NOON_MS + DAY_MS / 2 };
    let shop = Shop::open(&book, midnight);
    shop.admit(prompt(90), midnight).expect("room").settle(cost(90, 0), midnight);
    let before = Now { mono_us: 1, wall_ms: midnight.wall_ms - 1 };
    let mut saved = shop.registry.unsaved();
    for (serials, left) in [(0, false), (5, true)] {
        saved[0].serial += serials;
        let again = Shop::restored(&book, before, saved.clone());
        assert_eq!(again.admit(prompt(11), before).is_ok(), left, "{serials} days ahead");
        assert_eq!(again.admit(prompt(11), midnight).is_ok(), left, "{serials} days ahead");
    }
}
