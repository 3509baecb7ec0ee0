//! How little a noisy tenant delays the others: times to a first token beside it, and without it.
//!
//! Four tenants keep below their share of a pool that a fifth would fill alone. All send at random (Poisson), so
//! that each of the four now and then wants more than its share of the moment. What is compared is the 99th
//! percentile of their times to a first token, with the noisy one and without.

use super::simulation::Dice;
use super::*;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

const QUIET: std::ops::Range<u64> = 0..4;
const NOISY: std::ops::Range<u64> = 4..6;
const FIRST_TOKEN_US: u64 = 200_000;
const TOKEN_US: u64 = 5_000;
/// Virtual seconds of a run, and how many there are of each kind.
const SECONDS: f64 = 20.0;
const RUNS: u64 = 6;

#[derive(Debug, Clone, Copy)]
struct Stream {
    at_us: u64,
    tenant: u64,
    output: u64,
}

/// Who sends what.
#[derive(Clone, Copy)]
struct Load {
    /// Streams per second of each quiet tenant.
    quiet: f64,
    /// Of all noisy ones together, and how many they are.
    noisy: f64,
    noisy_tenants: u64,
    /// Do streams differ in their lengths?
    varied: bool,
}

/// 17 places take 68 streams a second; the quiet ones want 59 % of that, each three quarters of its share.
const USUAL: Load = Load { quiet: 10.0, noisy: 100.0, noisy_tenants: 1, varied: false };

/// As by default.
fn guarded(places: u32) -> Config {
    Config { burst: 16, headroom_percent: 10, ..config(places) }
}

impl Load {
    /// What the quiet ones send, and what all send: the same, and the noise.
    fn streams(self, run: u64) -> (Vec<Stream>, Vec<Stream>) {
        let mut dice = Dice(run);
        let mut quiet = Vec::new();
        QUIET.for_each(|tenant| self.send(tenant, self.quiet, &mut dice, &mut quiet));
        let mut all = quiet.clone();
        for tenant in NOISY.take(self.noisy_tenants as usize) {
            self.send(tenant, self.noisy / self.noisy_tenants as f64, &mut dice, &mut all);
        }
        quiet.sort_by_key(|stream| stream.at_us);
        all.sort_by_key(|stream| stream.at_us);
        (quiet, all)
    }

    fn send(self, tenant: u64, per_second: f64, dice: &mut Dice, streams: &mut Vec<Stream>) {
        let mut at = exponential(dice, 1.0 / per_second);
        while at < SECONDS {
            let output = if self.varied { exponential(dice, 10.0).clamp(1.0, 40.0) as u64 } else { 10 };
            streams.push(Stream { at_us: (at * 1e6) as u64, tenant, output });
            at += exponential(dice, 1.0 / per_second);
        }
    }

    /// The 99th percentile of the quiet ones' times to a first token with the noise, by that without it.
    fn delay(self, config: &Config) -> f64 {
        let [mut alone, mut beside] = [Vec::new(), Vec::new()];
        for run in 0..RUNS {
            let (quiet, all) = self.streams(run);
            alone.extend(play(&quiet, config).first_token_us);
            beside.extend(play(&all, config).first_token_us);
        }
        p99(beside) / p99(alone)
    }
}

fn exponential(dice: &mut Dice, mean: f64) -> f64 {
    let uniform = (dice.roll(0, 1 << 32) as f64 + 0.5) / (1u64 << 32) as f64;
    -uniform.ln() * mean
}

fn p99(mut times_us: Vec<u64>) -> f64 {
    times_us.sort_unstable();
    times_us[times_us.len() * 99 / 100] as f64
}

/// What became of some streams.
struct Played {
    /// Of the quiet ones.
    first_token_us: Vec<u64>,
    /// How many had ended when the last was sent.
    ended: usize,
    in_flight_most: u32,
}

fn play(streams: &[Stream], config: &Config) -> Played {
    let mut bench = Bench::new(config.clone());
    let mut waiting: [VecDeque<usize>; NOISY.end as usize] = Default::default();
    let mut ends = BinaryHeap::new();
    let mut played = Played { first_token_us: Vec::new(), ended: 0, in_flight_most: 0 };
    let mut sent = 0;
    loop {
        let arrival = streams.get(sent).map(|stream| stream.at_us);
        let end = ends.peek().map(|Reverse((at_us, _))| *at_us);
        let Some(now_us) = arrival.into_iter().chain(end).min() else { return played };
        bench.at(now_us);
        if end == Some(now_us) {
            let Some(Reverse((_, number))) = ends.pop() else { continue };
            bench.answered(number, 200, None);
            bench.with(number, |scheduler, slot| scheduler.settle(slot, 12, streams[number].output));
            bench.end(number);
            played.ended += usize::from(arrival.is_some());
        } else {
            let Stream { tenant, output, .. } = streams[sent];
            waiting[tenant as usize].push_back(bench.send(Ask { prompt: 12, output, ..ask(tenant) }));
            sent += 1;
        }
        for (tenant, waiting) in waiting.iter_mut().enumerate() {
            while let Some(number) = waiting.pop_front_if(|number| bench.is_in(*number)) {
                let Stream { at_us, output, .. } = streams[number];
                if QUIET.contains(&(tenant as u64)) {
                    played.first_token_us.push(now_us - at_us + FIRST_TOKEN_US);
                }
                ends.push(Reverse((now_us + FIRST_TOKEN_US + output * TOKEN_US, number)));
            }
        }
        played.in_flight_most = played.in_flight_most.max(bench.state().in_flight);
    }
}

#[test]
fn a_noisy_tenant_leaves_the_others_p99_below_one_and_a_half() {
    for (load, places) in [
        (USUAL, 17),
        (Load { varied: true, ..USUAL }, 17),
        (Load { quiet: 5.0, ..USUAL }, 17),
        (USUAL, 24),
        (USUAL, 32),
        (Load { quiet: 7.0, noisy_tenants: 2, ..USUAL }, 17),
    ] {
        let (quiet, varied) = (load.quiet, load.varied);
        let delay = load.delay(&guarded(places));
        assert!(delay < 1.5, "{delay:.2} with {places} places and {quiet} a second, varied: {varied}");
    }
}

#[test]
fn neither_turns_nor_a_burst_nor_headroom_alone_are_enough() {
    for (what, config) in [
        ("turns", config(17)),
        ("a burst", Config { headroom_percent: 0, ..guarded(17) }),
        ("headroom", Config { burst: 0, ..guarded(17) }),
    ] {
        let delay = USUAL.delay(&config);
        assert!(delay > 1.5, "{what}: {delay:.2}; this load shows nothing");
    }
}

#[test]
fn headroom_costs_no_more_than_itself() {
    let (_, all) = USUAL.streams(0);
    let [turns, guarded] = [config(17), guarded(17)].map(|config| play(&all, &config).ended);
    assert!(guarded * 100 >= turns * 90, "{guarded} streams ended, {turns} without headroom");
}

#[test]
fn a_pool_that_nobody_else_wants_is_used_whole() {
    let (_, all) = Load { quiet: 0.001, ..USUAL }.streams(0);
    let of_one: Vec<Stream> = all.into_iter().filter(|stream| NOISY.contains(&stream.tenant)).collect();
    assert_eq!(play(&of_one, &guarded(17)).in_flight_most, 17);
}

/// Ends what is in, and charges it whole; returns who is in then.
fn next_after(bench: &mut Bench, running: usize) -> usize {
    bench.with(running, |scheduler, slot| scheduler.settle(slot, 10, 10));
    bench.end(running);
    bench.in_now()[0]
}

#[test]
fn who_returns_from_idling_gains_a_burst_and_no_more() {
    let mut bench = Bench::new(Config { burst: 16, ..config(1) });
    let mut running = bench.send(ask(2));
    bench.send_each((0..150).map(|_| ask(2)));
    for _ in 0..50 {
        running = next_after(&mut bench, running);
    }
    bench.send_each((0..60).map(|_| ask(1)));
    let mut turns = Vec::new();
    for _ in 0..60 {
        running = next_after(&mut bench, running);
        turns.push(bench.tenant_of(running));
    }
    let of_1 = |turns: &[u64]| turns.iter().filter(|tenant| **tenant == 1).count();
    assert!((15..=17).contains(&of_1(&turns[..17])), "{turns:?}");
    assert!((21..=22).contains(&of_1(&turns[17..])), "from then on they take turns: {turns:?}");
}

#[test]
fn a_burst_is_so_many_requests_whatever_the_weight() {
    let mut bench = Bench::new(Config { burst: 16, ..config(1) });
    let mut running = bench.send(ask(2));
    bench.send_each((0..150).map(|_| ask(2)));
    for _ in 0..50 {
        running = next_after(&mut bench, running);
    }
    bench.send_each((0..100).map(|_| Ask { weight: weight(4), ..ask(1) }));
    let mut turns = 0;
    running = next_after(&mut bench, running);
    while bench.tenant_of(running) == 1 {
        turns += 1;
        running = next_after(&mut bench, running);
    }
    // A request of its costs a quarter; four more are its turn.
    assert!((15..=21).contains(&turns), "{turns} before the other's turn came");
}

#[test]
fn a_burst_is_not_had_anew_by_being_forgotten() {
    let mut bench = Bench::new(Config { burst: 16, ..config(1) });
    let mut running = bench.send(ask(2));
    bench.send_each((0..150).map(|_| ask(2)));
    for _ in 0..50 {
        running = next_after(&mut bench, running);
    }
    for second in 1..=4 {
        bench.at(second * SECOND_US).tick();
        bench.send_each((0..12).map(|_| ask(1)));
        for _ in 0..13 {
            running = next_after(&mut bench, running);
        }
    }
    let of_1 = (0..bench.sent.len()).filter(|n| bench.tenant_of(*n) == 1 && bench.sent[*n] == Stand::Gone);
    let (of_1, of_all) = (of_1.count(), 4 * 13);
    assert!(of_1 <= 16 + (of_all - 16) / 2 + 1, "{of_1} of {of_all} turns");
}

/// The same as [`next_after`], for an answer that went well.
fn next_after_answer(bench: &mut Bench, running: usize) -> usize {
    bench.answered(running, 200, None);
    next_after(bench, running)
}

/// A pool of one place that has served tenant 2 fifty times, and has it waiting for more; and what is in.
fn served_alone() -> (Bench, usize) {
    let mut bench = Bench::new(Config { burst: 16, ..config(1) });
    let mut running = bench.send(ask(2));
    bench.send_each((0..300).map(|_| ask(2)));
    for _ in 0..50 {
        running = next_after_answer(&mut bench, running);
    }
    (bench, running)
}

/// How many of the next hundred turns tenant 1 has, and how many before another's comes.
fn turns_of_1(bench: &mut Bench, mut running: usize) -> (usize, usize) {
    let mut turns = Vec::new();
    for _ in 0..100 {
        running = next_after_answer(bench, running);
        turns.push(bench.tenant_of(running));
        if bench.tenant_of(running) == 1 {
            bench.send(ask(1));
        }
    }
    let of_1 = turns.iter().filter(|tenant| **tenant == 1).count();
    (of_1, turns.iter().skip_while(|tenant| **tenant != 1).take_while(|tenant| **tenant == 1).count())
}

#[test]
fn a_request_that_promises_a_huge_answer_and_fails_gains_no_more_than_a_burst() {
    let (mut bench, mut running) = served_alone();
    let huge = bench.send(Ask { output: 128 * 256, ..ask(1) });
    bench.send_each((0..5).map(|_| ask(1)));
    while !bench.is_in(huge) {
        running = next_after_answer(&mut bench, running);
    }
    bench.answered(huge, 400, None);
    bench.end(huge);
    let running = bench.in_now()[0];
    let (of_1, at_first) = turns_of_1(&mut bench, running);
    assert!(at_first <= 17 && of_1 <= 17 + 83 / 2, "{at_first} in a row, {of_1} of a hundred");
}

#[test]
fn a_burst_is_of_requests_as_they_cost_and_not_as_they_were_expected_to() {
    let (mut bench, running) = served_alone();
    bench.send_each((0..300).map(|_| Ask { output: 256, ..ask(1) }));
    let (of_1, at_first) = turns_of_1(&mut bench, running);
    assert!((15..=17).contains(&at_first) && of_1 <= 17 + 83 / 2, "{at_first} in a row, {of_1} of a hundred");
}

#[test]
fn a_burst_that_turns_out_too_large_ends_while_its_tenant_waits() {
    let mut bench = Bench::new(Config { burst: 16, ..config(1) });
    let mut running = bench.send(ask(2));
    bench.send_each((0..300).map(|_| ask(2)));
    for _ in 0..100 {
        running = next_after(&mut bench, running); // none of them is answered: nobody knows what is usual
    }
    bench.send_each((0..5).map(|_| Ask { output: 128 * 256, ..ask(1) }));
    let (of_1, at_first) = turns_of_1(&mut bench, running);
    assert!((15..=18).contains(&at_first) && of_1 <= 18 + 82 / 2, "{at_first} in a row, {of_1} of a hundred");
}

#[test]
fn small_requests_of_the_noisy_one_take_no_burst_from_the_others() {
    let mut bench = Bench::new(Config { burst: 16, ..config(1) });
    let mut running = bench.send(ask(1));
    let of_1: Vec<usize> = (0..40).map(|_| bench.send(ask(1))).collect();
    bench.send_each((0..2000).map(|_| Ask { prompt: 1, output: 1, ..ask(2) }));
    let mut next = |bench: &mut Bench| {
        let Ask { prompt, output, .. } = bench.asks[running];
        bench.answered(running, 200, None);
        bench.with(running, |scheduler, slot| scheduler.settle(slot, prompt, output));
        bench.end(running);
        running = bench.in_now()[0];
        bench.tenant_of(running)
    };
    while bench.sent[of_1[39]] != Stand::Gone {
        next(&mut bench);
    }
    for _ in 0..300 {
        next(&mut bench);
    }
    bench.send_each((0..30).map(|_| ask(1)));
    let turns = (0..30).take_while(|_| next(&mut bench) == 1).count();
    assert!((15..=17).contains(&turns), "{turns} in a row");
}

#[test]
fn headroom_is_for_who_is_behind_as_long_as_there_is_one() {
    let mut bench = Bench::new(guarded(10));
    let first: Vec<usize> = (0..20).map(|_| bench.send(ask(1))).collect();
    assert_eq!(bench.state().in_flight, 10, "nobody else is about");
    bench.end(first[0]);
    let light = bench.send(ask(2));
    assert!(bench.waits(light), "a place that is free goes to who waits");
    bench.end(first[1]);
    assert!(bench.is_in(light), "behind, so it is next");
    bench.end(first[2]);
    assert_eq!(bench.state().in_flight, 9, "one is left free");
    let light = bench.send(ask(2));
    assert!(bench.is_in(light), "for it, and at once");
    bench.at(11 * SECOND_US).tick();
    bench.end(light);
    assert_eq!(bench.state().in_flight, 10, "ten seconds later it is nobody's");
}

#[test]
fn headroom_is_rounded_to_the_nearest_place() {
    for (places, left_free) in [(4, 0), (5, 1), (14, 1), (15, 2), (17, 2), (25, 3)] {
        let mut bench = Bench::new(guarded(places));
        let noisy: Vec<usize> = (0..2 * places).map(|_| bench.send(ask(1))).collect();
        let light = bench.send(ask(2));
        bench.end(noisy[0]);
        assert!(bench.is_in(light), "behind, so it is next");
        noisy[1..4].iter().for_each(|number| bench.end(*number));
        assert_eq!(bench.state().in_flight, places - left_free, "10 % of {places} places");
    }
}

#[test]
fn nobody_leaves_room_for_itself() {
    let mut bench = Bench::new(guarded(10));
    for tenant in [[2; 50].as_slice(), &[1; 20]].concat() {
        let number = bench.send(ask(tenant));
        bench.with(number, |scheduler, slot| scheduler.settle(slot, 10, 10));
        bench.end(number);
    }
    // It was behind a moment ago, and is not any more.
    bench.send_each((0..12).map(|_| ask(1)));
    assert_eq!(bench.state().in_flight, 10);
}
