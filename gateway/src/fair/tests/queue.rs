//! Who may wait, how long, and who gives way.

use super::*;

fn small(places: u32, queue_max: u32) -> Config {
    Config { queue_max, ..config(places) }
}

fn of_bytes(tenant: u64, body_bytes: u64) -> Ask {
    Ask { body_bytes, ..ask(tenant) }
}

#[test]
fn a_full_queue_refuses_who_fills_it() {
    let mut bench = Bench::new(small(1, 3));
    bench.send_each((0..4).map(|_| ask(1)));
    let refused = bench.send(ask(1));
    assert_eq!(bench.refusal(refused).reason, Reason::QueueFull);
    assert_eq!(bench.state().waiting, 3);
}

#[test]
fn the_newest_request_of_the_tenant_with_most_gives_way_to_another() {
    let mut bench = Bench::new(small(1, 4));
    let numbers: Vec<usize> = (0..5).map(|_| bench.send(ask(1))).collect();
    let first = bench.send(ask(2));
    assert!(bench.waits(first));
    assert_eq!(bench.refusal(numbers[4]).reason, Reason::Displaced);
    let second = bench.send(ask(2));
    assert!(bench.waits(second));
    assert_eq!(bench.refusal(numbers[3]).reason, Reason::Displaced);
    let third = bench.send(ask(2));
    assert_eq!(bench.refusal(third).reason, Reason::QueueFull, "two each is fair");
    let other = bench.send(ask(3));
    assert!(bench.waits(other), "one of them has more");
    assert_eq!(bench.state().waiting, 4);
}

#[test]
fn among_equals_the_newcomer_is_refused() {
    let mut bench = Bench::new(small(1, 3));
    let waiting: Vec<usize> = (0..4).map(|n| bench.send(ask(n))).collect();
    let refused = bench.send(ask(9));
    assert_eq!(bench.refusal(refused).reason, Reason::QueueFull);
    assert!(waiting[1..].iter().all(|number| bench.waits(*number)));
}

#[test]
fn bytes_are_bounded_and_shared_like_places() {
    let mut bench = Bench::new(Config { queue_bytes_max: 1000, ..config(1) });
    let numbers: Vec<usize> = (0..6).map(|_| bench.send(of_bytes(1, 200))).collect();
    assert_eq!(bench.state().waiting_bytes, 1000);
    let light = bench.send(of_bytes(2, 350));
    assert!(bench.waits(light));
    let left: Vec<usize> = numbers.into_iter().filter(|number| bench.waits(*number)).collect();
    assert_eq!(left, [1, 2, 3], "the newest two had to go");
    assert_eq!(bench.state().waiting_bytes, 950);
    let heavy = bench.send(of_bytes(3, 700));
    assert_eq!(bench.refusal(heavy).reason, Reason::QueueFull, "it would have more than anybody");
    assert_eq!(bench.state().waiting_bytes, 950, "a refusal costs nobody a place");
    let huge = bench.send(of_bytes(4, 1001));
    assert_eq!(bench.refusal(huge).reason, Reason::QueueFull);
}

#[test]
fn a_lower_class_gives_way_to_a_higher_one_and_never_the_other_way() {
    let classes = vec![class("high", 1000, 0), class("low", 1000, 0)];
    let mut bench = Bench::new(Config { classes, ..small(1, 2) });
    let low = |tenant| Ask { class: 1, ..ask(tenant) };
    bench.send(ask(1));
    let (a, b) = (bench.send(low(1)), bench.send(low(2)));
    let (c, d) = (bench.send(ask(3)), bench.send(ask(3)));
    for displaced in [a, b] {
        assert_eq!(bench.refusal(displaced).reason, Reason::Displaced);
    }
    let refused = bench.send(low(4));
    assert_eq!(bench.refusal(refused).reason, Reason::QueueFull);
    assert!(bench.waits(c) && bench.waits(d));
}

#[test]
fn without_a_queue_nobody_waits() {
    let mut bench = Bench::new(small(1, 0));
    bench.send(ask(1));
    let refused = bench.send(ask(2));
    assert_eq!(bench.refusal(refused).reason, Reason::QueueFull);
}

#[test]
fn what_waits_longer_than_its_class_may_is_refused() {
    let classes = vec![class("high", 2, 0), class("low", 5, 0)];
    let mut bench = Bench::new(Config { classes, ..config(1) });
    bench.send(ask(1));
    let high = bench.send(ask(2));
    let low = bench.at(SECOND_US).send(Ask { class: 1, ..ask(2) });
    bench.at(2 * SECOND_US - 1).tick();
    assert!(bench.waits(high));
    bench.at(2 * SECOND_US).tick();
    assert_eq!(bench.refusal(high).reason, Reason::TimedOut);
    bench.at(6 * SECOND_US - 1).tick();
    assert!(bench.waits(low));
    bench.at(6 * SECOND_US).tick();
    assert_eq!(bench.refusal(low).reason, Reason::TimedOut);
    assert_eq!(bench.state().refused[Reason::TimedOut as usize].count, 2);
}

#[test]
fn a_clock_that_steps_back_changes_nothing() {
    let mut bench = Bench::new(Config { classes: vec![class("standard", 2, 0)], ..config(1) });
    bench.at(10 * SECOND_US).send(ask(1));
    let waits = bench.at(0).send(ask(2));
    bench.at(12 * SECOND_US - 1).tick();
    assert!(bench.waits(waits));
    bench.at(12 * SECOND_US).tick();
    assert_eq!(bench.refusal(waits).reason, Reason::TimedOut);
}

#[test]
fn whoever_leaves_the_middle_of_a_queue_leaves_the_rest_in_order() {
    let mut bench = Bench::new(config(1));
    let mut running = bench.send(ask(1));
    let numbers: Vec<usize> = (0..9).map(|_| bench.send(ask(1))).collect();
    for gone in [0, 4, 8, 5] {
        bench.cancel(numbers[gone]);
    }
    for stays in [1, 2, 3, 6, 7] {
        bench.end(running);
        running = numbers[stays];
        assert_eq!(bench.in_now(), [running]);
    }
    bench.end(running);
    assert_empty(&bench.state());
}

#[test]
fn a_refusal_tells_the_caller_why_and_when() {
    let mut bench = Bench::new(small(1, 0));
    let first = bench.send(ask(1));
    let before = bench.send(ask(2));
    assert_eq!(bench.refusal(before).retry_after, Duration::from_secs(1), "nobody knows yet");
    bench.at(3 * SECOND_US).answered(first, 200, None);
    bench.end(first);
    bench.send(ask(1));
    let after = bench.send(ask(2));
    let told = bench.refusal(after);
    assert_eq!(told.retry_after, Duration::from_secs(3), "one at a time, three seconds each");
    assert_eq!(told.to_string(), "too many requests wait for this model; try again in 3 s");
}
