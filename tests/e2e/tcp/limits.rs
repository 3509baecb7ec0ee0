//! How much a tenant may use: connections, connects, bytes; and what a reload changes of it.

use super::*;
use harness::tcp_backend::connect_from;

#[test]
fn connections_hold_exactly_and_each_tenant_has_its_own() {
    let (backend, gateway) = start_echo(", auth: [network], limits: {connections: 3}");
    let mut three: Vec<TcpStream> = (0..3).map(|_| connect(gateway.tcp)).collect();
    assert!(three.iter_mut().all(echoes));
    for _ in 0..5 {
        assert_eq!(end_of(&mut connect(gateway.tcp)), RESET);
    }
    assert_eq!(backend.connections(), 3, "what is refused reaches nobody");
    assert!(echoes(connect_from("127.0.5.1", gateway.tcp)), "another tenant");
    assert_eq!(line(&gateway, "connections")["tenant"], "acme");
    three.pop();
    eventually("its place is free again", secs(2), || echoes(connect(gateway.tcp)).then_some(()));
}

#[test]
fn connects_hold_exactly() {
    let (backend, gateway) = start_echo(", auth: [network], limits: {connects: 5/min}");
    let passed = (0..20).filter(|_| echoes(connect(gateway.tcp))).count();
    assert_eq!((passed, backend.connections()), (5, 5));
    line(&gateway, "connects");
}

#[test]
fn the_stricter_number_of_stream_and_plan_counts() {
    let backend = TcpBackend::echo();
    let limits = ", auth: [network], limits: {connections: 5}";
    let gateway = setup().policy(&policy(&[backend.address], limits, ", streams: {connections: 2}")).start();
    let mut open: Vec<TcpStream> = (0..5).map(|_| connect(gateway.tcp)).collect();
    assert_eq!(open.iter_mut().filter_map(|caller| echoes(caller).then_some(())).count(), 2);
}

/// Bytes that come within `for_ms` of a backend that never stops, in both of two connections.
fn received(gateway: &Gateway, for_ms: u64) -> usize {
    let read = |mut caller: TcpStream| {
        let (mut bytes, mut buffer) = (0, vec![0; 64 << 10]);
        let start = now();
        caller.set_read_timeout(Some(ms(20))).expect("a timeout");
        while start.elapsed() < ms(for_ms) {
            bytes += caller.read(&mut buffer).unwrap_or(0);
        }
        bytes
    };
    std::thread::scope(|scope| {
        let callers = [connect(gateway.tcp), connect(gateway.tcp)];
        callers
            .map(|caller| scope.spawn(move || read(caller)))
            .map(|reads| reads.join().expect("no panic"))
            .iter()
            .sum()
    })
}

/// A backend that says more than anybody wants to hear.
fn flood() -> TcpBackend {
    TcpBackend::start(|mut stream| while stream.write_all(&[7; 16 << 10]).is_ok() {})
}

#[test]
fn bytes_pass_at_their_rate_over_all_connections_of_a_tenant() {
    let backend = flood();
    for (key, rate) in [("bytes_out: 1MB/s", 1_000_000), ("bytes: 200KB/s", 200_000)] {
        let limits = format!(", auth: [network], limits: {{{key}}}");
        let gateway = setup().policy(&policy(&[backend.address], &limits, "")).start();
        let got = received(&gateway, 2_000);
        assert!(got.abs_diff(2 * rate) <= rate / 5, "{got} bytes in 2 s at {key}");
    }
}

#[test]
fn what_waits_for_its_pace_is_not_lost_and_not_idle() {
    let (_backend, gateway) =
        start_echo(", auth: [network], limits: {bytes_in: 50KB/s}, timeouts: {idle: 1s}");
    let sent = filler(100_000, 3);
    let start = now();
    assert!(said_again(connect(gateway.tcp), &sent).expect("all of it") == sent);
    assert!(start.elapsed() > ms(1_800) && start.elapsed() < ms(2_600), "{:?}", start.elapsed());
    let line = line(&gateway, "ok");
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&sent.len().into(), &sent.len().into()), "{line}");
}

#[test]
fn who_waits_behind_others_is_not_idle() {
    let (_backend, gateway) =
        start_echo(", auth: [network], limits: {bytes_in: 1KB/s}, timeouts: {idle: 1s}");
    let callers: Vec<TcpStream> = (0..50).map(|_| connect(gateway.tcp)).collect();
    let start = now();
    for mut caller in &callers {
        caller.write_all(&[7; 50]).unwrap(); // a slice, a twentieth of a second
    }
    let served = callers.iter().filter(|caller| (&**caller).read_exact(&mut [0; 50]).is_ok()).count();
    assert_eq!(served, callers.len());
    assert!(start.elapsed() > ms(2_200), "{:?}", start.elapsed());
}

#[test]
fn a_reload_changes_limits_and_cuts_nobody() {
    let backend = TcpBackend::echo();
    let with =
        |limits: &str| policy(&[backend.address], &format!(", auth: [network], limits: {{{limits}}}"), "");
    let gateway = setup().policy(&with("connections: 2, bytes_in: 10KB/s")).start();
    let mut two = [connect(gateway.tcp), connect(gateway.tcp)];
    assert!(two.iter_mut().all(echoes));
    assert!(!echoes(connect(gateway.tcp)));

    gateway.write_policy(&with("connections: 3, bytes_in: 10MB/s"));
    let third = eventually("there is room for a third", secs(3), || {
        let third = connect(gateway.tcp);
        echoes(&third).then_some(third)
    });
    let sent = filler(500_000, 5);
    let start = now();
    let mut one = two[0].try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| one.write_all(&sent).unwrap());
        let mut got = vec![0; sent.len()];
        two[1].set_nodelay(true).unwrap();
        (&two[0]).read_exact(&mut got).unwrap();
        assert!(got == sent);
    });
    assert!(start.elapsed() < secs(2), "an open connection goes at the new rate: {:?}", start.elapsed());

    // The tenant goes: its connections stay, and it gets no more.
    let gone = with("connections: 9").replace("networks: [127.0.0.0/16]", "networks: [127.7.0.0/16]");
    gateway.write_policy(&gone);
    in_force(&gateway, 3);
    assert!(!echoes(connect(gateway.tcp)));
    assert!(two.iter_mut().all(echoes) && echoes(&third));
    line(&gateway, "unknown_caller");

    // It comes back, and its open connections count.
    gateway.write_policy(&with("connections: 4"));
    let fourth = eventually("it is back", secs(3), || {
        let fourth = connect(gateway.tcp);
        echoes(&fourth).then_some(fourth)
    });
    assert!(!echoes(connect(gateway.tcp)), "a fifth");
    drop(fourth);
}

#[test]
fn a_bad_policy_changes_nothing() {
    let (backend, gateway) = start_echo(BY_NETWORK);
    let mut caller = connect(gateway.tcp);
    assert!(echoes(&mut caller));
    gateway.write_policy(&policy(&[backend.address], ", auth: [network], limits: {bytes: fast}", ""));
    eventually("it is refused", secs(3), || {
        gateway.admin("/policy").text().contains("not a number of bytes per second").then_some(())
    });
    assert!(echoes(&mut caller) && echoes(connect(gateway.tcp)));
}
