//! New numbers, old state.

use super::*;

#[test]
fn the_same_numbers_change_nothing() {
    let mut bench = Bench::new(config(2));
    bench.send_each((0..9).map(|n| ask(n % 3)));
    let before = bench.state();
    bench.scheduler.configure(config(2));
    assert_eq!(bench.state(), before);
}

#[test]
fn more_room_lets_in_at_once_and_less_lets_out_nobody() {
    let mut bench = Bench::new(config(2));
    let numbers: Vec<usize> = (0..9).map(|n| bench.send(ask(n % 3))).collect();
    bench.scheduler.configure(config(5));
    bench.hear();
    assert_eq!(bench.in_now().len(), 5);
    bench.scheduler.configure(config(1));
    assert_eq!((bench.state().in_flight, bench.state().waiting), (5, 4));
    for _ in 0..4 {
        let number = bench.in_now()[0];
        bench.end(number);
    }
    assert_eq!((bench.state().in_flight, bench.state().waiting), (1, 4));
    for _ in 0..5 {
        let number = bench.in_now()[0];
        bench.end(number);
    }
    assert_eq!(numbers.iter().filter(|number| bench.sent[**number] == Stand::Gone).count(), 9);
    assert_empty(&bench.state());
}

#[test]
fn a_shorter_queue_drops_nobody_who_waits() {
    let mut bench = Bench::new(config(1));
    bench.send_each((0..5).map(|_| ask(1)));
    bench.scheduler.configure(Config { queue_max: 2, ..config(1) });
    assert_eq!(bench.state().waiting, 4);
    let refused = bench.send(ask(1));
    assert_eq!(bench.refusal(refused).reason, Reason::QueueFull);
}

#[test]
fn who_waits_keeps_its_deadline() {
    let with = |wait_max_s| Config { classes: vec![class("standard", wait_max_s, 0)], ..config(1) };
    let mut bench = Bench::new(with(10));
    bench.send(ask(1));
    let old = bench.send(ask(2));
    bench.scheduler.configure(with(2));
    let new = bench.send(ask(3));
    bench.at(2 * SECOND_US).tick();
    assert!(bench.waits(old));
    assert_eq!(bench.refusal(new).reason, Reason::TimedOut);
    bench.at(10 * SECOND_US).tick();
    assert_eq!(bench.refusal(old).reason, Reason::TimedOut);
}

#[test]
fn who_waits_in_a_class_that_is_gone_is_served_last_and_not_forgotten() {
    let classes = |n: usize| ["a", "b", "c"][..n].iter().map(|name| class(name, 100, 0)).collect();
    let mut bench = Bench::new(Config { classes: classes(3), ..config(1) });
    let running = bench.send(ask(1));
    let gone = bench.send(Ask { class: 2, ..ask(2) });
    bench.scheduler.configure(Config { classes: classes(1), ..config(1) });
    let new = bench.send(Ask { class: 2, ..ask(3) });
    bench.end(running);
    assert!(bench.is_in(new));
    bench.end(new);
    assert!(bench.is_in(gone));
    bench.end(gone);
    assert_empty(&bench.state());
    bench.at(61 * SECOND_US).tick();
    assert_eq!(bench.state().classes.len(), 1);
}

#[test]
fn what_was_learned_of_the_upstream_stays() {
    let adaptive = |places| Config { adapt: Some(Adapt::default()), ..config(places) };
    let mut bench = Bench::new(adaptive(10));
    bench.send_each((0..10).map(ask));
    bench.answered(0, 429, None);
    bench.scheduler.configure(adaptive(50));
    assert_eq!(bench.state().in_flight_max, Some(7));
    bench.scheduler.configure(adaptive(5));
    assert_eq!(bench.state().in_flight_max, Some(5));
    bench.scheduler.configure(config(50));
    assert_eq!(bench.state().in_flight_max, Some(50), "no longer adaptive");
}

#[test]
fn an_upstream_that_takes_all_it_may_get_gets_more_at_once() {
    let adaptive = |places| Config { adapt: Some(Adapt::default()), ..config(places) };
    let mut bench = Bench::new(adaptive(3));
    bench.send_each((0..20).map(ask));
    bench.answered(0, 429, None);
    assert_eq!(bench.state().in_flight_max, Some(2));
    for _ in 0..4 {
        let number = bench.in_now()[0];
        bench.answered(number, 200, None);
        bench.end(number);
    }
    assert_eq!(bench.state().in_flight_max, Some(3));
    bench.scheduler.configure(adaptive(9));
    assert_eq!(bench.state().in_flight_max, Some(9));
}

#[test]
fn a_gate_that_no_pool_asks_for_is_forgotten_with_its_last_request() {
    let gates = Gates::default();
    let pool = |name: &str| (std::sync::Arc::from(name), config(1));
    let mut held = gates.apply(vec![pool("b"), pool("a")], 0);
    let names = || gates.all().into_iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(), ["a", "b"]);
    let pass = held[0].enter(&ask(1), 0);
    assert!(matches!(pass, Entry::Now(_)));
    held = gates.apply(vec![pool("a")], 1);
    assert_eq!((names(), held.len()), (vec!["a".to_owned(), "b".to_owned()], 1));
    drop(pass);
    assert_eq!(names(), ["a"]);
}

#[test]
fn who_waits_at_a_gate_that_no_pool_asks_for_still_has_its_deadline() {
    let gates = Gates::default();
    let config = Config { classes: vec![class("standard", 10, 0)], ..config(1) };
    let gate = gates.apply(vec![("a".into(), config)], 0).remove(0);
    let _pass = gate.enter(&ask(1), 0);
    let Entry::Wait(_ticket) = gate.enter(&ask(2), 0) else { panic!("there is room") };
    gates.apply(Vec::new(), 1);
    assert_eq!(gate.state(0, 2).waiting, 1);
    gates.tick(10 * SECOND_US + 2);
    assert_eq!(gate.state(0, 10 * SECOND_US + 2).waiting, 0);
}
