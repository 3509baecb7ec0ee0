//! Ten thousand requests while backends die, dawdle and flap.

use super::*;
use harness::gateway::CHAT_API_KEY;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

const CALLERS: u64 = 16;
const EACH: u64 = 625;

fn chat_number(number: u64) -> Request {
    let body = r#"{"model":"large","messages":[{"role":"user","content":"hello"}],"max_tokens":2}"#;
    bearer(Request::post(OPENAI_CHAT, body), CHAT_API_KEY).header("x-loadtest-request", number.to_string())
}

/// How often each request was answered by a model.
fn done(mocks: &[&Mock]) -> HashMap<u64, u32> {
    let mut done = HashMap::new();
    for arrival in mocks.iter().flat_map(|mock| mock.journal()).filter(|arrival| arrival.status == 200) {
        *done.entry(arrival.number).or_default() += 1;
    }
    done
}

#[test]
fn callers_see_no_error_that_could_be_hidden_and_no_post_is_done_twice() {
    let (killed, slow, flapping) = (Mock::start(), Mock::start(), Mock::start());
    let rule = "retry: {on: [connect, reset, 429, 502, 503, 504], attempts: 3, budget: 100}";
    let policy = include_str!("policy.yaml")
        .replace(
            r#"[{url: "http://FIRST", weight: 1000}, {url: "http://SECOND", weight: 1}]"#,
            &format!(
                r#"[{{url: "http://{}"}}, {{url: "http://{}"}}, {{url: "http://{}"}}]"#,
                killed.address, slow.address, flapping.address
            ),
        )
        .replace("SMALL", NOBODY)
        .replace("# more chat", rule)
        .replace("# more plain", rule);
    let gateway = Setup::in_front_of(slow.address).set("workers", "2").policy(&policy).start();
    slow.behave(r#"{"latency_ms": "5..15"}"#);

    let (served, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let (killed_did, lost) = thread::scope(|scope| {
        let flaps = scope.spawn(|| {
            let faults = ["status:503", "status:429", "none"];
            for fault in faults.iter().cycle().take(10_000) {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                flapping.behave(&format!(r#"{{"faults": ["{fault}"]}}"#).replace(r#"["none"]"#, "[]"));
                thread::sleep(ms(20));
            }
        });
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                let (served, gateway) = (&served, &gateway);
                scope.spawn(move || {
                    let mut conn = Conn::open(gateway.http);
                    let mut lost = 0;
                    for number in caller * EACH..(caller + 1) * EACH {
                        // Every fourth only reads, and may be done twice.
                        let reads = number % 4 == 0;
                        let request = if reads { get() } else { chat_number(number + 1) };
                        conn.send(request.to_bytes());
                        let answer = conn.response().expect("an answer");
                        match answer.status {
                            200 => {}
                            // Under way when its backend was killed: nobody can know whether it was done.
                            502 if !reads => lost += 1,
                            status => panic!("{status} for {number}: {}", answer.text()),
                        }
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                    lost
                })
            })
            .collect();
        eventually("a third is served", secs(60), || {
            (served.load(Ordering::Relaxed) > CALLERS * EACH / 3).then_some(())
        });
        let killed_did = done(&[&killed]);
        killed.signal("KILL");
        let lost: u64 = callers.into_iter().map(|caller| caller.join().expect("no caller fails")).sum();
        over.store(true, Ordering::Relaxed);
        flaps.join().expect("it flaps to the end");
        (killed_did, lost)
    });

    assert!(lost <= CALLERS, "{lost} errors; at most one for each caller can be under way");
    let done = done(&[&slow, &flapping]);
    for (number, times) in done.iter().filter(|(number, _)| **number > 0) {
        let times = times + killed_did.get(number).copied().unwrap_or(0);
        assert_eq!(times, 1, "request {number}");
    }
    let retried = metric(&gateway, "gateway_retries_total", &["outcome=\"ok\""]);
    assert!(retried > 100, "only {retried} attempts were made again");
}

#[test]
fn when_all_is_down_the_budget_bounds_what_trying_again_adds() {
    let (first, second, gateway) = pair("retry: {on: [503], attempts: 2, budget: 20}");
    for mock in [&first, &second] {
        mock.behave(r#"{"faults": ["status:503"]}"#);
    }
    let mut conn = Conn::open(gateway.http);
    let requests = 300;
    for _ in 0..requests {
        conn.send(get().to_bytes());
        assert_eq!(conn.response().expect("an answer").status, 503);
    }
    let (asked, free) = (first.requests() + second.requests(), 30);
    assert!(asked > requests + 20, "nothing was tried again: {asked}");
    // The window may roll over once meanwhile.
    assert!(asked <= requests + requests / 5 + 2 * free, "{asked} for {requests}");
    assert!(metric(&gateway, "gateway_retry_budget_exhausted_total", &["pool=\"models\""]) > 50);
    let refused = metric(&gateway, "gateway_retries_total", &["outcome=\"no_budget\""]);
    assert_eq!(asked + refused, 2 * requests);
}

#[test]
fn what_a_fallback_took_during_a_pause_pays_for_no_attempts_after_it() {
    let [first, second, small] = [(); 3].map(|()| Mock::start());
    let policy = include_str!("policy.yaml")
        .replace("FIRST", &first.address.to_string())
        .replace("SECOND", &second.address.to_string())
        .replace("SMALL", &small.address.to_string())
        .replace("connect_timeout: 1s", "queue: {in_flight_max: 64}")
        .replace("# more plain", "retry: {on: [503], attempts: 2, budget: 20, fallback: {pool: small}}");
    let gateway = Setup::in_front_of(first.address).policy(&policy).start();
    let mut conn = Conn::open(gateway.http);
    let mut send = |requests: usize| {
        for _ in 0..requests {
            conn.send(get().to_bytes());
            assert_eq!(conn.response().expect("an answer").status, 200);
        }
    };
    let refuse = |fault: &str| {
        [&first, &second].into_iter().for_each(|mock| {
            mock.behave(&format!(r#"{{"faults": ["{fault}"]}}"#));
        });
    };
    refuse("status:503:2");
    send(300);
    assert_eq!(first.requests() + second.requests(), 2, "nobody is asked during the pause");
    refuse("status:503");
    thread::sleep(ms(2000));
    send(60);
    let again = metric(&gateway, "gateway_retries_total", &["reason=\"503\"", "outcome=\"failed\""]);
    assert!((30..50).contains(&again), "{again} attempts: 30 are free, and a fifth of 61 requests");
}
