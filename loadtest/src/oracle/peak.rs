//! Two trees over a fixed row of places: the greatest sum of a suffix, and the greatest value of a range.
//!
//! Both are complete binary trees in an array (root at 1, leaf `i` at `leaves + i`), so a change or a question costs as
//! many steps as the tree is deep.

/// Less than any sum, and still far from the end of the numbers.
const NOTHING: i128 = i128::MIN / 4;

/// Answers: over all entered places `a`, what is the greatest `height(a) +` sum of the weights entered at `a` and later?
///
/// That is what the worst window needs: places are possible beginnings in the order of time, and a window that begins at
/// `a` holds everything that was entered at `a` and later.
pub struct SuffixPeak {
    leaves: usize,
    /// Sum of the weights below a node.
    sum: Vec<i128>,
    /// Greatest value below a node, the weights right of the node aside.
    peak: Vec<i128>,
}

impl SuffixPeak {
    /// `places` empty places.
    pub fn new(places: usize) -> SuffixPeak {
        let leaves = places.next_power_of_two();
        SuffixPeak { leaves, sum: vec![0; 2 * leaves], peak: vec![NOTHING; 2 * leaves] }
    }

    /// Enters a weight at a place not entered before.
    pub fn enter(&mut self, place: usize, height: i128, weight: i128) {
        let mut node = self.leaves + place;
        self.sum[node] = weight;
        self.peak[node] = height + weight;
        while node > 1 {
            node /= 2;
            let (left, right) = (2 * node, 2 * node + 1);
            self.sum[node] = self.sum[left] + self.sum[right];
            self.peak[node] = self.peak[right].max(self.peak[left] + self.sum[right]);
        }
    }

    /// The greatest value; very small if nothing was entered.
    pub fn value(&self) -> i128 {
        self.peak[1]
    }

    /// The place where it is reached, and the sum of the weights from there on.
    pub fn place(&self) -> (usize, i128) {
        let (mut node, mut right_of) = (1, 0);
        while node < self.leaves {
            let (left, right) = (2 * node, 2 * node + 1);
            node = if self.peak[right] >= self.peak[left] + self.sum[right] {
                right
            } else {
                right_of += self.sum[right];
                left
            };
        }
        (node - self.leaves, right_of + self.sum[node])
    }
}

/// The greatest value in any range of a row.
pub struct RangePeak {
    leaves: usize,
    peak: Vec<i128>,
}

impl RangePeak {
    /// Takes the row.
    pub fn new(values: &[i128]) -> RangePeak {
        let leaves = values.len().next_power_of_two();
        let mut peak = vec![NOTHING; 2 * leaves];
        peak[leaves..leaves + values.len()].copy_from_slice(values);
        for node in (1..leaves).rev() {
            peak[node] = peak[2 * node].max(peak[2 * node + 1]);
        }
        RangePeak { leaves, peak }
    }

    /// The greatest value from `from` up to, not including, `to`; very small if there is none.
    pub fn of(&self, from: usize, to: usize) -> i128 {
        let (mut low, mut high) = (self.leaves + from, self.leaves + to);
        let mut greatest = NOTHING;
        while low < high {
            if low % 2 == 1 {
                greatest = greatest.max(self.peak[low]);
                low += 1;
            }
            if high % 2 == 1 {
                high -= 1;
                greatest = greatest.max(self.peak[high]);
            }
            (low, high) = (low / 2, high / 2);
        }
        greatest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_greatest_suffix_is_found(
            entries in prop::collection::vec((0..1000_i128, 1..50_i128), 1..40),
            order in any::<prop::sample::Index>(),
        ) {
            let mut tree = SuffixPeak::new(entries.len());
            let mut entered = vec![None; entries.len()];
            let from = order.index(entries.len());
            for place in (from..entries.len()).chain(0..from) {
                let (height, weight) = entries[place];
                tree.enter(place, height, weight);
                entered[place] = Some((height, weight));
                let after = |a: usize| entered[a..].iter().flatten().map(|entry| entry.1).sum::<i128>();
                let values = (0..entries.len()).filter_map(|a| entered[a].map(|entry| entry.0 + after(a)));
                prop_assert_eq!(tree.value(), values.max().unwrap());
                let (a, sum) = tree.place();
                prop_assert_eq!(sum, after(a));
                prop_assert_eq!(tree.value(), entered[a].unwrap().0 + sum);
            }
        }

        #[test]
        fn the_greatest_of_a_range_is_found(
            row in prop::collection::vec(-100..100_i128, 1..40), a in 0..40_usize, b in 0..40_usize,
        ) {
            let (from, to) = (a.min(row.len()), b.min(row.len()));
            let expected = row.get(from..to).and_then(|range| range.iter().max()).copied();
            prop_assert_eq!(RangePeak::new(&row).of(from, to), expected.unwrap_or(NOTHING));
        }
    }
}
