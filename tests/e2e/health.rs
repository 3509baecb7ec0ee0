//! Which backends get requests: probes, slow start, ejection, its floor, panic.

use crate::support::*;
use harness::certs::{Authority, write_whole};
use harness::tls_backend::Session;
use harness::{Conn, Gateway, Reply, Request, Script, Setup, TlsBackend, eventually};
use serde_json::Value;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// A backend whose `/health` and whose other answers a test can change.
struct Instance {
    script: Script,
    health: Arc<Mutex<(u16, &'static str)>>,
    serves: Arc<AtomicU16>,
}

impl Instance {
    /// Its answers have `name` as their body.
    fn start(name: &'static str) -> Instance {
        let (health, serves) = (Arc::new(Mutex::new((200, "ready"))), Arc::new(AtomicU16::new(200)));
        let (says, answers) = (health.clone(), serves.clone());
        let script = Script::asking(move |_, head| {
            if head.starts_with("GET /health ") {
                let (status, body) = *says.lock().expect("no test panics holding it");
                return reply(status, body);
            }
            reply(answers.load(Relaxed), name)
        });
        Instance { script, health, serves }
    }

    /// From the beginning not ready.
    fn unready(name: &'static str) -> Instance {
        let instance = Instance::start(name);
        instance.says(503, "loading");
        instance
    }

    /// What `/health` says from now on.
    fn says(&self, status: u16, body: &'static str) {
        *self.health.lock().expect("no test panics holding it") = (status, body);
    }

    /// The status of all other answers from now on.
    fn serves(&self, status: u16) {
        self.serves.store(status, Relaxed);
    }

    fn asked(&self, path: &str) -> usize {
        let begin = format!("GET {path}");
        self.script.seen().iter().filter(|head| head.starts_with(&begin)).count()
    }
}

fn reply(status: u16, body: &str) -> Reply {
    Reply::keep(format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}

/// One pool with these backends; `more` are its further keys.
fn policy(backends: &[SocketAddr], more: &str) -> String {
    let backends: Vec<String> = backends.iter().map(|at| format!("{{url: \"http://{at}\"}}")).collect();
    format!(
        "routes:\n  - name: open\n    match: {{path: \"/open/{{*rest}}\"}}\n    api: plain\n    auth: none\n    pool: models\n\
         pools:\n  - name: models\n    backends: [{}]\n    {}\n",
        backends.join(", "),
        more.replace('\n', "\n    ")
    )
}

fn before(backends: &[&Instance], more: &str) -> Gateway {
    let addresses: Vec<SocketAddr> = backends.iter().map(|backend| backend.script.address).collect();
    Setup::in_front_of(addresses[0]).policy(&policy(&addresses, more)).start()
}

/// Probes so often that a test need not wait.
const QUICK: &str =
    "health: {path: /health, every: 200ms, timeout: 200ms, healthy_after: 2, unhealthy_after: 2}";

/// What `/backends` says of the backend at this address.
fn shown(gateway: &Gateway, backend: SocketAddr) -> Value {
    let pools = gateway.admin("/backends").json();
    let pools = pools.as_array().expect("a list of pools");
    let mut backends = pools.iter().flat_map(|pool| pool["backends"].as_array().expect("a list"));
    backends.find(|shown| shown["backend"] == backend.to_string()).expect("it is in some pool").clone()
}

fn becomes(gateway: &Gateway, backend: &Instance, state: &str) {
    eventually(&format!("{} becomes {state}", backend.script.address), secs(10), || {
        (shown(gateway, backend.script.address)["state"] == state).then_some(())
    });
}

/// Statuses and bodies of so many requests.
fn answers(gateway: &Gateway, count: usize) -> Vec<(u16, String)> {
    let one = |_| Request::get("/open/x").send(gateway.http);
    (0..count).map(one).map(|answer| (answer.status, answer.text())).collect()
}

/// How many of so many requests had a whole answer; of the others there may be less than a head.
fn whole_answers(gateway: &Gateway, count: usize) -> usize {
    let is_whole = |_: &usize| {
        let mut conn = Conn::open(gateway.http);
        conn.send(Request::get("/open/x").to_bytes());
        conn.response().is_some_and(|answer| answer.whole)
    };
    (0..count).filter(is_whole).count()
}

/// How many of so many requests `name` answered; all were answered well.
fn served_by(gateway: &Gateway, name: &str, count: usize) -> usize {
    let answers = answers(gateway, count);
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    answers.iter().filter(|(_, body)| body == name).count()
}

fn metric(gateway: &Gateway, line: &str) -> Option<u64> {
    let page = gateway.admin("/metrics").text();
    page.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
}

#[test]
fn an_unready_backend_gets_nothing_until_it_is_ready_and_nothing_again_when_it_is_not() {
    let (a, b) = (Instance::start("a"), Instance::unready("b"));
    let gateway = before(&[&a, &b], QUICK);
    becomes(&gateway, &b, "unhealthy");
    let before = b.asked("/open");
    assert_eq!(served_by(&gateway, "a", 20), 20);
    assert_eq!(b.asked("/open"), before);
    let up = format!("gateway_upstream_backend_up{{pool=\"models\",backend=\"{}\"}}", b.script.address);
    assert_eq!(metric(&gateway, &up), Some(0));

    b.says(200, "ready");
    becomes(&gateway, &b, "up");
    assert_eq!(served_by(&gateway, "b", 20), 10);
    assert_eq!(metric(&gateway, &up), Some(1));

    a.says(500, "broken");
    becomes(&gateway, &a, "unhealthy");
    assert_eq!(served_by(&gateway, "b", 20), 20);
    let failures = format!(
        "gateway_upstream_probe_failures_total{{pool=\"models\",backend=\"{}\",reason=\"status\"}}",
        a.script.address
    );
    assert!(metric(&gateway, &failures).is_some_and(|failures| failures >= 2));
    let log = gateway.process.stderr();
    for (backend, times) in [(&a, 1), (&b, 1)] {
        let address = backend.script.address.to_string();
        let told = log.lines().filter(|line| line.contains("not well") && line.contains(&address)).count();
        assert_eq!(told, times, "each change is told once:\n{log}");
    }
}

#[test]
fn a_backend_that_a_reload_brings_gets_nothing_before_it_was_ready_once() {
    let (a, b) = (Instance::start("a"), Instance::unready("b"));
    let gateway = before(&[&a], QUICK);
    let probed = QUICK.to_owned() + "\npanic: 100%"; // not even in a panic
    gateway.write_policy(&policy(&[a.script.address, b.script.address], &probed));
    eventually("the reload", secs(10), || (gateway.admin("/policy").json()["version"] == 2).then_some(()));
    assert_eq!(served_by(&gateway, "a", 20), 20);
    assert_eq!(shown(&gateway, b.script.address)["state"], "unproven");
    eventually("three probes", secs(10), || (b.asked("/health") >= 3).then_some(()));
    assert_eq!(served_by(&gateway, "a", 20), 20);
    assert_eq!(b.asked("/open"), 0);
    b.says(200, "ready");
    becomes(&gateway, &b, "up");
    assert_eq!(served_by(&gateway, "b", 20), 10);
}

#[test]
fn a_slow_start_gives_a_share_that_grows() {
    let (a, b) = (Instance::start("a"), Instance::unready("b"));
    let gateway = before(&[&a, &b], &QUICK.replace("}", ", slow_start: 5s}"));
    becomes(&gateway, &b, "unhealthy");
    b.says(200, "ready");
    becomes(&gateway, &b, "starting");
    let share = || shown(&gateway, b.script.address)["share_percent"].as_u64().expect("a number") as usize;
    let (mut from, mut parts) = (share(), 0);
    while from < 60 {
        let served = served_by(&gateway, "b", 60);
        let to = share();
        // Half of the turns are its own, and it gets its share of them; chance may be 8 off.
        let expected = (60 * from / 200).saturating_sub(8)..=60 * to / 200 + 8;
        assert!(expected.contains(&served), "{served} of 60 with {from} to {to} %");
        (from, parts) = (to, parts + 1);
    }
    assert!(parts > 0, "too slow a machine to see it grow");
    becomes(&gateway, &b, "up");
    assert_eq!(served_by(&gateway, "b", 60), 30);
}

#[test]
fn a_backend_that_fails_is_ejected_for_longer_each_time() {
    let (a, b) = (Instance::start("a"), Instance::start("b"));
    b.serves(503);
    let gateway = before(&[&a, &b], "eject: {consecutive: 3, for: 200ms}");
    for length in ["200ms", "400ms", "800ms"] {
        eventually("the next ejection", secs(20), || {
            answers(&gateway, 2);
            gateway.process.stderr().contains(&format!("ejected for {length}")).then_some(())
        });
        let failed = b.asked("/open");
        assert_eq!(served_by(&gateway, "a", 4), 4, "nothing for who is out {length}");
        assert_eq!(b.asked("/open"), failed);
        becomes(&gateway, &b, "up");
    }
    let ejections = format!(
        "gateway_upstream_ejections_total{{pool=\"models\",backend=\"{}\",reason=\"consecutive\"}}",
        b.script.address
    );
    assert_eq!(metric(&gateway, &ejections), Some(3));
    eventually("its return is told", secs(5), || {
        (gateway.process.stderr().matches("ejection of a backend has ended").count() == 3).then_some(())
    });
}

#[test]
fn an_error_rate_ejects_who_fails_every_other_time() {
    let a = Instance::start("a");
    let b = Script::start(|number| if number % 2 == 0 { reply(200, "b") } else { reply(504, "late") });
    let addresses = [a.script.address, b.address];
    let more = "eject: {consecutive: 0, error_rate: 40%, at_least: 10, for: 1m}";
    let gateway = Setup::in_front_of(addresses[0]).policy(&policy(&addresses, more)).start();
    assert_eq!(answers(&gateway, 8).iter().filter(|(status, _)| *status == 504).count(), 2);
    assert!(shown(&gateway, b.address)["ejected_ms"].is_null(), "too few to tell");
    answers(&gateway, 20);
    assert_eq!(shown(&gateway, b.address)["state"], "ejected");
    assert_eq!(served_by(&gateway, "a", 10), 10);
}

/// Good heads, and answers that stop in their middle: by a close, or in silence.
#[test]
fn a_backend_whose_answers_break_off_is_ejected() {
    let breaks: [fn(&'static str) -> Reply; 2] = [Reply::close, Reply::keep];
    for broken in breaks {
        let a = Instance::start("a");
        let b = Script::start(move |_| broken("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"));
        let addresses = [a.script.address, b.address];
        let text = policy(&addresses, "eject: {consecutive: 3, for: 1m}");
        let text = text.replace("auth: none\n", "auth: none\n    timeouts: {idle: 300ms}\n");
        let gateway = Setup::in_front_of(addresses[0]).policy(&text).start();
        assert_eq!(whole_answers(&gateway, 6), 3);
        eventually("it is ejected", secs(5), || {
            (shown(&gateway, b.address)["state"] == "ejected").then_some(())
        });
        assert_eq!(served_by(&gateway, "a", 10), 10);
        assert_eq!(b.seen().len(), 3);
    }
}

#[test]
fn a_whole_answer_forgives_those_that_broke_off() {
    let a = Instance::start("a");
    let b = Script::start(|number| match number % 3 {
        2 => reply(200, "b"),
        _ => Reply::close("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"),
    });
    let addresses = [a.script.address, b.address];
    let gateway = Setup::in_front_of(addresses[0])
        .policy(&policy(&addresses, "eject: {consecutive: 3, for: 1m}"))
        .start();
    assert_eq!(whole_answers(&gateway, 36), 18 + 6);
    assert_eq!(b.seen().len(), 18, "never three in a row");
}

#[test]
fn an_error_rate_counts_answers_that_break_off() {
    let a = Instance::start("a");
    let b = Script::start(|number| match number % 2 {
        0 => reply(200, "b"),
        _ => Reply::close("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"),
    });
    let addresses = [a.script.address, b.address];
    let more = "eject: {consecutive: 0, error_rate: 50%, at_least: 10, for: 1m}";
    let gateway = Setup::in_front_of(addresses[0]).policy(&policy(&addresses, more)).start();
    assert_eq!(whole_answers(&gateway, 18), 9 + 5);
    assert!(shown(&gateway, b.address)["ejected_ms"].is_null(), "too few to tell");
    assert_eq!(whole_answers(&gateway, 2), 1);
    eventually("it is ejected", secs(5), || (shown(&gateway, b.address)["state"] == "ejected").then_some(()));
}

/// Half a millisecond for each byte.
fn slow_answer(length: usize) -> Reply {
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{}", "x".repeat(length));
    Reply::keep(answer).in_pieces(1)
}

fn is_not_to_blame(gateway: &Gateway, backend: SocketAddr) {
    let state = shown(gateway, backend);
    assert_eq!((&state["state"], &state["failing"]), (&"up".into(), &0.into()), "{state}");
}

#[test]
fn a_caller_that_leaves_in_the_middle_of_an_answer_ejects_nobody() {
    let b = Script::start(|_| slow_answer(20_000));
    let text = policy(&[b.address], "eject: {consecutive: 1, keep: 0%, for: 1m}");
    let gateway = Setup::in_front_of(b.address).policy(&text).start();
    for _ in 0..3 {
        let mut conn = Conn::open(gateway.http);
        conn.send(Request::get("/open/x").to_bytes());
        assert_eq!(conn.head().expect("an answer begins").status, 200);
    }
    eventually("all three are logged", secs(5), || {
        (gateway.access_log().matches("\"cancelled\"").count() == 3).then_some(())
    });
    is_not_to_blame(&gateway, b.address);
}

#[test]
fn an_answer_of_more_than_the_total_time_ejects_nobody() {
    let b = Script::start(|_| slow_answer(20_000));
    let text = policy(&[b.address], "eject: {consecutive: 1, keep: 0%, for: 1m}");
    let text = text.replace("auth: none\n", "auth: none\n    timeouts: {total: 500ms}\n");
    let gateway = Setup::in_front_of(b.address).policy(&text).start();
    assert!(!Request::get("/open/x").send(gateway.http).whole);
    let line = gateway.access_line("it is logged", |line| line["route"] == "open");
    assert_eq!(line["outcome"], "cut", "{line}");
    is_not_to_blame(&gateway, b.address);
}

/// A backend that has begun to answer may want the rest of the request before it says more.
#[test]
fn a_silence_before_the_request_is_whole_ejects_nobody() {
    let b = Script::start(|_| Reply::keep("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").early());
    let text = policy(&[b.address], "eject: {consecutive: 1, keep: 0%, for: 1m}");
    let text = text.replace("auth: none\n", "auth: none\n    timeouts: {idle: 300ms}\n");
    let gateway = Setup::in_front_of(b.address).policy(&text).start();
    let mut conn = Conn::open(gateway.http);
    conn.send("POST /open/x HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nthe beginning");
    assert_eq!(conn.response().map(|answer| answer.whole), Some(false));
    let line = gateway.access_line("it is logged", |line| line["route"] == "open");
    assert_eq!(line["outcome"], "cut", "{line}");
    is_not_to_blame(&gateway, b.address);
}

/// Answers outlive policies. Half of four may go; of the two that are left, one.
#[test]
fn who_is_left_to_take_over_the_policy_in_force_says() {
    let backends: [Script; 4] = std::array::from_fn(|at| {
        let begin = format!("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n{}", "x".repeat(4_000));
        Script::start(move |_| match at {
            0 | 1 => Reply::close(&begin).in_pieces(1),
            _ => slow_answer(60_000),
        })
    });
    let addresses = backends.each_ref().map(|backend| backend.address);
    let eject = "eject: {consecutive: 1, for: 1m}";
    let gateway = Setup::in_front_of(addresses[0]).policy(&policy(&addresses, eject)).start();
    let mut conns: [Conn; 4] = std::array::from_fn(|_| Conn::open(gateway.http));
    for conn in &mut conns {
        conn.send(Request::get("/open/x").to_bytes());
        assert_eq!(conn.head().expect("an answer begins").status, 200);
    }
    gateway.write_policy(&policy(&addresses[..2], eject));
    eventually("the reload", secs(10), || (gateway.admin("/policy").json()["version"] == 2).then_some(()));
    eventually("two are logged", secs(20), || {
        (gateway.access_log().matches("\"cut\"").count() == 2).then_some(())
    });
    let states = addresses[..2].iter().map(|at| shown(&gateway, *at)["state"].clone());
    assert_eq!(states.filter(|state| state == "ejected").count(), 1);
}

#[test]
fn without_a_word_only_failed_connections_eject() {
    let (a, b) = (Instance::start("a"), Instance::start("b"));
    b.serves(503);
    let gateway = before(&[&a, &b], "connect_timeout: 1s");
    assert_eq!(answers(&gateway, 40).iter().filter(|(status, _)| *status == 503).count(), 20);

    let nobody =
        TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port");
    let addresses = [a.script.address, nobody];
    let gateway = Setup::in_front_of(nobody).policy(&policy(&addresses, "connect_timeout: 1s")).start();
    assert_eq!(answers(&gateway, 10).iter().filter(|(status, _)| *status == 502).count(), 5);
    assert_eq!(served_by(&gateway, "a", 20), 20);
}

#[test]
fn half_of_a_pool_stays_whatever_fails() {
    let (a, b) = (Instance::start("a"), Instance::start("b"));
    a.serves(502);
    b.serves(502);
    let gateway = before(&[&a, &b], "eject: {consecutive: 3, for: 1m}");
    let statuses: Vec<u16> = answers(&gateway, 30).into_iter().map(|(status, _)| status).collect();
    assert!(statuses.iter().all(|status| *status == 502), "they come from a backend: {statuses:?}");
    let states = [&a, &b].map(|backend| shown(&gateway, backend.script.address)["state"].clone());
    assert_eq!(states.iter().filter(|state| **state == "ejected").count(), 1, "{states:?}");
    let kept = [&a, &b].map(|backend| {
        let name = "gateway_upstream_ejections_kept_total{pool=\"models\"";
        metric(&gateway, &format!("{name},backend=\"{}\"}}", backend.script.address)).expect("a series")
    });
    assert!(kept.iter().sum::<u64>() >= 3, "{kept:?}");
}

#[test]
fn when_no_backend_is_well_all_are_used_unless_policy_says_never() {
    let (a, b) = (Instance::unready("a"), Instance::unready("b"));
    let gateway = before(&[&a, &b], QUICK);
    becomes(&gateway, &a, "unhealthy");
    becomes(&gateway, &b, "unhealthy");
    eventually("panic", secs(5), || {
        (metric(&gateway, "gateway_upstream_panic{pool=\"models\"}") == Some(1)).then_some(())
    });
    assert_eq!(served_by(&gateway, "a", 20), 10);
    a.says(200, "ready");
    becomes(&gateway, &a, "up");
    eventually("calm", secs(5), || {
        (metric(&gateway, "gateway_upstream_panic{pool=\"models\"}") == Some(0)).then_some(())
    });
    assert_eq!(served_by(&gateway, "a", 20), 20);

    a.says(503, "broken");
    gateway.write_policy(&policy(&[a.script.address, b.script.address], &(QUICK.to_owned() + "\npanic: 0%")));
    eventually("nobody is left", secs(10), || {
        let answer = Request::get("/open/x").send(gateway.http);
        (answer.status == 503).then_some(())
    });
}

#[test]
fn what_was_found_out_survives_a_reload() {
    let (a, b) = (Instance::start("a"), Instance::unready("b"));
    let gateway = before(&[&a, &b], QUICK);
    becomes(&gateway, &b, "unhealthy");
    let before = b.asked("/open");
    // Asked so seldom that no new answer comes into it.
    let seldom = QUICK.replace("every: 200ms", "every: 10m");
    gateway.write_policy(&policy(&[a.script.address, b.script.address], &seldom));
    eventually("the reload", secs(10), || (gateway.admin("/policy").json()["version"] == 2).then_some(()));
    assert_eq!(served_by(&gateway, "a", 20), 20);
    assert_eq!(b.asked("/open"), before);
    let asked = b.asked("/health");
    gateway.write_policy(&policy(&[a.script.address, b.script.address], "connect_timeout: 1s"));
    eventually("without probes it is in", secs(10), || {
        (shown(&gateway, b.script.address)["state"] == "up").then_some(())
    });
    assert_eq!(served_by(&gateway, "b", 20), 10);
    assert!(b.asked("/health") <= asked + 1, "the probes have ended");
}

#[test]
fn the_body_of_the_answer_can_be_what_counts() {
    let (a, b) = (Instance::start("a"), Instance::start("b"));
    b.says(200, "loading the model");
    let gateway = before(&[&a, &b], &QUICK.replace("}", ", expect: [200, 204], body: ready}"));
    becomes(&gateway, &b, "unhealthy");
    for (backend, last) in [(&a, "ok"), (&b, "body")] {
        eventually(&format!("the last probe shows {last}"), secs(5), || {
            (shown(&gateway, backend.script.address)["probes"][0]["last"] == last).then_some(())
        });
    }
    b.says(200, "now it is ready");
    becomes(&gateway, &b, "up");
    b.says(201, "ready");
    becomes(&gateway, &b, "unhealthy");
}

#[test]
fn two_pools_that_ask_the_same_share_the_answers() {
    let (a, b) = (Instance::start("a"), Instance::start("b"));
    let both = [a.script.address, b.script.address];
    let one = policy(&both, QUICK);
    let (routes, pools) = one.split_once("pools:\n").expect("it has pools");
    let other = pools.replace("name: models", "name: others");
    let gateway = Setup::in_front_of(both[0]).policy(&format!("{routes}pools:\n{pools}{other}")).start();
    eventually("the first probe", secs(10), || (b.asked("/health") > 0).then_some(()));
    let (begun, first) = (harness::now(), b.asked("/health"));
    eventually("ten more", secs(10), || (b.asked("/health") >= first + 10).then_some(()));
    assert!(begun.elapsed() > ms(1_400), "ten in {:?}: everybody asks for himself", begun.elapsed());
    b.says(503, "broken");
    becomes(&gateway, &b, "unhealthy");
    let pools = gateway.admin("/backends").json();
    let states: Vec<&Value> =
        pools.as_array().expect("pools").iter().map(|pool| &pool["backends"][1]["state"]).collect();
    assert_eq!(states, ["unhealthy", "unhealthy"]);
}

/// Says that it is well, whatever it is asked.
fn well(mut session: Session) {
    while session.request().is_some() && session.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") {}
}

#[test]
fn https_backends_are_probed_with_the_trust_of_their_pool() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let good = TlsBackend::start(&ours.issue("good", &["127.0.0.1"]), well);
    let stranger = TlsBackend::start(&theirs.issue("stranger", &["127.0.0.1"]), well);
    let addresses = [good.address, stranger.address];
    let setup = Setup::in_front_of(good.address);
    write_whole(&setup.policies(), "ca.pem", &ours.pem());
    let more = QUICK.replace("200ms", "1s").to_owned() + "\ntls: {ca: ca.pem}";
    let gateway = setup.policy(&policy(&addresses, &more).replace("http:", "https:")).start();
    eventually("the stranger is found out", secs(10), || {
        (shown(&gateway, stranger.address)["state"] == "unhealthy").then_some(())
    });
    assert_eq!(shown(&gateway, stranger.address)["probes"][0]["last"], "tls");
    eventually("the good one was asked", secs(10), || {
        (shown(&gateway, good.address)["probes"][0]["last"] == "ok").then_some(())
    });
    assert_eq!(served_by(&gateway, "ok", 10), 10);
}
