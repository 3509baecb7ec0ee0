//! One bucket of tokens, the real one and broken ones before the same oracle: what is wrong is noticed.

use super::account::Account;
use super::*;
use crate::proptests::cases;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::BTreeMap;

const BURST: u64 = 100;

/// Ten tokens a second.
fn limit_here() -> Limit {
    limit("p0", Per::Tenant, tokens(600, MINUTE, BURST as u32, Measure::Total))
}

/// Something that lets requests in by what they may cost.
trait Gate {
    fn admit(&mut self, id: usize, hold: u64, now: Now) -> bool;
    /// It has cost so much in all; `last`: and has ended.
    fn cost(&mut self, id: usize, to: u64, last: bool, now: Now);
    fn reload(&mut self, now: Now);
    /// Spent and held, and held.
    fn used(&self, now: Now) -> (u64, u64);
}

struct Real {
    shop: Shop,
    open: BTreeMap<usize, Permit>,
}

impl Real {
    fn new() -> Real {
        let shop = Shop::open(&Rulebook::of_plan(vec![limit_here()]), later(0));
        Real { shop, open: BTreeMap::new() }
    }
}

impl Gate for Real {
    fn admit(&mut self, id: usize, hold: u64, now: Now) -> bool {
        let permit = self.shop.admit(prompt(hold), now).ok();
        permit.map(|permit| self.open.insert(id, permit)).is_some()
    }

    fn cost(&mut self, id: usize, to: u64, last: bool, now: Now) {
        let Some(permit) = self.open.get_mut(&id) else { return };
        if last {
            permit.settle(cost(to, 0), now)
        } else {
            permit.progress(cost(to, 0), now);
        }
        if last {
            self.open.remove(&id);
        }
    }

    fn reload(&mut self, now: Now) {
        let book = self.shop.book.clone();
        self.shop.reload(&book, now);
    }

    fn used(&self, now: Now) -> (u64, u64) {
        let level = self.shop.level(now);
        (level.used, level.held)
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// What is held is charged at once, and given back at the end.
    ChargesAndRefunds,
    /// Nothing is held.
    ChargesAfterwards,
    /// A level never exceeds the burst.
    DropsDebt,
    RefillsOnReload,
    ChargesRefusals,
    /// The end lets go of all that was held, though progress has let go of a part.
    ReleasesTwice,
    /// A request above the burst never fits.
    RefusesOversize,
}

/// A bucket in ten-millionths of a second's tokens, with one thing wrong.
struct Double {
    fault: Fault,
    level: u64,
    held: u64,
    t_us: u64,
    open: BTreeMap<usize, (u64, u64)>,
}

const UNIT: u64 = 100_000;

impl Double {
    fn new(fault: Fault) -> Double {
        Double { fault, level: 0, held: 0, t_us: 0, open: BTreeMap::new() }
    }

    fn turn(&mut self, now: Now) {
        self.level = self.level.saturating_sub(now.mono_us - self.t_us);
        self.t_us = now.mono_us;
    }

    fn spend(&mut self, amount: u64) {
        self.level += amount * UNIT;
        if self.fault == Fault::DropsDebt {
            self.level = self.level.min(BURST * UNIT);
        }
    }

    fn holds(&self) -> bool {
        !matches!(self.fault, Fault::ChargesAndRefunds | Fault::ChargesAfterwards)
    }
}

impl Gate for Double {
    fn admit(&mut self, id: usize, hold: u64, now: Now) -> bool {
        self.turn(now);
        let asked = if self.fault == Fault::RefusesOversize { hold } else { hold.min(BURST) };
        let asked = if self.fault == Fault::ChargesAfterwards { asked.min(1) } else { asked };
        if self.level + (self.held + asked) * UNIT > BURST * UNIT {
            if self.fault == Fault::ChargesRefusals {
                self.spend(1);
            }
            return false;
        }
        self.open.insert(id, (hold, 0));
        if self.holds() {
            self.held += hold;
        } else if self.fault == Fault::ChargesAndRefunds {
            self.spend(hold);
        }
        true
    }

    fn cost(&mut self, id: usize, to: u64, last: bool, now: Now) {
        self.turn(now);
        let Some((hold, charged)) = self.open.get_mut(&id) else { return };
        let (hold, from) = (*hold, std::mem::replace(charged, to));
        if self.fault == Fault::ChargesAndRefunds {
            let (from, to) = (from.max(hold), if last { to } else { to.max(hold) });
            self.level = self.level.saturating_sub(from.saturating_sub(to) * UNIT);
            self.spend(to.saturating_sub(from));
        } else {
            let left = |charged: u64| hold.saturating_sub(charged);
            let release = if last { left(from) } else { left(from) - left(to) };
            let release = if last && self.fault == Fault::ReleasesTwice { hold } else { release };
            self.held = self.held.saturating_sub(if self.holds() { release } else { 0 });
            self.level = self.level.saturating_sub(from.saturating_sub(to) * UNIT);
            self.spend(to.saturating_sub(from));
        }
        if last {
            self.open.remove(&id);
        }
    }

    fn reload(&mut self, _: Now) {
        if self.fault == Fault::RefillsOnReload {
            self.level = 0;
        }
    }

    fn used(&self, now: Now) -> (u64, u64) {
        let level = self.level.saturating_sub(now.mono_us - self.t_us);
        (level.div_ceil(UNIT) + self.held, self.held)
    }
}

#[derive(Debug, Clone)]
enum Step {
    Ask(u64),
    Progress(usize, u64),
    End(usize, u64),
    Reload,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = prop_oneof![
        6 => prop_oneof![5 => 1..60u64, 1 => 90..200u64].prop_map(Step::Ask),
        4 => (0..64usize, 0..30u64).prop_map(|(i, more)| Step::Progress(i, more)),
        4 => (0..64usize, 0..150u64).prop_map(|(i, actual)| Step::End(i, actual)),
        1 => Just(Step::Reload),
        4 => (0..8_000_000u64).prop_map(Step::Wait),
    ];
    prop::collection::vec(one, 1..120)
}

/// Walks, and asks of each step what `check` does of the decision that should have been, the gate's, and the account.
fn walk(
    gate: &mut dyn Gate,
    steps: &[Step],
    check: fn(bool, bool, &Account, (u64, u64), Now) -> bool,
) -> Result<(), TestCaseError> {
    let (mut account, mut open, mut now) = (Account::new(&limit_here()), Vec::new(), later(0));
    for (id, step) in steps.iter().enumerate() {
        let at = |i: usize| (!open.is_empty()).then(|| i % open.len());
        let (mut fits, mut admitted) = (true, true);
        match *step {
            Step::Ask(hold) => {
                fits = account.fits(cost(hold, 0), now);
                admitted = gate.admit(id, hold, now);
                if admitted {
                    account.hold(id, cost(hold, 0), now);
                    open.push((id, 0));
                }
            }
            Step::Progress(i, more) => {
                let Some(i) = at(i) else { continue };
                let (id, charged) = &mut open[i];
                *charged += more;
                gate.cost(*id, *charged, false, now);
                account.cost(*id, cost(*charged, 0), now, now.mono_us);
            }
            Step::End(i, actual) => {
                let Some(i) = at(i) else { continue };
                let (id, _) = open.swap_remove(i);
                gate.cost(id, actual, true, now);
                account.cost(id, cost(actual, 0), now, now.mono_us);
                account.end(id);
            }
            Step::Reload => gate.reload(now),
            Step::Wait(us) => now = now.after(Duration::from_micros(us)),
        }
        prop_assert!(check(fits, admitted, &account, gate.used(now), now), "after {:?}", step);
    }
    Ok(())
}

/// Decisions, levels and the bound.
fn exactly(fits: bool, admitted: bool, account: &Account, (used, held): (u64, u64), now: Now) -> bool {
    fits == admitted && used >= held && account.agrees(used, held, now) && account.bound_holds()
}

/// The bound alone: what was spent out of holds.
fn within_bounds(_: bool, _: bool, account: &Account, _: (u64, u64), _: Now) -> bool {
    account.bound_holds()
}

fn passes<G: Gate>(gate: impl Fn() -> G, check: fn(bool, bool, &Account, (u64, u64), Now) -> bool) -> bool {
    let config = Config { failure_persistence: None, max_shrink_iters: 0, ..cases(500) };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, rng).run(&steps(), |steps| walk(&mut gate(), &steps, check)).is_ok()
}

#[test]
fn the_real_one_is_right_and_so_is_its_double() {
    assert!(passes(Real::new, exactly));
    assert!(passes(|| Double::new(Fault::None), exactly));
}

#[test]
fn every_fault_is_noticed() {
    for fault in [
        Fault::ChargesAndRefunds,
        Fault::ChargesAfterwards,
        Fault::DropsDebt,
        Fault::RefillsOnReload,
        Fault::ChargesRefusals,
        Fault::ReleasesTwice,
        Fault::RefusesOversize,
    ] {
        assert!(!passes(|| Double::new(fault), exactly), "{fault:?}");
    }
}

#[test]
fn the_bound_alone_tells_who_lets_too_much_through() {
    for (fault, within) in [
        (Fault::None, true),
        (Fault::ChargesRefusals, true), // too strict is within any bound
        (Fault::RefusesOversize, true),
        (Fault::ChargesAndRefunds, false),
        (Fault::ChargesAfterwards, false),
        (Fault::RefillsOnReload, false),
        (Fault::ReleasesTwice, false),
    ] {
        assert_eq!(passes(|| Double::new(fault), within_bounds), within, "{fault:?}");
    }
}
