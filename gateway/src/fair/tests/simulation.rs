//! A model endpoint in steps of 50 ms: so many requests at once, a token each per step once the prompt is
//! read.

use super::*;
use std::collections::VecDeque;

pub(super) const STEP_US: u64 = 50_000;
/// Tokens of a prompt read in a step.
const PREFILL: u64 = 512;

/// One request of a workload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    pub(super) at_step: u64,
    pub(super) tenant: u64,
    pub(super) weight: u32,
    pub(super) prompt: u64,
    pub(super) output: u64,
}

/// Who decides whose turn it is.
pub(super) trait Order {
    fn send(&mut self, number: usize, job: &Job, now_us: u64);
    /// Those that were let in since it was asked last.
    fn let_in(&mut self) -> Vec<usize>;
    fn progress(&mut self, number: usize, output: u64);
    fn end(&mut self, number: usize, now_us: u64);
}

/// The gate.
pub(super) struct Fair {
    bench: Bench,
    /// Sent, and not known to be in.
    sent: Vec<usize>,
}

impl Fair {
    pub(super) fn new(config: Config) -> Fair {
        Fair { bench: Bench::new(config), sent: Vec::new() }
    }
}

impl Order for Fair {
    fn send(&mut self, number: usize, job: &Job, now_us: u64) {
        let (tenant, weight) = (TenantKey(job.tenant), weight(job.weight));
        let ask = Ask { tenant, weight, class: 0, prompt: job.prompt, output: job.output, ..ask(0) };
        assert_eq!(self.bench.at(now_us).send(ask), number);
        self.sent.push(number);
    }

    fn let_in(&mut self) -> Vec<usize> {
        let (new, waiting) = self.sent.iter().partition(|number| self.bench.is_in(**number));
        self.sent = waiting;
        new
    }

    fn progress(&mut self, number: usize, output: u64) {
        self.bench.with(number, |scheduler, slot| scheduler.progress(slot, output));
    }

    fn end(&mut self, number: usize, now_us: u64) {
        self.bench.at(now_us).answered(number, 200, None);
        self.bench.end(number);
    }
}

/// First come, first served: what the gate is compared with.
pub(super) struct Fifo {
    free: u32,
    waiting: VecDeque<usize>,
}

impl Fifo {
    pub(super) fn new(places: u32) -> Fifo {
        Fifo { free: places, waiting: VecDeque::new() }
    }
}

impl Order for Fifo {
    fn send(&mut self, number: usize, _: &Job, _: u64) {
        self.waiting.push_back(number);
    }

    fn let_in(&mut self) -> Vec<usize> {
        let n = self.waiting.len().min(self.free as usize);
        self.free -= n as u32;
        self.waiting.drain(..n).collect()
    }

    fn progress(&mut self, _: usize, _: u64) {}

    fn end(&mut self, _: usize, _: u64) {
        self.free += 1;
    }
}

/// What a workload came to.
pub(super) struct Outcome {
    /// Of each job: steps from sending to its first token.
    pub(super) first_token: Vec<u64>,
    /// After each step, of each tenant: service by weight so far, and whether it had requests waiting all
    /// through it.
    pub(super) steps: Vec<Vec<(f64, bool)>>,
}

/// Runs a workload, sorted by time, to its end. Tenants are numbered from 0.
pub(super) fn run(jobs: &[Job], order: &mut dyn Order) -> Outcome {
    let tenants = jobs.iter().map(|job| job.tenant + 1).max().unwrap_or(0) as usize;
    let mut service = vec![0.0; tenants];
    let mut waiting = vec![0u32; tenants];
    let mut running: Vec<(usize, u64, u64)> = Vec::new(); // number, tokens of the prompt read, of the output made
    let (mut sent, mut ended, mut now) = (0, 0, 0);
    let mut outcome = Outcome { first_token: vec![0; jobs.len()], steps: Vec::new() };
    while ended < jobs.len() {
        assert!(now < 10_000_000, "the workload does not end");
        let mut begin = |order: &mut dyn Order, running: &mut Vec<_>, waiting: &mut Vec<u32>| {
            for number in order.let_in() {
                let job = &jobs[number];
                waiting[job.tenant as usize] -= 1;
                service[job.tenant as usize] += job.prompt as f64 / f64::from(job.weight);
                running.push((number, 0, 0));
            }
        };
        // Whoever's last one was let in as the step before ended has stopped waiting, though more of its come now.
        begin(order, &mut running, &mut waiting);
        let mut waited: Vec<bool> = waiting.iter().map(|n| *n > 0).collect();
        while let Some(job) = jobs.get(sent).filter(|job| job.at_step <= now) {
            order.send(sent, job, now * STEP_US);
            waiting[job.tenant as usize] += 1;
            sent += 1;
        }
        begin(order, &mut running, &mut waiting);
        waited.iter_mut().zip(&waiting).for_each(|(waited, n)| *waited &= *n > 0);
        for (number, read, made) in &mut running {
            let job = &jobs[*number];
            if *read < job.prompt {
                *read += PREFILL;
                continue;
            }
            if *made == 0 {
                outcome.first_token[*number] = now - job.at_step;
            }
            *made += 1;
            service[job.tenant as usize] += 2.0 / f64::from(job.weight);
            order.progress(*number, *made);
        }
        now += 1;
        running.retain(|(number, _, made)| {
            let done = *made >= jobs[*number].output;
            if done {
                order.end(*number, now * STEP_US);
                ended += 1;
            }
            !done
        });
        outcome.steps.push(service.iter().copied().zip(waited).collect());
    }
    outcome
}

impl Outcome {
    /// The most by which the service of two tenants moved apart in any stretch of time in which both had
    /// requests waiting.
    pub(super) fn apart(&self, a: usize, b: usize) -> f64 {
        let (mut worst, mut range) = (0.0, None);
        for step in &self.steps {
            let ((a, a_waits), (b, b_waits)) = (step[a], step[b]);
            if !(a_waits && b_waits) {
                range = None;
                continue;
            }
            let apart = a - b;
            let (low, high) = range.unwrap_or((apart, apart));
            let (low, high) = (apart.min(low), apart.max(high));
            range = Some((low, high));
            worst = f64::max(worst, high - low);
        }
        worst
    }

    /// Median of the steps to the first token, over some of the jobs.
    pub(super) fn median(&self, of: impl Fn(usize) -> bool) -> f64 {
        let mut some: Vec<u64> =
            self.first_token.iter().enumerate().filter(|(n, _)| of(*n)).map(|(_, steps)| *steps).collect();
        some.sort_unstable();
        some[some.len() / 2] as f64
    }
}

/// Numbers that look random and are the same in every run.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    /// At least `low`, below `high`.
    pub(super) fn roll(&mut self, low: u64, high: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15); // splitmix64
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        low + (z ^ (z >> 31)) % (high - low)
    }
}
