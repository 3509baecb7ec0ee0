//! Reloads: at once, whole or not at all, and without anybody noticing.

use crate::support::*;
use harness::gateway::{BASE, CHAT_API_KEY};
use harness::{Conn, Gateway, Mock, Request, Setup, eventually, now};
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// A policy that shows its number: in the header the upstream sees, in the quota answers tell, and whether they
/// tell it at all (an even number) or not.
fn numbered(number: usize) -> String {
    let told = format!("api: openai\n    rate_headers: {}\n", number.is_multiple_of(2));
    BASE.replace("tenant_header: x-tenant", &format!("tenant_header: x-tenant-{number}"))
        .replace("api: openai\n", &told)
        .replace(
            "{name: openai-rps, per: route, requests: 100000/s}",
            &format!("{{name: openai-rps, per: route, requests: {}/s}}", QUOTA + number),
        )
        // a bucket that must not be refilled by any reload
        + r#"
  - name: drained
    match: {path: "/api/v2/chat/completions"}
    api: openai
    auth: [api_key]
    pool: models
    limits: [{name: few, per: tenant+route, requests: 20/day}]
"#
}

/// Below the plan's limit, so that the route's is the most constrained one and is what headers tell.
const QUOTA: usize = 50_000;

/// Which policy served a request, by the header the upstream saw.
fn number_of(mock: &Mock, case: &str) -> usize {
    let seen = mock.last(64).into_iter().find(|seen| seen.values("x-case") == [case]);
    let seen = seen.expect("the mock remembers");
    let names = seen.headers.iter().filter_map(|(name, _)| name.strip_prefix("x-tenant-")?.parse().ok());
    let numbers: Vec<usize> = names.collect();
    assert_eq!(numbers.len(), 1, "one policy's header: {seen:?}");
    numbers[0]
}

/// Which policy is in force.
fn in_force(gateway: &Gateway, mock: &Mock) -> usize {
    let answer = keyed_chat().header("x-case", "in force").send(gateway.http);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let numbers = mock.last(64).into_iter().rev().find(|seen| seen.values("x-case") == ["in force"]);
    let seen = numbers.expect("the mock remembers");
    let number = seen.headers.iter().find_map(|(name, _)| name.strip_prefix("x-tenant-")?.parse().ok());
    number.expect("a numbered header")
}

fn drained_status(gateway: &Gateway) -> u16 {
    bearer(Request::post("/api/v2/chat/completions", r#"{"model":"m","messages":[]}"#), CHAT_API_KEY)
        .send(gateway.http)
        .status
}

#[test]
fn two_hundred_reloads_under_load_disturb_nobody() {
    const RELOADS: usize = 200;
    let mock = Mock::start();
    let gateway = Setup::new(&mock).policy(&numbered(0)).start();
    let admitted = (0..30).filter(|_| drained_status(&gateway) != 429).count();
    assert_eq!(admitted, 20, "the bucket is drained before the first reload");

    let (done, served, torn) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let mut effects = Vec::new();
    std::thread::scope(|scope| {
        let streams: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut conn = Conn::open(gateway.http);
                    conn.patience(secs(30));
                    conn.send(keyed_stream(100, ms(150)).to_bytes());
                    let answer = conn.response().expect("a stream");
                    (answer.status, answer.whole && answer.text().trim_end().ends_with("[DONE]"))
                })
            })
            .collect();
        let callers: Vec<_> = (0..4)
            .map(|caller| {
                let (gateway, mock, done, served, torn) = (&gateway, &mock, &done, &served, &torn);
                scope.spawn(move || {
                    let mut conn = Conn::open(gateway.http);
                    for serial in 0.. {
                        if done.load(Ordering::Relaxed) {
                            return;
                        }
                        let case = format!("{caller}-{serial}");
                        conn.send(keyed_chat().header("x-case", case.as_str()).to_bytes());
                        let answer = conn.response().expect("no connection is dropped");
                        assert_eq!(answer.status, 200, "no request fails: {}", answer.text());
                        if serial % 10 == 0 {
                            let told = answer.header("x-ratelimit-limit-requests").is_some();
                            let even = number_of(mock, &case).is_multiple_of(2);
                            torn.fetch_add(usize::from(told != even), Ordering::Relaxed);
                        }
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();

        for reload in 1..=RELOADS {
            if reload % 10 == 0 {
                gateway.write_policy(&numbered(reload).replace("pool: models", "pool: nowhere"));
                std::thread::sleep(ms(30)); // nothing to wait for: nothing may change
                continue;
            }
            gateway.write_policy(&numbered(reload));
            let written = now();
            eventually("the reload takes effect", secs(3), || {
                (in_force(&gateway, &mock) == reload).then_some(())
            });
            effects.push(written.elapsed());
            assert_eq!(drained_status(&gateway), 429, "reload {reload} refilled a bucket");
        }
        for stream in streams {
            assert_eq!(stream.join().expect("a stream's caller"), (200, true), "a stream was dropped");
        }
        done.store(true, Ordering::Relaxed);
        callers.into_iter().for_each(|caller| caller.join().expect("no request failed"));
    });
    let served = served.into_inner();
    let slowest = effects.iter().max().copied().unwrap_or_default();
    println!(
        "{RELOADS} reloads, {served} requests; in effect after {:?} (median), {slowest:?} (most)",
        median(effects)
    );
    assert!(served > 500, "only {served} requests: too few to tell");
    assert_eq!(torn.into_inner(), 0, "answers made of two policies");
}

#[test]
fn a_change_takes_effect_within_100_ms() {
    let mock = Mock::start();
    let gateway = Setup::new(&mock).policy(&numbered(0)).start();
    let mut effects = Vec::new();
    for number in 1..=20 {
        gateway.write_policy(&numbered(number));
        let written = now();
        eventually("the reload takes effect", secs(3), || {
            (in_force(&gateway, &mock) == number).then_some(())
        });
        effects.push(written.elapsed());
    }
    let median = median(effects);
    println!("in effect after {median:?} (median of 20)");
    assert!(median < ms(100), "{median:?}");
}

#[test]
fn an_invalid_policy_changes_nothing_and_is_reported() {
    let mock = Mock::start();
    let gateway = Setup::new(&mock).policy(&numbered(1)).start();
    for wrong in [
        numbered(2).replace("pool: models", "pool: modles"),
        numbered(2).replace("routes:", "ruotes:"),
        numbered(2)
            .replace("    limits: [{name: openai-rps, per: route, requests: 50002/s}]\n", "    limits: 7\n"),
        numbered(2).split_at(700).0.to_owned(),
        "\u{0}\u{1}\u{2}".to_owned(),
        "- a\n- list\n".to_owned(),
        "<html></html>".to_owned(),
        "routes: &a [*a, *a]\n".to_owned(),
    ] {
        gateway.write_policy(&wrong);
        eventually("the problem is on the admin page", secs(3), || {
            gateway.admin("/policy").text().contains("policy.yaml").then_some(())
        });
        assert_eq!(in_force(&gateway, &mock), 1, "an invalid policy took effect:\n{wrong}");
        assert_eq!(gateway.admin("/readyz").status, 200, "the last good policy serves");
    }
    gateway.write_policy(&numbered(3));
    eventually("the mended policy takes effect", secs(3), || (in_force(&gateway, &mock) == 3).then_some(()));
    assert!(!gateway.admin("/policy").text().contains("policy.yaml:"), "no problem is left");
}

#[test]
fn a_directory_swapped_as_kubernetes_does_takes_effect() {
    let mock = Mock::start();
    let setup = Setup::new(&mock);
    let dir = setup.policies();
    fs::remove_file(dir.join("policy.yaml")).expect("the base policy");
    let at_mock = |text: String| text.replace("127.0.0.1:9100", &mock.address.to_string());
    let mount = |version: usize| {
        let data = format!("..2026_01_01_00_00_0{version}");
        fs::create_dir(dir.join(&data)).expect("a new data directory");
        fs::write(dir.join(&data).join("policy.yaml"), at_mock(numbered(version))).expect("a new policy");
        symlink(&data, dir.join("..data_tmp")).expect("a link");
        fs::rename(dir.join("..data_tmp"), dir.join("..data")).expect("the swap");
    };
    mount(0);
    symlink("..data/policy.yaml", dir.join("policy.yaml")).expect("the link a pod sees");
    let gateway = setup.start();
    assert_eq!(in_force(&gateway, &mock), 0);

    let mut effects: Vec<Duration> = Vec::new();
    for version in 1..=9 {
        mount(version);
        let swapped = now();
        fs::remove_dir_all(dir.join(format!("..2026_01_01_00_00_0{}", version - 1))).expect("the old data");
        eventually("the swap takes effect", secs(1), || (in_force(&gateway, &mock) == version).then_some(()));
        effects.push(swapped.elapsed());
    }
    println!("a symlink swap is in effect after {:?} (median of 9)", median(effects));
}

#[test]
fn several_files_are_one_set_and_a_removed_one_is_noticed() {
    let mock = Mock::start();
    let setup = Setup::new(&mock).policy(&numbered(1));
    let extra = setup.policies().join("extra.yaml");
    fs::write(&extra, EXTRA).expect("directory is ours");
    let gateway = setup.start();
    let reaches_the_mock = || {
        let before = mock.requests();
        Request::get("/extra/a").send(gateway.http);
        mock.requests() > before
    };
    assert!(reaches_the_mock(), "the second file's route is served");
    fs::remove_file(extra).expect("it is there");
    eventually("its route is gone", secs(3), || (!reaches_the_mock()).then_some(()));
}

#[test]
fn a_policy_out_of_force_goes_at_once_unless_a_request_still_reads_it() {
    let mock = Mock::start();
    let gateway = Setup::new(&mock).set("workers", "2").policy(&numbered(1)).start();
    let told = |key: &str| gateway.admin("/policy").json()[key].as_u64().expect("a number");
    let reload = |number: usize| {
        let before = told("version");
        gateway.write_policy(&numbered(number));
        eventually("it is in force", secs(2), || (told("version") > before).then_some(()));
    };
    assert_eq!(keyed_chat().send(gateway.http).status, 200);
    reload(2);
    eventually("workers that have nothing to do let go of it", secs(3), || {
        (told("retired") == 0).then_some(())
    });

    let mut conn = Conn::open(gateway.http);
    conn.send(keyed_chat().header("x-mock-latency-ms", "30000").to_bytes());
    eventually("it is upstream", secs(5), || (mock.requests() == 2).then_some(()));
    for number in 3..6 {
        reload(number);
    }
    eventually("those that nobody has read are gone", secs(3), || (told("retired") == 1).then_some(()));
    std::thread::sleep(ms(1_500));
    assert_eq!(told("retired"), 1, "its own stays");
    drop(conn);
    eventually("and goes after it", secs(3), || (told("retired") == 0).then_some(()));
}

const EXTRA: &str = r#"
routes:
  - name: extra
    match: {path: "/extra/{*rest}"}
    api: plain
    auth: none
    pool: models
"#;
