//! Where connections go: to backends that can be reached, by the balance of their pool, and over TLS.

use super::*;
use harness::TlsBackend;
use harness::certs::write_whole;

#[test]
fn the_next_backend_is_tried_when_one_is_down() {
    let nowhere = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let backend = TcpBackend::echo();
    let gateway = setup().policy(&policy(&[nowhere, backend.address], BY_NETWORK, "")).start();
    for number in 0..4 {
        assert!(echoes(connect(gateway.tcp)), "connection {number}");
    }
    assert_eq!(backend.connections(), 4);

    gateway.write_policy(&policy(&[nowhere], BY_NETWORK, ""));
    eventually("no backend is left", secs(2), || (!echoes(connect(gateway.tcp))).then_some(()));
    let line = line(&gateway, "unreachable");
    assert!(line["detail"].as_str().unwrap().contains("refused"), "{line}");
}

#[test]
fn four_are_tried_and_no_more() {
    // Bound, and nobody listens.
    let bound = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        socket
    };
    let down: Vec<socket2::Socket> = (0..12).map(|_| bound()).collect();
    let address = |socket: &socket2::Socket| socket.local_addr().unwrap().as_socket().unwrap();
    let mut backends: Vec<SocketAddr> = down.iter().map(address).collect();
    let backend = TcpBackend::echo();
    backends.push(backend.address);
    let gateway = setup().policy(&policy(&backends, BY_NETWORK, "")).start();
    let let_in = (0..3).filter(|_| echoes(connect(gateway.tcp))).count();
    assert!(let_in <= 1, "{let_in} of three: at four tries each, two meet only those that are down");
    line(&gateway, "unreachable");
}

#[test]
fn a_backend_that_refuses_connections_is_ejected_and_then_left_alone() {
    let nowhere = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let backend = TcpBackend::echo();
    let text = policy(&[nowhere, backend.address], BY_NETWORK, "")
        .replace("connect_timeout: 1s,", "connect_timeout: 1s, eject: {consecutive: 3, for: 1m},");
    let gateway = setup().policy(&text).start();
    let dialled = || {
        let page = gateway.admin("/metrics").text();
        let series = page.lines().find_map(|line| line.strip_prefix(CONNECTS)?.parse::<u32>().ok());
        series.unwrap_or_else(|| panic!("no {CONNECTS} in {page}"))
    };
    for number in 0..12 {
        assert!(echoes(connect(gateway.tcp)), "connection {number}");
    }
    let page = gateway.admin("/metrics").text();
    let ejected = format!(
        r#"gateway_upstream_ejections_total{{pool="rpc",backend="{nowhere}",reason="consecutive"}} 1"#
    );
    assert!(page.contains(&ejected), "no {ejected} in {page}");
    let before = dialled();
    for number in 0..6 {
        assert!(echoes(connect(gateway.tcp)), "connection {number}");
    }
    assert_eq!(dialled() - before, 6, "nobody asks the one that is out");
}

const CONNECTS: &str = r#"gateway_upstream_connects_total{pool="rpc"} "#;

#[test]
fn a_probe_is_a_connection_and_takes_a_dead_backend_out() {
    let backend = TcpBackend::echo();
    let nowhere = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let probed = policy(&[nowhere, backend.address], BY_NETWORK, "").replace(
        "connect_timeout: 1s,",
        "connect_timeout: 1s, health: {every: 100ms, timeout: 100ms, unhealthy_after: 1},",
    );
    let gateway = setup().policy(&probed).start();
    eventually("one is out", secs(3), || {
        let page = gateway.admin("/metrics").text();
        page.contains(&format!(r#"gateway_upstream_backend_up{{pool="rpc",backend="{nowhere}"}} 0"#))
            .then_some(())
    });
    assert!(echoes(connect(gateway.tcp)));
}

/// A backend that says who it is, then echoes.
fn named(name: u8) -> TcpBackend {
    TcpBackend::start(move |mut stream| {
        let _ = stream.write_all(&[name]);
        let _ = std::io::copy(&mut stream.try_clone().expect("a handle"), &mut stream);
    })
}

/// A connection, and the name of the backend that it got.
fn open(gateway: &Gateway) -> (u8, TcpStream) {
    let mut caller = connect(gateway.tcp);
    let mut name = [0];
    caller.read_exact(&mut name).expect("a name");
    (name[0], caller)
}

#[test]
fn connections_count_as_requests_do_where_a_pool_balances_by_them() {
    let backends = [named(b'a'), named(b'b')];
    let addresses = [backends[0].address, backends[1].address];
    let policy = policy(&addresses, BY_NETWORK, "")
        .replace("{name: rpc, connect", "{name: rpc, balance: least_requests, connect");
    let gateway = setup().policy(&policy).start();
    let mut four: Vec<_> = (0..4).map(|_| open(&gateway)).collect();
    assert_eq!(four.iter().filter(|(name, _)| *name == b'a').count(), 2, "two each");
    four.retain(|(name, _)| *name == b'b');
    eventually("two have ended", secs(2), || {
        (gateway.access_log().matches(r#""outcome":"ok""#).count() == 2).then_some(())
    });
    let two = [open(&gateway), open(&gateway)];
    assert!(two.iter().all(|(name, _)| *name == b'a'), "both to the one that has none");
}

#[test]
fn a_backend_may_speak_tls_and_demand_a_certificate_of_the_gateway() {
    let (servers, gateways) = (Authority::new(), Authority::new());
    let (tell, told) = mpsc::channel();
    let pair = servers.issue("backend", &["127.0.0.1"]);
    let backend = TlsBackend::start_demanding(&pair, &gateways, move |mut session| {
        tell.send(session.caller().expect("nobody gets in without one").to_vec()).expect("somebody listens");
        while let Some(some) = session.some() {
            session.say(some);
        }
        session.close();
    });
    let setup = setup();
    write_whole(&setup.policies(), "ca.pem", &servers.pem());
    let shown = gateways.issue("gateway", &["gateway"]);
    shown.write(&setup.policies(), "gateway");
    let tls = "tls: {ca: ca.pem, client: {cert: gateway.crt, key: gateway.key}}, connect_timeout";
    let text = policy(&[backend.address], BY_NETWORK, "");
    let gateway = setup.policy(&text.replace("tcp://", "tls://").replace("connect_timeout", tls)).start();
    let mut caller = connect(gateway.tcp);
    assert_eq!(said_again(&mut caller, b"hello").as_deref(), Some(&b"hello"[..]));
    assert!(told.recv_timeout(secs(2)).unwrap() == shown.der().to_vec(), "another certificate was shown");
    caller.shutdown(Shutdown::Write).unwrap();
    assert_eq!(end_of(&mut caller), Ok(()), "the end passes through TLS, both ways");
    line(&gateway, "ok");

    // Nobody else's authority will do.
    let setup = self::setup();
    write_whole(&setup.policies(), "ca.pem", &Authority::new().pem());
    let text =
        text.replace("tcp://", "tls://").replace("connect_timeout", "tls: {ca: ca.pem}, connect_timeout");
    let gateway = setup.policy(&text).start();
    assert_eq!(end_of(&mut connect(gateway.tcp)), RESET);
    let line = line(&gateway, "unreachable");
    assert!(line["detail"].as_str().unwrap().contains("certificate"), "{line}");
}
