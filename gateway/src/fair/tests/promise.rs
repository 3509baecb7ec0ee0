//! What is said of the wait is true enough to act upon.

use super::simulation::Dice;
use super::*;

const PLACES: usize = 8;

/// An upstream that keeps requests for 1 to 3 s, fed by four tenants with a thousand requests of which so
/// many come at a time; every one waits as long as it takes. Returns, for each that had to wait, promised
/// and true wait in seconds.
fn waits(at_once: u64) -> Vec<(f64, f64)> {
    let mut dice = Dice(4);
    let mut bench = Bench::new(config(PLACES as u32));
    let mut ends: Vec<(u64, usize)> = Vec::new();
    let mut known = 0;
    let mut waiting: Vec<(usize, u64, f64)> = Vec::new();
    let mut measured = Vec::new();
    let (mut sent, mut now_us) = (0, 0);
    while sent < 1000 || !ends.is_empty() {
        bench.at(now_us);
        if sent < 1000 && now_us % (at_once * 240_000) == 0 {
            for _ in 0..at_once {
                let ask = ask(dice.roll(0, 4));
                let lane = bench.scheduler.config.class(0);
                let account = bench.scheduler.lanes[lane].account_of(&ask, 0, now_us);
                let promised = bench.scheduler.expected_wait_us(lane, account, &ask);
                let number = bench.send(ask);
                if let (true, Some(promised_us)) = (bench.waits(number), promised) {
                    waiting.push((number, now_us, promised_us as f64 / 1e6));
                }
                sent += 1;
            }
        }
        ends.retain(|(end_us, number)| {
            let over = *end_us <= now_us;
            if over {
                bench.answered(*number, 200, None);
                bench.end(*number);
            }
            !over
        });
        for number in known..bench.sent.len() {
            if bench.is_in(number) && !ends.iter().any(|(_, other)| *other == number) {
                ends.push((now_us + dice.roll(SECOND_US, 3 * SECOND_US), number));
            }
        }
        while known < bench.sent.len() && bench.sent[known] == Stand::Gone {
            known += 1;
        }
        waiting.retain(|(number, since_us, promised)| {
            let waits = bench.waits(*number);
            if !waits {
                measured.push((*promised, (now_us - since_us) as f64 / 1e6));
            }
            waits
        });
        now_us += 20_000;
    }
    measured
}

#[test]
fn waits_come_true_within_a_factor_of_two() {
    for at_once in [20, 60, 250] {
        let measured = waits(at_once);
        let long: Vec<&(f64, f64)> = measured.iter().filter(|(_, wait)| *wait > 2.0).collect();
        assert!(long.len() > 100, "{} waits", long.len());
        let kept = long.iter().filter(|(promised, wait)| (0.5..=2.0).contains(&(wait / promised))).count();
        assert!(kept * 100 >= long.len() * 90, "{at_once} at once: {kept} of {} promises kept", long.len());
        let mean = |of: fn(&(f64, f64)) -> f64| long.iter().map(|wait| of(wait)).sum::<f64>();
        let ratio = mean(|wait| wait.1) / mean(|wait| wait.0);
        assert!((0.75..=1.25).contains(&ratio), "{at_once} at once: true by promised {ratio}");
    }
}

/// A bench in which eight requests of 1 s each were served, and eight are in.
fn served(wait_max_s: u64) -> Bench {
    let mut bench = Bench::new(Config { classes: vec![class("standard", wait_max_s, 0)], ..config(8) });
    bench.send_each((0..8).map(ask));
    bench.at(SECOND_US);
    for number in 0..8 {
        bench.answered(number, 200, None);
        bench.end(number);
    }
    bench.send_each((0..8).map(ask));
    bench
}

#[test]
fn who_would_wait_too_long_is_refused_at_once_and_told_how_long() {
    let mut bench = served(5);
    let numbers: Vec<usize> = (0..60).map(|_| bench.send(ask(1))).collect();
    let waiting = numbers.iter().filter(|number| bench.waits(**number)).count();
    assert_eq!(waiting, 40, "eight a second, five seconds");
    let told = bench.refusal(numbers[59]);
    assert_eq!(told.reason, Reason::Hopeless);
    assert!((5.0..5.5).contains(&told.retry_after.as_secs_f64()), "{told:?}");
}

#[test]
fn a_tenant_with_nothing_in_the_queue_is_not_refused_for_the_queue_of_another() {
    let mut bench = served(5);
    bench.send_each((0..60).map(|_| ask(1)));
    let light = bench.send(ask(2));
    assert!(bench.waits(light));
}

#[test]
fn a_quiet_tenant_is_not_refused_for_turns_that_come_after_its_own() {
    let classes = vec![class("standard", 1, 0)];
    let mut bench = Bench::new(Config { classes, burst: 16, ..config(1) });
    // Four tenants with four connections each, and answers of 0.3 s; every 2.4 s a fifth asks.
    let mut quiet = Vec::new();
    for step in 0..120 {
        bench.at(step * 300_000).tick();
        if let Some(running) = bench.in_now().first().copied() {
            bench.answered(running, 200, None);
            bench.with(running, |scheduler, slot| scheduler.settle(slot, 10, 10));
            bench.end(running);
        }
        for tenant in 0..4 {
            let waiting = (0..bench.sent.len()).filter(|n| bench.waits(*n) && bench.tenant_of(*n) == tenant);
            let missing = 4 - waiting.count();
            bench.send_each((0..missing).map(|_| ask(tenant)));
        }
        if step >= 20 && step % 8 == 0 {
            quiet.push(bench.at(step * 300_000 + 100_000).send(ask(9)));
        }
    }
    let served = quiet.iter().filter(|number| bench.sent[**number] == Stand::Gone).count();
    assert_eq!(served, quiet.len());
}

#[test]
fn who_has_had_more_is_refused_for_all_turns_that_come_before_its_own() {
    let mut bench = served(5);
    let first = bench.in_now()[0];
    bench.end(first);
    bench.send(Ask { prompt: 1000, ..ask(1) });
    bench.send_each((0..40).map(|_| ask(2)));
    let ahead = bench.send(ask(1));
    assert_eq!(bench.refusal(ahead).reason, Reason::Hopeless, "forty before it, eight a second");
    let behind = bench.send(ask(3));
    assert!(bench.waits(behind));
}

/// A bench in which requests of 100 tokens were served in 0.25 s each, and one of so many is in.
fn behind_a_large_one(tokens_max: u64, large: u64) -> Bench {
    let classes = vec![class("standard", 2, 0)];
    let tokens_max = NonZeroU64::new(tokens_max);
    let mut bench = Bench::new(Config { classes, in_flight_max: None, tokens_max, ..config(1) });
    bench.send_each((0..16).map(|n| Ask { prompt: 50, output: 50, ..ask(n) }));
    bench.at(SECOND_US / 4);
    for number in bench.in_now() {
        bench.answered(number, 200, None);
        bench.end(number);
    }
    bench.send(Ask { prompt: large, output: 0, ..ask(99) });
    bench
}

#[test]
fn behind_one_large_request_as_many_small_ones_wait_as_fit_in_its_place_and_more() {
    let mut bench = behind_a_large_one(2000, 1990);
    let small = Ask { prompt: 50, output: 50, ..ask(1) };
    let numbers: Vec<usize> = (0..28).map(|_| bench.send(small)).collect();
    assert!(numbers.iter().all(|number| bench.waits(*number)), "1.4 times what the pool takes at once");
    bench.send_each((0..200).map(|_| small));
    assert_eq!(bench.state().waiting, 160, "2 s of the pool, at 2000 tokens in 0.25 s");
}

#[test]
fn a_request_larger_than_the_pool_waits_until_it_is_empty_and_not_for_its_size() {
    let mut bench = behind_a_large_one(2000, 1000);
    let larger = bench.send(Ask { prompt: 1 << 20, ..ask(1) });
    assert!(bench.waits(larger));
}

#[test]
fn an_upstream_that_stands_still_is_noticed_though_nothing_ends() {
    let mut bench = served(5);
    let first = bench.send(ask(1));
    assert!(bench.waits(first));
    bench.at(61 * SECOND_US);
    let late = bench.send(ask(2));
    let told = bench.refusal(late);
    assert_eq!(told.reason, Reason::Hopeless);
    assert!(told.retry_after >= Duration::from_secs(7), "{told:?}");
}

#[test]
fn requests_that_failed_fast_do_not_make_the_pool_look_fast() {
    let mut bench = served(5);
    for _ in 0..100 {
        let number = bench.in_now()[0];
        bench.answered(number, 500, None);
        bench.end(number);
        bench.send(ask(1));
    }
    let state = bench.state();
    assert_eq!(state.drain_per_minute, Some(480), "eight a second");
}

#[test]
fn after_a_reload_to_less_the_wait_is_until_enough_have_gone_and_then_some() {
    let mut bench = served(5);
    bench.scheduler.configure(config(2));
    let account = bench.scheduler.lanes[0].account_of(&ask(1), 0, 0);
    let wait_us = bench.scheduler.expected_wait_us(0, account, &ask(1));
    assert_eq!(wait_us, Some(750_000 + 500_000), "six of eight go in 0.75 s, then two a second each");
}

#[test]
fn a_few_long_streams_do_not_make_the_pool_look_slow() {
    let mut bench = served(5);
    let mut now_us = SECOND_US;
    for _ in 0..100 {
        now_us += SECOND_US;
        bench.at(now_us);
        for number in bench.in_now().split_off(4) {
            bench.answered(number, 200, None);
            bench.end(number);
            bench.send(ask(number as u64));
        }
    } // four are 100 s old, four come and go
    bench.at(now_us + SECOND_US / 2);
    assert_eq!(bench.state().drain_per_minute, Some(480), "a second each, as far as anybody knows");
}

#[test]
fn requests_that_end_together_do_not_look_like_an_upstream_that_stands_still() {
    let mut bench = Bench::new(config(100));
    bench.send_each((0..100).map(ask));
    bench.at(10 * SECOND_US);
    for number in 0..100 {
        bench.answered(number, 200, None);
        bench.end(number);
    }
    bench.send_each((0..100).map(ask));
    bench.at(19 * SECOND_US);
    assert_eq!(bench.state().drain_per_minute, Some(600), "ten a second");
}
