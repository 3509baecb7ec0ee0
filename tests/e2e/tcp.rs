//! Plain TCP: who is let in, how much passes, that it is the same bytes, and how it ends.

mod backends;
mod callers;
mod limits;
mod openssl;
mod operators;
mod proxies;

use crate::support::*;
use harness::certs::Authority;
use harness::tcp_backend::{connect, echoes, said_again};
use harness::{Gateway, Setup, TcpBackend, eventually, now};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;

/// Listeners for plain TCP, the second over TLS, both of which a test may give a stream.
const LISTENERS: &str = r#"[{name: rpc, address: "127.0.0.1:0", tcp: true}, {name: rpcs, address: "127.0.0.1:0", tcp: true, tls: true}]"#;

/// A policy with the stream `rpc` to `backends`; `stream` and `plan` say more.
fn policy(backends: &[SocketAddr], stream: &str, plan: &str) -> String {
    let urls: Vec<String> = backends.iter().map(|address| format!("{{url: \"tcp://{address}\"}}")).collect();
    format!(
        "
streams:
  - {{name: rpc, listener: rpc, pool: rpc{stream}}}
pools:
  - {{name: rpc, connect_timeout: 1s, backends: [{}]}}
plans:
  standard: {{limits: []{plan}}}
tenants:
  - {{name: acme, plan: standard, users: [], networks: [127.0.0.0/16]}}
  - {{name: globex, plan: standard, users: [], networks: [127.0.5.0/24]}}
",
        urls.join(", ")
    )
}

const BY_NETWORK: &str = ", auth: [network]";

fn setup() -> Setup {
    let setup = Setup::in_front_of(
        TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address"),
    );
    Authority::new().issue("gateway", &["gateway.test"]).write(&setup.certs(), "gateway");
    setup.set("listeners", LISTENERS)
}

/// An echo behind a gateway whose stream says `stream` besides.
fn start_echo(stream: &str) -> (TcpBackend, Gateway) {
    let backend = TcpBackend::echo();
    let gateway = setup().policy(&policy(&[backend.address], stream, "")).start();
    (backend, gateway)
}

fn line(gateway: &Gateway, outcome: &str) -> Value {
    gateway.access_line(&format!("a connection that ended `{outcome}`"), |line| line["outcome"] == outcome)
}

fn in_force(gateway: &Gateway, version: u64) {
    eventually("the policy is in force", secs(3), || {
        (gateway.admin("/policy").json()["version"] == version).then_some(())
    });
}

/// Whether the other end has closed, by a reset or not.
fn end_of(stream: &mut TcpStream) -> Result<(), std::io::ErrorKind> {
    let mut byte = [0];
    match stream.read(&mut byte) {
        Ok(0) => Ok(()),
        Ok(_) => panic!("a byte came"),
        Err(error) => Err(error.kind()),
    }
}

const RESET: Result<(), std::io::ErrorKind> = Err(std::io::ErrorKind::ConnectionReset);

#[test]
fn what_is_said_comes_back_and_the_log_says_who_said_how_much() {
    let (backend, gateway) = start_echo(BY_NETWORK);
    let mut caller = connect(gateway.tcp);
    assert_eq!(said_again(&mut caller, b"hello").as_deref(), Some(&b"hello"[..]));
    caller.shutdown(Shutdown::Write).unwrap();
    assert_eq!(end_of(&mut caller), Ok(()));
    let line = line(&gateway, "ok");
    assert_eq!((&line["protocol"], &line["stream"]), (&"tcp".into(), &"rpc".into()), "{line}");
    assert_eq!((&line["tenant"], &line["peer"]), (&"acme".into(), &"127.0.0.1".into()), "{line}");
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&5.into(), &5.into()), "{line}");
    assert_eq!(line["backend"], backend.address.to_string());
    let page = gateway.admin("/metrics").text();
    for wanted in [
        r#"gateway_stream_ended_total{stream="rpc",outcome="ok"} 1"#,
        r#"gateway_stream_bytes_total{stream="rpc",tenant="acme",direction="in"} 5"#,
        r#"gateway_stream_connections{stream="rpc",tenant="acme"} 0"#,
    ] {
        assert!(page.contains(wanted), "no {wanted} in {page}");
    }
}

/// Bytes that tell where they belong.
fn filler(length: usize, seed: u32) -> Vec<u8> {
    (0..length as u32).map(|i| (i.wrapping_add(seed).wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

#[test]
fn a_mebibyte_each_way_at_once_arrives_whole() {
    let (there, back) = (filler(1 << 20, 1), filler(1 << 20, 7));
    let (tell, told) = mpsc::channel();
    let answer = back.clone();
    let backend = TcpBackend::start(move |stream| {
        let mut out = stream.try_clone().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                out.write_all(&answer).unwrap();
                out.shutdown(Shutdown::Write).unwrap();
            });
            let mut got = Vec::new();
            let _ = (&stream).read_to_end(&mut got);
            tell.send(got).unwrap();
        });
    });
    let gateway = setup().policy(&policy(&[backend.address], BY_NETWORK, "")).start();
    let caller = connect(gateway.tcp);
    let mut got = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (&caller).write_all(&there).unwrap();
            caller.shutdown(Shutdown::Write).unwrap();
        });
        (&caller).read_to_end(&mut got).unwrap();
    });
    assert!(got == back, "{} bytes came back", got.len());
    assert!(told.recv_timeout(secs(5)).unwrap() == there, "other bytes arrived");
    let line = line(&gateway, "ok");
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&there.len().into(), &back.len().into()), "{line}");
}

#[test]
fn each_direction_ends_by_itself() {
    // The backend answers only after its caller has ended, and the caller after the backend has.
    let (tell, told) = mpsc::channel();
    let backend = TcpBackend::start(move |mut stream| {
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        got.extend_from_slice(b" and the answer");
        std::thread::sleep(ms(100));
        stream.write_all(&got).unwrap();
    });
    let gateway = setup().policy(&policy(&[backend.address], BY_NETWORK, "")).start();
    let mut caller = connect(gateway.tcp);
    caller.write_all(b"the question").unwrap();
    caller.shutdown(Shutdown::Write).unwrap();
    let mut got = String::new();
    caller.read_to_string(&mut got).unwrap();
    assert_eq!(got, "the question and the answer");

    let backend = TcpBackend::start(move |mut stream| {
        stream.write_all(b"a greeting").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut got = String::new();
        stream.read_to_string(&mut got).unwrap();
        tell.send(got).unwrap();
    });
    gateway.write_policy(&policy(&[backend.address], BY_NETWORK, ""));
    in_force(&gateway, 2);
    let mut caller = connect(gateway.tcp);
    let mut got = String::new();
    caller.read_to_string(&mut got).unwrap();
    assert_eq!(got, "a greeting");
    std::thread::sleep(ms(100));
    caller.write_all(b"a late word").unwrap();
    drop(caller);
    assert_eq!(told.recv_timeout(secs(5)).unwrap(), "a late word");
}

#[test]
fn what_was_cut_does_not_look_whole() {
    let (tell, told) = mpsc::channel();
    let backend = TcpBackend::start(move |mut stream| {
        let mut got = Vec::new();
        tell.send(stream.read_to_end(&mut got).map_err(|error| error.kind())).unwrap();
    });
    let gateway = setup().policy(&policy(&[backend.address], BY_NETWORK, "")).start();
    let caller = connect(gateway.tcp);
    (&caller).write_all(b"half a").unwrap();
    eventually("it has passed", secs(2), || (backend.connections() == 1).then_some(()));
    std::thread::sleep(ms(50));
    socket2::SockRef::from(&caller).set_linger(Some(ms(0))).unwrap();
    drop(caller); // a reset
    let end = told.recv_timeout(secs(5)).unwrap();
    assert_eq!(end, Err(std::io::ErrorKind::ConnectionReset));
    line(&gateway, "caller_broke");
}

#[test]
fn what_breaks_at_the_backend_is_cut_and_what_had_passed_counts() {
    let backend = TcpBackend::start(|mut stream| {
        stream.read_exact(&mut [0; 5]).unwrap();
        stream.write_all(b"half").unwrap();
        std::thread::sleep(ms(100)); // so that it has passed
        socket2::SockRef::from(&stream).set_linger(Some(ms(0))).unwrap();
    });
    let gateway = setup().policy(&policy(&[backend.address], BY_NETWORK, "")).start();
    let mut caller = connect(gateway.tcp);
    caller.write_all(b"hello").unwrap();
    let mut half = [0; 4];
    caller.read_exact(&mut half).unwrap();
    assert_eq!((&half, end_of(&mut caller)), (b"half", RESET));
    let line = line(&gateway, "backend_broke");
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&5.into(), &4.into()), "{line}");
    let page = gateway.admin("/metrics").text();
    for wanted in [
        r#"gateway_stream_ended_total{stream="rpc",outcome="backend_broke"} 1"#,
        r#"gateway_stream_bytes_total{stream="rpc",tenant="acme",direction="in"} 5"#,
        r#"gateway_stream_bytes_total{stream="rpc",tenant="acme",direction="out"} 4"#,
    ] {
        assert!(page.contains(wanted), "no {wanted} in {page}");
    }
}

#[test]
fn the_time_for_a_handshake_is_not_that_of_a_connection() {
    let backend = TcpBackend::echo();
    let setup = setup().set("timeouts", "{handshake: 1s}");
    let gateway = setup.policy(&policy(&[backend.address], BY_NETWORK, "")).start();
    let mut caller = connect(gateway.tcp);
    for _ in 0..2 {
        assert!(echoes(&mut caller));
        std::thread::sleep(ms(1_300));
    }
    assert!(echoes(&mut caller));
}

#[test]
fn silence_and_age_end_a_connection() {
    let (_backend, gateway) = start_echo(", auth: [network], timeouts: {idle: 1s}");
    let mut caller = connect(gateway.tcp);
    let start = now();
    for _ in 0..4 {
        assert!(echoes(&mut caller), "it is not silent");
        std::thread::sleep(ms(500));
    }
    assert_eq!(end_of(&mut caller), RESET);
    assert!(start.elapsed() > ms(2400), "ended after {:?}", start.elapsed());
    line(&gateway, "idle");

    let (_backend, gateway) = start_echo(", auth: [network], timeouts: {total: 1s}");
    let mut caller = connect(gateway.tcp);
    let start = now();
    while echoes(&mut caller) && start.elapsed() < secs(5) {
        std::thread::sleep(ms(20));
    }
    assert!(start.elapsed() > ms(900) && start.elapsed() < secs(2), "ended after {:?}", start.elapsed());
    line(&gateway, "total");
}

#[test]
fn a_listener_without_a_stream_resets_and_says_so() {
    let (_backend, gateway) = start_echo(BY_NETWORK);
    assert!(gateway.process.stderr().contains("listener `rpcs` is for plain TCP, and no stream"));
    let mut caller = connect(gateway.tls);
    assert_eq!(end_of(&mut caller), RESET);
    assert_eq!(line(&gateway, "no_stream")["stream"], Value::Null);
}

#[test]
fn the_end_waits_for_open_connections_and_then_cuts_them() {
    let backend = TcpBackend::echo();
    let drain = setup().set("timeouts", "{drain: 1s}").policy(&policy(&[backend.address], BY_NETWORK, ""));
    let mut gateway = drain.start();
    let (mut ends, mut stays) = (connect(gateway.tcp), connect(gateway.tcp));
    assert!(echoes(&mut ends) && echoes(&mut stays));
    gateway.process.signal("TERM");
    eventually("nobody new is let in", secs(1), || TcpStream::connect(gateway.tcp).is_err().then_some(()));
    assert!(echoes(&mut ends), "an open connection goes on");
    ends.shutdown(Shutdown::Write).unwrap();
    assert_eq!(end_of(&mut ends), Ok(()));
    assert_eq!(gateway.process.wait(secs(3)).and_then(|status| status.code()), Some(0));
    assert_eq!(end_of(&mut stays), RESET, "what is cut does not look whole");
    line(&gateway, "ok");
    let line = line(&gateway, "cut");
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&5.into(), &5.into()), "{line}");
}
