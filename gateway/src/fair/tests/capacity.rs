//! How much is in at once.

use super::*;

fn tokens_max(tokens: u64) -> Config {
    Config { in_flight_max: None, tokens_max: NonZeroU64::new(tokens), ..config(1) }
}

fn of_tokens(tenant: u64, tokens: u64) -> Ask {
    Ask { prompt: tokens / 2, output: tokens - tokens / 2, ..ask(tenant) }
}

#[test]
fn no_more_are_in_than_there_are_places() {
    let mut bench = Bench::new(config(3));
    bench.send_each((0..10).map(ask));
    assert_eq!(bench.in_now(), [0, 1, 2]);
    bench.end(1);
    assert_eq!(bench.in_now(), [0, 2, 3]);
}

#[test]
fn no_more_tokens_are_in_than_the_pool_takes() {
    let mut bench = Bench::new(tokens_max(100));
    bench.send_each((0..5).map(|n| of_tokens(n, 30)));
    assert_eq!((bench.state().in_flight, bench.state().tokens), (3, 90));
}

#[test]
fn without_numbers_everybody_is_let_in() {
    let mut bench = Bench::new(Config { in_flight_max: None, ..config(1) });
    bench.send_each((0..1000).map(|n| of_tokens(n, 1 << 40)));
    assert_eq!(bench.state().in_flight, 1000);
}

#[test]
fn a_request_larger_than_the_pool_goes_alone_and_nobody_overtakes_it() {
    let mut bench = Bench::new(tokens_max(100));
    let small = bench.send(of_tokens(1, 10));
    let huge = bench.send(of_tokens(2, 500));
    let next = bench.send(of_tokens(3, 10));
    assert!(bench.waits(huge) && bench.waits(next));
    bench.end(small);
    assert!(bench.is_in(huge) && bench.waits(next));
    bench.end(huge);
    assert!(bench.is_in(next));
}

#[test]
fn when_a_large_request_gives_up_the_small_ones_behind_it_go() {
    let mut bench = Bench::new(tokens_max(100));
    bench.send(of_tokens(1, 60));
    let (large, small) = (bench.send(of_tokens(2, 90)), bench.send(of_tokens(3, 30)));
    assert!(bench.waits(small));
    bench.cancel(large);
    assert!(bench.is_in(small));
}

#[test]
fn an_output_beyond_its_estimate_takes_room_and_a_settled_one_gives_it_back() {
    let mut bench = Bench::new(tokens_max(100));
    let long = bench.send(Ask { prompt: 10, output: 10, ..ask(1) });
    bench.with(long, |scheduler, slot| scheduler.progress(slot, 9));
    assert_eq!(bench.state().tokens, 20, "as expected");
    bench.with(long, |scheduler, slot| scheduler.progress(slot, 75));
    assert_eq!(bench.state().tokens, 85);
    let waits = bench.send(Ask { prompt: 10, output: 10, ..ask(2) });
    assert!(bench.waits(waits));
    bench.with(long, |scheduler, slot| scheduler.settle(slot, 5, 75));
    assert!(bench.is_in(waits), "its prompt was shorter than it seemed");
    bench.end(long);
    bench.end(waits);
    assert_empty(&bench.state());
}

#[test]
fn when_another_tenants_turn_comes_while_answers_stream_its_request_goes() {
    let mut bench = Bench::new(tokens_max(100));
    let streaming = bench.send(Ask { prompt: 10, output: 50, ..ask(1) });
    let (large, small) = (bench.send(of_tokens(1, 90)), bench.send(of_tokens(2, 10)));
    assert!(bench.waits(large) && bench.waits(small), "the large one came first, and has had no more");
    bench.with(streaming, |scheduler, slot| scheduler.progress(slot, 20));
    assert!(bench.waits(large) && bench.is_in(small));
}

#[test]
fn numbers_out_of_all_proportion_do_no_harm() {
    let mut bench = Bench::new(tokens_max(100));
    let absurd = Ask { prompt: u64::MAX, output: u64::MAX, body_bytes: u64::MAX, ..ask(1) };
    let (first, second) = (bench.send(absurd), bench.send(absurd));
    let third = bench.send(Ask { tenant: TenantKey(2), ..absurd });
    assert_eq!(bench.refusal(third).reason, Reason::QueueFull);
    bench.with(first, |scheduler, slot| scheduler.progress(slot, u64::MAX));
    bench.with(first, |scheduler, slot| scheduler.settle(slot, u64::MAX, 0));
    bench.at(u64::MAX);
    bench.end(first);
    bench.at(0);
    bench.end(second);
    assert_empty(&bench.state());
}
