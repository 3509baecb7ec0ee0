//! What operators see of a queue.

use super::*;

#[test]
fn operators_see_who_waits_by_name_and_nobody_else_is_named() {
    let queue = "{in_flight_max: 1, tokens_max: 100k, adapt: false, classes: [{name: quick}, {name: bulk}]}";
    let (_mock, gateway) = start(&planned(queue, "class: quick", "weight: 2"));
    let mut sent = send_in_order(
        &gateway,
        1,
        vec![
            slow(OPENAI_CHAT, "acme", ms(900)),
            slow(OPENAI_CHAT, "globex", ms(0)),
            Request::get("/mock/bytes/1"),
        ],
    );
    let gate = gate(&gateway);
    assert_eq!(
        (gate["in_flight_max"].as_u64(), gate["tokens_max"].as_u64()),
        (Some(1), Some(100_000)),
        "{gate}"
    );
    assert!(gate["tokens"].as_u64() > Some(256) && gate["waiting_bytes"].as_u64() > Some(50), "{gate}");
    let named = |name: &str| {
        let tenants = gate["tenants"].as_array().expect("tenants");
        tenants
            .iter()
            .find(|share| share["tenant"] == name)
            .unwrap_or_else(|| panic!("no {name} in {gate}"))
            .clone()
    };
    let (acme, globex, anybody) = (named("acme"), named("globex"), named("(anybody)"));
    assert_eq!((acme["class"].as_str(), acme["in_flight"].as_u64()), (Some("quick"), Some(1)), "{gate}");
    assert_eq!((globex["class"].as_str(), globex["waiting"].as_u64()), (Some("bulk"), Some(1)), "{gate}");
    assert_eq!((globex["weight"].as_u64(), anybody["weight"].as_u64()), (Some(2), Some(1)), "{gate}");

    let metrics = gateway.admin("/metrics").text();
    for line in [
        r#"gateway_queue_waiting{pool="models",class="bulk"} 2"#,
        r#"gateway_queue_waiting{pool="models",class="quick"} 0"#,
        r#"gateway_queue_in_flight{pool="models"} 1"#,
        r#"gateway_queue_in_flight_max{pool="models"} 1"#,
        r#"gateway_queue_let_in_total{pool="models"} 1"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }

    assert!(sent.drain(..).all(|sent| answer(sent).status == 200));
    eventually("two waits are counted, of about 0.9 s each", secs(5), || {
        let metrics = gateway.admin("/metrics").text();
        let value = |end: &str| {
            let name = format!("gateway_queue_wait_seconds{end}{{pool=\"models\",class=\"bulk\"}} ");
            metrics.lines().find_map(|line| line.strip_prefix(&name)?.parse::<f64>().ok())
        };
        (value("_count")? == 2.0 && (1.0..4.0).contains(&value("_sum")?)).then_some(())
    });
}
