//! The set-up of the VTC paper's artifact: 27 callers, 1,500 requests, most of them from a few.

use super::simulation::{Dice, Fair, Fifo, Job, Order, run};
use super::*;

const CALLERS: u64 = 27;
const REQUESTS: usize = 1500;
const PLACES: u32 = 30;

/// Callers send as often as one over their rank; together about 20 % more than the upstream makes.
fn workload() -> Vec<Job> {
    let mut dice = Dice(27);
    let ranks: Vec<u64> = (1..=CALLERS).map(|rank| 100_000 / (rank * rank)).collect();
    let all: u64 = ranks.iter().sum();
    let mut jobs: Vec<Job> = (0..REQUESTS)
        .map(|_| {
            let mut at = dice.roll(0, all);
            let mut tenant = 0;
            while at >= ranks[tenant] {
                at -= ranks[tenant];
                tenant += 1;
            }
            let (prompt, output) = (dice.roll(8, 1024), dice.roll(8, 250));
            Job { at_step: dice.roll(0, 5500), tenant: tenant as u64, weight: 1, prompt, output }
        })
        .collect();
    jobs.sort_by_key(|job| job.at_step);
    jobs
}

#[test]
fn with_the_papers_callers_the_median_wait_falls_to_a_quarter_and_throughput_stays() {
    let jobs = workload();
    let outcome = |order: &mut dyn Order| run(&jobs, order);
    let (fifo, fair) = (outcome(&mut Fifo::new(PLACES)), outcome(&mut Fair::new(config(PLACES))));

    let light = |number: usize| jobs[number].tenant >= 5;
    let (fifo_light, fair_light) = (fifo.median(light), fair.median(light));
    assert!(
        fair_light <= fifo_light / 8.0,
        "light callers: {fair_light} steps, {fifo_light} in order of arrival"
    );
    // Over callers, each by its own median.
    let each = [&fifo, &fair].map(|outcome| {
        let sent = |caller: &u64| jobs.iter().any(|job| job.tenant == *caller);
        let of = |caller| outcome.median(|number| jobs[number].tenant == caller);
        let mut medians: Vec<f64> = (0..CALLERS).filter(sent).map(of).collect();
        medians.sort_by(f64::total_cmp);
        medians[medians.len() / 2]
    });
    assert!(each[1] <= each[0] / 4.0, "{each:?}");
    let (fifo_steps, fair_steps) = (fifo.steps.len() as f64, fair.steps.len() as f64);
    assert!(fair_steps <= 1.03 * fifo_steps, "{fair_steps} steps in all, {fifo_steps} in order of arrival");
}
