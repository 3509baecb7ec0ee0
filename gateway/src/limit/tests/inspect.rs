//! What operators see.

use super::*;

#[test]
fn every_limit_of_a_tenant_is_listed_with_where_it_stands() {
    let plan = [
        limit("rpm", Per::Tenant, requests(Algorithm::TokenBucket, 60, MINUTE, 10)),
        limit("inflight", Per::Tenant, concurrent(4)),
        limit("user-rpm", Per::User, requests(Algorithm::SlidingWindow, 5, MINUTE, 5)),
    ];
    let route = [limit("each", Per::TenantRoute, bucket(7, SECOND)), limit("all", Per::Route, concurrent(9))];
    let world = world(&plan, &route);
    let open = [world.admit(ALICE, 0).expect("room"), world.admit(ALICE, 0).expect("room")];

    let acme = world.registry.tenant_state("acme", at_us(0)).expect("known");
    let brief = |limit: &LimitState| {
        let whose = [&limit.user, &limit.route].map(|name| name.as_deref().unwrap_or("-").to_owned());
        (limit.limit.to_string(), whose.join(" "), limit.used, limit.remaining, limit.window_ms)
    };
    let expected = [
        ("rpm", "- -", 2, 8, Some(60_000)),
        ("inflight", "- -", 2, 2, None),
        ("user-rpm", "alice -", 2, 3, Some(60_000)),
        ("user-rpm", "bob -", 0, 5, Some(60_000)),
        ("each", "- chat", 2, 5, Some(1_000)),
    ];
    let expected = expected
        .map(|(name, whose, used, left, window)| (name.to_owned(), whose.to_owned(), used, left, window));
    assert_eq!(acme.limits.iter().map(brief).collect::<Vec<_>>(), expected);
    assert_eq!(acme.limits[0].reset_ms, Some(2_000));

    let chat = world.registry.route_state("chat", at_us(0)).expect("known");
    assert_eq!((chat.limits[0].used, chat.limits[0].remaining), (2, 7));
    assert!(world.registry.tenant_state("nobody", at_us(0)).is_none());
    let kept = Gauges { tenants: 2, users: 4, tenant_routes: 1, routes: 2, ..Gauges::default() };
    assert_eq!(world.registry.gauges(), kept);
    let json = serde_json::to_value(&acme.limits[1]).expect("plain values");
    let expected = serde_json::json!({
        "limit": "inflight", "per": "tenant", "unit": "places", "quota": 4, "most": 4, "used": 2, "remaining": 2,
    });
    assert_eq!(json, expected);
    drop(open);
}
