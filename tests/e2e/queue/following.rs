//! What changes while requests wait: the policy, the upstream's mood, the life of the gateway.

use super::*;
use harness::http_date;

#[test]
fn a_reload_that_makes_room_lets_in_who_waits() {
    let (_mock, gateway) = start(&policy("{in_flight_max: 1, adapt: false}"));
    let mut requests = vec![slow(OPENAI_CHAT, "hooli", ms(1500))];
    requests.extend(["acme", "globex"].map(|tenant| slow(OPENAI_CHAT, tenant, ms(0))));
    let mut sent = send_in_order(&gateway, 1, requests);
    gateway.write_policy(&policy("{in_flight_max: 3, adapt: false}"));
    let first = answered(sent.remove(0));
    for waited in sent {
        let (answer, at) = answered(waited);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(at < first.1, "it waited for the one in flight");
    }
    assert_eq!(gate(&gateway)["in_flight_max"], 3);
}

#[test]
fn a_reload_that_takes_the_queue_away_leaves_nobody_in_it_for_ever() {
    let queue = "{in_flight_max: 1, adapt: false, classes: [{name: only, wait_max: 1s}]}";
    let (_mock, gateway) = start(&policy(queue));
    let requests = vec![slow(OPENAI_CHAT, "hooli", ms(3000)), slow(OPENAI_CHAT, "acme", ms(0))];
    let mut sent = send_in_order(&gateway, 1, requests);
    gateway.write_policy(&policy(queue).replace(&format!("    queue: {queue}\n"), ""));
    eventually("nobody waits any more", secs(2), || {
        let passed = slow(OPENAI_CHAT, "globex", ms(0)).send(gateway.http);
        (passed.status == 200 && queued(&gateway, &passed).is_none()).then_some(())
    });
    assert_eq!(gate(&gateway)["in_flight"], 1, "the old gate is shown while it serves");
    let late = answer(sent.pop().expect("the one that waits"));
    assert_eq!((late.status, line(&gateway, &late)["outcome"].as_str()), (503, Some("timed_out")));
    assert_eq!(answer(sent.remove(0)).status, 200);
    until(&gateway, 0, 0);
}

#[test]
fn who_waits_is_served_before_the_end() {
    let (mock, mut gateway) = start(&policy("{in_flight_max: 1, adapt: false}"));
    let mut requests = vec![slow(OPENAI_CHAT, "hooli", ms(600))];
    requests.extend(["acme", "globex"].map(|tenant| slow(OPENAI_CHAT, tenant, ms(100))));
    let sent = send_in_order(&gateway, 1, requests);
    gateway.process.signal("TERM");
    assert!(sent.into_iter().all(|sent| answer(sent).status == 200));
    assert_eq!(gateway.process.wait(secs(3)).and_then(|status| status.code()), Some(0));
    assert_eq!(mock.requests(), 3);
}

#[test]
fn an_upstream_that_asks_to_be_left_alone_is() {
    let script = busy_at_first(|| "1".to_owned());
    let gateway = setup(script.address, &policy("{in_flight_max: 4}")).start();
    let refused = slow(OPENAI_CHAT, "acme", ms(0)).send(gateway.http);
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")), "the caller hears it too");
    let served = slow(OPENAI_CHAT, "globex", ms(0)).send(gateway.http);
    assert_eq!(served.status, 200, "{}", served.text());
    let waited = queued(&gateway, &served).expect("it waited");
    assert!((ms(800)..ms(2000)).contains(&waited), "{waited:?}");
    assert_eq!(script.seen().len(), 2);
}

#[test]
fn an_upstream_may_name_the_date_until_which_it_is_left_alone() {
    // A date has no parts of a second, so that this one is two to three seconds from now.
    let script = busy_at_first(|| http_date(secs(3)));
    let gateway = setup(script.address, &policy("{in_flight_max: 4}")).start();
    assert_eq!(slow(OPENAI_CHAT, "acme", ms(0)).send(gateway.http).status, 429);
    let served = slow(OPENAI_CHAT, "globex", ms(0)).send(gateway.http);
    assert_eq!(served.status, 200, "{}", served.text());
    let waited = queued(&gateway, &served).expect("it waited");
    assert!((ms(1_500)..ms(4_000)).contains(&waited), "{waited:?}");
}

#[test]
fn nobody_waits_for_an_upstream_that_is_not_to_be_followed() {
    for queue in ["{in_flight_max: 4, adapt: false}", "{adapt: {pause_max: 1ms}}"] {
        let script = busy_at_first(|| "5".to_owned());
        let gateway = setup(script.address, &policy(queue)).start();
        assert_eq!(slow(OPENAI_CHAT, "acme", ms(0)).send(gateway.http).status, 429);
        std::thread::sleep(ms(20)); // longer than `pause_max`
        let served = slow(OPENAI_CHAT, "globex", ms(0)).send(gateway.http);
        assert_eq!((served.status, queued(&gateway, &served)), (200, None), "{queue}");
    }
}

#[test]
fn an_upstream_that_refuses_gets_less_at_a_time() {
    let (_mock, gateway) = start(&policy("{in_flight_max: 10, adapt: {keep: 50}}"));
    let busy = || slow(OPENAI_CHAT, "acme", ms(200)).header("x-mock-fault", "status:503");
    let sent: Vec<_> = (0..6).map(|_| send(&gateway, busy())).collect();
    assert!(sent.into_iter().all(|sent| answer(sent).status == 503));
    let places = gate(&gateway)["in_flight_max"].as_u64().expect("learned");
    assert!((1..=3).contains(&places), "half of the six in flight, or of fewer: {places}");
}
