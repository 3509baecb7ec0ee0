//! Colours of groups: few enough to tell apart, the same in every plot.

use crate::measure::GroupReport;

/// Classes of the style sheet, in the order in which they are given out.
const TONES: [&str; 8] = ["c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8"];

/// Class of all groups that have no colour of their own.
pub const OTHERS: &str = "others";

/// Index and colour of the groups that are drawn, in the scenario's order: those that sent most.
pub fn shown(groups: &[GroupReport]) -> Vec<(usize, &'static str)> {
    let mut by_sent: Vec<usize> = (0..groups.len()).collect();
    by_sent.sort_by_key(|at| std::cmp::Reverse(groups[*at].totals.sent));
    let mut drawn: Vec<usize> = by_sent.into_iter().take(TONES.len()).collect();
    drawn.sort_unstable();
    drawn.into_iter().zip(TONES).collect()
}

/// Index of the groups that are not drawn by themselves.
pub fn others(groups: &[GroupReport]) -> Vec<usize> {
    let shown = shown(groups);
    (0..groups.len()).filter(|at| shown.iter().all(|(drawn, _)| drawn != at)).collect()
}
