//! Higher classes first, and room kept free for them.

use super::*;

fn three(places: u32, holdback: u8) -> Config {
    let classes = ["interactive", "standard", "batch"];
    Config { classes: classes.map(|name| class(name, 1000, holdback)).into(), ..config(places) }
}

fn of_class(class: u8, tenant: u64) -> Ask {
    Ask { class, ..ask(tenant) }
}

#[test]
fn the_highest_class_that_waits_is_served_first() {
    let mut bench = Bench::new(three(1, 0));
    let mut running = bench.send(of_class(1, 1));
    let batch = bench.send(of_class(2, 2));
    let standard = bench.send(of_class(1, 3));
    let interactive = bench.send(of_class(0, 1));
    for expected in [interactive, standard, batch] {
        bench.end(running);
        assert_eq!(bench.in_now(), [expected]);
        running = expected;
    }
}

#[test]
fn lower_classes_leave_free_what_is_held_back_for_higher_ones() {
    let mut bench = Bench::new(three(20, 10));
    let lowest: Vec<usize> = (0..30).map(|n| bench.send(of_class(2, n))).collect();
    assert_eq!(bench.state().in_flight, 16, "80 %");
    bench.send_each((0..30).map(|n| of_class(1, n)));
    assert_eq!(bench.state().in_flight, 18, "90 %");
    let late = bench.send(of_class(0, 7));
    assert!(bench.is_in(late), "nobody of its class waits, and two places are free for it");
    bench.send(of_class(0, 7));
    assert_eq!(bench.state().in_flight, 20);
    let waits = bench.send(of_class(0, 8));
    assert!(bench.waits(waits));
    bench.end(lowest[0]);
    assert!(bench.is_in(waits), "what comes free goes to the highest");
}

#[test]
fn tokens_are_held_back_as_places_are() {
    let tokens_max = NonZeroU64::new(1000);
    let mut bench = Bench::new(Config { in_flight_max: None, tokens_max, ..three(1, 10) });
    bench.send_each((0..100).map(|n| of_class(2, n)));
    assert_eq!(bench.state().tokens, 800);
    bench.send_each((0..100).map(|n| of_class(0, n)));
    assert_eq!(bench.state().tokens, 1000);
}

#[test]
fn a_class_to_which_nothing_is_left_is_served_when_all_else_is_idle() {
    let mut bench = Bench::new(three(3, 60));
    let alone = bench.send(of_class(2, 1));
    assert!(bench.is_in(alone));
    let second = bench.send(of_class(2, 2));
    assert!(bench.waits(second));
    bench.end(alone);
    assert!(bench.is_in(second));
}

#[test]
fn a_class_beyond_the_last_is_the_last() {
    let mut bench = Bench::new(three(1, 0));
    let running = bench.send(of_class(0, 1));
    let (beyond, last) = (bench.send(of_class(200, 2)), bench.send(of_class(2, 3)));
    bench.end(running);
    assert!(bench.is_in(beyond) && bench.waits(last));
}
