//! A pool that is asked in another's place has a queue of its own.

use super::*;
use harness::Conn;

/// `chat` and `echo` ask the pool `first`, and this pool with its queue where `first` comes to nothing.
fn behind(first: SocketAddr, about_first: &str, on: &str) -> String {
    let pool = format!(
        "pools:\n  - name: first\n    backends: [{{url: \"http://{first}\"}}]\n    connect_timeout: 1s\n    {about_first}\n"
    );
    let there = "    auth: [api_key]\n    pool: models\n    tenant_header: x-tenant\n";
    let asked = format!(
        "    auth: [api_key]\n    pool: first\n    tenant_header: x-tenant\n    retry: {{{on}, fallback: {{pool: models}}}}\n"
    );
    policy("{in_flight_max: 1, adapt: false, classes: [{name: only, wait_max: 2s}]}")
        .replace("pools:\n", &pool)
        .replace(&format!("{there}    timeouts"), "    auth: [api_key]\n    pool: models\n    timeouts")
        .replace(there, &asked)
}

/// Takes the only place of the pool `models` for so long.
fn occupy(gateway: &Gateway, lasting: Duration) -> JoinHandle<Answered> {
    let request = Request::get("/mock/bytes/1").header("x-mock-latency-ms", lasting.as_millis().to_string());
    let sent = send(gateway, request);
    until_taken(gateway, "models");
    sent
}

/// Waits until the only place of a pool is taken.
fn until_taken(gateway: &Gateway, pool: &str) {
    eventually(&format!("the place of {pool} is taken"), secs(5), || {
        let gates = gateway.admin("/queues").json();
        let gates = gates.as_array().expect("a list of queues");
        gates.iter().any(|gate| gate["pool"] == pool && gate["in_flight"] == 1).then_some(())
    });
}

#[test]
fn who_comes_because_the_first_answer_was_late_waits_there() {
    let (first, mock) = (Mock::start(), Mock::start());
    first.behave(r#"{"faults": ["hang-head"]}"#);
    let policy = behind(first.address, "", "on: [first_byte], first_byte: 200ms, repeat_post: true");
    let gateway = setup(mock.address, &policy).start();
    let busy = occupy(&gateway, ms(800));
    let answer = slow(OPENAI_CHAT, "acme", ms(0)).send(gateway.http);
    assert_eq!((answer.status, answer.header("x-gateway-fallback")), (200, Some("models")));
    assert!(queued(&gateway, &answer) > Some(ms(300)), "{:?}", queued(&gateway, &answer));
    assert_eq!(super::answer(busy).status, 200);
}

#[test]
fn a_fallback_whose_queue_refuses_is_counted() {
    let (first, mock) = (Mock::start(), Mock::start());
    first.behave(r#"{"faults": ["status:503"]}"#);
    let about_first = "queue: {in_flight_max: 1, adapt: false}";
    let gateway = setup(mock.address, &behind(first.address, about_first, "on: [503]")).start();
    let busy = occupy(&gateway, ms(3000));
    let answer = slow(OPENAI_CHAT, "acme", ms(0)).send(gateway.http);
    assert_eq!((answer.status, line(&gateway, &answer)["outcome"].as_str()), (503, Some("timed_out")));
    let counted = gateway.admin("/metrics").text();
    let counted = counted.lines().find(|line| {
        line.starts_with("gateway_fallbacks_total") && line.contains("503") && line.contains("failed")
    });
    assert!(counted.is_some_and(|line| line.ends_with(" 1")), "{counted:?}");
    assert_eq!(super::answer(busy).status, 200);
}

#[test]
fn both_waits_are_told() {
    let (first, mock) = (Mock::start(), Mock::start());
    first.behave(r#"{"faults": ["status:503"]}"#);
    let about_first = "queue: {in_flight_max: 1, adapt: false}";
    let gateway = setup(mock.address, &behind(first.address, about_first, "on: [503]")).start();
    // Some 400 ms before the first pool, some 600 before the second: until both who are ahead have been served.
    let busy = occupy(&gateway, ms(600));
    let ahead = send(&gateway, slow(OPENAI_CHAT, "globex", ms(400)));
    until_taken(&gateway, "first");
    let answer = slow(OPENAI_CHAT, "acme", ms(0)).send(gateway.http);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let queued = queued(&gateway, &answer).expect("it waited");
    assert!(queued > ms(800), "both waits: {queued:?}");
    assert!([ahead, busy].into_iter().all(|sent| super::answer(sent).status == 200));
}

#[test]
fn nobody_waits_for_a_pool_in_which_nobody_is_left() {
    let (first, mock) = (Mock::start(), Mock::start());
    let about_first = "queue: {in_flight_max: 1, adapt: false}\n    health: {path: /mock/status/200, every: 100ms, timeout: 100ms, healthy_after: 1, unhealthy_after: 1}\n    panic: 0%";
    let gateway = setup(mock.address, &behind(first.address, about_first, "on: [connect]")).start();
    let hanging = send(&gateway, slow(OPENAI_CHAT, "globex", ms(3000)));
    until_taken(&gateway, "first");
    first.behave(r#"{"faults": ["status:503"]}"#);
    eventually("nobody is left", secs(5), || {
        let text = gateway.admin("/metrics").text();
        let up = "gateway_upstream_backend_up{pool=\"first\"";
        text.lines().any(|line| line.starts_with(up) && line.ends_with(" 0")).then_some(())
    });
    let answer = slow(OPENAI_CHAT, "acme", ms(0)).send(gateway.http);
    assert_eq!((answer.status, answer.header("x-gateway-fallback")), (200, Some("models")));
    assert_eq!(queued(&gateway, &answer), None);
    super::answer(hanging);
}

#[test]
fn nobody_waits_out_a_pause_while_somebody_else_answers() {
    let (first, mock) = (busy_at_first(|| "2".to_owned()), Mock::start());
    let about_first = "queue: {in_flight_max: 4}";
    let gateway = setup(mock.address, &behind(first.address, about_first, "on: [429]")).start();
    for attempts in [2.into(), Value::Null] {
        let answer = slow(OPENAI_CHAT, "acme", ms(0)).send(gateway.http);
        assert_eq!((answer.status, answer.header("x-gateway-fallback")), (200, Some("models")));
        let line = line(&gateway, &answer);
        assert_eq!((&line["attempts"], &line["queued_us"]), (&attempts, &Value::Null));
    }
    let counted = gateway.admin("/metrics").text();
    let counted = counted.lines().find(|line| {
        line.starts_with("gateway_fallbacks_total") && line.contains("no_backend") && line.contains("ok")
    });
    assert!(counted.is_some_and(|line| line.ends_with(" 1")), "{counted:?}");
    eventually("the first pool is asked again", secs(5), || {
        let answer = slow(OPENAI_CHAT, "acme", ms(0)).send(gateway.http);
        answer.header("x-gateway-fallback").is_none().then_some(())
    });
    assert_eq!(first.seen().len(), 2, "the refusal, and the one after the pause");
}

#[test]
fn who_waits_when_a_pause_begins_leaves_for_the_fallback() {
    let (first, mock) = (Mock::start(), Mock::start());
    let about_first = "queue: {in_flight_max: 1}";
    let gateway = setup(mock.address, &behind(first.address, about_first, "on: [429]")).start();
    let refused = slow(OPENAI_CHAT, "globex", ms(500)).header("x-mock-fault", "status:429:5");
    let refused = send(&gateway, refused);
    until_taken(&gateway, "first");
    let answer = slow(OPENAI_CHAT, "acme", ms(0)).send(gateway.http);
    assert_eq!((answer.status, answer.header("x-gateway-fallback")), (200, Some("models")));
    assert!(queued(&gateway, &answer) < Some(ms(1500)), "{:?}", queued(&gateway, &answer));
    super::answer(refused);
}

#[test]
fn a_pause_is_waited_out_if_the_fallback_has_one_too() {
    let first = busy_at_first(|| "2".to_owned());
    let second = busy_at_first(|| "2".to_owned());
    let policy = behind(first.address, "queue: {in_flight_max: 4}", "on: [429]");
    let gateway = setup(second.address, &policy.replace("adapt: false", "adapt: true")).start();
    assert_eq!(slow(OPENAI_CHAT, "acme", ms(0)).send(gateway.http).status, 429, "both refuse");
    let answer = slow(OPENAI_CHAT, "acme", ms(0)).send(gateway.http);
    assert_eq!((answer.status, answer.header("x-gateway-fallback")), (200, None));
    assert!(queued(&gateway, &answer) > Some(ms(1500)), "{:?}", queued(&gateway, &answer));
}

#[test]
fn a_slow_upload_holds_no_place_there_either() {
    let mock = Mock::start();
    let nobody = "127.0.0.1:1".parse().expect("an address");
    let gateway = setup(mock.address, &behind(nobody, "", "on: [connect]")).start();
    let request = slow(ECHO, "acme", ms(0)).to_bytes();
    let (most, rest) = request.split_at(request.len() - 5);
    let mut slow_conn = Conn::open(gateway.http);
    slow_conn.send(most);
    std::thread::sleep(ms(100)); // the first pool has come to nothing by now
    let other = slow(OPENAI_CHAT, "globex", ms(0)).send(gateway.http);
    assert_eq!((other.status, queued(&gateway, &other)), (200, None));
    slow_conn.send(rest);
    assert_eq!(slow_conn.response().map(|answer| answer.status), Some(200));
}
