//! Ceilings: how full a level can have been at most, at any moment of a stretch of time.
//!
//! A refusal was decided at some moment between sending and answer. It was right if at one of these moments the level can
//! have been full. What may have been admitted counts from the moment it was sent, and as late as it can have been
//! admitted (the later, the less has flown out again): so the ceiling is never below the true level, and who is
//! refused below the ceiling was refused wrongly.

use super::peak::RangePeak;
use super::policy::Rate;

/// A request that may have been admitted. Ticks as in [`Spent`](super::window::Spent).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Possible {
    /// Not before this tick.
    pub from_us: u64,
    /// Not after this one; for what is held or counted for a while, that is when it surely counts no more.
    pub to_us: u64,
}

/// A stretch of time, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Its beginning.
    pub from_us: u64,
    /// Its end.
    pub to_us: u64,
}

/// For each stretch: can a bucket have been without room at a moment of it?
pub fn bucket_can_be_full(possible: &[Possible], asked: &[Stretch], rate: Rate) -> Vec<bool> {
    let (unit, leak) = (i128::from(rate.period_us), i128::from(rate.count));
    let mut admitted: Vec<u64> = possible.iter().map(|one| one.to_us).collect();
    admitted.sort_unstable();
    let mut admitted = admitted.into_iter().peekable();
    let (mut level, mut level_us) = (0_i128, 0_u64);
    let mut under_way = 0_i128;
    let ceiling = Ceiling::new(possible, asked, |at_us, begun| {
        under_way += begun;
        while let Some(last_us) = admitted.next_if(|&last_us| last_us < at_us) {
            level = (level - leak * i128::from(last_us - level_us)).max(0) + unit;
            level_us = last_us;
            under_way -= 1;
        }
        level = (level - leak * i128::from(at_us - level_us)).max(0);
        level_us = at_us;
        level + under_way * unit
    });
    // Full: less than one request below the burst.
    asked.iter().map(|&stretch| ceiling.within(stretch) > i128::from(rate.burst.max(1) - 1) * unit).collect()
}

/// For each stretch: can `most` of them have counted at one moment of it?
pub fn count_can_reach(possible: &[Possible], asked: &[Stretch], most: u64) -> Vec<bool> {
    let mut ends: Vec<u64> = possible.iter().map(|one| one.to_us).collect();
    ends.sort_unstable();
    let mut ends = ends.into_iter().peekable();
    let mut counting = 0_i128;
    let ceiling = Ceiling::new(possible, asked, |at_us, begun| {
        counting += begun;
        while ends.next_if(|&end_us| end_us < at_us).is_some() {
            counting -= 1;
        }
        counting
    });
    asked.iter().map(|&stretch| ceiling.within(stretch) >= i128::from(most)).collect()
}

/// A ceiling as a row of moments. It rises only where a request begins and falls in between, so the moments at which
/// something begins, and those at which a stretch does, are all that is needed.
struct Ceiling {
    moments: Vec<u64>,
    values: RangePeak,
}

impl Ceiling {
    /// `value_at` is asked in the order of time, with the number of requests that begin at that moment.
    fn new(possible: &[Possible], asked: &[Stretch], mut value_at: impl FnMut(u64, i128) -> i128) -> Ceiling {
        let mut begin: Vec<u64> = possible.iter().map(|one| one.from_us).collect();
        begin.sort_unstable();
        let mut moments = begin.clone();
        moments.extend(asked.iter().map(|stretch| stretch.from_us));
        moments.sort_unstable();
        moments.dedup();
        let mut begin = begin.into_iter().peekable();
        let mut values = Vec::with_capacity(moments.len());
        for &at_us in &moments {
            let mut begun = 0;
            while begin.next_if(|&from_us| from_us <= at_us).is_some() {
                begun += 1;
            }
            values.push(value_at(at_us, begun));
        }
        Ceiling { moments, values: RangePeak::new(&values) }
    }

    fn within(&self, stretch: Stretch) -> i128 {
        let first = self.moments.partition_point(|&at_us| at_us < stretch.from_us);
        let end = self.moments.partition_point(|&at_us| at_us <= stretch.to_us);
        self.values.of(first, end)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stretches(longest: u64) -> impl Strategy<Value = Vec<(u64, u64)>> {
        prop::collection::vec((0..300_u64, 0..longest), 1..15)
            .prop_map(|all| all.into_iter().map(|(from, takes)| (from, from + takes)).collect())
    }

    proptest! {
        #[test]
        fn the_ceiling_is_the_highest_level_of_all_moments(
            possible in stretches(60), asked in stretches(80),
            count in 1..6_u64, period_us in 1..60_u64, burst in 1..6_u64,
        ) {
            let possible: Vec<_> =
                possible.into_iter().map(|(from_us, to_us)| Possible { from_us, to_us }).collect();
            let asked: Vec<_> = asked.into_iter().map(|(from_us, to_us)| Stretch { from_us, to_us }).collect();
            let (unit, leak) = (i128::from(period_us), i128::from(count));
            // The level at `at` if all that has begun was admitted as late as it can be.
            let level = |at: u64| {
                let mut times: Vec<u64> = possible
                    .iter()
                    .filter(|one| one.from_us <= at)
                    .map(|one| one.to_us.min(at))
                    .collect();
                times.sort_unstable();
                let since = |from: u64| {
                    let counted = times.iter().filter(|&&time| time >= from).count() as i128;
                    counted * unit - leak * i128::from(at - from)
                };
                times.iter().map(|&from| since(from)).max().unwrap_or(0).max(0)
            };
            let counting = |at: u64| possible.iter().filter(|one| (one.from_us..=one.to_us).contains(&at)).count();

            let full = bucket_can_be_full(&possible, &asked, Rate { count, period_us, burst });
            let reached = count_can_reach(&possible, &asked, burst);
            for (i, stretch) in asked.iter().enumerate() {
                let highest = (stretch.from_us..=stretch.to_us).map(level).max().unwrap();
                prop_assert_eq!(full[i], highest > i128::from(burst - 1) * unit, "{:?} {}", stretch, highest);
                let most = (stretch.from_us..=stretch.to_us).map(counting).max().unwrap();
                prop_assert_eq!(reached[i], most as u64 >= burst);
            }
        }
    }
}
