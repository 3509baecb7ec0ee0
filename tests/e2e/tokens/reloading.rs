//! A reload keeps what was used, for open streams as well, and leaves no hold behind.

use super::*;
use harness::Conn;

/// Puts a policy in force.
fn reload(gateway: &Gateway, policy: &str) {
    let version = || gateway.admin("/policy").json()["version"].as_u64();
    let before = version();
    gateway.write_policy(policy);
    eventually("the policy is in force", secs(5), || (version() > before).then_some(()));
}

fn tested(more: &str) -> String {
    limited(&format!("- {{name: tested, per: tenant, counts: completion, {more}}}"))
}

#[test]
fn a_limit_that_is_halved_keeps_what_was_used() {
    for (whole, half) in [("tokens: 1000/h", "tokens: 500/h"), ("tokens: 1000/month", "tokens: 500/month")] {
        let (_mock, gateway) = start_metered(&tested(whole));
        let request = || post(OPENAI_CHAT, &hello_m(r#","max_tokens":10"#)).header("x-mock-tokens", "300");
        let used = || {
            charged(&gateway);
            number(&level(&gateway, "acme", "tested"), "used")
        };
        for _ in 0..2 {
            assert_eq!(request().send(gateway.http).status, 200);
        }
        assert!((599..=600).contains(&used()), "{}", used());
        reload(&gateway, &tested(half));
        assert!((598..=600).contains(&used()), "{}", used());
        assert_eq!(request().send(gateway.http).status, 429, "{half}: 600 are used");
        reload(&gateway, &tested(whole));
        assert!((597..=600).contains(&used()), "{}", used());
        assert_eq!(request().send(gateway.http).status, 200);
        assert_eq!(request().send(gateway.http).status, 200, "{whole}: 100 are left");
        charged(&gateway);
        assert_eq!(request().send(gateway.http).status, 429);
    }
}

/// A stream of so many tokens, one in 20 ms, that is open.
fn open(gateway: &Gateway, tokens: u32) -> Conn {
    let mut conn = Conn::open(gateway.http);
    conn.patience(secs(60));
    let request = post(PANGU_CHAT, &hello(r#","stream":true,"max_tokens":10"#));
    let request = request.header("x-mock-tokens", tokens.to_string()).header("x-mock-token-every-ms", "20");
    conn.send(request.to_bytes());
    assert_eq!(conn.head().map(|head| head.status), Some(200));
    conn
}

/// What is left of it.
fn rest(conn: &mut Conn) -> String {
    let mut text = String::new();
    loop {
        match conn.chunk() {
            Some(chunk) if chunk.is_empty() => return text,
            Some(chunk) => text += &String::from_utf8_lossy(&chunk),
            None => panic!("cut off: {text}"),
        }
    }
}

#[test]
fn a_limit_that_is_cut_down_ends_streams_that_are_open() {
    let (mock, gateway) = start_metered(&tested("tokens: 1M/month, on_exhausted: cut"));
    let mut stream = open(&gateway, 100_000);
    eventually("something has passed", secs(10), || {
        (number(&level(&gateway, "acme", "completion"), "used") >= 20).then_some(())
    });
    reload(&gateway, &tested("tokens: 10/month, on_exhausted: cut"));
    let text = rest(&mut stream);
    assert!(text.contains(r#""finish_reason":"length""#) && text.ends_with("data:[DONE]\n\n"), "{text}");
    // What was on its way while the stream was being cut nobody got, and nobody pays.
    let (charged, sent) = (charged(&gateway).completion, mock.tokens_sent());
    assert!((20..=sent).contains(&charged) && sent < 1000, "{charged} of {sent}");
}

#[test]
fn limits_that_come_and_go_while_streams_are_open_leave_no_hold_behind() {
    const EACH: usize = 4;
    let with = |limits: &[&str]| {
        let limit = |name: &&str| format!("- {{name: {name}, per: tenant, tokens: 1G/month}}");
        limited(&limits.iter().map(limit).collect::<Vec<_>>().join("\n      "))
    };
    let policies = [
        with(&["first"]),
        with(&["first", "second"]),
        with(&["second"]),
        with(&["second", "first"]),
        with(&["third", "second", "first"]),
    ];
    let (_mock, gateway) = start_metered(&policies[0]);
    let mut streams: Vec<Conn> = Vec::new();
    for (i, policy) in policies.iter().enumerate() {
        if i > 0 {
            reload(&gateway, policy);
        }
        streams.extend((0..EACH).map(|_| open(&gateway, 100)));
    }
    for stream in &mut streams {
        assert!(rest(stream).ends_with("data:[DONE]\n\n"));
    }
    let all = (policies.len() * EACH) as u64;
    assert_eq!(charged(&gateway), Cost::of(2 * all, 100 * all), "limits that stayed have counted everything");
    let used = |limit| number(&level(&gateway, "acme", limit), "used") / 102;
    // What was admitted before a limit came is not counted by it; `first` came anew after it had gone.
    assert_eq!((used("third"), used("second"), used("first")), (4, 16, 8));
}
