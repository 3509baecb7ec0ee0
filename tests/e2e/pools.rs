//! Pools of several backends: which version, which backend of it, and who stays where when that changes.

use crate::support::*;
use harness::gateway::{BASE, CHAT_API_KEY};
use harness::{Conn, Gateway, Mock, Request, Setup, eventually};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The base policy with other keys in its pool.
fn policy(keys: &str) -> String {
    let backends = "    backends: [{url: \"http://127.0.0.1:9100\"}]\n";
    assert!(BASE.contains(backends));
    BASE.replace(backends, &format!("    {keys}\n"))
}

fn mocks<const N: usize>() -> [Mock; N] {
    std::array::from_fn(|_| Mock::start())
}

/// `backends` with these mocks and weights.
fn backends<'a>(mocks: impl IntoIterator<Item = (&'a Mock, u32)>) -> String {
    let backends =
        mocks.into_iter().map(|(mock, w)| format!("{{url: \"http://{}\", weight: {w}}}", mock.address));
    format!("backends: [{}]", backends.collect::<Vec<_>>().join(", "))
}

/// `versions`, one mock each, with a `split`.
fn versions(mocks: &[Mock; 2], weights: [u32; 2], split: &str) -> String {
    let version = |at: usize| {
        format!("{{name: v{}, weight: {}, {}}}", at + 1, weights[at], backends([(&mocks[at], 1)]))
    };
    format!("versions: [{}, {}]\n    split: {split}", version(0), version(1))
}

fn start_pool(keys: &str) -> Gateway {
    Setup::in_front_of(([127, 0, 0, 1], 1).into()).policy(&policy(keys)).start()
}

/// Sends so many requests in all over so many connections; every one is answered well.
fn load(gateway: &Gateway, requests: u64, connections: usize) {
    let left = AtomicU64::new(requests);
    let take = || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok();
    std::thread::scope(|scope| {
        for _ in 0..connections {
            scope.spawn(|| {
                let mut conn = Conn::open(gateway.http);
                while take() {
                    ask(&mut conn, &keyed_chat());
                }
            });
        }
    });
}

fn ask(conn: &mut Conn, request: &Request) {
    conn.send(request.to_bytes());
    let answer = conn.response().expect("no connection is dropped");
    assert_eq!(answer.status, 200, "no request fails: {}", answer.text());
}

fn counts<const N: usize>(mocks: &[Mock; N]) -> [u64; N] {
    std::array::from_fn(|at| mocks[at].requests())
}

/// A chat with this header.
fn session(name: &str) -> Request {
    keyed_chat().header("x-session", name)
}

/// Which mock served each session; a session must have been to one of them only.
fn homes<const N: usize>(mocks: &[Mock; N]) -> HashMap<String, usize> {
    let mut homes = HashMap::new();
    for (at, mock) in mocks.iter().enumerate() {
        for seen in mock.last(10_000) {
            let session = seen.values("x-session").first().expect("a session").to_string();
            let before = homes.insert(session.clone(), at);
            assert!(before.is_none_or(|before| before == at), "{session} was at two backends");
        }
    }
    homes
}

/// Writes a policy and waits until it is in force.
fn reload(gateway: &Gateway, policy: &str) {
    let version = || gateway.admin("/policy").json()["version"].as_u64().expect("a version");
    let before = version();
    gateway.write_policy(policy);
    eventually("the policy is in force", secs(3), || (version() > before).then_some(()));
}

#[test]
fn turns_go_by_weight() {
    let mocks = mocks::<3>();
    let gateway = start_pool(&backends(mocks.iter().zip([1, 2, 3])));
    load(&gateway, 60, 1);
    assert_eq!(counts(&mocks), [10, 20, 30]);
}

#[test]
fn a_slow_backend_gets_less_where_requests_are_counted() {
    let mocks = mocks::<3>();
    let gateway = start_pool(&format!("{}\n    balance: least_requests", backends(mocks.iter().zip([1; 3]))));
    load(&gateway, 300, 1);
    let even = counts(&mocks);
    assert!(even.iter().all(|count| (60..140).contains(count)), "nobody is busy: {even:?}");
    mocks.iter().for_each(Mock::reset);
    mocks[0].behave(r#"{"latency_ms": 20}"#);
    mocks[1].behave(r#"{"latency_ms": 20}"#);
    mocks[2].behave(r#"{"latency_ms": 1000}"#);
    load(&gateway, 240, 8);
    let [one, other, slow] = counts(&mocks);
    assert_eq!(one + other + slow, 240);
    assert!(slow > 0 && slow * 2 < one && slow * 2 < other, "{one} {other} {slow}");
}

#[test]
fn a_slow_backend_gets_less_where_first_bytes_are_timed() {
    let mocks = mocks::<3>();
    mocks[2].behave(r#"{"latency_ms": 60}"#);
    let gateway = start_pool(&format!("{}\n    balance: ewma", backends(mocks.iter().zip([1; 3]))));
    load(&gateway, 300, 2);
    let [one, other, slow] = counts(&mocks);
    assert_eq!(one + other + slow, 300);
    assert!(
        slow > 0 && slow < 60,
        "{one} {other} {slow}: of two at a time the slow one is hardly ever the better"
    );
    assert!(one > 30 && other > 30, "{one} {other} {slow}");
    // It is as fast as the others again, and after a while that is noticed.
    mocks[2].behave(r#"{"latency_ms": 0}"#);
    eventually("it is tried again", secs(60), || {
        load(&gateway, 20, 2);
        (mocks[2].requests() > slow + 20).then_some(())
    });
}

#[test]
fn a_subject_stays_at_its_backend() {
    let mocks = mocks::<3>();
    let hash = "balance: hash\n    hash: {by: header x-session}";
    let gateway = start_pool(&format!("{}\n    {hash}", backends(mocks.iter().zip([1; 3]))));
    let mut conn = Conn::open(gateway.http);
    let ask_all = |conn: &mut Conn| (0..120).for_each(|n| ask(conn, &session(&format!("s{n}"))));
    ask_all(&mut conn);
    ask_all(&mut conn);
    let before = homes(&mocks);
    assert!(counts(&mocks).iter().all(|count| *count >= 30), "{:?}", counts(&mocks));

    mocks.iter().for_each(Mock::reset);
    reload(&gateway, &policy(&format!("{}\n    {hash}", backends(mocks[..2].iter().zip([1; 2])))));
    ask_all(&mut conn);
    let after = homes(&mocks);
    assert_eq!(after.len(), 120);
    for (session, home) in &before {
        assert!(*home == 2 || after[session] == *home, "{session} had no reason to move");
        assert_ne!(after[session], 2);
    }
}

#[test]
fn prompts_that_begin_alike_go_to_the_same_backend() {
    let mocks = mocks::<3>();
    let hash = "balance: hash\n    hash: {by: prompt, prefix: 64B}";
    let gateway = start_pool(&format!("{}\n    {hash}", backends(mocks.iter().zip([1; 3]))));
    let system = |n: usize| format!("You are assistant number {n}, and this goes on for some more words.");
    for n in 0..20 {
        // The second turn of a conversation begins with the first; where the prompt stands in the body means nothing.
        let first = format!(r#"{{"model":"m","messages":[{{"role":"system","content":"{}"}}]}}"#, system(n));
        let second = format!(
            r#"{{"messages":[{{"role":"system","content":"{}"}},{{"role":"user","content":"go on"}}],"max_tokens":4,"model":"m"}}"#,
            system(n)
        );
        for body in [first, second] {
            let request =
                bearer(Request::post(OPENAI_CHAT, body), CHAT_API_KEY).header("x-session", n.to_string());
            assert_eq!(request.send(gateway.http).status, 200);
        }
    }
    assert_eq!(homes(&mocks).len(), 20);
    assert!(counts(&mocks).iter().all(|count| *count > 0), "{:?}", counts(&mocks));
}

#[test]
fn a_grey_release_keeps_its_parts_under_load_and_drops_nothing() {
    let mocks = mocks::<2>();
    let gateway = start_pool(&versions(&mocks, [90, 10], "{by: request}"));
    let done = AtomicBool::new(false);
    let served = AtomicU64::new(0);
    let part_of_v2 = || {
        let before = counts(&mocks);
        let target = served.load(Ordering::Relaxed) + 2_000;
        eventually("2,000 requests", secs(60), || (served.load(Ordering::Relaxed) >= target).then_some(()));
        let after = counts(&mocks);
        let (v1, v2) = ((after[0] - before[0]) as f64, (after[1] - before[1]) as f64);
        v2 / (v1 + v2)
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut conn = Conn::open(gateway.http);
                while !done.load(Ordering::Relaxed) {
                    ask(&mut conn, &keyed_chat());
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let ended = End(&done); // also when an assertion below fails
        let before = part_of_v2();
        reload(&gateway, &policy(&versions(&mocks, [50, 50], "{by: request}")));
        let after = part_of_v2();
        assert!((before - 0.1).abs() < 0.02, "{before} of the requests at 90/10");
        assert!((after - 0.5).abs() < 0.02, "{after} of the requests at 50/50");
        drop(ended);
    });
    assert_eq!(counts(&mocks).iter().sum::<u64>(), served.into_inner(), "each was sent once");
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn who_is_split_by_stays_and_only_who_must_moves() {
    let mocks = mocks::<2>();
    let gateway = start_pool(&versions(&mocks, [90, 10], "{by: header x-session}"));
    let mut conn = Conn::open(gateway.http);
    let mut ask_all = || (0..400).for_each(|n| ask(&mut conn, &session(&format!("s{n}"))));
    ask_all();
    ask_all();
    let before = homes(&mocks);
    let early = before.values().filter(|home| **home == 1).count();
    assert!((20..65).contains(&early), "{early} of 400 at 90/10");

    mocks.iter().for_each(Mock::reset);
    reload(&gateway, &policy(&versions(&mocks, [50, 50], "{by: header x-session}")));
    ask_all();
    let after = homes(&mocks);
    assert!(before.iter().all(|(session, home)| after[session] >= *home), "somebody went back");
    let moved = before.iter().filter(|(session, home)| after[*session] > **home).count();
    assert!((120..200).contains(&moved), "{moved} of 400 moved, 160 have to");
}

#[test]
fn rules_go_first_and_versions_are_shown() {
    let mocks = mocks::<2>();
    let split = r#"{by: user, when: [{header: {name: X-Preview, value: "yes"}, version: v2}, {tenant: acme, version: v1}]}"#;
    let gateway = start_pool(&versions(&mocks, [1, 99], split).replace("weight: 1,", "weight: 0,"));
    for _ in 0..10 {
        assert_eq!(keyed_chat().send(gateway.http).status, 200);
        assert_eq!(keyed_chat().header("x-preview", "no").send(gateway.http).status, 200);
    }
    assert_eq!(counts(&mocks), [20, 0]);
    let preview = keyed_chat().header("x-preview", "yes").send(gateway.http);
    assert_eq!((preview.status, counts(&mocks)), (200, [20, 1]));
    let id = preview.header("x-request-id").expect("an id");
    let line = gateway.access_line("the preview's line", |line| line["request_id"] == id);
    assert_eq!(line["version"], "v2");
    let metrics = gateway.admin("/metrics").text();
    for (version, requests) in [("v1", 20), ("v2", 1)] {
        let series = format!(
            "gateway_version_requests_total{{pool=\"models\",version=\"{version}\",status_class=\"2xx\"}}"
        );
        assert!(metrics.contains(&format!("{series} {requests}\n")), "{series} {requests}\n{metrics}");
    }
}
