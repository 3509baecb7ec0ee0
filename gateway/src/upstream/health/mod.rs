//! Is a backend to be had?
//!
//! [`Health`] is what is known of one backend, whatever pools name it. Two things are heard of it: what its probes found
//! ([`standing`]), and how requests to it went ([`tally`], [`terms`]). Out of both comes an [`opening`], one word that
//! every pick reads. What a pool makes of all its backends together (a floor under ejections, panic) is in
//! [`watch`](super::watch).
//!
//! *Costs.* A pick loads one word. A request that went well loads two more, with its head and with its end, and counts itself
//! only where the pool looks at rates. All else takes a lock, and happens when something fails or a probe has ended.
//!
//! Time is a parameter, in milliseconds of the monotonic clock.

mod opening;
pub mod rules;
mod standing;
mod tally;
mod terms;

#[cfg(test)]
mod tests;

use super::probe::Failure;
use opening::Opening;
use parking_lot::Mutex;
use rules::{Eject, Probe};
use serde::Serialize;
use standing::Standing;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tally::Tally;
use terms::Terms;

pub use opening::WHOLE;

/// What is known of a backend's health; shared by all workers, and kept by reloads.
#[derive(Default)]
pub struct Health {
    /// An [`Opening`].
    opening: AtomicU64,
    /// Failures to answer since the last head of a good answer.
    failing: AtomicU32,
    /// Answers that broke off since the last whole one. A count of its own: a head comes at once and says that a backend can be
    /// reached and works, but not that the rest will follow; a whole answer says that, and may take minutes.
    cut: AtomicU32,
    tally: Tally,
    known: Mutex<Known>,
}

/// What `opening` is made of.
#[derive(Default)]
struct Known {
    /// Some pool has had it.
    met: bool,
    checks: Vec<Check>,
    terms: Terms,
    /// When the probes let it in last, and how long its share grows after that or after an ejection.
    since_ms: u64,
    ramp_ms: u64,
    counts: Counts,
}

struct Check {
    probe: Arc<Probe>,
    standing: Standing,
    last: Option<Result<(), Failure>>,
}

/// Why a backend is ejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Failures in a row.
    Consecutive,
    /// Too many of the last.
    ErrorRate,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 2] = [Reason::Consecutive, Reason::ErrorRate];

    /// The label's value.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Consecutive => "consecutive",
            Reason::ErrorRate => "error_rate",
        }
    }
}

/// What happened to a backend since the program began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// By [`Reason`].
    pub ejections: [u64; Reason::ALL.len()],
    /// Ejections that did not happen, because too little of its pool would have been left.
    pub kept: u64,
    /// By [`Failure`].
    pub probe_failures: [u64; Failure::ALL.len()],
}

/// What a probe's result has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It gets requests (again).
    Opened,
    /// It gets no more.
    Shut,
}

impl Health {
    /// Hot path: the part of its weight that it gets now, in 256ths. 0: nothing; 256: all of it.
    #[inline]
    pub fn share(&self, now_ms: u64) -> u32 {
        self.opening().share(now_ms)
    }

    /// Has it ever been ready? Where no probe asks, it counts as such.
    #[inline]
    pub fn is_proven(&self) -> bool {
        self.opening().is_proven()
    }

    #[inline]
    fn opening(&self) -> Opening {
        Opening(self.opening.load(Relaxed))
    }

    /// Some pool has it now, and `probe` is how that pool asks. A backend that nobody had before stays out until a
    /// success, except when the program begins. One that is known keeps where it stands.
    pub fn join(&self, probe: Option<&Arc<Probe>>, starting: bool) {
        let mut known = self.known.lock();
        let met = std::mem::replace(&mut known.met, true);
        let Some(probe) = probe.filter(|probe| known.checks.iter().all(|check| check.probe != **probe))
        else {
            return;
        };
        let standing = match known.opening() {
            _ if !met && starting => Standing::Hoped,
            _ if !met => Standing::Unproven,
            Opening::UNPROVEN => Standing::Unproven,
            Opening::SHUT => Standing::Out { passed: 0 },
            _ => Standing::In { failed: 0 },
        };
        known.checks.push(Check { probe: probe.clone(), standing, last: None });
        self.publish(&known);
    }

    /// Forgets what other probes found; policy has only these now.
    pub fn keep_only(&self, probes: &[Arc<Probe>]) {
        let mut known = self.known.lock();
        known.checks.retain(|check| probes.contains(&check.probe));
        self.publish(&known);
    }

    /// A probe has ended.
    pub fn probed(&self, probe: &Probe, result: Result<(), Failure>, now_ms: u64) -> Option<Change> {
        let mut known = self.known.lock();
        let before = known.is_let_in();
        if let Err(failure) = result {
            known.counts.probe_failures[failure as usize] += 1;
        }
        let check = known.checks.iter_mut().find(|check| *check.probe == *probe)?;
        let hoped = check.standing == Standing::Hoped;
        check.standing = check.standing.after(result.is_ok(), probe);
        check.last = Some(result);
        let now = known.is_let_in();
        if !before && now {
            (known.since_ms, known.ramp_ms) = (now_ms, probe.slow_start.as_millis() as u64);
        }
        self.publish(&known);
        match (before, now) {
            (false, true) => Some(Change::Opened),
            (true, true) if hoped => Some(Change::Opened),
            (true, false) => Some(Change::Shut),
            _ => None,
        }
    }

    /// Hot path: a request has had the head of its answer, or has failed before. Some: it is to be ejected, by these rules.
    pub fn saw(&self, failed: bool, rules: &Eject, now_ms: u64) -> Option<Reason> {
        if rules.rate.is_some() {
            self.tally.count(failed, now_ms / 1_000);
        }
        if failed {
            return self.failed(&self.failing, rules, now_ms);
        }
        forgive(&self.failing);
        None
    }

    /// Hot path: a good answer has come to its end.
    pub fn saw_end(&self) {
        forgive(&self.cut);
    }

    /// An answer has broken off whose head was [seen](Self::saw) as a good one. Some: as there.
    pub fn saw_cut(&self, rules: &Eject, now_ms: u64) -> Option<Reason> {
        if rules.rate.is_some() {
            self.tally.count_cut(now_ms / 1_000);
        }
        self.failed(&self.cut, rules, now_ms)
    }

    fn failed(&self, in_a_row: &AtomicU32, rules: &Eject, now_ms: u64) -> Option<Reason> {
        if self.share(now_ms) == 0 {
            return None; // sent before it was taken out, or in a panic
        }
        let in_a_row = in_a_row.fetch_add(1, Relaxed).saturating_add(1);
        if rules.consecutive.is_some_and(|most| in_a_row >= most.get()) {
            return Some(Reason::Consecutive);
        }
        let rate = rules.rate?;
        let (all, failed) = self.tally.sum(rate.of_last_s, now_ms / 1_000);
        let many = all >= u64::from(rate.at_least) && failed * 100 >= all * u64::from(rate.percent);
        many.then_some(Reason::ErrorRate)
    }

    /// Takes it out; how long. None: it is out already.
    pub fn eject(
        &self,
        rules: &Eject,
        slow_start: Duration,
        reason: Reason,
        now_ms: u64,
    ) -> Option<Duration> {
        let mut known = self.known.lock();
        if known.terms.is_out(now_ms) {
            return None;
        }
        let length = known.terms.begin(rules, now_ms);
        known.ramp_ms = slow_start.as_millis() as u64;
        known.counts.ejections[reason as usize] += 1;
        self.publish(&known);
        self.forget_requests();
        Some(length)
    }

    /// It was to be ejected, and is needed.
    pub fn keep(&self) {
        self.known.lock().counts.kept += 1;
        self.forget_requests();
    }

    /// Has an ejection ended? Says so once. Requests come back without this.
    pub fn is_back(&self, now_ms: u64) -> bool {
        let mut known = self.known.lock();
        known.terms.ended(now_ms) && known.is_let_in()
    }

    /// What operators see.
    pub fn state(&self, now_ms: u64) -> State {
        let known = self.known.lock();
        let ejected_ms = known.terms.until_ms.saturating_sub(now_ms);
        State {
            state: known.word(ejected_ms, self.share(now_ms)),
            share_percent: (self.share(now_ms) * 100).div_ceil(WHOLE),
            failing: self.failing.load(Relaxed).max(self.cut.load(Relaxed)),
            ejected_ms: (ejected_ms > 0).then_some(ejected_ms),
            probes: known.checks.iter().map(Check::state).collect(),
            counts: known.counts,
        }
    }

    /// What it did before says nothing about what it does from now on.
    fn forget_requests(&self) {
        self.failing.store(0, Relaxed);
        self.cut.store(0, Relaxed);
        self.tally.clear();
    }

    /// Under the lock of `known`.
    fn publish(&self, known: &Known) {
        self.opening.store(known.opening().0, Relaxed);
    }
}

/// Stores only where there is something to forgive: workers share the word, and nearly always it is 0.
fn forgive(in_a_row: &AtomicU32) {
    if in_a_row.load(Relaxed) != 0 {
        in_a_row.store(0, Relaxed);
    }
}

impl Known {
    /// Every probe has to let it in.
    fn opening(&self) -> Opening {
        if self.checks.iter().any(|check| check.standing == Standing::Unproven) {
            Opening::UNPROVEN
        } else if !self.is_let_in() {
            Opening::SHUT
        } else {
            Opening::at(self.since_ms.max(self.terms.until_ms), self.ramp_ms)
        }
    }

    fn is_let_in(&self) -> bool {
        self.checks.iter().all(|check| check.standing.lets_in())
    }

    fn word(&self, ejected_ms: u64, share: u32) -> &'static str {
        match self.opening() {
            Opening::UNPROVEN => "unproven",
            Opening::SHUT => "unhealthy",
            _ if ejected_ms > 0 => "ejected",
            _ if share < WHOLE => "starting",
            _ => "up",
        }
    }
}

impl Check {
    fn state(&self) -> ProbeState {
        let last = match self.last {
            None => "none",
            Some(Ok(())) => "ok",
            Some(Err(failure)) => failure.name(),
        };
        ProbeState { path: self.probe.path.clone(), passing: self.standing.lets_in(), last }
    }
}

/// What operators see of a backend's health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct State {
    /// `up`, `starting`, `ejected`, `unhealthy` by its probes, or `unproven`: not ready for the first time yet.
    pub state: &'static str,
    /// How much of its weight counts.
    pub share_percent: u32,
    /// Failures in a row: to answer at all, or to bring an answer to its end, whichever are more.
    pub failing: u32,
    /// How long it is still ejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ejected_ms: Option<u64>,
    /// What its probes found.
    pub probes: Vec<ProbeState>,
    /// What happened so far.
    #[serde(skip)]
    pub counts: Counts,
}

/// What operators see of one probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProbeState {
    /// What it asks for.
    pub path: Box<str>,
    /// Does it let the backend in?
    pub passing: bool,
    /// How the last one ended: `ok`, why not, or `none` so far.
    pub last: &'static str,
}
