//! Who does not get through, and what it is told.

use super::*;

/// A refusal of the queue in OpenAI's dialect, for this reason, in the answer and in the log.
fn assert_refused(gateway: &Gateway, answer: &Response, reason: &str) {
    let body = answer.json();
    assert_eq!(answer.status, 503, "{body}");
    assert_eq!(
        (body["error"]["type"].as_str(), body["error"]["code"].as_str()),
        (Some("server_error"), Some(reason))
    );
    assert!(body["error"]["message"].as_str().is_some_and(|text| text.contains("try again in")), "{body}");
    assert!(retry_after(answer) >= 1, "{answer:?}");
    let line = line(gateway, answer);
    assert_eq!((line["outcome"].as_str(), line["status"].as_u64()), (Some(reason), Some(503)), "{line}");
    let counted = format!("gateway_queue_refused_total{{pool=\"models\",reason=\"{reason}\"}} 1\n");
    assert!(gateway.admin("/metrics").text().contains(&counted), "{reason} is counted");
}

fn retry_after(answer: &Response) -> u64 {
    let value = answer.header("retry-after").unwrap_or_else(|| panic!("no Retry-After: {answer:?}"));
    value.parse().expect("whole seconds")
}

fn occupy(gateway: &Gateway, lasting: Duration, waiting: &[&str]) -> Vec<JoinHandle<Answered>> {
    let mut requests = vec![slow(OPENAI_CHAT, "hooli", lasting)];
    requests.extend(waiting.iter().map(|tenant| slow(OPENAI_CHAT, tenant, ms(0))));
    send_in_order(gateway, 1, requests)
}

#[test]
fn a_full_queue_refuses_at_once() {
    for (waiting_max, waiting) in [(1, &["acme"][..]), (0, &[])] {
        let queue = format!("{{in_flight_max: 1, waiting_max: {waiting_max}, adapt: false}}");
        let (mock, gateway) = start(&policy(&queue));
        let sent = occupy(&gateway, ms(600), waiting);
        let refused = slow(OPENAI_CHAT, "acme", ms(0)).send(gateway.http);
        assert_refused(&gateway, &refused, "queue_full");
        assert_eq!(queued(&gateway, &refused), None, "it never waited");
        assert!(sent.into_iter().all(|sent| answer(sent).status == 200));
        assert_eq!(mock.requests(), 1 + waiting_max);
    }
}

#[test]
fn a_queue_that_is_full_of_bytes_refuses_as_well() {
    let (_mock, gateway) = start(&policy("{in_flight_max: 1, waiting_bytes_max: 100B, adapt: false}"));
    let sent = occupy(&gateway, ms(500), &["acme"]);
    for target in [OPENAI_CHAT, ECHO] {
        let refused = slow(target, "acme", ms(0)).send(gateway.http);
        assert_eq!(line(&gateway, &refused)["outcome"], "queue_full", "{target}");
    }
    assert!(sent.into_iter().all(|sent| answer(sent).status == 200));
}

#[test]
fn who_fills_the_queue_gives_way_to_others() {
    let (mock, gateway) = start(&policy("{in_flight_max: 1, waiting_max: 2, adapt: false}"));
    let mut sent = occupy(&gateway, ms(800), &["acme", "acme"]);
    let other = send(&gateway, slow(OPENAI_CHAT, "globex", ms(0)));
    let displaced = answer(sent.pop().expect("the newest"));
    assert_refused(&gateway, &displaced, "displaced");
    assert!(queued(&gateway, &displaced).is_some());
    assert_eq!(answer(other).status, 200);
    assert!(sent.into_iter().all(|sent| answer(sent).status == 200));
    assert_eq!(mock.requests(), 3, "it was never sent");
}

#[test]
fn who_could_not_be_served_in_time_hears_so_at_once() {
    let (_mock, gateway) =
        start(&policy("{in_flight_max: 1, adapt: false, classes: [{name: only, wait_max: 1s}]}"));
    assert_eq!(slow(OPENAI_CHAT, "acme", ms(700)).send(gateway.http).status, 200);
    let sent = occupy(&gateway, ms(700), &["acme"]);
    let asked = now();
    let refused = slow(OPENAI_CHAT, "acme", ms(0)).send(gateway.http);
    assert_refused(&gateway, &refused, "hopeless");
    assert!(asked.elapsed() < ms(400));
    assert!((1..=3).contains(&retry_after(&refused)), "two before it, of 0.7 s each");
    assert!(sent.into_iter().all(|sent| answer(sent).status == 200));
}

#[test]
fn nobody_waits_longer_than_its_class_may() {
    let queue = "{in_flight_max: 1, adapt: false, classes: [{name: only, wait_max: 500ms}]}";
    let (mock, gateway) = start(&policy(queue));
    let mut sent = occupy(&gateway, ms(2000), &["acme"]);
    let refused = answer(sent.pop().expect("the one that waits"));
    assert_refused(&gateway, &refused, "timed_out");
    let waited = queued(&gateway, &refused).expect("it waited");
    assert!((ms(500)..ms(1200)).contains(&waited), "{waited:?}");
    assert_eq!(answer(sent.remove(0)).status, 200);
    assert_eq!(mock.requests(), 1);
}

#[test]
fn the_time_of_the_whole_exchange_ends_a_wait() {
    let (mock, gateway) = start(&policy("{in_flight_max: 1, adapt: false}"));
    let sent = occupy(&gateway, ms(2500), &[]);
    // Its route has `timeouts.total: 1s`, and APIG's dialect.
    let late = slow(PANGU_CHAT, "acme", ms(0)).send(gateway.http);
    assert_eq!(
        (late.status, late.json()["error_code"].as_str()),
        (504, Some("APIG.0203")),
        "{}",
        late.text()
    );
    let line = line(&gateway, &late);
    assert_eq!(line["outcome"], "total_late", "{line}");
    let waited = queued(&gateway, &late).expect("it waited");
    assert!((ms(900)..ms(1700)).contains(&waited), "not until there was room: {waited:?}");
    assert_eq!(gate(&gateway)["waiting"], 0);
    assert!(sent.into_iter().all(|sent| answer(sent).status == 200));
    assert_eq!(mock.requests(), 1);
}

#[test]
fn a_refusal_speaks_the_dialect_of_its_route() {
    let (_mock, gateway) = start(&policy("{in_flight_max: 1, waiting_max: 0, adapt: false}"));
    let sent = occupy(&gateway, ms(500), &[]);
    for target in [PANGU_CHAT, ECHO] {
        let refused = slow(target, "acme", ms(0)).send(gateway.http);
        let body = refused.json();
        assert_eq!((refused.status, body["error_code"].as_str()), (503, Some("APIG.0202")), "{body}");
        assert!(body.get("error").is_none() && retry_after(&refused) >= 1, "{body}");
    }
    assert!(sent.into_iter().all(|sent| answer(sent).status == 200));
}

#[test]
fn who_is_refused_by_the_queue_holds_nothing_and_pays_no_tokens() {
    let (_mock, gateway) = start(&policy("{in_flight_max: 1, waiting_max: 0, adapt: false}"));
    let sent = occupy(&gateway, ms(500), &[]);
    assert_eq!(slow(OPENAI_CHAT, "acme", ms(0)).send(gateway.http).status, 503);
    eventually("nothing is held or used", secs(2), || {
        let limits = gateway.admin("/limits?tenant=acme").json();
        let limits = limits["limits"].as_array()?.iter();
        let mut counted = limits.filter(|limit| limit["limit"] != "rps");
        counted.all(|limit| limit["used"] == 0 && limit["held"] == 0).then_some(())
    });
    assert!(sent.into_iter().all(|sent| answer(sent).status == 200));
}
