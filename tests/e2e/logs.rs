//! The access log: one line per request, whatever became of it, and no secret in any.

use crate::support::*;
use harness::gateway::BATCH_APP_CODE;
use harness::{Conn, Mock, Request, Setup, eventually};
use serde_json::Value;

#[test]
fn every_request_leaves_one_line() {
    let (mock, gateway) = start();
    assert_eq!(keyed_chat().send(gateway.http).status, 200);
    assert_eq!(bearer(chat(), "wrong").send(gateway.http).status, 401);
    assert_eq!(Request::get("/nowhere").send(gateway.http).status, 404);
    assert_eq!(Request::get("/open/a//b").send(gateway.http).status, 400);
    assert_eq!(Request::post("/mock/echo", vec![b'x'; 100_000]).send(gateway.http).status, 413);
    let mut conn = Conn::open(gateway.http);
    conn.send(keyed_stream(1000, ms(50)).to_bytes());
    conn.head().expect("the stream starts");
    drop(conn);
    drop(mock);
    assert_eq!(keyed_chat().send(gateway.http).status, 502);

    let lines: Vec<Value> = eventually("seven lines", secs(5), || {
        let log = gateway.access_log();
        let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        (lines.len() >= 7).then_some(lines)
    });
    assert_eq!(lines.len(), 7, "{lines:#?}");
    for status in [200, 401, 404, 400, 413, 502] {
        assert!(lines.iter().any(|line| line["status"] == status), "no line for {status}: {lines:#?}");
    }
    let first = &lines[0];
    let text = first.to_string();
    for word in ["openai-chat", "acme", "chat", "/v1/chat/completions", "POST", "127.0.0.1"] {
        assert!(text.contains(word), "no {word} in {text}");
    }
}

/// As on a full disk, or when whoever read it has gone.
#[test]
fn a_standard_error_that_takes_nothing_stops_nothing() {
    let mock = Mock::start();
    let program = harness::process::binary("pangu-gateway");
    let deaf = ["sh", "-c", "exec \"$@\" 2>/dev/full", "sh"].map(Into::into);
    let launcher = deaf.into_iter().chain([program.into_os_string()]).collect();
    let mut gateway = Setup::new(&mock).launcher(launcher).start();
    let policy = harness::gateway::BASE.replace("127.0.0.1:9100", &mock.address.to_string());
    for (text, version, failures) in
        [("routes: [", 1, 1), (&policy, 1, 1), (&format!("{policy}\n# edited"), 2, 1)]
    {
        gateway.write_policy(text);
        eventually(&format!("version {version} after {} bytes", text.len()), secs(5), || {
            let shown = gateway.admin("/policy").json();
            (shown["version"] == version && shown["failures"] == failures).then_some(())
        });
    }
    assert_eq!(keyed_chat().send(gateway.http).status, 200);
    gateway.access_line("its line", |line| line["status"] == 200);
    gateway.process.signal("TERM");
    assert_eq!(gateway.process.wait(secs(5)).and_then(|status| status.code()), Some(0));
}

#[test]
fn the_line_and_the_answer_share_an_id() {
    let (_mock, gateway) = start();
    let answer = bearer(chat(), "wrong").send(gateway.http);
    let id = answer.header("x-request-id").expect("an id");
    gateway.access_line("a line with the answer's id", |line| line.to_string().contains(id));
}

#[test]
fn hostile_bytes_cannot_break_a_line() {
    let (_mock, gateway) = start();
    Request::get("/open/a?x=%0a{\"forged\":true}\"\\").header("user-agent", "a\"b\\c\t{}").send(gateway.http);
    Request::get("/open/end").send(gateway.http);
    gateway.access_line("the line after it", |line| line.to_string().contains("/open/end"));
    assert_eq!(gateway.access_log().lines().count(), 2);
}

#[test]
fn no_secret_reaches_a_log_a_metric_or_an_error() {
    let (_mock, gateway) = start();
    let mut answers = String::new();
    for request in [
        keyed_chat(),
        bearer(chat(), "canary-wrong-api-key"),
        chat().header("x-apig-appcode", BATCH_APP_CODE),
        chat().header("x-apig-appcode", "canary-wrong-app-code"),
        ALICE.sign(chat()),
        harness::sign::Keys { access_key: "AKACMEALICE", secret_key: "wrong" }.sign(chat()),
        chat().header("authorization", "canary-no-scheme"),
        chat().header("authorization", "Basic Y2FuYXJ5OmNhbmFyeQ=="),
        chat().header("x-auth-token", "canary-token"),
        chat().header("cookie", "session=canary-cookie"),
        keyed_chat().header("x-mock-fault", "reset-head"),
    ] {
        let answer = request.send(gateway.http);
        answers += &format!("{:?}\n{}\n", answer.headers, answer.text());
    }
    gateway.write_policy("tenants: [{name: acme, secret: canary-in-a-broken-policy}]");
    std::thread::sleep(ms(500)); // the reload is refused
    eventually("all lines are written", secs(5), || {
        (gateway.access_log().lines().count() >= 11).then_some(())
    });

    let admin: String =
        ["/metrics", "/policy", "/readyz", "/livez"].iter().map(|path| gateway.admin(path).text()).collect();
    for (place, text) in [("an answer", answers), ("a log", gateway.logs()), ("the admin listener", admin)] {
        let found = text.lines().find(|line| line.contains("canary") || line.contains("Y2FuYXJ5"));
        assert_eq!(found, None, "a secret in {place}");
    }
}
