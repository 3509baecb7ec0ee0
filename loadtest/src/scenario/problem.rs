//! What is wrong with a scenario, where, and what to do about it.

use std::fmt;

use serde_saphyr::{Location, MessageFormatter, UserMessageFormatter};

/// Everything wrong with one scenario. Its text begins each problem but the first with `error:`, which whoever
/// prints it puts before the whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .list.iter().map(ToString::to_string).collect::<Vec<_>>().join("\nerror: "))]
pub struct Problems {
    /// As it was opened, or `built-in NAME`.
    file: String,
    list: Vec<Problem>,
}

/// One of them: `file:line:column: path: what` and `help`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    file: String,
    /// From 1; 0 if the whole file is meant.
    line: u64,
    column: u64,
    path: String,
    what: String,
    help: String,
}

impl Problems {
    /// None yet, in `file`.
    pub fn of(file: &str) -> Problems {
        Problems { file: file.to_owned(), list: Vec::new() }
    }

    /// Adds one that is about the place `at`; `path` says which key of which entry.
    pub fn add(&mut self, at: Location, path: &str, what: impl Into<String>, help: impl Into<String>) {
        self.list.push(Problem {
            file: self.file.clone(),
            line: at.line(),
            column: at.column(),
            path: path.to_owned(),
            what: what.into(),
            help: help.into(),
        });
    }

    /// Adds the one at which the YAML reader gave up.
    pub fn add_unreadable(&mut self, error: &serde_saphyr::Error) {
        let what = UserMessageFormatter.format_message(error.without_snippet()).into_owned();
        let at = error.location().unwrap_or(Location::UNKNOWN);
        self.add(at, "", what, "every key is in loadtest/README.md, under \"Scenario files\"");
    }

    /// Passes `value` on if nothing is wrong.
    ///
    /// # Errors
    /// These problems.
    pub fn or<T>(self, value: T) -> Result<T, Problems> {
        if self.list.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.what)?;
        if !self.help.is_empty() {
            write!(f, "\n help: {}", self.help)?;
        }
        Ok(())
    }
}
