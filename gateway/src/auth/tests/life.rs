//! What time, repetition and reloads do to credentials.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[test]
fn of_a_thousand_concurrent_copies_exactly_one_gets_through() {
    let gate = Gate::new();
    let request = sha256();
    let headers = request.sign();
    let (passed, replayed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..125 {
                    match gate.verify(&request, &headers, NOW) {
                        Ok(verified) => {
                            verified.seen.expect("replays are refused here").keep();
                            passed.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(denied) => {
                            assert_eq!(denied, Denied::Replayed);
                            replayed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    assert_eq!((passed.into_inner(), replayed.into_inner()), (1, 999));
}

#[test]
fn a_signature_is_used_up_only_by_a_request_that_goes_upstream() {
    let gate = Gate::new();
    let request = sha256();
    let headers = request.sign();
    let first = gate.verify(&request, &headers, NOW).unwrap();
    assert_eq!(gate.verify(&request, &headers, NOW).unwrap_err(), Denied::Replayed);
    drop(first);
    gate.verify(&request, &headers, NOW).unwrap().seen.unwrap().keep();
    assert_eq!(gate.verify(&request, &headers, NOW).unwrap_err(), Denied::Replayed);
    assert_eq!(
        gate.send(&Unsigned { date: "20240115T083001Z", ..request }),
        Ok(ALICE),
        "a new date, a new signature"
    );
}

#[test]
fn a_route_may_let_replays_pass() {
    let gate = Gate { rules: Rules { refuse_replay: false, ..Rules::default() }, ..Gate::new() };
    let request = sha256();
    let headers = request.sign();
    for _ in 0..3 {
        assert!(gate.verify(&request, &headers, NOW).unwrap().seen.is_none());
    }
}

#[test]
fn a_body_that_takes_longer_than_the_window_does_not_slip_past_the_replay_cache() {
    let gate = Gate::new();
    let request = sha256();
    let headers = request.sign();
    gate.verify(&request, &headers, NOW).unwrap().seen.unwrap().keep();
    let last_moment = NOW.after(Duration::from_secs(899));
    let Claim::Signed(slow) = gate.identify(&request, &headers, last_moment).unwrap() else { unreachable!() };
    let much_later = NOW.after(Duration::from_secs(2000));
    assert_eq!(gate.live.sweep(much_later).signatures, 0);
    assert_eq!(slow.verify(&request.hash(request.body), much_later).unwrap_err().reason(), "skew");
}

#[test]
fn a_full_replay_cache_refuses_its_own_credential_only() {
    let live = Live::default();
    let mut keys = KeyringBuilder::new();
    keys.ak_sk(ALICE, AK, SK.as_bytes(), None).unwrap();
    keys.ak_sk(CallerId(8), "BOB", SK.as_bytes(), None).unwrap();
    keys.replay_max(2);
    let gate = Gate { keys: keys.build(&live), live, rules: Rules::default() };
    let send = |request: &Unsigned<'_>| {
        gate.verify(request, &request.sign(), NOW).map(|verified| verified.seen.unwrap().keep())
    };
    for path in ["/1", "/2"] {
        send(&Unsigned { path, ..sha256() }).unwrap();
    }
    let full = send(&Unsigned { path: "/3", ..sha256() }).unwrap_err();
    assert_eq!(full.reason(), "replay_full");
    assert!(full.retry_after().unwrap() > Duration::from_secs(900));
    assert_eq!(send(&Unsigned { access_key: "BOB", ..sha256() }), Ok(()));
}

#[test]
fn what_was_seen_survives_a_reload_unless_the_secret_changed() {
    let mut gate = Gate::new();
    let request = sha256();
    let headers = request.sign();
    gate.verify(&request, &headers, NOW).unwrap().seen.unwrap().keep();

    gate.keys = keyring(&gate.live, SK);
    assert_eq!(gate.live.sweep(NOW).signatures, 1);
    assert_eq!(gate.verify(&request, &headers, NOW).unwrap_err(), Denied::Replayed);

    gate.keys = keyring(&gate.live, "a new secret");
    assert_eq!(
        gate.live.sweep(NOW).signatures,
        1,
        "kept while they could pass, should the old secret return"
    );
    assert_eq!(gate.verify(&request, &headers, NOW).unwrap_err(), Denied::BadSignature);
    let later = NOW.after(Duration::from_secs(2000));
    assert_eq!(gate.live.sweep(later).signatures, 0);
    assert_eq!(format!("{:?}", gate.live), "Live { credentials: 2, .. }", "the old pair's state is gone");
}

#[test]
fn six_failures_lock_the_pair_whether_the_key_exists_or_not() {
    for access_key in [AK, "NOSUCHKEY"] {
        let gate = Gate::new();
        let wrong = Unsigned { access_key, secret_key: "guess", ..sha256() };
        for _ in 0..6 {
            assert!(gate.send(&wrong).unwrap_err().retry_after().is_none());
        }
        let locked = gate.send(&wrong).unwrap_err();
        assert_eq!(locked, Denied::Locked { kind: Kind::AkSk, retry_after: Duration::from_secs(300) });
        assert_eq!(locked.to_string(), "too many failed attempts from this address; try again in 300 s");
    }
}

#[test]
fn a_lock_holds_against_the_right_signature_from_there_and_not_from_elsewhere() {
    let gate = Gate::new();
    let request = sha256();
    (0..6).for_each(|_| drop(gate.send(&Unsigned { secret_key: "guess", ..request.clone() })));
    assert_eq!(gate.send(&request).unwrap_err().reason(), "locked");

    let headers = request.sign();
    let elsewhere = Request {
        method: &request.method,
        path: request.path,
        query: "",
        authority: None,
        headers: &headers,
        peer: Ipv4Addr::new(192, 0, 2, 2).into(),
    };
    assert!(identify(&gate.keys, &gate.live, &gate.rules, &elsewhere, NOW).is_ok());
    let reopened = NOW.after(Duration::from_secs(300));
    assert!(gate.verify(&request, &headers, reopened).is_ok());
}

#[test]
fn wrong_codes_lock_further_guesses_of_their_address_and_never_the_right_code() {
    let gate = Gate::new();
    let ask = |code: &str| {
        let headers =
            [(http::HeaderName::from_static("x-apig-appcode"), code.parse().unwrap())].into_iter().collect();
        gate.identify(&sha256(), &headers, NOW).map(|_| ())
    };
    for i in 0..6 {
        assert_eq!(ask(&format!("guess-{i}")), Err(Denied::UnknownAppCode));
    }
    assert_eq!(ask("guess-7").unwrap_err().reason(), "locked");
    assert_eq!(ask("guess-7").unwrap_err().kind(), Some(Kind::AppCode));
    assert_eq!(ask(APP_CODE), Ok(()));
}
