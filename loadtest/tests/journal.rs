//! The mock's journal over real sockets.

#![allow(clippy::unwrap_used)] // helpers of tests may panic as tests do

#[allow(dead_code)] // what other tests need of it
mod caller;

use std::time::Duration;

use caller::{Caller, get, post_with};
use pangu_loadtest::mock::count::Outcome;
use pangu_loadtest::mock::journal::Journal;
use pangu_loadtest::mock::{Mock, Options};

/// The body of an answer of the control API.
fn control(mock: &Mock, target: &str) -> Vec<u8> {
    let mut caller = Caller::connect_to(mock.control_address());
    caller.send(&format!("GET {target} HTTP/1.1\r\nHost: c\r\n\r\n"));
    caller.read_answer().body
}

fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..2000 {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("not within 2 s");
}

#[test]
fn the_journal_tells_of_every_request_what_a_judge_needs() {
    let options = Options { record: None, journal: Some(3), ..Options::default() };
    let mock = Mock::start(&options).unwrap();
    let chat =
        r#"{"model":"m","messages":[{"role":"user","content":"12345678"}],"max_tokens":5,"stream":true}"#;
    let before_us = pangu_loadtest::clock::mono_us();
    post_with(&mock, "/v1/chat/completions", chat, &[("x-loadtest-request", "71"), ("X-Tenant", "acme")]);
    let whole = chat.replace("true", "false");
    post_with(&mock, "/v1/chat/completions", &whole, &[("x-loadtest-request", "72"), ("X-Tenant", "acme")]);
    get(&mock, "/mock/status/429");
    let after_us = pangu_loadtest::clock::mono_us();

    let journal = mock.journal().expect("a journal is kept");
    assert_eq!((&journal.tenants[..], journal.dropped), (&["acme".to_owned()][..], 0));
    let seen: Vec<_> = journal
        .arrivals
        .iter()
        .map(|a| (a.number, a.tenant, a.prompt_tokens, a.completion_tokens, a.status))
        .collect();
    assert_eq!(seen, [(71, Some(0), 2, 5, 200), (72, Some(0), 2, 5, 200), (0, None, 0, 0, 429)]);
    for arrival in &journal.arrivals {
        assert_eq!(arrival.outcome, Some(Outcome::Completed));
        assert!(before_us <= arrival.arrived_us, "{arrival:?} after {before_us}");
        assert!(arrival.arrived_us <= arrival.ended_us && arrival.ended_us <= after_us, "{arrival:?}");
        if arrival.completion_tokens > 0 {
            let tokens_us = [arrival.first_token_us, arrival.last_token_us];
            assert!(tokens_us.is_sorted() && arrival.arrived_us <= tokens_us[0], "{arrival:?}");
            assert!(tokens_us[1] <= arrival.ended_us, "{arrival:?}");
        }
    }

    let text = String::from_utf8(control(&mock, "/mock/journal")).unwrap();
    assert_eq!(Journal::read(text.as_bytes()).unwrap(), journal);
    get(&mock, "/mock/bytes/1");
    assert_eq!(mock.journal().unwrap().dropped, 1, "there was room for three");
    mock.reset();
    assert_eq!(mock.journal().unwrap(), Journal::default());
}

#[test]
fn a_stream_that_is_left_is_charged_with_what_was_sent() {
    let options = Options { journal: Some(10), ..Options::default() };
    let mock = Mock::start(&options).unwrap();
    let mut caller = Caller::connect(&mock);
    let body = r#"{"model":"m","messages":[{"role":"user","content":"1"}],"max_tokens":32,"stream":true}"#;
    let length = body.len();
    caller.send(&format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: m\r\nx-mock-token-every-ms: 20\r\nContent-Length: {length}\r\n\r\n{body}"
    ));
    std::thread::sleep(Duration::from_millis(150));
    drop(caller);
    let left = eventually(|| mock.journal().unwrap().arrivals.into_iter().find(|a| a.ended_us > 0));
    assert_eq!(left.outcome, Some(Outcome::Cancelled));
    assert!((1..32).contains(&left.completion_tokens), "{left:?}");
    // The mock never is ahead of its schedule.
    let took_us = left.last_token_us - left.first_token_us;
    let due_us = 20_000 * u64::from(left.completion_tokens - 1);
    assert!(took_us + 5_000 >= due_us, "{left:?}");
}
