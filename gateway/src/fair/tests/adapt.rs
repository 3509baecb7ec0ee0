//! Capacity follows the upstream.

use super::simulation::Dice;
use super::*;

fn adaptive(places: u32) -> Config {
    Config { adapt: Some(Adapt::default()), ..config(places) }
}

/// Tenants that always have more to send, before an upstream that refuses what is above its `capacity` at
/// the time.
struct Upstream {
    bench: Bench,
    dice: Dice,
    now_us: u64,
    in_service: Vec<(u64, usize)>,
    refused: u64,
    served: u64,
}

const STEP_US: u64 = 10_000;

impl Upstream {
    fn new(config: Config) -> Upstream {
        let bench = Bench::new(config);
        Upstream { bench, dice: Dice(1), now_us: 0, in_service: Vec::new(), refused: 0, served: 0 }
    }

    /// Runs for some seconds; the mean number in service over the second half.
    fn run(&mut self, seconds: u64, capacity: usize) -> f64 {
        let steps = seconds * SECOND_US / STEP_US;
        let mut sum = 0;
        for step in 0..steps {
            self.now_us += STEP_US;
            self.bench.at(self.now_us).tick();
            self.step(capacity);
            sum += if step >= steps / 2 { self.in_service.len() } else { 0 };
        }
        sum as f64 / (steps - steps / 2) as f64
    }

    fn step(&mut self, capacity: usize) {
        for at in (0..self.in_service.len()).rev() {
            if self.in_service[at].0 <= self.now_us {
                let (_, number) = self.in_service.swap_remove(at);
                self.bench.end(number);
                self.served += 1;
            }
        }
        let from = self.bench.sent.len().saturating_sub(600);
        for number in from..self.bench.sent.len() {
            let new = self.bench.is_in(number) && !self.in_service.iter().any(|(_, other)| *other == number);
            if new && self.in_service.len() < capacity {
                let stay_us = self.dice.roll(200_000, 600_000);
                self.in_service.push((self.now_us + stay_us, number));
                self.bench.answered(number, 200, None);
            } else if new {
                self.refused += 1;
                self.bench.answered(number, 429, None);
                self.bench.end(number);
            }
        }
        while self.bench.scheduler.line.waiting() < 20 {
            let tenant = self.dice.roll(0, 3);
            self.bench.send(ask(tenant));
        }
    }
}

#[test]
fn places_converge_to_what_the_upstream_takes_and_follow_it() {
    let mut upstream = Upstream::new(adaptive(200));
    for (capacity, seconds) in [(40, 60), (10, 60), (80, 120)] {
        let mean = upstream.run(seconds, capacity);
        let (refused, served) = (upstream.refused, upstream.served);
        upstream.run(20, capacity);
        let (refused, served) = (upstream.refused - refused, upstream.served - served);
        let used = mean / capacity as f64;
        assert!((0.75..=1.0).contains(&used), "{used} of {capacity} in use");
        assert!(refused * 20 <= served, "{refused} refused while {served} were served");
    }
}

#[test]
fn without_adapting_most_requests_run_into_the_wall() {
    let mut upstream = Upstream::new(config(200));
    upstream.run(1, 10);
    assert!(upstream.refused > 10 * upstream.served);
}

#[test]
fn after_an_outage_capacity_is_back_within_seconds() {
    let mut upstream = Upstream::new(adaptive(100));
    upstream.run(5, 1000);
    assert_eq!(upstream.in_service.len(), 100);
    upstream.run(10, 0);
    assert_eq!(upstream.bench.state().in_flight_max, Some(1), "never below one");
    upstream.run(8, 1000);
    assert!(upstream.in_service.len() >= 60, "{} after 8 s", upstream.in_service.len());
    upstream.run(30, 1000);
    assert_eq!(upstream.in_service.len(), 100);
}

#[test]
fn a_burst_of_refusals_is_one_step_down() {
    let mut bench = Bench::new(adaptive(100));
    bench.send_each((0..150).map(ask));
    for number in 0..60 {
        bench.answered(number, 429, None);
        bench.end(number);
    }
    assert_eq!(bench.state().in_flight_max, Some(70));
    let after: Vec<usize> = bench.in_now().into_iter().filter(|number| *number >= 100).collect();
    bench.answered(after[0], 503, None);
    assert_eq!(bench.state().in_flight_max, Some(49), "one that was let in since then says something new");
}

#[test]
fn a_pool_without_a_number_learns_one() {
    let mut bench = Bench::new(Config { in_flight_max: None, ..adaptive(1) });
    bench.send_each((0..50).map(ask));
    assert_eq!(bench.state().in_flight_max, None);
    bench.answered(0, 429, None);
    assert_eq!(bench.state().in_flight_max, Some(35));
}

#[test]
fn idle_capacity_does_not_grow() {
    let mut bench = Bench::new(adaptive(100));
    bench.send_each((0..10).map(ask));
    bench.answered(0, 429, None);
    (0..10).for_each(|number| bench.end(number));
    for n in 10..500 {
        let number = bench.send(ask(n));
        bench.answered(number, 200, None);
        bench.end(number);
    }
    assert_eq!(bench.state().in_flight_max, Some(7));
}

#[test]
fn nothing_is_let_in_until_the_upstream_said_to_come_back() {
    let mut bench = Bench::new(adaptive(10));
    let first = bench.send(ask(1));
    bench.answered(first, 429, Some(Duration::from_secs(5)));
    bench.end(first);
    let waits = bench.send(ask(2));
    assert!(bench.waits(waits));
    assert_eq!(bench.state().paused_ms, 5000);
    bench.at(5 * SECOND_US - 1).tick();
    assert!(bench.waits(waits));
    bench.at(5 * SECOND_US).tick();
    assert!(bench.is_in(waits));
}

#[test]
fn a_pause_that_is_over_needs_no_tick() {
    let mut bench = Bench::new(adaptive(10));
    bench.send_each((0..4).map(ask));
    bench.answered(0, 429, Some(Duration::from_secs(5)));
    bench.end(0);
    let waits = bench.send(ask(2));
    (1..3).for_each(|number| bench.end(number));
    assert!(bench.waits(waits));
    let next = bench.at(5 * SECOND_US).send(ask(3));
    assert_eq!(
        (bench.is_in(waits), bench.waits(next)),
        (true, true),
        "two places are left of four, one is taken"
    );
    bench.end(3);
    assert!(bench.is_in(next));
}

#[test]
fn after_a_pause_all_places_are_free_and_so_nobody_is_refused_for_the_last_ones_sake() {
    let mut bench = Bench::new(Config { classes: vec![class("standard", 3, 0)], ..adaptive(10) });
    bench.send_each((0..10).map(ask));
    bench.at(5 * SECOND_US);
    for number in 0..9 {
        bench.answered(number, 200, None);
        bench.end(number);
    }
    bench.send_each((0..9).map(ask));
    bench.answered(18, 429, Some(Duration::from_secs(2)));
    for number in 10..19 {
        bench.end(number);
    }
    let waiting: Vec<usize> = (0..7).map(|n| bench.send(ask(n))).collect();
    assert!(waiting.iter().all(|number| bench.waits(*number)), "seven places in two seconds");
    let eighth = bench.send(ask(9));
    assert!(bench.waits(eighth), "and one every 0.7 s from then on");
    let ninth = bench.send(ask(10));
    assert_eq!(bench.refusal(ninth).reason, Reason::Hopeless);
}

#[test]
fn a_pause_longer_than_a_class_may_wait_refuses_at_once_until_its_end() {
    let mut bench = Bench::new(Config { classes: vec![class("standard", 3, 0)], ..adaptive(10) });
    let first = bench.send(ask(1));
    bench.answered(first, 503, Some(Duration::from_secs(20)));
    let told = bench.send(ask(2));
    assert_eq!(bench.refusal(told).reason, Reason::Hopeless);
    assert_eq!(bench.refusal(told).retry_after, Duration::from_secs(20));
}

/// Which of these went elsewhere.
fn gone_elsewhere(bench: &Bench, numbers: &[usize]) -> Vec<usize> {
    numbers.iter().copied().filter(|number| bench.sent[*number] == Stand::Elsewhere).collect()
}

fn may_go(tenant: u64) -> Ask {
    Ask { elsewhere: true, ..ask(tenant) }
}

#[test]
fn a_pause_is_waited_out_only_by_those_who_have_nowhere_else_to_go() {
    let mut bench = Bench::new(adaptive(1));
    let first = bench.send(ask(1));
    let stays = bench.send(ask(2));
    let goes = bench.send(may_go(2));
    assert!(bench.waits(stays) && bench.waits(goes), "nobody has refused yet");
    bench.answered(first, 503, Some(Duration::from_secs(5)));
    bench.end(first);
    let goes_too = bench.send(may_go(3));
    assert_eq!(gone_elsewhere(&bench, &[stays, goes, goes_too]), [goes, goes_too]);
    assert!(bench.waits(stays));
    assert_eq!(bench.state().refused.iter().map(|refused| refused.count).sum::<u64>(), 0);
    bench.at(5 * SECOND_US).tick();
    assert!(bench.is_in(stays));
    let waits = bench.send(may_go(3));
    assert!(bench.waits(waits), "the pause is over");
    bench.answered(stays, 200, None);
    bench.end(stays);
    assert!(bench.is_in(waits));
}

#[test]
fn an_upstream_that_does_nothing_but_refuse_keeps_nobody_who_can_go_elsewhere() {
    let mut bench = Bench::new(adaptive(2));
    let asked: Vec<usize> = (0..4).map(|n| bench.send(may_go(n))).collect();
    bench.answered(asked[0], 429, None);
    assert_eq!(gone_elsewhere(&bench, &asked), [0; 0], "one wave of refusals is usual");
    bench.answered(asked[1], 429, None);
    assert_eq!(gone_elsewhere(&bench, &asked), [0; 0]);
    bench.end(asked[0]);
    bench.end(asked[1]);
    assert!(bench.is_in(asked[2]) && bench.waits(asked[3]));
    bench.answered(asked[2], 429, None);
    assert_eq!(gone_elsewhere(&bench, &asked), [asked[3]], "less did not help");
    bench.end(asked[2]);
    let finds_out = bench.send(may_go(4));
    assert!(bench.is_in(finds_out));
    let goes = bench.send(may_go(5));
    assert_eq!(gone_elsewhere(&bench, &[goes]), [goes]);
    bench.answered(finds_out, 200, None);
    let again = [5, 6].map(|n| bench.send(may_go(n)));
    assert!(bench.is_in(again[0]) && bench.waits(again[1]), "it serves again, two at a time");
}

#[test]
fn an_absurd_retry_after_is_obeyed_up_to_a_bound() {
    let mut bench = Bench::new(adaptive(10));
    let first = bench.send(ask(1));
    bench.answered(first, 429, Some(Duration::MAX));
    assert_eq!(bench.state().paused_ms, 30_000);
}

#[test]
fn a_prompt_that_takes_many_times_the_usual_to_read_slows_the_gate_down() {
    let factor = NonZeroU32::new(4);
    let adapt = Some(Adapt { first_token_factor: factor, ..Adapt::default() });
    let mut bench = Bench::new(Config { adapt, ..config(20) });
    let mut now_us = 0;
    let mut turn = |bench: &mut Bench, prompt: u64, us_per_token: u64| {
        let number = bench.at(now_us).send(Ask { prompt, ..ask(1) });
        now_us += prompt * us_per_token;
        bench.at(now_us).with(number, |scheduler, slot| scheduler.first_token(slot));
        now_us += SECOND_US;
        bench.at(now_us).with(number, |scheduler, slot| scheduler.first_token(slot)); // not the first
        bench.end(number);
    };
    bench.send_each((0..19).map(ask));
    for n in 0..50 {
        turn(&mut bench, 100 + 37 * n, 100);
    }
    assert_eq!(bench.state().in_flight_max, Some(20), "longer prompts take longer");
    turn(&mut bench, 100, 1000);
    assert_eq!(bench.state().in_flight_max, Some(20), "one slow request is none");
    (0..3).for_each(|_| turn(&mut bench, 100, 1000));
    assert_eq!(bench.state().in_flight_max, Some(18));
}
