//! A run that never happened, the same on every machine: three groups at a constant rate for 15 s, with a stall.
//!
//! For 150 ms of the tenth second nothing is answered. Requests that are due meanwhile wait for a connection, so
//! their latency counts from the due time and their service time does not: the two curves part where they should.
//! Only additions, divisions and square roots are used, which IEEE 754 makes alike everywhere.

use hdrhistogram::Histogram;

use crate::measure::{
    About, Check, Distribution, GroupReport, Machine, Reloads, Report, Second, Totals, Upstream, Verdict,
};

const SECONDS: usize = 15;
const PER_SECOND: u64 = 1_200;
const STALL_US: std::ops::Range<u64> = 9_400_000..9_550_000;

/// The run; a smaller `speed` makes the target slower.
pub fn run(seed: u64, speed: f64) -> Report {
    let mut chance = Chance(seed);
    let groups = [Group::new("gold", 4, 300), Group::new("silver", 20, 400), Group::new("noisy", 1, 500)];
    let mut parts = groups.each_ref().map(|_| Part::new());
    let mut whole = Part::new();
    let mut lateness = histogram();
    let empty = || vec![0; groups.len()];
    let mut seconds: Vec<Second> = (0..SECONDS)
        .map(|_| Second { sent: empty(), ok: empty(), refused: empty(), failed: empty(), p99_us: 0 })
        .collect();
    let mut answered: Vec<Histogram<u64>> = (0..SECONDS).map(|_| histogram()).collect();

    for number in 0..PER_SECOND * SECONDS as u64 {
        let due_us = number * 1_000_000 / PER_SECOND;
        let second = (due_us / 1_000_000) as usize;
        let at = chance.pick(&groups);
        let asked = Asked::new(&mut chance, &groups[at], due_us, speed);
        seconds[second].sent[at] += 1;
        match asked.outcome {
            Outcome::Ok => seconds[second].ok[at] += 1,
            Outcome::Refused => seconds[second].refused[at] += 1,
            Outcome::Failed => seconds[second].failed[at] += 1,
        }
        if asked.outcome == Outcome::Ok {
            answered[second] += asked.wait_us + asked.service_us;
        }
        lateness += 20 + chance.below(60) + asked.wait_us / 1_000;
        for part in [&mut parts[at], &mut whole] {
            part.add(&asked, &mut chance);
        }
    }
    for (second, answered) in seconds.iter_mut().zip(&answered) {
        second.p99_us = answered.value_at_quantile(0.99);
    }
    let reports = groups.iter().zip(&parts);
    Report {
        about: about(seed),
        void: Vec::new(),
        totals: whole.totals(8),
        groups: reports
            .map(|(group, part)| GroupReport {
                name: group.name.to_owned(),
                callers: group.callers,
                totals: part.totals(4),
            })
            .collect(),
        seconds,
        lateness: Some(distribution(&lateness)),
        oracle: Some(verdict()),
        upstream: Some(upstream(&whole.totals)),
        reloads: Some(Reloads { good: 136, bad: 15, taken: 134, refused: 15 }),
    }
}

/// What is not refused arrives; what fails was broken there.
fn upstream(totals: &Totals) -> Upstream {
    Upstream {
        requests: totals.ok + totals.failed,
        completed: totals.ok,
        cancelled: 0,
        faulted: totals.failed,
        connections: 6,
        tenants: 25,
    }
}

/// A run that was ended before it sent anything.
pub fn nothing() -> Report {
    Report {
        about: About { lasted_s: 0.0, ..about(7) },
        void: Vec::new(),
        totals: Totals::default(),
        groups: Vec::new(),
        seconds: Vec::new(),
        lateness: None,
        oracle: None,
        upstream: None,
        reloads: None,
    }
}

/// A claim that held, broke, or was not looked at.
pub fn check(claim: &str, evidence: u64, tightest: Option<f64>, violations: &[&str]) -> Check {
    let violations = violations.iter().map(|&text| text.to_owned()).collect();
    Check { claim: claim.to_owned(), evidence, tightest, violations }
}

fn about(seed: u64) -> About {
    About {
        scenario: "noisy_neighbour".to_owned(),
        about: "One tenant sends five times its limit; the others must not notice.".to_owned(),
        seed,
        load: "open".to_owned(),
        target: "http://127.0.0.1:8080".to_owned(),
        started: "2026-03-14T09:26:53Z".to_owned(),
        lasted_s: 15.012,
        version: "0.2.0".to_owned(),
        commit: "3f9c2d17b0aa".to_owned(),
        machine: Machine {
            processor: "Kunpeng-920".to_owned(),
            cores: 4,
            kernel: "6.6.0".to_owned(),
            load_average: 0.21,
        },
        command: format!("pangu-loadtest run noisy_neighbour --seed {seed}"),
    }
}

fn verdict() -> Verdict {
    let checks = vec![
        check("tenant gold: limit rpm admits at most 400 + 400/s * t", 4_503, Some(0.71), &[]),
        check("tenant silver: limit rpm admits at most 500 + 500/s * t", 6_012, Some(0.78), &[]),
        check("tenant noisy: limit rpm admits at most 100 + 100/s * t", 7_485, Some(0.998), &[]),
        check("nobody within their limit was refused", 10_515, None, &[]),
        check("Retry-After: not a moment too late, nor too early", 212, None, &[]),
        check("tokens of tenant gold: at most one chunk per open stream too many", 0, None, &[]),
    ];
    Verdict { checks }
}

struct Group {
    name: &'static str,
    callers: u32,
    weight: u64,
}

impl Group {
    fn new(name: &'static str, callers: u32, weight: u64) -> Group {
        Group { name, callers, weight }
    }
}

#[derive(PartialEq)]
enum Outcome {
    Ok,
    Refused,
    Failed,
}

/// One request and what became of it.
struct Asked {
    outcome: Outcome,
    wait_us: u64,
    service_us: u64,
    stream: bool,
}

impl Asked {
    fn new(chance: &mut Chance, group: &Group, due_us: u64, speed: f64) -> Asked {
        let refused = group.name == "noisy" && chance.below(100) < 80;
        let failed = !refused && chance.below(1_000) < 2;
        let outcome = match (refused, failed) {
            (true, _) => Outcome::Refused,
            (_, true) => Outcome::Failed,
            _ => Outcome::Ok,
        };
        // Heavy tail: Pareto with exponent 4.
        let service_us = (900.0 / speed / (1.0 - chance.part()).sqrt().sqrt()) as u64 + chance.below(300);
        let stalled_us = if STALL_US.contains(&due_us) { STALL_US.end - due_us } else { 0 };
        Asked {
            outcome,
            // The first ones are on a connection already and are answered late; the others are sent late.
            wait_us: if stalled_us < 120_000 { stalled_us } else { 0 },
            service_us: service_us + if stalled_us >= 120_000 { stalled_us } else { 0 },
            stream: chance.below(10) == 0,
        }
    }
}

/// What a group, or everybody, has seen.
struct Part {
    totals: Totals,
    latency: Histogram<u64>,
    service: Histogram<u64>,
    first_token: Histogram<u64>,
    token_gap: Histogram<u64>,
    stream: Histogram<u64>,
}

impl Part {
    fn new() -> Part {
        Part {
            totals: Totals::default(),
            latency: histogram(),
            service: histogram(),
            first_token: histogram(),
            token_gap: histogram(),
            stream: histogram(),
        }
    }

    fn add(&mut self, asked: &Asked, chance: &mut Chance) {
        let totals = &mut self.totals;
        totals.sent += 1;
        match asked.outcome {
            Outcome::Refused => totals.refused += 1,
            Outcome::Failed => totals.failed += 1,
            Outcome::Ok => {
                totals.ok += 1;
                totals.bytes_in += 1_024;
                self.latency += asked.wait_us + asked.service_us;
                self.service += asked.service_us;
            }
        }
        if asked.stream && asked.outcome == Outcome::Ok {
            let first_us = asked.wait_us + asked.service_us + 4_000 + chance.below(9_000);
            let gaps: Vec<u64> = (0..16).map(|_| 9_700 + chance.below(600) + chance.below(600)).collect();
            self.first_token += first_us;
            self.stream += first_us + gaps.iter().sum::<u64>();
            gaps.into_iter().for_each(|gap_us| self.token_gap += gap_us);
        }
    }

    fn totals(&self, connections: u64) -> Totals {
        let totals = &self.totals;
        let statuses = [(0, totals.failed), (200, totals.ok), (429, totals.refused)];
        let failures = [("connection reset by peer", totals.failed)];
        Totals {
            connections,
            statuses: statuses.into_iter().filter(|(_, number)| *number > 0).collect(),
            failures: failures
                .into_iter()
                .filter(|(_, number)| *number > 0)
                .map(|(why, number)| (why.to_owned(), number))
                .collect(),
            latency: distribution(&self.latency),
            service: distribution(&self.service),
            first_token: distribution(&self.first_token),
            token_gap: distribution(&self.token_gap),
            stream: distribution(&self.stream),
            ..totals.clone()
        }
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000, 2).expect("bounds in order")
}

/// As a report has it, but without the encoded histogram, whose bytes depend on the compressor.
fn distribution(of: &Histogram<u64>) -> Distribution {
    let percentiles = of.iter_quantiles(3).map(|step| {
        let percentile = (step.quantile_iterated_to() * 100.0 * 1e6).round() / 1e6;
        (percentile, step.value_iterated_to())
    });
    Distribution {
        count: of.len(),
        min_us: if of.is_empty() { 0 } else { of.min() },
        mean_us: (of.mean() * 10.0).round() / 10.0,
        max_us: of.max(),
        percentiles: if of.is_empty() { Vec::new() } else { percentiles.collect() },
        hdr: String::new(),
    }
}

/// A linear congruential generator (Knuth, MMIX): poor, but the same everywhere.
struct Chance(u64);

impl Chance {
    /// From 0 up to but not 1.
    fn part(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1u64 << 31) as f64
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.part() * end as f64) as u64
    }

    fn pick(&mut self, groups: &[Group]) -> usize {
        let mut left = self.below(groups.iter().map(|group| group.weight).sum());
        for (i, group) in groups.iter().enumerate() {
            if left < group.weight {
                return i;
            }
            left -= group.weight;
        }
        0
    }
}
