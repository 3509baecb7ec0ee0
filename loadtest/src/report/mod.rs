//! Report: how a run is shown, kept, and set beside another.
//!
//! Asked by the commands `run` and `report` once a run is over; nothing here measures, sends or judges. A run is
//! kept as [`json`], printed as [`table`], drawn as one HTML page by [`html`], and compared by [`changes`]. All
//! four show the same numbers, because they take them from the same [`crate::measure::Report`] through the same words.
//!
//! *Honesty.* Reasons not to use the figures come first, everywhere. A percentile that the number of values cannot
//! support (p99.9 of 200 requests) is left out instead of showing the greatest value under another name.

mod changes;
mod figures;
mod grid;
mod html;
mod json;
mod table;
pub(crate) mod words;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

pub use changes::changes;
pub use html::html;
pub use json::{FORMAT, ReadError, json, read};
pub use table::table;
