//! Scales: where a value lies on an axis, and which values are marked.

/// An axis from its least to its greatest value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// Even, from 0; marks every `step`.
    Linear {
        /// Value at the far end; more than 0.
        to: f64,
        /// Between marks.
        step: f64,
    },
    /// By powers of ten.
    Log {
        /// Value at the near end; more than 0.
        from: f64,
        /// Value at the far end; more than `from`.
        to: f64,
    },
    /// Percentiles, as HDR histograms are drawn: each further nine takes as much room as the one before.
    Percentile {
        /// Nines at the far end: 3 is 99.9 %.
        nines: f64,
    },
}

/// Nines beyond which nothing is drawn: a run of ten million requests has seven.
const NINES_MAX: f64 = 7.0;

/// Factor between greatest and least value above which a [`Scale::Log`] shows more.
const LOG_ABOVE: f64 = 30.0;

/// More than any scale needs: from the least to the greatest u64 there are 58.
const MARKS_MAX: u32 = 64;

impl Scale {
    /// An even scale with at most five marks above 0 that ends at a round number, or at `to` itself if `exact`.
    pub fn linear(to: f64, exact: bool) -> Scale {
        let to = if to.is_finite() && to > 0.0 { to } else { 1.0 };
        let step = round_up(to / 5.0);
        Scale::Linear { to: if exact { to } else { (to / step - 1e-9).ceil() * step }, step }
    }

    /// An even scale, or one by powers of ten where the values are too far apart for it.
    pub fn fitting(least: f64, greatest: f64) -> Scale {
        if !(least > 0.0 && greatest.is_finite() && greatest / least > LOG_ABOVE) {
            return Scale::linear(greatest, false);
        }
        Scale::Log { from: round_down(least), to: round_up(greatest) }
    }

    /// Percentiles up to what so many values can show.
    pub fn percentiles(count: u64) -> Scale {
        Scale::Percentile { nines: (count.max(1) as f64).log10().clamp(1.0, NINES_MAX) }
    }

    /// Where a value lies, 0 to 1; what lies outside is set to the end.
    pub fn place(&self, value: f64) -> f64 {
        let share = match *self {
            Scale::Linear { to, .. } => value / to,
            Scale::Log { from, to } => (value.max(from) / from).log10() / (to / from).log10(),
            Scale::Percentile { nines } if value < 100.0 => nines_of(value) / nines,
            Scale::Percentile { .. } => 1.0,
        };
        if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// The values to mark.
    pub fn marks(&self) -> Vec<f64> {
        match *self {
            Scale::Linear { to, step } => {
                let marks = (0..MARKS_MAX).map(|i| f64::from(i) * step);
                marks.take_while(|mark| *mark <= to * (1.0 + 1e-9)).collect()
            }
            Scale::Log { from, to } => {
                let few = (to / from).log10() <= 2.5;
                let marks = std::iter::successors(Some(from), |mark| Some(round_up(mark * 1.01)));
                let marks = marks.take_while(|mark| *mark <= to * 1.001).take(MARKS_MAX as usize);
                marks.filter(|mark| few || leading(*mark) == 1.0).collect()
            }
            Scale::Percentile { nines } => {
                let tails = (1..=nines as i32).map(|n| 100.0 - 10f64.powi(2 - n));
                [50.0].into_iter().chain(tails).collect()
            }
        }
    }
}

fn nines_of(percent: f64) -> f64 {
    -(1.0 - percent / 100.0).log10()
}

/// The next of 1, 2, 5, 10, 20, 50, ... that is not below.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf((value.log10() + 1e-9).floor());
    let digit = value / power;
    let steps = [1.0, 2.0, 5.0, 10.0];
    power * steps.into_iter().find(|step| digit <= step * (1.0 + 1e-6)).unwrap_or(10.0)
}

/// The next of them that is not above.
fn round_down(value: f64) -> f64 {
    let power = 10f64.powf((value.log10() + 1e-9).floor());
    let digit = value / power;
    let steps = [5.0, 2.0, 1.0];
    power * steps.into_iter().find(|step| digit >= step * (1.0 - 1e-6)).unwrap_or(1.0)
}

fn leading(value: f64) -> f64 {
    (value / 10f64.powf((value.log10() + 1e-9).floor())).round()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_scale_ends_at_a_round_number_with_few_marks() {
        assert_eq!(Scale::linear(1_180.0, false).marks(), [0.0, 500.0, 1_000.0, 1_500.0]);
        assert_eq!(Scale::linear(15.0, true), Scale::Linear { to: 15.0, step: 5.0 });
        for to in [0.003, 1.0, 4.9, 5.0, 99.0, 1e9] {
            let scale = Scale::linear(to, false);
            let marks = scale.marks();
            assert!((2..=6).contains(&marks.len()), "{to}: {marks:?}");
            assert!(scale.place(to) > 0.5 && scale.place(to) <= 1.0, "{to}");
        }
    }

    #[test]
    fn nothing_to_show_still_has_a_scale() {
        for scale in [Scale::linear(0.0, false), Scale::linear(f64::NAN, true), Scale::fitting(0.0, 0.0)] {
            assert_eq!(scale.place(0.0), 0.0);
            assert!(scale.marks().len() > 1);
        }
        assert_eq!(Scale::percentiles(0).place(100.0), 1.0);
    }

    #[test]
    fn values_far_apart_are_shown_by_powers_of_ten() {
        let scale = Scale::fitting(300.0, 2_000_000.0);
        assert_eq!(scale, Scale::Log { from: 200.0, to: 2_000_000.0 });
        assert_eq!(scale.marks(), [1e3, 1e4, 1e5, 1e6]);
        assert!((scale.place(20_000.0) - 0.5).abs() < 1e-9);
        assert_eq!(Scale::fitting(300.0, 9_000.0).marks()[0], 0.0, "these are close enough to be even");
        assert_eq!(Scale::fitting(100.0, 4_000.0).marks(), [100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0]);
    }

    #[test]
    fn each_nine_takes_as_much_room_as_the_one_before() {
        let scale = Scale::percentiles(100_000);
        let places = [90.0, 99.0, 99.9, 99.99].map(|percent| scale.place(percent));
        for pair in places.windows(2) {
            assert!((pair[1] - pair[0] - 0.2).abs() < 1e-9, "{places:?}");
        }
        assert_eq!(scale.place(100.0), 1.0, "the greatest value closes the curve");
        let marks: Vec<String> = scale.marks().into_iter().map(crate::report::words::percent).collect();
        assert_eq!(marks, ["50", "90", "99", "99.9", "99.99", "99.999"]);
    }
}
