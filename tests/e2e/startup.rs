//! A start that cannot work ends at once, with a message that says how to mend it.

use crate::support::*;
use harness::certs::Authority;
use harness::{Mock, Setup};
use std::fs;
use std::net::TcpListener;

/// Exit code other than 0 within 2 s, and every one of `words` in what it says.
fn refuses_to_start(setup: Setup, words: &[&str]) {
    let (status, said) = setup.start_and_fail(secs(2));
    let status = status.unwrap_or_else(|| panic!("still running after 2 s; it said:\n{said}"));
    assert!(!status.success(), "exit code {status}; it said:\n{said}");
    for word in words {
        assert!(said.contains(word), "no word of `{word}` in:\n{said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

fn listener_at(address: &str) -> String {
    format!(r#"[{{name: http, address: "{address}"}}]"#)
}

#[test]
fn a_busy_port_is_named() {
    let mock = Mock::start();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    refuses_to_start(
        Setup::new(&mock).set("listeners", &listener_at(&address)),
        &[&address, "in use", "choose another port"],
    );
}

#[test]
fn two_gateways_do_not_share_a_port_unnoticed() {
    let mock = Mock::start();
    let first = Setup::new(&mock).set("workers", "2").start();
    let address = first.http.to_string();
    let second = Setup::new(&mock).set("workers", "2").set("listeners", &listener_at(&address));
    refuses_to_start(second, &[&address, "in use"]);
}

#[test]
fn a_busy_admin_port_is_named() {
    let mock = Mock::start();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let admin = format!(r#"{{address: "{address}"}}"#);
    refuses_to_start(Setup::new(&mock).set("admin", &admin), &[&address, "in use", "choose another port"]);
}

#[test]
fn a_key_that_is_not_its_certificates_is_named() {
    let mock = Mock::start();
    let authority = Authority::new();
    let setup = Setup::new(&mock).https();
    let (one, other) = (authority.issue("one", &["localhost"]), authority.issue("other", &["localhost"]));
    harness::certs::Pair { certificate: one.certificate, key: other.key }.write(&setup.certs(), "localhost");
    refuses_to_start(setup, &["localhost.crt", "localhost.key", "replace both files"]);
}

#[test]
fn a_certificate_that_is_none_is_named() {
    let mock = Mock::start();
    let setup = Setup::new(&mock).https();
    Authority::new().issue("good", &["localhost"]).write(&setup.certs(), "localhost");
    fs::write(setup.certs().join("localhost.crt"), "not a certificate").expect("directory is ours");
    refuses_to_start(setup, &["localhost.crt", "PEM"]);
}

#[test]
fn https_without_any_certificate_says_how_to_make_one() {
    let mock = Mock::start();
    refuses_to_start(Setup::new(&mock).https(), &["certs", "dev-certs"]);
}

#[test]
fn a_bad_policy_is_reported_whole() {
    let mock = Mock::start();
    let policy =
        harness::gateway::BASE.replace("pool: models", "pool: modles").replace("plan: wide", "plan: wild");
    refuses_to_start(
        Setup::new(&mock).policy(&policy),
        &["policy.yaml:", "help:", "modles", "did you mean `models`", "wild", "did you mean `wide`"],
    );
}

#[test]
fn a_secret_that_is_not_set_is_named_and_no_other_is_shown() {
    let mock = Mock::start();
    let policy = harness::gateway::BASE.replace("ALICE_SK", "SK_NOBODY_SET");
    let (status, said) = Setup::new(&mock).policy(&policy).start_and_fail(secs(2));
    assert!(status.is_some_and(|status| !status.success()), "{said}");
    assert!(said.contains("SK_NOBODY_SET"), "{said}");
    assert!(!said.contains("canary"), "{said}");
}

#[test]
fn settings_with_an_unknown_key_are_refused() {
    let mock = Mock::start();
    refuses_to_start(Setup::new(&mock).set("worker", "2"), &["worker", "workers"]);
}

#[test]
fn a_missing_policy_directory_is_named() {
    let mock = Mock::start();
    refuses_to_start(Setup::new(&mock).set("policies", "policys"), &["policys"]);
}
