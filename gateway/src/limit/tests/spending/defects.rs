//! What went wrong in other gateways, each by the name of the harm it did.
//!
//! Two more harms are done where answers are read, and have their tests there: what does not tell its use costs nothing
//! (`tests/e2e/tokens/charged.rs`), and a chunk that ends within a Chinese character counts for nothing
//! (`usage::tests::answer::a_chinese_character_split_over_two_reads_loses_nothing`).

use super::*;

fn shop(limits: Vec<Limit>) -> Shop {
    Shop::open(&Rulebook::of_plan(limits), later(0))
}

fn shop_of(amount: Amount) -> Shop {
    shop(vec![limit("p0", Per::Tenant, amount)])
}

#[test]
fn parallel_requests_do_not_all_pass_before_the_first_is_charged() {
    for per in [Per::Tenant, Per::User, Per::TenantRoute, Per::TenantModel] {
        for amount in [tpm(1_000), budget(1_000, Measure::Total, "UTC")] {
            let shop = shop(vec![limit("p0", per, amount)]);
            let open: Vec<_> = (0..64).filter_map(|_| shop.admit(prompt(50), later(0)).ok()).collect();
            assert_eq!(open.len(), 20, "{per:?}: none has cost anything yet");
        }
    }
}

#[test]
fn max_tokens_does_not_leave_nine_tenths_of_the_limit_unused() {
    let shop = shop_of(tpm(16_000));
    let order = Order { completion_max: Some(4_096), ..BY_ALICE };
    for answer in 0..200 {
        let now = later(answer * 60_000_000);
        let mut permit = shop.admit(order, now).expect("room");
        permit.settle(cost(0, 150), now);
        permit.learn(150);
    }
    let now = later(300 * 60_000_000);
    let open: Vec<_> = (0..200).map_while(|_| shop.admit(order, now).ok()).collect();
    assert!(open.len() > 80, "{} of about a hundred, not three", open.len());
}

#[test]
fn a_debt_is_not_dropped() {
    let shop = shop_of(tpm(100));
    shop.admit(prompt(10), later(0)).expect("room").settle(cost(310, 0), later(0));
    assert_eq!(shop.level(later(0)).debt, 210);
    let limited = shop.admit(prompt(10), later(0)).err().expect("in debt");
    assert_eq!(limited.retry_after, Duration::from_secs(132), "310 down to 90 at 100 a minute");
    assert!(shop.admit(prompt(10), later(131_999_999)).is_err());
    assert!(shop.admit(prompt(10), later(132_000_000)).is_ok());

    let shop = shop_of(budget(100, Measure::Total, "UTC"));
    shop.admit(prompt(10), later(0)).expect("room").settle(cost(310, 0), later(0));
    assert_eq!(shop.level(later(0)).debt, 210);
    assert!(shop.admit(prompt(1), later(DAY_MS / 2 * 1_000 - 1)).is_err());
    assert!(shop.admit(prompt(1), later(DAY_MS / 2 * 1_000)).is_ok(), "a new day");
}

#[test]
fn a_refusal_charges_nothing_at_any_level() {
    for tight in PLACES {
        for amount in [tpm(60), budget(60, Measure::Total, "UTC"), bucket(1, MINUTE), concurrent(1)] {
            let mut book = Rulebook::default();
            for (at, per) in PLACES {
                let limits = book.written_at(at);
                let ample = [tpm(1_000), budget(1_000, Measure::Total, "UTC"), bucket(1_000, MINUTE)];
                let ample = ample.into_iter().enumerate();
                limits.extend(ample.map(|(i, amount)| limit(&format!("ample {per:?} {i}"), per, amount)));
                if (at, per) == tight {
                    limits.push(limit("tight", per, amount.clone()));
                }
            }
            let shop = Shop::open(&book, later(0));
            let permit = shop.admit(prompt(40), later(0)).expect("room");
            let before = shop.levels(later(0));
            for _ in 0..10 {
                let limited = shop.admit(prompt(40), later(0)).err().expect("no room");
                assert_eq!((&*limited.full.limit, limited.full.per), ("tight", tight.1));
            }
            assert_eq!(shop.levels(later(0)), before, "{tight:?}");
            drop(permit);
        }
    }
}

#[test]
fn a_caller_that_hangs_up_does_not_keep_its_hold_for_ever() {
    let shop = shop(vec![limit("p0", Per::Tenant, tpm(100)), limit("p1", Per::User, concurrent(1))]);
    for round in 0..50 {
        let now = later(round * 60_000_000);
        let mut permit = shop.admit(prompt(100), now).expect("a slot, and room");
        let _ = permit.progress(cost(30, 0), now);
        drop(permit); // nobody settles
        let level = shop.level(now);
        assert_eq!((level.held, level.used), (0, 30), "what passed is charged, the rest is free");
    }
}

#[test]
fn a_limit_below_one_requests_estimate_does_not_refuse_everything() {
    for amount in [tpm(100), budget(100, Measure::Total, "UTC")] {
        let shop = shop_of(amount);
        let permit = shop.admit(prompt(4_000), later(0)).expect("it is idle");
        assert!(shop.admit(prompt(1), later(0)).is_err(), "it has the limit for itself");
        drop(permit);
        assert!(shop.admit(prompt(4_000), later(0)).is_ok(), "idle again");
    }
}

#[test]
fn an_edit_neither_refills_a_bucket_nor_freezes_it() {
    let mut shop = shop_of(tpm(100));
    shop.admit(prompt(90), later(0)).expect("room").settle(cost(90, 0), later(0));
    let day = |n| budget(n, Measure::Total, "Asia/Shanghai");
    for (amount, left) in
        [(tpm(120), 30), (tpm(40), 0), (day(100), 10), (tpm(300), 210), (day(90), 0), (tpm(100), 10)]
    {
        shop.reload(&Rulebook::of_plan(vec![limit("p0", Per::Tenant, amount)]), later(0));
        let level = shop.level(later(0));
        assert_eq!((level.used, level.remaining), (90, left));
    }
    assert_eq!(shop.level(later(30_000_000)).used, 40, "it goes on flowing out");
}

#[test]
fn a_flood_of_strangers_neither_evicts_a_bucket_nor_grows_memory() {
    let shop = Shop::open(
        &Rulebook {
            model: vec![limit("m0", Per::Model, tpm(100))],
            ..Rulebook::of_plan(vec![limit("p0", Per::TenantModel, tpm(100))])
        },
        later(0),
    );
    let guard = Guard::default();
    shop.admit(prompt(90), later(0)).expect("room").settle(cost(90, 0), later(0));
    let kept = shop.registry.gauges();
    for i in 0..100_000u32 {
        let stranger = std::net::Ipv4Addr::from_bits(i.wrapping_mul(2_654_435_761)).into();
        let _ = guard.admit(stranger, 5, later(u64::from(i)));
        // Whatever model a stranger names, it is one of those there are: the last, `other`.
        let _ = shop.admit(Order { caller: None, model: 1, ..prompt(1) }, later(u64::from(i)));
        if i % 1_000 == 0 {
            shop.registry.sweep(later(u64::from(i)));
        }
    }
    assert_eq!(shop.registry.gauges(), kept);
    assert!(shop.admit(prompt(11), later(100_000)).is_err(), "what was used is still used");
}

#[test]
fn what_flows_out_while_a_request_runs_is_not_credited_twice() {
    let shop = shop_of(tpm(1_000));
    let mut long = shop.admit(prompt(500), later(0)).expect("room");
    let half = later(30_000_000);
    assert!(shop.admit(prompt(501), half).is_err(), "a hold does not flow out");
    let other = shop.admit(prompt(500), half).expect("room");
    long.settle(cost(0, 0), half);
    assert_eq!(shop.level(half).remaining, 500, "1,500 at once if the hold were charged and given back");
    drop(other);
}
