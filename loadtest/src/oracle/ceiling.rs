//! Ceilings: how full a level can have been at most, at any moment of a stretch of time.
//!
//! A refusal was decided at some moment between sending and answer. It was right if at one of these moments the level can
//! have been full. What may have been admitted counts from the moment it was sent, and as late as it can have been
//! admitted (the later, the less has flown out again): so the ceiling is never below the true level, and who is
//! refused below the ceiling was refused wrongly.

use super::limit::Rate;
use super::peak::RangePeak;

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

/// Something that may have been admitted to a limit on spending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// When it began, and when it surely held nothing any more.
    pub when: Possible,
    /// The most room it took until then, held or charged.
    pub open: u64,
    /// The most it was charged in the end; not more than `open`.
    pub charged: u64,
}

/// For each stretch: can a bucket have been without room at a moment of it?
pub fn bucket_can_be_full(possible: &[Possible], asked: &[Stretch], rate: Rate) -> Vec<bool> {
    let taken: Vec<Taken> = possible.iter().map(|&when| Taken { when, open: 1, charged: 1 }).collect();
    let asked: Vec<(Stretch, u64)> = asked.iter().map(|&stretch| (stretch, 1)).collect();
    spent_can_be_full(&taken, &asked, rate)
}

/// For each stretch: can a bucket have been without room for so much at a moment of it? More than the burst asks for no
/// more than that: an empty bucket takes anything.
pub fn spent_can_be_full(taken: &[Taken], asked: &[(Stretch, u64)], rate: Rate) -> Vec<bool> {
    let (unit, leak) = (i128::from(rate.period_us), i128::from(rate.count));
    let mut ends: Vec<&Taken> = taken.iter().collect();
    ends.sort_unstable_by_key(|one| one.when.to_us);
    let mut ends = ends.into_iter().peekable();
    let (mut level, mut level_us) = (0_i128, 0_u64);
    let mut under_way = 0_i128;
    let begin = taken.iter().map(|one| (one.when.from_us, i128::from(one.open))).collect();
    let stretches = asked.iter().map(|&(stretch, _)| stretch);
    let ceiling = Ceiling::new(begin, stretches, |at_us, begun| {
        under_way += begun;
        while let Some(one) = ends.next_if(|one| one.when.to_us < at_us) {
            let last_us = one.when.to_us;
            level = (level - leak * i128::from(last_us - level_us)).max(0) + unit * i128::from(one.charged);
            level_us = last_us;
            under_way -= i128::from(one.open);
        }
        level = (level - leak * i128::from(at_us - level_us)).max(0);
        level_us = at_us;
        level + under_way * unit
    });
    let room = |cost: u64| i128::from(rate.burst - cost.min(rate.burst)) * unit;
    asked.iter().map(|&(stretch, cost)| ceiling.within(stretch) > room(cost)).collect()
}

/// For each stretch: can `most` of them have counted at one moment of it?
pub fn count_can_reach(possible: &[Possible], asked: &[Stretch], most: u64) -> Vec<bool> {
    let mut ends: Vec<u64> = possible.iter().map(|one| one.to_us).collect();
    ends.sort_unstable();
    let mut ends = ends.into_iter().peekable();
    let mut counting = 0_i128;
    let begin = possible.iter().map(|one| (one.from_us, 1)).collect();
    let ceiling = Ceiling::new(begin, asked.iter().copied(), |at_us, begun| {
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
    /// `value_at` is asked in the order of time, with the sum of what begins at that moment.
    fn new(
        mut begin: Vec<(u64, i128)>,
        asked: impl Iterator<Item = Stretch>,
        mut value_at: impl FnMut(u64, i128) -> i128,
    ) -> Ceiling {
        begin.sort_unstable();
        let mut moments: Vec<u64> = begin.iter().map(|&(from_us, _)| from_us).collect();
        moments.extend(asked.map(|stretch| stretch.from_us));
        moments.sort_unstable();
        moments.dedup();
        let mut begin = begin.into_iter().peekable();
        let mut values = Vec::with_capacity(moments.len());
        for &at_us in &moments {
            let mut begun = 0;
            while let Some((_, more)) = begin.next_if(|&(from_us, _)| from_us <= at_us) {
                begun += more;
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

        #[test]
        fn what_is_spent_counts_as_held_while_open_and_flows_out_afterwards(
            taken in prop::collection::vec((0..300_u64, 0..60_u64, 0..20_u64, 0..20_u64), 1..15),
            asked in prop::collection::vec((0..300_u64, 0..80_u64, 0..30_u64), 1..10),
            count in 0..6_u64, period_us in 1..60_u64, burst in 1..60_u64,
        ) {
            let taken: Vec<_> = taken
                .into_iter()
                .map(|(from_us, takes, charged, more)| Taken {
                    when: Possible { from_us, to_us: from_us + takes }, open: charged + more, charged,
                })
                .collect();
            let asked: Vec<_> = asked
                .into_iter()
                .map(|(from_us, takes, cost)| (Stretch { from_us, to_us: from_us + takes }, cost))
                .collect();
            let (unit, leak) = (i128::from(period_us), i128::from(count));
            let level = |at: u64| {
                let over = || taken.iter().filter(|one| one.when.to_us < at);
                let since = |from: u64| {
                    let later = over().filter(|one| one.when.to_us >= from);
                    later.map(|one| i128::from(one.charged)).sum::<i128>() * unit - leak * i128::from(at - from)
                };
                let flowing = over().map(|one| since(one.when.to_us)).max().unwrap_or(0).max(0);
                let open = taken.iter().filter(|one| (one.when.from_us..=one.when.to_us).contains(&at));
                flowing + open.map(|one| i128::from(one.open)).sum::<i128>() * unit
            };
            let full = spent_can_be_full(&taken, &asked, Rate { count, period_us, burst });
            for (i, &(stretch, cost)) in asked.iter().enumerate() {
                let highest = (stretch.from_us..=stretch.to_us).map(level).max().unwrap();
                let room = i128::from(burst - cost.min(burst)) * unit;
                prop_assert_eq!(full[i], highest > room, "{:?} {} of {}", stretch, highest, room);
            }
        }
    }
}
