//! What operators see of streams.

use super::*;
use harness::tcp_backend::connect_from;

#[test]
fn the_page_tells_who_has_how_many_connections_open_and_how_backends_are() {
    let backend = TcpBackend::echo();
    let limited = ", auth: [network], limits: {connections: 9, connects: 100/s, bytes_in: 1MB/s}";
    let gateway = setup().policy(&policy(&[backend.address], limited, "")).start();
    let open = [connect(gateway.tcp), connect(gateway.tcp), connect_from("127.0.5.1", gateway.tcp)];
    assert!(open.iter().all(echoes));
    let page = gateway.admin("/streams").json();
    assert_eq!((&page[0]["stream"], &page[0]["listener"]), (&"rpc".into(), &"rpc".into()), "{page}");
    assert_eq!((&page[0]["connections"], &page[0]["pool"]), (&3.into(), &"rpc".into()), "{page}");
    let limits = |tenant: &str, connections: u32| {
        serde_json::json!({"tenant": tenant, "connections": connections, "connections_max": 9,
            "connects_max": 100, "connects_ms": 1000, "bytes_in_per_s_max": 1_000_000})
    };
    assert_eq!(page[0]["tenants"], serde_json::json!([limits("acme", 2), limits("globex", 1)]));
    assert_eq!(page[0]["backends"][0]["backend"], backend.address.to_string(), "{page}");
    assert!(gateway.admin("/").text().contains("/streams"));

    // A stream that is gone is shown while it has connections.
    gateway.write_policy(
        &policy(&[backend.address], limited, "").replace("{name: rpc, listener", "{name: other, listener"),
    );
    in_force(&gateway, 2);
    let page = gateway.admin("/streams").json();
    assert_eq!((&page[0]["stream"], &page[0]["connections"]), (&"other".into(), &0.into()), "{page}");
    assert_eq!((&page[1]["stream"], &page[1]["connections"]), (&"rpc".into(), &3.into()), "{page}");
    assert_eq!(page[1]["listener"], Value::Null);
    drop(open);
    eventually("nothing is left of it", secs(2), || {
        gateway.admin("/streams").json().as_array().is_some_and(|page| page.len() == 1).then_some(())
    });
}
