//! Who is let in: by network, and by certificate.

use super::*;
use harness::certs::write_whole;
use harness::tcp_backend::{connect_from, tls};

#[test]
fn the_longest_network_names_the_tenant_and_strangers_are_reset() {
    let (_backend, gateway) = start_echo(BY_NETWORK);
    for (from, tenant) in [("127.0.0.1", "acme"), ("127.0.5.9", "globex")] {
        drop(said_again(connect_from(from, gateway.tcp), b"x").expect("let in"));
        let line = gateway.access_line(from, |line| line["peer"] == from);
        assert_eq!(line["tenant"], tenant);
    }
    let mut stranger = connect_from("127.9.0.1", gateway.tcp);
    assert_eq!(end_of(&mut stranger), RESET);
    let line = line(&gateway, "unknown_caller");
    assert_eq!((&line["tenant"], &line["bytes_in"]), (&Value::Null, &0.into()));
}

#[test]
fn anybody_is_let_in_where_nobody_has_to_say_who_they_are() {
    let (_backend, gateway) = start_echo(", auth: none, limits: {connections: 1}");
    let one = connect_from("127.9.0.1", gateway.tcp);
    assert!(echoes(&one));
    assert!(!echoes(connect(gateway.tcp)), "all count together");
}

/// As [`before`] an echo.
fn with_certificates(auth: &str) -> (TcpBackend, Gateway, Authority, Authority) {
    let backend = TcpBackend::echo();
    let (gateway, ours, theirs) = before(backend.address, auth);
    (backend, gateway, ours, theirs)
}

/// A gateway whose stream `rpcs` takes `auth`, and the authorities of its own and of its callers' certificates.
pub fn before(backend: SocketAddr, auth: &str) -> (Gateway, Authority, Authority) {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let setup = setup();
    ours.issue("gateway", &["gateway.test"]).write(&setup.certs(), "gateway");
    write_whole(&setup.policies(), "callers.pem", &theirs.pem());
    let policy = policy(&[backend], &format!(", auth: {auth}, client_ca: callers.pem"), "")
        .replace("listener: rpc,", "listener: rpcs,")
        .replace("name: acme,", "name: acme, client_certs: [{name: rpc.acme.internal}, {name: batch}],");
    (setup.policy(&policy).start(), ours, theirs)
}

#[test]
fn a_certificate_names_the_tenant_by_a_name_in_it() {
    let (_backend, gateway, ours, theirs) = with_certificates("[client_cert]");
    for (common_name, name) in [("x", "rpc.acme.internal"), ("Batch", "x.test")] {
        let pair = theirs.issue(common_name, &[name]);
        assert!(echoes(tls(gateway.tls, &ours, Some(&pair))), "{common_name}, {name}");
        let line =
            gateway.access_line("it ended", |line| line["outcome"] != "ok" || line["tenant"] == "acme");
        assert_eq!(line["tenant"], "acme", "{line}");
    }
    let unknown = theirs.issue("nobody", &["nobody.test"]);
    assert!(!echoes(tls(gateway.tls, &ours, Some(&unknown))));
    line(&gateway, "unknown_caller");
}

#[test]
fn a_certificate_of_another_authority_or_none_is_refused_in_the_handshake() {
    let (backend, gateway, ours, _theirs) = with_certificates("[client_cert]");
    let forged = Authority::new().issue("rpc.acme.internal", &["rpc.acme.internal"]);
    assert!(!echoes(tls(gateway.tls, &ours, Some(&forged))));
    assert!(!echoes(tls(gateway.tls, &ours, None)));
    eventually("both are logged", secs(2), || {
        (gateway.access_log().matches(r#""outcome":"handshake""#).count() == 2).then_some(())
    });
    assert_eq!(backend.connections(), 0);
    let log = gateway.access_log();
    assert!(log.contains("invalid peer certificate") && log.contains("no certificates"), "{log}");
}

#[test]
fn a_network_stands_in_for_a_certificate_that_is_not_shown() {
    let (_backend, gateway, ours, theirs) = with_certificates("[client_cert, network]");
    assert!(echoes(tls(gateway.tls, &ours, None)), "known by its network");
    let unknown = theirs.issue("nobody", &["nobody.test"]);
    assert!(!echoes(tls(gateway.tls, &ours, Some(&unknown))), "a certificate that is shown decides");
}

#[test]
fn a_fingerprint_names_one_certificate() {
    let (backend, gateway, ours, theirs) = with_certificates("[client_cert]");
    let (known, same_name) = (theirs.issue("a", &["a.test"]), theirs.issue("a", &["a.test"]));
    let digest = known.sha256();
    let text = policy(&[backend.address], ", auth: [client_cert], client_ca: callers.pem", "")
        .replace("listener: rpc,", "listener: rpcs,")
        .replace("name: globex,", &format!("name: globex, client_certs: [{{sha256: {digest}}}],"));
    gateway.write_policy(&text);
    eventually("it is let in", secs(3), || echoes(tls(gateway.tls, &ours, Some(&known))).then_some(()));
    assert!(!echoes(tls(gateway.tls, &ours, Some(&same_name))));
    gateway.access_line("it ended", |line| line["tenant"] == "globex");
}

#[test]
fn half_close_passes_through_tls() {
    let (_backend, gateway, ours, theirs) = with_certificates("[client_cert]");
    let mut caller = tls(gateway.tls, &ours, Some(&theirs.issue("batch", &["x.test"])));
    caller.write_all(b"all of it").unwrap();
    caller.conn.send_close_notify();
    caller.flush().unwrap();
    let mut got = String::new();
    caller.read_to_string(&mut got).expect("a proper end, which TLS vouches for");
    assert_eq!(got, "all of it");
}
