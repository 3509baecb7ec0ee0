//! Schedule: when is each request of an open load due?
//!
//! Known before the first is sent, from the phases and the seed alone.
//!
//! *Model.* A phase whose rate goes evenly from `a` to `b` over `L` seconds expects `N(t) = a t + (b - a) t² / 2L`
//! requests by its second `t`. An arrival is a *position* on that axis of expected requests, counted over all
//! phases: 0, 1, 2, ... if arrivals are evenly spaced; the sum of exponential gaps of mean 1 if they are Poisson
//! (a Poisson process of any rate is one of rate 1 on a stretched time axis). Its time is `N`'s inverse. Every time
//! comes from its position, never from the time before it, so nothing drifts.

use crate::scenario::{Arrivals, Phase};

use super::chance::Chance;

/// Subject of [`Chance`] for arrivals; numbers of requests never reach it.
const ARRIVALS: u64 = u64::MAX;

/// An arrival so close to the end of a phase, in requests, belongs to the next: 100/s over 70 ms is 7 requests, though
/// the product of the two numbers is a little above 7.
const ROUNDING: f64 = 1e-6;

/// Iterates over the times at which requests are due, in microseconds since the start, never going back.
#[derive(Debug, Clone)]
pub struct Schedule {
    stretches: Vec<Stretch>,
    current: usize,
    positions: Positions,
}

/// A phase with its place in time and among the expected requests.
#[derive(Debug, Clone)]
struct Stretch {
    starts_us: u64,
    lasts_us: u64,
    from_per_s: f64,
    to_per_s: f64,
    expected_before: f64,
    expected: f64,
}

#[derive(Debug, Clone)]
enum Positions {
    Even { next: u64 },
    Poisson { last: f64, chance: Chance },
}

impl Schedule {
    /// Lays the phases one after the other.
    pub fn new(arrivals: Arrivals, phases: &[Phase], seed: u64) -> Schedule {
        let (mut starts_us, mut expected_before) = (0, 0.0);
        let stretches = phases.iter().map(|phase| {
            let stretch = Stretch::new(phase, starts_us, expected_before);
            starts_us += stretch.lasts_us;
            expected_before += stretch.expected;
            stretch
        });
        Schedule {
            stretches: stretches.collect(),
            current: 0,
            positions: match arrivals {
                Arrivals::Constant => Positions::Even { next: 0 },
                Arrivals::Poisson => Positions::Poisson { last: 0.0, chance: Chance::new(seed, ARRIVALS) },
            },
        }
    }

    /// Length of all phases together, in microseconds.
    pub fn lasts_us(&self) -> u64 {
        self.stretches.last().map_or(0, |last| last.starts_us + last.lasts_us)
    }
}

impl Iterator for Schedule {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let position = self.positions.draw();
        while let Some(stretch) = self.stretches.get(self.current) {
            let within = position - stretch.expected_before;
            if within < stretch.expected - ROUNDING {
                return Some(stretch.starts_us + stretch.time_us(within));
            }
            self.current += 1;
        }
        None
    }
}

impl Positions {
    fn draw(&mut self) -> f64 {
        match self {
            Positions::Even { next } => {
                let position = *next as f64;
                *next += 1;
                position
            }
            Positions::Poisson { last, chance } => {
                *last += chance.gap();
                *last
            }
        }
    }
}

impl Stretch {
    fn new(phase: &Phase, starts_us: u64, expected_before: f64) -> Stretch {
        let lasts_us = u64::try_from(phase.lasts.as_micros()).unwrap_or(u64::MAX);
        Stretch {
            starts_us,
            lasts_us,
            from_per_s: phase.from_per_s,
            to_per_s: phase.to_per_s,
            expected_before,
            expected: (phase.from_per_s + phase.to_per_s) / 2.0 * (lasts_us as f64 / 1e6),
        }
    }

    /// The moment by which `position` requests are expected, as `2x / (a + sqrt(a² + 2 s x))` with the slope `s`: the
    /// form of the root that holds for a slope of zero, and loses no digits near it.
    fn time_us(&self, position: f64) -> u64 {
        if position <= 0.0 {
            return 0;
        }
        let slope = (self.to_per_s - self.from_per_s) / (self.lasts_us as f64 / 1e6);
        let rate_then = (self.from_per_s * self.from_per_s + 2.0 * slope * position).max(0.0).sqrt();
        let seconds = 2.0 * position / (self.from_per_s + rate_then);
        // A millionth of a microsecond up: 1/1000 s is 1000 us, whatever its binary digits say.
        let us = (seconds * 1e6 + 1e-6) as u64;
        us.min(self.lasts_us.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn phase(ms: u64, from_per_s: f64, to_per_s: f64) -> Phase {
        Phase { lasts: Duration::from_millis(ms), from_per_s, to_per_s }
    }

    fn even(phases: &[Phase]) -> Vec<u64> {
        Schedule::new(Arrivals::Constant, phases, 0).collect()
    }

    #[test]
    fn a_constant_rate_is_evenly_spaced_and_does_not_drift() {
        let times = even(&[phase(3_600_000, 1000.0, 1000.0)]);
        assert_eq!(times.len(), 3_600_000);
        assert!(times.iter().enumerate().all(|(k, &us)| us == k as u64 * 1000));
    }

    #[test]
    fn a_ramp_has_half_of_its_requests_after_the_square_root_of_a_half() {
        let times = even(&[phase(10_000, 0.0, 200.0)]);
        assert_eq!(times.len(), 1000);
        assert_eq!(times[0], 0);
        assert_eq!(times[500], 7_071_067);
        let down = even(&[phase(10_000, 200.0, 0.0)]);
        assert_eq!(down.len(), 1000);
        assert_eq!(down[500], 2_928_932, "the mirror image");
    }

    #[test]
    fn phases_follow_one_another_and_a_silent_one_is_silent() {
        let times = even(&[phase(1000, 10.0, 10.0), phase(2000, 0.0, 0.0), phase(70, 100.0, 100.0)]);
        assert_eq!(times.len(), 17);
        assert_eq!(times[9], 900_000);
        assert_eq!(times[10..13], [3_000_000, 3_010_000, 3_020_000]);
    }

    #[test]
    fn poisson_counts_have_the_variance_of_their_mean() {
        let (runs, mean) = (2_000, 50.0);
        let counts: Vec<f64> = (0..runs)
            .map(|seed| Schedule::new(Arrivals::Poisson, &[phase(1000, mean, mean)], seed).count() as f64)
            .collect();
        let average = counts.iter().sum::<f64>() / runs as f64;
        let variance = counts.iter().map(|n| (n - average).powi(2)).sum::<f64>() / runs as f64;
        // Four standard errors: of the mean sqrt(50 / 2000), of the variance 50 * sqrt(2 / 2000).
        assert!((average - mean).abs() < 0.64, "{average}");
        assert!((variance - mean).abs() < 6.4, "{variance}");
    }

    #[test]
    fn a_seed_decides_all() {
        let phases = [phase(1000, 100.0, 500.0)];
        let times = |seed| Schedule::new(Arrivals::Poisson, &phases, seed).collect::<Vec<_>>();
        assert_eq!(times(7), times(7));
        assert_ne!(times(7), times(8));
    }

    proptest! {
        #[test]
        fn every_phase_has_its_requests_within_one_and_time_never_goes_back(
            shape in prop::collection::vec((1_u64..5_000, 0.0..2_000.0, 0.0..2_000.0), 1..6),
        ) {
            let phases: Vec<_> = shape.iter().map(|&(ms, from, to)| phase(ms, from, to)).collect();
            let times = even(&phases);
            prop_assert!(times.is_sorted());
            let mut starts_us = 0;
            for p in &phases {
                let ends_us = starts_us + p.lasts.as_micros() as u64;
                let count = times.iter().filter(|us| (starts_us..ends_us).contains(us)).count() as f64;
                let expected = (p.from_per_s + p.to_per_s) / 2.0 * p.lasts.as_secs_f64();
                prop_assert!((count - expected).abs() <= 1.0 + 1e-6, "{count} of {expected} in {p:?}");
                starts_us = ends_us;
            }
        }

        #[test]
        fn poisson_stays_in_its_phases(
            seed: u64, ms in 1_u64..2_000, from in 0.0..500.0, to in 0.0..500.0,
        ) {
            let schedule = Schedule::new(Arrivals::Poisson, &[phase(ms, from, to)], seed);
            let lasts_us = schedule.lasts_us();
            let times: Vec<_> = schedule.collect();
            prop_assert!(times.is_sorted());
            prop_assert!(times.iter().all(|&us| us < lasts_us));
        }
    }
}
