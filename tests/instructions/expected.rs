//! What the cases are expected to cost, and how far they may be off.

use crate::cases::Cost;
use serde_json::{Map, Value};
use std::fs;
use std::path::Path;

/// Above this, a case has become dearer.
const MORE_PERCENT: f64 = 3.0;
/// Below this, it has become so much cheaper that the expectation would hide the next loss.
const LESS_PERCENT: f64 = 5.0;

/// The golden file: instructions by case.
pub struct Expected(Map<String, Value>);

impl Expected {
    pub fn read(file: &Path) -> Expected {
        let text = fs::read_to_string(file).unwrap_or_else(|_| "{}".to_owned());
        Expected(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display())))
    }

    /// Takes the costs of this run for what is expected.
    pub fn replace(&mut self, costs: &[Cost]) {
        self.0 = costs.iter().map(|cost| (cost.case.to_owned(), cost.instructions.into())).collect();
    }

    pub fn write(&self, file: &Path) {
        let text = serde_json::to_string_pretty(&self.0).expect("a map of numbers") + "\n";
        fs::write(file, text).expect("the golden file is ours");
    }

    /// Sorted.
    pub fn cases(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// What is wrong with a cost; None: it is within its margin. Prints it in either case.
    pub fn fault(&self, cost: &Cost) -> Option<String> {
        let Cost { case, instructions, slack, profile } = cost;
        let Some(expected) = self.0.get(*case).and_then(Value::as_f64) else {
            return Some(format!("{case}: {instructions} instructions, and none are expected"));
        };
        let percent = (*instructions as f64 / expected - 1.0) * 100.0;
        println!("{case:<22} {instructions:>8} instructions {percent:>+6.2} % of {expected}");
        let verdict = match percent {
            more if more > MORE_PERCENT * slack => "dearer than before",
            less if less < -LESS_PERCENT * slack => {
                "cheaper than before: lower the expectation, so that it stays so"
            }
            _ => return None,
        };
        let profile = profile.display();
        Some(format!(
            "{case}: {instructions} instead of {expected} ({percent:+.2} %), {verdict}\n  profile: {profile}"
        ))
    }
}
