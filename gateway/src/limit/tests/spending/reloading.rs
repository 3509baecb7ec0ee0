//! Limits on spending that come and go by reloads while requests are under way.

use super::*;

/// Limits at the models: `1000/day` for each tenant.
fn at_models() -> Vec<Limit> {
    vec![limit("m", Per::TenantModel, budget(1000, Measure::Total, "UTC"))]
}

/// A request keeps the snapshot it began with; that of a tenant may be older than that of a model.
fn ask(tenant: &Enrolled, applied: &Applied, now: Now) -> Permit {
    let caller = Some((&tenant.tenant, tenant.users[0]));
    let metered = Metered {
        model: &applied.models[0],
        price: price(),
        prompt: 10,
        completion_max: Some(5),
        choices: 1,
        clamp: false,
    };
    admit(&Asking { caller, route: &applied.routes[0], metered: Some(metered), report: false }, now)
        .expect("room")
}

/// Held and used at the only limit, of `acme`.
fn of_acme(shop: &Shop, now: Now) -> (u64, u64) {
    let levels = shop.levels(now);
    let mut of_acme = levels.iter().filter(|(tenant, _)| *tenant == Some(TENANTS[0]));
    let (_, level) = of_acme.next().expect("it has used it");
    (level.held, level.used)
}

#[test]
fn what_is_held_at_a_limit_that_reached_the_model_before_the_tenant_is_given_back() {
    let bare = Rulebook::default();
    let mut shop = Shop::open(&bare, later(0));
    let tenant = shop.applied.tenants.remove(0);
    let limited = Rulebook { model: at_models(), ..bare };
    // The tenant does not hear of the limit, but what it uses of the model from now on is counted by it.
    shop.reload(&Rulebook { gone: [Some(0), None, None], ..limited.clone() }, later(1));
    let mut permit = ask(&tenant, &shop.applied, later(2));
    assert_eq!(of_acme(&shop, later(2)), (15, 15));
    shop.reload(&limited, later(3));
    permit.settle(cost(10, 3), later(4));
    drop(permit);
    assert_eq!(of_acme(&shop, later(5)), (0, 13));
}

#[test]
fn a_user_who_leaves_and_returns_owes_what_he_owed() {
    for amount in [tpm(100), budget(100, Measure::Total, "UTC")] {
        let book = Rulebook::of_plan(vec![limit("p0", Per::User, amount)]);
        let mut shop = Shop::open(&book, later(0));
        let bob = |n| Order { caller: Some((0, 1)), ..prompt(n) }; // the last: his seat would go
        shop.admit(bob(90), later(0)).expect("room").settle(cost(90, 0), later(0));
        shop.reload(&Rulebook { gone: [None, Some(1), None], ..book.clone() }, later(0));
        shop.registry.sweep(later(0));
        shop.reload(&book, later(0));
        assert!(shop.admit(bob(11), later(0)).is_err());
        assert!(shop.admit(bob(10), later(0)).is_ok());
    }
}

/// Both plans have a limit of this name, the second since later than the tenant's request is under way.
#[test]
fn what_a_tenant_holds_when_it_changes_its_plan_is_given_back() {
    let registry = Registry::default();
    let plan = |name: &str, before: Option<Limit>| {
        let tpm = limit("tpm", Per::Tenant, tpm(1_000));
        Arc::new(Plan { name: name.into(), limits: before.into_iter().chain([tpm]).collect() })
    };
    let gold = plan("gold", None);
    let silver = plan("silver", Some(limit("day", Per::Tenant, budget(5_000, Measure::Total, "UTC"))));
    let put = |plans: [&Arc<Plan>; 2], now| {
        let users: Arc<[Arc<str>]> = ["alice".into()].into();
        let spec = |(name, plan): (&str, &Arc<Plan>)| TenantSpec {
            name: name.into(),
            plan: Arc::clone(plan),
            users: users.clone(),
        };
        let tenants: Vec<_> = TENANTS.into_iter().zip(plans).map(spec).collect();
        let one = |name: &str| [(name.into(), Arc::default())];
        registry.apply(&Policy { tenants: &tenants, routes: &one("chat"), models: &one("pangu") }, now)
    };
    let applied = put([&gold, &gold], later(0));
    let mut open = ask(&applied.tenants[0], &applied, later(1));
    put([&gold, &silver], later(2));
    put([&silver, &silver], later(3));
    let standing = |now| {
        let limits = registry.tenant_state(TENANTS[0], now).expect("known").limits;
        limits.iter().map(|limit| (limit.limit.to_string(), limit.held, limit.used)).collect::<Vec<_>>()
    };
    assert_eq!(standing(later(3)), [("day".into(), 0, 0), ("tpm".into(), 15, 15)]);
    open.settle(cost(10, 3), later(4));
    assert_eq!(standing(later(4)), [("day".into(), 0, 0), ("tpm".into(), 0, 13)]);
}

#[test]
fn what_was_not_held_at_a_limit_that_came_later_is_not_given_back_there() {
    let bare = Rulebook::default();
    let mut shop = Shop::open(&bare, later(0));
    let mut early = shop.admit(prompt(10), later(1)).expect("room");
    shop.reload(&Rulebook { model: at_models(), ..bare }, later(2));
    let mut late = shop.admit(prompt(7), later(3)).expect("room");
    early.settle(cost(10, 0), later(4));
    drop(early);
    assert_eq!(of_acme(&shop, later(5)), (7, 7), "the late one's");
    late.settle(cost(7, 0), later(6));
    drop(late);
    assert_eq!(of_acme(&shop, later(6)), (0, 7));
}
