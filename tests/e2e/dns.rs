//! Backends by name: all addresses, for as long as they hold; SRV records; and names that lead where they must not.

use crate::support::*;
use harness::certs::{Authority, write_whole};
use harness::dns::Answer;
use harness::gateway::BASE;
use harness::{Dns, Gateway, Reply, Request, Script, Setup, TlsBackend, eventually};
use std::net::{IpAddr, TcpListener};
use std::sync::mpsc;

/// The base policy with other keys in its pool.
fn policy(keys: &str) -> String {
    let backends = "    backends: [{url: \"http://127.0.0.1:9100\"}]\n";
    assert!(BASE.contains(backends));
    BASE.replace(backends, &format!("    {keys}\n"))
}

fn setup(dns: &Dns, keys: &str) -> Setup {
    let setup = Setup::in_front_of(([127, 0, 0, 1], 1).into());
    setup.set("dns", &dns.setting()).policy(&policy(keys))
}

/// Backends on one port of several addresses of this machine; each says its own address.
fn machines<const N: usize>(addresses: [&str; N]) -> (u16, [Script; N]) {
    let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
    let first = TcpListener::bind((ip(addresses[0]), 0)).expect("a free port");
    let port = first.local_addr().expect("bound").port();
    let mut first = Some(first);
    let scripts = addresses.map(|address| {
        let again = || TcpListener::bind((ip(address), port)).expect("free on this address as well");
        let listener = first.take().unwrap_or_else(again);
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{address}", address.len());
        Script::listening(listener, move |_, _| Reply::keep(&answer))
    });
    (port, scripts)
}

/// Which machine answers, and with what status.
fn asked(gateway: &Gateway) -> (u16, String) {
    let answer = Request::get("/open/x").send(gateway.http);
    (answer.status, answer.text().to_string())
}

/// How many of so many requests each machine answers; none fails.
fn shares<const N: usize>(gateway: &Gateway, of: usize, addresses: [&str; N]) -> [usize; N] {
    let answers: Vec<_> = (0..of).map(|_| asked(gateway)).collect();
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    addresses.map(|address| answers.iter().filter(|(_, body)| body == address).count())
}

fn failures(gateway: &Gateway) -> u64 {
    gateway.admin("/backends").json()[0]["sources"][0]["failures"].as_u64().expect("a count")
}

fn error(gateway: &Gateway) -> String {
    gateway.admin("/backends").json()[0]["sources"][0]["error"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn all_addresses_of_a_name_are_used_for_as_long_as_they_hold() {
    let (dns, all) = (Dns::start(), ["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    let (port, _machines) = machines(all);
    dns.host("models.test", 1, &all[..2]);
    dns.host("steady.test", 300, &all[..1]);
    let keys = format!(
        "networks: [127.0.0.0/8]\n    backends: [{{url: \"http://models.test:{port}\", weight: 2}}, \
         {{url: \"http://steady.test:{port}\", weight: 1}}]"
    );
    let gateway = setup(&dns, &keys).start();
    assert_eq!(shares(&gateway, 30, all), [20, 10, 0], "two share a weight of 2, and one has 1");
    dns.host("models.test", 1, &all[2..]);
    eventually("the name has another address", secs(5), || (asked(&gateway).1 == all[2]).then_some(()));
    assert_eq!(shares(&gateway, 30, all), [10, 0, 20]);
    let page = gateway.admin("/backends").text().to_string();
    assert!(page.contains(&format!("models.test@127.0.0.3:{port}")), "{page}");
    assert!(dns.asked("models.test") >= 4 && dns.asked("steady.test") == 2, "one is held for 5 min");
}

#[test]
fn a_name_that_is_gone_keeps_its_addresses() {
    let (dns, all) = (Dns::start(), ["127.0.0.1", "127.0.0.2"]);
    let (port, _machines) = machines(all);
    dns.host("models.test", 1, &all[..1]);
    let keys = format!("networks: [127.0.0.0/8]\n    backends: [{{url: \"http://models.test:{port}\"}}]");
    let gateway = setup(&dns, &keys).start();
    assert_eq!(shares(&gateway, 3, all), [3, 0]);
    dns.says("models.test", 1, []);
    eventually("it has no address", secs(5), || (failures(&gateway) >= 1).then_some(()));
    dns.fails("models.test");
    eventually("the server fails", secs(15), || (failures(&gateway) >= 2).then_some(()));
    assert_eq!(shares(&gateway, 3, all), [3, 0]);
    dns.host("models.test", 1, &all[1..]);
    eventually("it is back elsewhere", secs(15), || (asked(&gateway).1 == all[1]).then_some(()));
    assert_eq!(error(&gateway), "");
}

#[test]
fn a_name_does_not_lead_to_the_metadata_service_nor_to_this_machine() {
    let dns = Dns::start();
    let (port, _machines) = machines(["127.0.0.1"]);
    dns.host("metadata.test", 1, &["169.254.169.254"]);
    dns.host("mapped.test", 1, &["::ffff:169.254.169.254"]);
    dns.host("own.test", 1, &["127.0.0.1"]);
    for (name, networks) in
        [("metadata.test", "networks: [0.0.0.0/0]"), ("mapped.test", ""), ("own.test", "")]
    {
        let keys = format!("backends: [{{url: \"http://{name}:{port}\"}}]\n    {networks}");
        let gateway = setup(&dns, &keys).start();
        assert_eq!(asked(&gateway).0, 503, "{name}");
        assert!(error(&gateway).contains("none of its 1 addresses is used"), "{}", error(&gateway));
    }
}

#[test]
fn a_certificate_has_to_be_for_the_name_whatever_the_address() {
    let (dns, authority) = (Dns::start(), Authority::new());
    dns.host("models.test", 60, &["127.0.0.1"]);
    for (names, status) in [(["models.test"], 200), (["127.0.0.1"], 502)] {
        let (told, heads) = mpsc::channel();
        let backend = TlsBackend::start(&authority.issue("backend", &names), move |mut session| {
            while let Some((head, _)) = session.request() {
                told.send(head).expect("the test listens");
                session.say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            }
        });
        let port = backend.address.port();
        let keys = format!(
            "networks: [127.0.0.0/8]\n    tls: {{ca: ca.pem}}\n    \
             backends: [{{url: \"https://models.test:{port}\"}}]"
        );
        let setup = setup(&dns, "backends: [{url: \"http://127.0.0.1:1\"}]");
        write_whole(&setup.policies(), "ca.pem", &authority.pem());
        let gateway = setup.policy(&policy(&keys)).start();
        assert_eq!(asked(&gateway).0, status, "{names:?}");
        if status == 200 {
            let head = heads.recv_timeout(secs(5)).expect("a request");
            assert!(head.contains(&format!("host: models.test:{port}\r\n")), "{head}");
        }
    }
}

#[test]
fn targets_of_srv_records_share_requests_by_weight_and_the_rest_stands_by() {
    let (dns, all) = (Dns::start(), ["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    let (port, _machines) = machines(all);
    for (at, name) in ["a.test", "b.test", "c.test"].into_iter().enumerate() {
        dns.host(name, 1, &[all[at]]);
    }
    let target = |priority, weight, target| Answer::Target { priority, weight, port, target };
    let name = "_http._tcp.models.test";
    dns.says(name, 1, [target(10, 30, "a.test"), target(10, 10, "b.test"), target(20, 1, "c.test")]);
    let gateway = setup(&dns, &format!("discover: {{srv: {name}}}\n    networks: [127.0.0.0/8]")).start();
    assert_eq!(shares(&gateway, 40, all), [30, 10, 0]);
    dns.says(name, 1, [target(10, 0, "gone.test"), target(20, 0, "c.test")]);
    eventually("the next priority is used", secs(5), || (asked(&gateway).1 == all[2]).then_some(()));
    assert_eq!(shares(&gateway, 4, all), [0, 0, 4]);
}
