//! Who is served while more is wanted than there is.

use super::*;
use std::sync::atomic::{AtomicBool, Ordering};

/// Sends requests of one tenant over so many connections at once, each as soon as the one before is answered.
struct Load {
    connections: Vec<JoinHandle<Vec<Duration>>>,
}

impl Load {
    fn start(
        gateway: &Gateway,
        request: Request,
        connections: usize,
        stop: &std::sync::Arc<AtomicBool>,
    ) -> Load {
        let address = gateway.http;
        let run = |_| {
            let (bytes, stop) = (request.to_bytes(), stop.clone());
            std::thread::spawn(move || {
                let mut conn = harness::Conn::open(address);
                let mut times = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let sent = now();
                    conn.send(&bytes);
                    let answer = conn.response().expect("an answer");
                    assert!(answer.status != 503, "{}", answer.text());
                    times.push(sent.elapsed());
                }
                times
            })
        };
        Load { connections: (0..connections).map(run).collect() }
    }

    /// How long each took.
    fn end(self) -> Vec<Duration> {
        self.connections.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    }
}

/// Runs loads together: tenant, its request, its connections. How long each request of each took.
fn together(gateway: &Gateway, lasting: Duration, loads: &[(Request, usize)]) -> Vec<Vec<Duration>> {
    let stop = std::sync::Arc::default();
    let loads: Vec<Load> =
        loads.iter().map(|(request, n)| Load::start(gateway, request.clone(), *n, &stop)).collect();
    std::thread::sleep(lasting);
    stop.store(true, Ordering::Relaxed);
    loads.into_iter().map(Load::end).collect()
}

fn ratio(a: usize, b: usize) -> f64 {
    a as f64 / b as f64
}

#[test]
fn a_noisy_tenant_does_not_delay_the_others() {
    let (_mock, gateway) = start(&policy("{in_flight_max: 2, adapt: false}"));
    let quiet: Vec<_> = TENANTS[1..].iter().map(|name| (slow(OPENAI_CHAT, name, ms(20)), 2)).collect();
    let of_quiet = |times: &[Vec<Duration>]| median(times[..quiet.len()].concat());

    let before = of_quiet(&together(&gateway, secs(2), &quiet));
    let mut noisy = quiet.clone();
    noisy.push((slow(OPENAI_CHAT, "acme", ms(20)), 20));
    let beside = of_quiet(&together(&gateway, secs(2), &noisy));
    // Four share the pool, then five: 1.25 is what is fair. First come, first served would be 28 / 8 = 3.5.
    assert!(beside < before.mul_f64(1.9), "{before:?} alone, {beside:?} beside the noise");
}

#[test]
fn service_goes_by_weight() {
    let policy = planned("{in_flight_max: 1, adapt: false}", "weight: 3", "weight: 1");
    let (_mock, gateway) = start(&policy);
    for target in [OPENAI_CHAT, ECHO] {
        let load = |tenant| (slow(target, tenant, ms(10)), 8);
        let times = together(&gateway, secs(2), &[load("acme"), load("globex")]);
        let share = ratio(times[0].len(), times[1].len());
        assert!((2.2..4.0).contains(&share), "{target}: {share}");
    }
}

#[test]
fn a_tenant_whose_requests_fail_has_its_share_and_not_more() {
    let (_mock, gateway) = start(&policy("{in_flight_max: 1, adapt: false}"));
    let failing = slow(OPENAI_CHAT, "acme", ms(10)).header("x-mock-fault", "status:500");
    let good = slow(OPENAI_CHAT, "globex", ms(10)).header("x-mock-tokens", "1");
    let times = together(&gateway, secs(2), &[(good, 4), (failing, 20)]);
    let share = ratio(times[0].len(), times[1].len());
    assert!(share > 0.5, "{share}");
}

const CLASSES: &str = "[{name: interactive, holdback: 50}, {name: batch}]";

#[test]
fn a_higher_class_goes_before_a_lower_one() {
    let queue = format!("{{in_flight_max: 1, adapt: false, classes: {CLASSES}}}");
    let (mock, gateway) = start(&planned(&queue, "class: interactive", "class: batch"));
    let request = |tenant| slow(OPENAI_CHAT, tenant, ms(0));
    let mut requests = vec![slow(OPENAI_CHAT, "hooli", ms(400))];
    requests.extend(["globex", "initech", "acme", "acme"].map(request));
    let sent = send_in_order(&gateway, 1, requests);
    assert!(sent.into_iter().all(|sent| answer(sent).status == 200));
    assert_eq!(arrivals(&mock, 5), ["hooli", "acme", "acme", "globex", "initech"]);
}

#[test]
fn what_a_class_holds_back_stays_free_for_it() {
    let queue = format!("{{in_flight_max: 4, adapt: false, classes: {CLASSES}}}");
    let (_mock, gateway) = start(&planned(&queue, "class: interactive", "class: batch"));
    let batch = (0..3).map(|_| slow(OPENAI_CHAT, "globex", ms(800))).collect();
    let sent = send_in_order(&gateway, 2, batch);
    let urgent = slow(OPENAI_CHAT, "acme", ms(0)).send(gateway.http);
    assert_eq!((urgent.status, queued(&gateway, &urgent)), (200, None));
    assert!(sent.into_iter().all(|sent| answer(sent).status == 200));
}
