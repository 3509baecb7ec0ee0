//! Limits are exact at every level, whatever the concurrency, and a refusal moves none of them.

use crate::support::*;
use harness::{Conn, Gateway, Mock, Request};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};

/// Six users of one tenant, and two more tenants, on two routes; the limits go where the test says.
fn policy(plan: &str, route_a: &str, route_b: &str) -> String {
    let key = |tenant: &str, user: u32| {
        format!("      - {{name: u{user}, api_key: {{env: KEY_{tenant}_{user}}}}}\n")
    };
    let users = |tenant: &str| (0..6).map(|user| key(tenant, user)).collect::<String>();
    let tenants: String = ["ONE", "TWO", "THREE"]
        .iter()
        .map(|name| {
            format!("  - name: {}\n    plan: tested\n    users:\n{}", name.to_lowercase(), users(name))
        })
        .collect();
    let route = |name: &str, limits: &str| {
        let path = path_of(name);
        format!(
            "  - name: {name}\n    match: {{path: \"{path}\"}}\n    api: openai\n    \
             auth: [api_key]\n    pool: models\n    limits:\n      - {{name: wide, per: route, requests: 1000000/s}}\n{limits}"
        )
    };
    format!(
        "pools:\n  - name: models\n    backends: [{{url: \"http://127.0.0.1:9100\"}}]\n\
         plans:\n  tested:\n    - {{name: any, per: tenant, requests: 1000000/s}}\n{plan}\
         tenants:\n{tenants}routes:\n{}{}",
        route("a", route_a),
        route("b", route_b)
    )
}

/// Where the two routes are.
fn path_of(route: &str) -> &'static str {
    if route == "a" { OPENAI_CHAT } else { "/api/v2/chat/completions" }
}

fn start_limited(plan: &str, route_a: &str) -> (Mock, Gateway) {
    let mock = Mock::start();
    let mut setup = harness::Setup::new(&mock).policy(&policy(plan, route_a, ""));
    for tenant in ["ONE", "TWO", "THREE"] {
        for user in 0..6 {
            setup = setup.env(&format!("KEY_{tenant}_{user}"), &format!("key-{tenant}-{user}"));
        }
    }
    let gateway = setup.start();
    (mock, gateway)
}

fn call(route: &str, tenant: &str, user: usize) -> Request {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hello"}]}"#;
    bearer(Request::post(path_of(route), body), &format!("key-{tenant}-{user}"))
}

/// Sends `each` requests from 64 callers that start together; how many were admitted.
fn storm(gateway: &Gateway, each: usize, request: impl Fn(usize) -> Request + Sync) -> u32 {
    const CALLERS: usize = 64;
    let (admitted, together) = (AtomicU32::new(0), Barrier::new(CALLERS));
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (admitted, together, request) = (&admitted, &together, &request);
            scope.spawn(move || {
                let mut conn = Conn::open(gateway.http);
                together.wait();
                for _ in 0..each {
                    conn.send(request(caller).to_bytes());
                    match conn.response().expect("an answer").status {
                        200 => drop(admitted.fetch_add(1, Ordering::Relaxed)),
                        429 => {}
                        other => panic!("status {other}"),
                    }
                }
            });
        }
    });
    admitted.into_inner()
}

#[test]
fn each_level_admits_exactly_n() {
    for (level, plan, route_a) in [
        ("tenant", "    - {name: tested, per: tenant, requests: 100/day}\n", ""),
        ("user", "    - {name: tested, per: user, requests: 100/day}\n", ""),
        ("tenant+route", "    - {name: tested, per: tenant+route, requests: 100/day}\n", ""),
        ("route", "", "      - {name: tested, per: route, requests: 100/day}\n"),
        ("tenant+route at the route", "", "      - {name: tested, per: tenant+route, requests: 100/day}\n"),
        (
            "fixed window",
            "    - {name: tested, per: tenant, requests: 100/day, algorithm: fixed_window}\n",
            "",
        ),
        (
            "sliding window",
            "    - {name: tested, per: tenant, requests: 100/day, algorithm: sliding_window}\n",
            "",
        ),
        ("burst", "    - {name: tested, per: tenant, requests: 1000/day, burst: 100}\n", ""),
    ] {
        let (mock, gateway) = start_limited(plan, route_a);
        let admitted = storm(&gateway, 5, |_| call("a", "ONE", 0));
        assert_eq!((admitted, mock.requests()), (100, 100), "{level}");
    }
}

#[test]
fn each_level_counts_what_it_is_named_for() {
    let storms = |plan, route_a: &str, request: fn(usize) -> Request| {
        let (mock, gateway) = start_limited(plan, route_a);
        let admitted = storm(&gateway, 10, request);
        assert_eq!(u64::from(admitted), mock.requests());
        admitted
    };
    let per_user = "    - {name: tested, per: user, requests: 20/day}\n";
    assert_eq!(storms(per_user, "", |i| call("a", "ONE", i % 4)), 4 * 20, "four users");
    let per_tenant = "    - {name: tested, per: tenant, requests: 20/day}\n";
    let tenant = |i: usize| call("a", ["ONE", "TWO", "THREE"][i % 3], i % 6);
    assert_eq!(storms(per_tenant, "", tenant), 3 * 20, "three tenants of six users");
    let per_both = "    - {name: tested, per: tenant+route, requests: 20/day}\n";
    let both = |i: usize| call(["a", "b"][i % 2], ["ONE", "TWO"][i / 2 % 2], 0);
    assert_eq!(storms(per_both, "", both), 4 * 20, "two tenants on two routes");
    let per_route = "      - {name: tested, per: route, requests: 20/day}\n";
    assert_eq!(storms("", per_route, tenant), 20, "one route, whoever calls");
}

#[test]
fn concurrent_requests_are_held_to_their_number_and_given_back() {
    let (mock, gateway) = start_limited("    - {name: tested, per: tenant, concurrent: 8}\n", "");
    for round in 0..3 {
        mock.reset();
        let slow = |_| call("a", "ONE", 0).header("x-mock-latency-ms", "1500");
        assert_eq!(storm(&gateway, 1, slow), 8, "round {round}");
        assert_eq!(mock.requests(), 8, "round {round}");
    }
}

#[test]
fn a_caller_that_leaves_gives_its_place_back() {
    let (mock, gateway) = start_limited("    - {name: tested, per: tenant, concurrent: 1}\n", "");
    for _ in 0..5 {
        let mut conn = Conn::open(gateway.http);
        conn.send(call("a", "ONE", 0).header("x-mock-latency-ms", "30000").to_bytes());
        let arrived = mock.requests();
        harness::eventually("it is on its way", secs(5), || {
            (mock.requests() >= arrived.max(1)).then_some(())
        });
        drop(conn);
        harness::eventually("the place is free again", secs(2), || {
            (call("a", "ONE", 0).send(gateway.http).status == 200).then_some(())
        });
    }
}

/// Exhausts the small limit first, refuses many more, and then counts what is left of the big one.
#[test]
fn a_refusal_moves_no_level() {
    type Send = fn(usize) -> Request;
    let cases: [(&str, &str, &str, Send, Send); 6] = [
        (
            "user refuses, tenant keeps",
            "    - {name: big, per: tenant, requests: 30/day}\n    - {name: small, per: user, requests: 10/day}\n",
            "",
            |_| call("a", "ONE", 0),
            |i| call("a", "ONE", 1 + i % 5),
        ),
        (
            "the same, written the other way round",
            "    - {name: small, per: user, requests: 10/day}\n    - {name: big, per: tenant, requests: 30/day}\n",
            "",
            |_| call("a", "ONE", 0),
            |i| call("a", "ONE", 1 + i % 5),
        ),
        (
            "tenant refuses, route keeps",
            "    - {name: small, per: tenant, requests: 10/day}\n",
            "      - {name: big, per: route, requests: 30/day}\n",
            |_| call("a", "ONE", 0),
            |i| call("a", ["TWO", "THREE"][i % 2], 0),
        ),
        (
            "route refuses, tenant keeps",
            "    - {name: big, per: tenant, requests: 30/day}\n",
            "      - {name: small, per: route, requests: 10/day}\n",
            |_| call("a", "ONE", 0),
            |_| call("b", "ONE", 0),
        ),
        (
            "tenant+route refuses, tenant keeps",
            "    - {name: big, per: tenant, requests: 30/day}\n",
            "      - {name: small, per: tenant+route, requests: 10/day}\n",
            |_| call("a", "ONE", 0),
            |_| call("b", "ONE", 0),
        ),
        (
            "concurrent refuses, tenant keeps",
            "    - {name: big, per: tenant, requests: 30/day}\n    - {name: small, per: user, concurrent: 10}\n",
            "",
            |_| call("a", "ONE", 0).header("x-mock-latency-ms", "1500"),
            |i| call("a", "ONE", 1 + i % 5),
        ),
    ];
    for (name, plan, route_a, exhaust, rest) in cases {
        let (mock, gateway) = start_limited(plan, route_a);
        assert_eq!(storm(&gateway, 1, exhaust), 10, "{name}: the small limit");
        assert_eq!(storm(&gateway, 1, rest), 20, "{name}: what is left of the big one");
        assert_eq!(mock.requests(), 30, "{name}");
    }
}

#[test]
fn a_level_refills_at_its_rate() {
    let (_mock, gateway) = start_limited("    - {name: tested, per: tenant, requests: 10/s, burst: 5}\n", "");
    let status = || call("a", "ONE", 0).send(gateway.http).status;
    let mut admitted = 0;
    let start = harness::now();
    while start.elapsed() < secs(3) {
        admitted += u32::from(status() == 200);
        std::thread::sleep(ms(2));
    }
    assert!((33..=36).contains(&admitted), "5 at once and 10 a second for 3 s: {admitted}");
}

#[test]
fn retry_after_is_true() {
    let (_mock, gateway) =
        start_limited("    - {name: tested, per: tenant, requests: 60/min, burst: 1}\n", "");
    let send = || call("a", "ONE", 0).send(gateway.http);
    assert_eq!(send().status, 200);
    let refused = send();
    assert_eq!(refused.status, 429);
    let number = |name| refused.header(name).expect(name).parse::<u64>().expect("a number");
    let (s, milliseconds) = (number("retry-after"), number("retry-after-ms"));
    assert!(s >= 1 && s * 1000 >= milliseconds, "Retry-After {s} s, retry-after-ms {milliseconds}");
    assert!((1..=1200).contains(&milliseconds), "{milliseconds}");
    std::thread::sleep(ms(milliseconds + 5)); // a caller that does as it was told
    assert_eq!(send().status, 200, "admitted at the time it was given");
}
