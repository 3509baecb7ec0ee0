//! Choose: who sends request number n, what does it ask, and does it lose patience?
//!
//! Seed and number decide, so that any number of threads makes the same run. One choice costs a few nanoseconds,
//! however many callers there are.

use crate::scenario::Scenario;

use super::chance::Chance;

/// What was chosen for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Index into the scenario's callers.
    pub caller: u32,
    /// Index into the scenario's requests.
    pub request: u16,
    /// Whether the caller leaves early, as [`Leave`](crate::scenario::Leave) says.
    pub leaves: bool,
}

/// Chooses for one scenario.
#[derive(Debug)]
pub struct Chooser {
    seed: u64,
    callers: Alias,
    /// For each caller the part of `kinds` that is its own.
    sends: Box<[(u32, u32)]>,
    /// Kind of request, and the sum of weights up to and including it.
    kinds: Box<[(u16, f64)]>,
    leave_shares: Box<[f64]>,
}

impl Chooser {
    /// Prepares the choice.
    ///
    /// # Errors
    /// Weights among which nothing can be chosen: none, all zero, negative, or not finite.
    pub fn new(scenario: &Scenario) -> Result<Chooser, BadWeights> {
        let weights: Vec<f64> = scenario.callers.iter().map(|caller| caller.weight).collect();
        let callers = Alias::new(&weights).ok_or(BadWeights::Callers)?;
        let mut kinds = Vec::new();
        let mut sends = Vec::with_capacity(scenario.callers.len());
        for caller in &scenario.callers {
            let first = kinds.len() as u32;
            let mut sum = 0.0;
            for &(request, weight) in &caller.sends {
                let known = usize::from(request) < scenario.requests.len();
                if !known || !weight.is_finite() || weight < 0.0 {
                    return Err(BadWeights::Sends(caller.user.clone()));
                }
                sum += weight;
                kinds.push((request, sum));
            }
            if sum <= 0.0 {
                return Err(BadWeights::Sends(caller.user.clone()));
            }
            sends.push((first, kinds.len() as u32));
        }
        let leave_share = |request: &crate::scenario::Request| request.leave.map_or(0.0, |leave| leave.share);
        Ok(Chooser {
            seed: scenario.seed,
            callers,
            sends: sends.into(),
            kinds: kinds.into(),
            leave_shares: scenario.requests.iter().map(leave_share).collect(),
        })
    }

    /// Chooses for request `number`.
    pub fn choose(&self, number: u64) -> Choice {
        let mut chance = Chance::new(self.seed, number);
        let caller = self.callers.pick(&mut chance);
        let (first, end) = self.sends[caller as usize];
        let kinds = &self.kinds[first as usize..end as usize];
        let request = pick_kind(kinds, &mut chance);
        Choice { caller, request, leaves: chance.unit() < self.leave_shares[usize::from(request)] }
    }
}

/// Few kinds per caller: looking through them beats a table.
fn pick_kind(kinds: &[(u16, f64)], chance: &mut Chance) -> u16 {
    let last = kinds[kinds.len() - 1];
    let mark = chance.unit() * last.1;
    kinds.iter().find(|(_, up_to)| mark < *up_to).unwrap_or(&last).0
}

/// Why nothing can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadWeights {
    /// Of the callers.
    #[error("nobody calls: give at least one caller a weight above 0, and none a negative one")]
    Callers,
    /// Of what one caller sends.
    #[error("user `{0}` sends nothing: give it at least one known request with a weight above 0")]
    Sends(String),
}

/// Picks an index with the probability of its weight in constant time.
///
/// The alias method (Walker 1974) with Vose's way of building the table (1991): each of n equal cells belongs to its own
/// index up to `cut`, and to another, its alias, above.
#[derive(Debug)]
struct Alias {
    cells: Box<[Cell]>,
}

#[derive(Debug, Clone, Copy)]
struct Cell {
    cut: f64,
    alias: u32,
}

impl Alias {
    fn new(weights: &[f64]) -> Option<Alias> {
        let sum: f64 = weights.iter().sum();
        if !sum.is_finite() || sum <= 0.0 || weights.iter().any(|weight| *weight < 0.0) {
            return None;
        }
        let count = weights.len() as f64;
        let mut cells: Box<[Cell]> = weights
            .iter()
            .zip(0..)
            .map(|(weight, index)| Cell { cut: weight / sum * count, alias: index })
            .collect();
        let (mut small, mut large): (Vec<u32>, Vec<u32>) =
            (0..cells.len() as u32).partition(|&index| cells[index as usize].cut < 1.0);
        while let (Some(&low), Some(&high)) = (small.last(), large.last()) {
            small.pop();
            cells[low as usize].alias = high;
            let given = 1.0 - cells[low as usize].cut;
            let rest = &mut cells[high as usize].cut;
            *rest -= given;
            if *rest < 1.0 {
                large.pop();
                small.push(high);
            }
        }
        // What is left is 1 but for rounding. Should that leave a weight of zero, its cell goes to somebody who has one.
        let somebody = weights.iter().zip(0..).find(|(weight, _)| **weight > 0.0)?.1;
        for index in small.into_iter().chain(large) {
            let owner = if weights[index as usize] > 0.0 { index } else { somebody };
            cells[index as usize] = Cell { cut: 0.0, alias: owner };
        }
        Some(Alias { cells })
    }

    fn pick(&self, chance: &mut Chance) -> u32 {
        let mark = chance.unit() * self.cells.len() as f64;
        let index = (mark as usize).min(self.cells.len() - 1);
        let cell = self.cells[index];
        if mark - (index as f64) < cell.cut { index as u32 } else { cell.alias }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::scenario;
    use super::*;
    use crate::scenario::Leave;

    fn shares(weights: &[f64], picks: u64) -> Vec<f64> {
        let alias = Alias::new(weights).unwrap();
        let mut counts = vec![0.0; weights.len()];
        for number in 0..picks {
            counts[alias.pick(&mut Chance::new(1, number)) as usize] += 1.0 / picks as f64;
        }
        counts
    }

    #[test]
    fn shares_follow_weights() {
        for (share, expected) in shares(&[1.0, 2.0, 0.0, 5.0], 100_000).iter().zip([0.125, 0.25, 0.0, 0.625])
        {
            assert!((share - expected).abs() < 0.01, "{share} for {expected}");
        }
    }

    #[test]
    fn a_weight_of_zero_among_ten_thousand_is_never_chosen() {
        let weights: Vec<f64> = (0..10_000).map(|i| f64::from(u8::from(i % 10 == 3)) * 0.1).collect();
        let shares = shares(&weights, 200_000);
        assert!(shares.iter().zip(&weights).all(|(share, weight)| *weight > 0.0 || *share == 0.0));
        assert!(shares.iter().filter(|share| **share > 0.0).count() == 1000, "and all others are");
    }

    #[test]
    fn weights_that_choose_nothing_are_refused() {
        for weights in [&[][..], &[0.0, 0.0], &[1.0, -1.0, 3.0], &[f64::NAN], &[f64::INFINITY]] {
            assert!(Alias::new(weights).is_none(), "{weights:?}");
        }
        let mut scenario = scenario();
        scenario.callers[0].sends = vec![(9, 1.0)];
        let problem = Chooser::new(&scenario).unwrap_err();
        assert!(problem.to_string().contains("user `u0` sends nothing"), "{problem}");
    }

    #[test]
    fn a_number_decides_its_choice_and_shares_hold() {
        let mut scenario = scenario();
        scenario.requests.push(scenario.requests[0].clone());
        scenario.requests[1].leave = Some(Leave { share: 0.25, after: std::time::Duration::ZERO });
        scenario.callers[0].sends = vec![(0, 1.0), (1, 3.0)];
        let chooser = Chooser::new(&scenario).unwrap();
        let chosen: Vec<_> = (0..40_000).map(|number| chooser.choose(number)).collect();
        assert_eq!(chosen[17], chooser.choose(17));
        let share = |claim: fn(&Choice) -> bool| chosen.iter().filter(|c| claim(c)).count() as f64 / 40_000.0;
        assert!((share(|c| c.request == 1) - 0.75).abs() < 0.01);
        assert!((share(|c| c.leaves) - 0.75 * 0.25).abs() < 0.01);
        assert!(chosen.iter().all(|c| !c.leaves || c.request == 1));
    }
}
