//! Service is shared by weight, whatever anybody sends.

use super::simulation::{Fair, Fifo, Job, Order, run};
use super::*;
use proptest::prelude::*;

const PLACES: u32 = 4;
const PROMPT_MAX: u64 = 600;
const OUTPUT_MAX: u64 = 40;

/// The most that a tenant of such a weight can owe for what it has in flight: see the module's promise.
fn owed(weight: u32) -> f64 {
    (PROMPT_MAX + 2 * u64::from(PLACES) * OUTPUT_MAX) as f64 / f64::from(weight)
}

fn workload() -> impl Strategy<Value = Vec<Job>> {
    let job = (0..300u64, 0..4u64, 1..=PROMPT_MAX, 1..=OUTPUT_MAX);
    let jobs = proptest::collection::vec(job, 50..150);
    let weights = proptest::collection::vec(1..5u32, 4);
    (jobs, weights, 1..=OUTPUT_MAX, 1..=OUTPUT_MAX).prop_map(|(jobs, weights, output_0, output_1)| {
        let mut jobs: Vec<Job> = jobs
            .into_iter()
            .map(|(at_step, tenant, prompt, output)| Job {
                at_step,
                tenant,
                weight: weights[tenant as usize],
                prompt,
                output,
            })
            .collect();
        // Two of them have something waiting nearly all the time, each of its own kind.
        for n in 0..40 {
            for (tenant, output) in [(0, output_0), (1, output_1)] {
                let weight = weights[tenant as usize];
                jobs.push(Job { at_step: 0, tenant, weight, prompt: 1 + n * 15, output });
            }
        }
        jobs.sort_by_key(|job| job.at_step);
        jobs
    })
}

fn apart(jobs: &[Job], order: &mut dyn Order) -> Vec<(f64, f64)> {
    let outcome = run(jobs, order);
    let weight_of = |tenant| jobs.iter().find(|job| job.tenant == tenant).map_or(1, |job| job.weight);
    let pairs = (0..4u64).flat_map(|a| (0..a).map(move |b| (a, b)));
    let known = pairs.filter(|(a, _)| (*a as usize) < outcome.steps[0].len());
    known
        .map(|(a, b)| (outcome.apart(a as usize, b as usize), owed(weight_of(a)) + owed(weight_of(b))))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..crate::proptests::cases(48) })]

    #[test]
    fn tenants_that_wait_are_served_by_their_weights_up_to_what_is_in_flight(jobs in workload()) {
        for (apart, bound) in apart(&jobs, &mut Fair::new(config(PLACES))) {
            prop_assert!(apart <= bound, "{apart} apart, {bound} at most");
        }
    }

    #[test]
    fn with_a_burst_and_headroom_they_are_apart_by_the_burst_more(jobs in workload()) {
        let config = Config { burst: 2, headroom_percent: 25, ..config(PLACES) };
        let burst = (2 * (PROMPT_MAX + 2 * OUTPUT_MAX)) as f64;
        for (apart, bound) in apart(&jobs, &mut Fair::new(config)) {
            prop_assert!(apart <= bound + burst, "{apart} apart, {bound} and {burst} at most");
        }
    }
}

/// Tenant 0 floods, then 1 comes; 2 sends one after the other.
fn flood(of_0: u64) -> Vec<Job> {
    let job = |at_step, tenant| Job { at_step, tenant, weight: 1, prompt: 100, output: 20 };
    let mut jobs: Vec<Job> = (0..of_0).map(|_| job(0, 0)).collect();
    jobs.extend((0..60).map(|_| job(1, 1)));
    jobs.extend((0..20).map(|n| job(2 + n * 15, 2)));
    jobs.sort_by_key(|job| job.at_step);
    jobs
}

#[test]
fn first_come_first_served_breaks_the_bound() {
    let worst = |pairs: Vec<(f64, f64)>| pairs.iter().map(|(apart, bound)| apart / bound).fold(0.0, f64::max);
    assert!(worst(apart(&flood(200), &mut Fifo::new(PLACES))) > 5.0, "this oracle sees nothing");
    assert!(worst(apart(&flood(200), &mut Fair::new(config(PLACES)))) <= 1.0);
}

#[test]
fn a_tenant_that_sends_ten_times_as_much_does_not_change_the_service_of_another() {
    let waits = |of_0, order: &mut dyn Order| {
        let jobs = flood(of_0);
        run(&jobs, order).median(|number| jobs[number].tenant == 2)
    };
    let (calm, noisy) =
        (waits(60, &mut Fair::new(config(PLACES))), waits(600, &mut Fair::new(config(PLACES))));
    assert!(noisy <= 1.2 * calm, "{noisy} steps to the first token, {calm} without the noise");
    assert!(waits(600, &mut Fifo::new(PLACES)) > 10.0 * calm);
}

#[test]
fn who_returns_from_idling_gains_nothing() {
    let mut bench = Bench::new(config(1));
    let first = bench.send(ask(1));
    bench.end(first); // known from long ago, with a small counter
    let mut running = bench.send(ask(2));
    let mut order = Vec::new();
    for _ in 0..20 {
        bench.send(ask(2));
    }
    for round in 0..40 {
        if round == 10 {
            bench.send_each((0..10).map(|_| ask(1)));
        }
        bench.end(running);
        let Some(next) = bench.in_now().first().copied() else { break };
        order.push(bench.tenant_of(next));
        running = next;
    }
    // Ten turns were tenant 2's alone. From then on they take turns: no ten in a row for what was not asked
    // for.
    assert_eq!(order[..10], [2; 10]);
    let turns: u64 = order[10..20].iter().filter(|tenant| **tenant == 1).count() as u64;
    assert_eq!(turns, 5, "{order:?}");
}

#[test]
fn what_was_served_while_nobody_waited_is_no_head_start_for_who_comes_later() {
    let mut bench = Bench::new(config(1));
    let alone = |bench: &mut Bench| {
        let number = bench.send(ask(1));
        bench.with(number, |scheduler, slot| scheduler.settle(slot, 10, 10));
        number
    };
    for _ in 0..50 {
        let number = alone(&mut bench);
        bench.end(number);
    }
    let mut running = alone(&mut bench);
    bench.send_each((0..30).map(|n| ask(2 - n / 15)));
    let mut turns = Vec::new();
    for _ in 0..20 {
        bench.end(running);
        running = bench.in_now()[0];
        bench.with(running, |scheduler, slot| scheduler.settle(slot, 10, 10));
        turns.push(bench.tenant_of(running));
    }
    let of_1 = turns.iter().filter(|tenant| **tenant == 1).count();
    assert!((9..=11).contains(&of_1), "they take turns: {turns:?}");
}

#[test]
fn weights_divide_what_is_charged() {
    let mut bench = Bench::new(config(1));
    let mut running = bench.send(ask(9));
    for _ in 0..60 {
        bench.send(Ask { weight: weight(3), ..ask(1) });
        bench.send(ask(2));
    }
    let mut turns = [0; 10];
    for _ in 0..40 {
        bench.end(running);
        running = bench.in_now()[0];
        turns[bench.tenant_of(running) as usize] += 1;
    }
    assert_eq!((turns[1], turns[2]), (30, 10));
}

#[test]
fn a_tenants_own_requests_keep_their_order() {
    let mut bench = Bench::new(config(1));
    let mut running = bench.send(ask(1));
    let numbers: Vec<usize> = (0..30).map(|n| bench.send(Ask { prompt: 100 - n, ..ask(1) })).collect();
    for expected in numbers {
        bench.end(running);
        assert_eq!(bench.in_now(), [expected]);
        running = expected;
    }
}

#[test]
fn a_charge_does_not_depend_on_the_pieces_an_answer_comes_in() {
    let counter = |pieces: &[u64]| {
        let mut bench = Bench::new(config(1));
        let number = bench.send(Ask { weight: weight(7), ..ask(1) });
        for output in pieces {
            bench.with(number, |scheduler, slot| scheduler.progress(slot, *output));
        }
        bench.scheduler.lanes[0].accounts().next().map(|(_, account)| account.counter)
    };
    assert_eq!(counter(&[1, 2, 3, 5, 8, 8, 13]), counter(&[13]));
    assert_eq!(counter(&[13, 12]), counter(&[13]), "an older report changes nothing");
    assert_ne!(counter(&[12]), counter(&[13]));
}

#[test]
fn a_request_whose_caller_went_before_it_knew_costs_nothing() {
    let mut scheduler = Scheduler::<()>::new(config(1));
    let Entered::Now(first) = scheduler.enter(&ask(1)) else { panic!("it is empty") };
    let Entered::Wait(seat) = scheduler.enter(&ask(2)) else { panic!("it is full") };
    let counter = |scheduler: &Scheduler<()>| {
        let mut accounts = scheduler.lanes[0].accounts();
        accounts.find(|(_, account)| account.tenant == TenantKey(2)).map(|(_, account)| account.counter)
    };
    let before = counter(&scheduler);
    scheduler.end(first);
    assert_ne!(counter(&scheduler), before, "it is let in");
    scheduler.cancel(seat);
    assert_eq!(counter(&scheduler), before);
}

#[test]
fn what_the_upstream_counted_replaces_what_was_estimated() {
    let counter = |estimate: u64| {
        let mut bench = Bench::new(config(1));
        let number = bench.send(Ask { prompt: estimate, output: estimate, ..ask(1) });
        bench.with(number, |scheduler, slot| scheduler.progress(slot, 5));
        bench.with(number, |scheduler, slot| scheduler.settle(slot, 40, 8));
        assert_eq!(bench.state().tokens, 48);
        bench.scheduler.lanes[0].accounts().next().map(|(_, account)| account.counter)
    };
    assert_eq!(counter(10), counter(1000));
}

#[test]
fn accounts_are_forgotten_a_minute_after_their_last_request() {
    let mut bench = Bench::new(config(1000));
    for tenant in 0..1000 {
        let number = bench.send(ask(tenant));
        bench.end(number);
    }
    let busy = [2000, 2001].map(|tenant| bench.send(ask(tenant)));
    bench.at(59 * SECOND_US).tick();
    assert_eq!(bench.state().accounts, 1002);
    bench.at(61 * SECOND_US).tick();
    assert_eq!(bench.state().accounts, 2, "those that still have something to do");
    busy.into_iter().for_each(|number| bench.end(number));
    bench.at(122 * SECOND_US).tick();
    assert_eq!(bench.state().accounts, 0);
}

#[test]
fn an_account_that_is_not_ahead_is_forgotten_at_once_and_one_that_is_keeps_its_place() {
    let mut bench = Bench::new(config(1));
    let greedy = bench.send(Ask { prompt: 10_000, ..ask(2) });
    bench.end(greedy);
    let light = bench.send(Ask { prompt: 0, ..ask(1) });
    bench.end(light);
    bench.at(2 * SECOND_US).tick();
    assert_eq!(bench.state().accounts, 1);

    let mut running = bench.send(ask(4));
    let waiting = [3, 2, 3, 3].map(|tenant| bench.send(ask(tenant)));
    for expected in [waiting[0], waiting[2], waiting[3], waiting[1]] {
        bench.end(running);
        assert_eq!(bench.in_now(), [expected], "it has had 10,000 tokens already");
        running = expected;
    }
}
