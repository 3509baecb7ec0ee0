//! Which of several backends? Four answers, each a pure function: what is known of the backends comes in as closures,
//! chance as a number.
//!
//! A backend's *share* is the part of its weight that it gets now, in 256ths: 0 is out. An answer is `None` only if all
//! shares are 0.

use super::Subject;
use super::ring::Ring;
use crate::ids::mix;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How a pool chooses among its backends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Balance {
    /// In turn, by weight.
    #[default]
    RoundRobin,
    /// Of two by chance, the one with fewer requests for its weight.
    LeastRequests,
    /// Of two by chance, the one that will sooner answer, by what it took lately and what it has to do.
    Ewma,
    /// The same one for the same subject.
    Hash(Subject),
}

impl Balance {
    /// Does it look at what backends are doing?
    pub fn watches(&self) -> bool {
        matches!(self, Balance::LeastRequests | Balance::Ewma)
    }
}

/// What a pool keeps to choose by.
pub(super) enum Chooser {
    Turns(Turns),
    LeastRequests,
    Ewma,
    /// Whoever has no subject has a turn.
    Hash(Ring, Turns),
}

/// Whose turn it is: shared by all workers, so that weights hold whatever each of them serves.
pub(super) struct Turns {
    /// Indexes, each as often as its weight says, spread evenly.
    order: Vec<u16>,
    backends: usize,
    next: AtomicUsize,
}

/// Turns that may be passed over, one after the other, until anybody takes the next.
const PASSED_MAX: usize = 64;

impl Turns {
    pub(super) fn new(weights: &[u32]) -> Turns {
        Turns { order: spread(weights), backends: weights.len(), next: AtomicUsize::new(0) }
    }

    /// Hot path. Who has half a share takes every second of its turns. What it leaves goes to whoever has the turn
    /// after it, and that one is used up too: if it were only looked at, the neighbour of one that is out would serve
    /// for both.
    pub(super) fn next(&self, share: impl Fn(usize) -> u32) -> Option<usize> {
        let len = self.order.len();
        if len == 0 {
            return None;
        }
        let mut whole = None;
        for _ in 0..PASSED_MAX {
            let turn = self.next.fetch_add(1, Ordering::Relaxed);
            let at = usize::from(self.order[turn % len]);
            match share(at) {
                256.. => return Some(at),
                part => {
                    // Where nobody has a whole share, the largest counts as one.
                    let largest = || (0..self.backends).map(&share).max().filter(|share| *share > 0);
                    let whole = *whole.get_or_insert_with(largest);
                    if takes(part * 256 / whole?, turn / len) {
                        return Some(at);
                    }
                }
            }
        }
        let from = self.next.load(Ordering::Relaxed);
        let mut others = (0..len).map(|i| usize::from(self.order[from.wrapping_add(i) % len]));
        others.find(|&at| share(at) > 0)
    }
}

/// Does a backend with this share take its turn in this round? Of 256 rounds, `share` of them, evenly.
fn takes(share: u32, round: usize) -> bool {
    let share = share.min(256) as usize;
    (round % 256 + 1) * share / 256 > round % 256 * share / 256
}

/// Each index as often as its weight (divided by what all weights share), never bunched: the one that is
/// furthest behind its share goes next. The idea is nginx's smooth weighted round robin.
fn spread(weights: &[u32]) -> Vec<u16> {
    let shared = weights.iter().copied().reduce(greatest_common_divisor).unwrap_or(1).max(1);
    let weights: Vec<i64> = weights.iter().map(|w| i64::from(w / shared)).collect();
    let total: i64 = weights.iter().sum();
    let mut behind = vec![0; weights.len()];
    let mut order = Vec::with_capacity(total as usize);
    for _ in 0..total {
        for (lag, weight) in behind.iter_mut().zip(&weights) {
            *lag += weight;
        }
        let next = (0..behind.len()).max_by_key(|&i| (behind[i], std::cmp::Reverse(i)));
        let next = next.expect("a positive total has a weight");
        behind[next] -= total;
        order.push(next as u16);
    }
    order
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Hot path. Of two different ones, drawn with chances like their `weight` (0: out), the one with less `load`; of equals
/// the first drawn, so that idle backends are used by weight. "The Power of Two Choices in Randomized Load
/// Balancing", Mitzenmacher 2001: nearly as even as the least of all, and workers that choose at the same moment do
/// not all run to the same one.
pub(super) fn of_two(
    n: usize,
    weight: impl Fn(usize) -> u64,
    load: impl Fn(usize) -> f64,
    random: u64,
) -> Option<usize> {
    let first = drawn(n, &weight, random)?;
    let second = drawn(n, |at| if at == first { 0 } else { weight(at) }, mix(random));
    match second {
        Some(second) if load(second) < load(first) => Some(second),
        _ => Some(first),
    }
}

/// One by chance. A weight may change between its reading for the sum and that for the draw; then it may be the last.
fn drawn(n: usize, weight: impl Fn(usize) -> u64, random: u64) -> Option<usize> {
    let mut point = part_of(random, (0..n).map(&weight).sum())?;
    let mut last = None;
    for at in 0..n {
        let weight = weight(at);
        if point < weight {
            return Some(at);
        }
        point -= weight;
        last = if weight > 0 { Some(at) } else { last };
    }
    last
}

/// A number below `total`, as far along as `random` is among all numbers.
pub(super) fn part_of(random: u64, total: u64) -> Option<u64> {
    (total > 0).then(|| ((u128::from(random) * u128::from(total)) >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How often each was chosen.
    fn counted(n: usize, times: u64, mut next: impl FnMut(u64) -> Option<usize>) -> Vec<u64> {
        let mut counts = vec![0; n];
        for turn in 0..times {
            counts[next(turn).expect("somebody is there")] += 1;
        }
        counts
    }

    fn assert_like(counts: &[u64], parts: &[u64], tolerance: f64) {
        let (times, total) = (counts.iter().sum::<u64>() as f64, parts.iter().sum::<u64>() as f64);
        for (&count, &part) in counts.iter().zip(parts) {
            let off = (count as f64 / times - part as f64 / total).abs();
            assert!(off <= tolerance, "{counts:?} for {parts:?}");
        }
    }

    fn weights_and_shares() -> impl Strategy<Value = Vec<(u32, u32)>> {
        let share = prop_oneof![Just(0u32), Just(64), Just(128), Just(256)];
        proptest::collection::vec((1u32..20, share), 1..8)
    }

    fn parts(backends: &[(u32, u32)]) -> Vec<u64> {
        backends.iter().map(|&(weight, share)| u64::from(weight * share)).collect()
    }

    #[test]
    fn turns_follow_weights_and_do_not_bunch() {
        assert_eq!(spread(&[5, 1, 1]), [0, 0, 1, 0, 2, 0, 0]);
        assert_eq!(spread(&[100, 100]), [0, 1]);
        assert_eq!(spread(&[7]), [0]);
        assert!(spread(&[]).is_empty());
        assert_eq!(Turns::new(&[]).next(|_| 256), None);
    }

    #[test]
    fn what_one_leaves_all_others_take() {
        for (shares, expected) in [([0, 256, 256], [0, 1, 1]), ([128, 256, 256], [1, 2, 2])] {
            let turns = Turns::new(&[1, 1, 1]);
            assert_like(&counted(3, 6_000, |_| turns.next(|at| shares[at])), &expected, 0.005);
        }
    }

    #[test]
    fn equals_are_used_by_weight_and_the_less_busy_is_preferred() {
        let weights = [1, 2, 5];
        let draw = |random| of_two(3, |at| weights[at], |_| 0.0, mix(random));
        assert_like(&counted(3, 50_000, draw), &weights, 0.01);
        let busy = [9.0, 1.0];
        assert_eq!(counted(2, 100, |random| of_two(2, |_| 1, |at| busy[at], mix(random))), [0, 100]);
    }

    /// One request arrives with every tick; two backends take two ticks for one, the third ten.
    #[test]
    fn a_slow_one_gets_less_where_requests_are_counted() {
        let ticks = [2, 2, 10];
        let mut ends: [Vec<u64>; 3] = Default::default();
        let counts = counted(3, 10_000, |now| {
            ends.iter_mut().for_each(|ends| ends.retain(|end| *end > now));
            let at = of_two(3, |_| 1, |at| ends[at].len() as f64, mix(now))?;
            ends[at].push(now + ticks[at]);
            Some(at)
        });
        assert!(counts[2] * 2 < counts[0] && counts[2] * 2 < counts[1] && counts[2] > 0, "{counts:?}");
    }

    proptest! {
        #![proptest_config(crate::proptests::cases(64))]

        #[test]
        fn turns_keep_weights_and_shares(backends in weights_and_shares()) {
            let weights: Vec<u32> = backends.iter().map(|(weight, _)| *weight).collect();
            let (turns, parts) = (Turns::new(&weights), parts(&backends));
            if parts.iter().all(|&part| part == 0) {
                prop_assert_eq!(turns.next(|at| backends[at].1), None);
            } else {
                assert_like(&counted(parts.len(), 10_000, |_| turns.next(|at| backends[at].1)), &parts, 0.03);
            }
        }

        #[test]
        fn two_choices_never_take_what_is_out(backends in weights_and_shares(), random: u64, busy: u64) {
            let parts = parts(&backends);
            let load = |at: usize| f64::from((busy >> (at * 8)) as u8);
            match of_two(parts.len(), |at| parts[at], load, random) {
                Some(at) => prop_assert!(parts[at] > 0),
                None => prop_assert!(parts.iter().all(|&part| part == 0)),
            }
        }
    }
}
