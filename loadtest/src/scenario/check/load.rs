//! When requests are sent, and when it is enough.

use std::time::Duration;

use serde_saphyr::{Location, Spanned};

use super::Checker;
use crate::scenario::spec::{ArrivalsSpec, LoadSpec, Mode, PhaseSpec};
use crate::scenario::{Adjust, Arrivals, Load, Phase};

/// No run lasts longer, whatever the file says.
const TIME_CEILING: Duration = Duration::from_secs(3600);
/// No run sends more: its samples have to fit in memory for the oracle.
const REQUESTS_CEILING: u64 = 10_000_000;
/// Beyond what one machine sends.
const RATE_CEILING: f64 = 1_000_000.0;
const IN_FLIGHT_CEILING: u32 = 10_000;

impl Checker<'_> {
    /// The load, lengthened and thinned as `adjust` asks.
    pub(super) fn load(&mut self, adjust: &Adjust) -> Load {
        let Spanned { value: spec, referenced: at, .. } = &self.spec.load;
        match spec.mode {
            Mode::Open => self.open(spec, *at, adjust),
            Mode::Closed => self.closed(spec, *at, adjust),
        }
    }

    fn open(&mut self, spec: &LoadSpec, at: Location, adjust: &Adjust) -> Load {
        if spec.in_flight.is_some() || spec.lasts.is_some() {
            let what = "`mode: open` has no `in_flight` and no `for` of its own";
            self.problems.add(at, "load", what, "write `phases: [{for: 10s, rate: 200/s}]`");
        }
        let written = spec.phases.as_deref().unwrap_or_default();
        if written.is_empty() {
            let help = "write `phases: [{for: 10s, rate: 200/s}]`";
            self.problems.add(at, "load.phases", "an open load needs at least one phase", help);
        }
        let mut phases: Vec<Phase> = written.iter().filter_map(|phase| self.phase(phase)).collect();
        let length = phases.iter().map(|phase| phase.lasts).sum::<Duration>();
        let stretch = adjust.lasts.map_or(1.0, |lasts| lasts.as_secs_f64() / length.as_secs_f64().max(1e-6));
        for phase in &mut phases {
            phase.lasts = phase.lasts.mul_f64(stretch);
            phase.from_per_s *= adjust.rate_factor;
            phase.to_per_s *= adjust.rate_factor;
        }
        if phases.iter().any(|phase| phase.from_per_s.max(phase.to_per_s) > RATE_CEILING) {
            let what = format!("a rate is above {RATE_CEILING} requests per second");
            self.problems.add(at, "load.phases", what, "one machine does not send more; lower it");
        }
        let arrivals = match spec.arrivals {
            None | Some(ArrivalsSpec::Constant) => Arrivals::Constant,
            Some(ArrivalsSpec::Poisson) => Arrivals::Poisson,
        };
        Load::Open { arrivals, phases }
    }

    fn phase(&mut self, phase: &Spanned<PhaseSpec>) -> Option<Phase> {
        let PhaseSpec { lasts, rate, from, to } = &phase.value;
        let (from, to) = match (rate, from, to) {
            (Some(rate), None, None) => (rate.0, rate.0),
            (None, Some(from), Some(to)) => (from.0, to.0),
            _ => {
                let help = "write `{for: 10s, rate: 200/s}` or `{for: 10s, from: 100/s, to: 500/s}`";
                let what = "a phase has either `rate`, or `from` and `to`";
                self.problems.add(phase.referenced, "load.phases", what, help);
                return None;
            }
        };
        Some(Phase { lasts: lasts.0, from_per_s: from, to_per_s: to })
    }

    fn closed(&mut self, spec: &LoadSpec, at: Location, adjust: &Adjust) -> Load {
        if spec.phases.is_some() || spec.arrivals.is_some() {
            let what = "`mode: closed` has no `phases` and no `arrivals`";
            self.problems.add(at, "load", what, "write `in_flight: 32` and `for: 10s`, or set `mode: open`");
        }
        let in_flight = spec.in_flight.unwrap_or_default();
        if in_flight == 0 {
            let help = "write `in_flight: 32`: so many requests are under way at once";
            self.problems.add(at, "load.in_flight", "a closed load needs it, above 0", help);
        } else {
            self.within(at, "load.in_flight", in_flight, IN_FLIGHT_CEILING);
        }
        if spec.lasts.is_none() {
            self.problems.add(at, "load.for", "a closed load needs it", "write `for: 10s`");
        }
        let written = spec.lasts.map_or(Duration::ZERO, |time| time.0);
        Load::Closed {
            in_flight: ((f64::from(in_flight) * adjust.rate_factor).ceil() as u32)
                .clamp(1, IN_FLIGHT_CEILING),
            lasts: adjust.lasts.unwrap_or(written),
        }
    }

    /// The time and the number of requests after which nothing is sent: as written, or a little more than the load
    /// asks for.
    pub(super) fn bounds(&mut self, load: &Load) -> (Duration, u64) {
        let (length, expected) = match load {
            Load::Open { phases, .. } => (
                phases.iter().map(|phase| phase.lasts).sum::<Duration>(),
                phases.iter().map(Phase::requests).sum::<f64>(),
            ),
            Load::Closed { lasts, .. } => (*lasts, f64::INFINITY),
        };
        let time_max = self.spec.time_max.as_ref();
        let at = time_max.map_or(self.spec.load.referenced, |time| time.referenced);
        let time_max = time_max.map_or(length + Duration::from_secs(1), |time| time.value.0);
        if time_max > TIME_CEILING + Duration::from_secs(1) {
            let what = format!("the run would last {} s", time_max.as_secs());
            self.problems.add(
                at,
                "time_max",
                what,
                "an hour is the most; write shorter phases, or `time_max: 1h`",
            );
        }

        let requests_max = self.spec.requests_max.as_ref();
        let at = requests_max.map_or(self.spec.load.referenced, |number| number.referenced);
        // Poisson arrivals scatter by the square root of their number; six of those are never seen.
        let enough = (expected + 6.0 * expected.sqrt() + 10.0).min(REQUESTS_CEILING as f64) as u64;
        if requests_max.is_none() && expected.is_finite() && expected > REQUESTS_CEILING as f64 {
            let what = format!("the load asks for {expected:.0} requests");
            self.problems.add(
                at,
                "requests_max",
                what,
                format!("{REQUESTS_CEILING} are the most; lower the rate"),
            );
        }
        let requests_max = requests_max.map_or(enough, |number| number.value);
        if !(1..=REQUESTS_CEILING).contains(&requests_max) {
            let what = format!("{requests_max} is not from 1 to {REQUESTS_CEILING}");
            self.problems.add(at, "requests_max", what, "");
        }
        (time_max, requests_max)
    }
}

impl Phase {
    /// Requests that it asks for.
    fn requests(&self) -> f64 {
        self.lasts.as_secs_f64() * (self.from_per_s + self.to_per_s) / 2.0
    }
}
