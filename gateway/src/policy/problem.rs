//! What is wrong with a policy, where, and what to do about it.
//!
//! Every step adds to one [`Problems`], so that an operator sees all mistakes of all files at once. A text
//! may quote a short offending word; it never quotes a secret or a stretch of the file.

use std::cell::{Cell, RefCell};
use std::fmt;

/// At most this many are listed: a hostile file must not make a hostile report.
const LISTED_MAX: usize = 200;

/// Something wrong in a policy: `file:line:column: path: what` and `help`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// As it was opened; relative if the directory was given relative.
    pub file: String,
    /// From 1; 0 if the whole file is meant.
    pub line: u32,
    /// From 1, in characters; 0 if the whole file is meant.
    pub column: u32,
    /// Which key of which entry, such as `routes.chat.pool`; may be empty.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What to do; may be empty.
    pub help: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.file)?;
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

/// A place in the policy: which file (index into [`Problems::files`]), line and column from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: u16,
    pub line: u32,
    pub column: u32,
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    pub value: T,
    pub place: Place,
}

/// Collects problems; shared by all steps of one load.
pub struct Problems {
    files: Vec<String>,
    list: RefCell<Vec<(Place, Problem)>>,
    unlisted: Cell<usize>,
}

impl Problems {
    /// `files`: display names, by the index that [`Place`] uses.
    pub fn new(files: Vec<String>) -> Problems {
        Problems { files, list: RefCell::default(), unlisted: Cell::new(0) }
    }

    /// Display name of a file.
    pub fn file(&self, index: u16) -> &str {
        self.files.get(usize::from(index)).map_or("", String::as_str)
    }

    /// Records a problem.
    pub fn add(
        &self,
        place: Place,
        path: impl fmt::Display,
        what: impl Into<String>,
        help: impl Into<String>,
    ) {
        let mut list = self.list.borrow_mut();
        if list.len() == LISTED_MAX {
            self.unlisted.set(self.unlisted.get() + 1);
            return;
        }
        list.push((
            place,
            Problem {
                file: self.file(place.file).to_string(),
                line: place.line,
                column: place.column,
                path: path.to_string(),
                what: what.into(),
                help: help.into(),
            },
        ));
    }

    /// How many so far, listed or not.
    pub fn count(&self) -> usize {
        self.list.borrow().len() + self.unlisted.get()
    }

    /// Has the list no more room? Whoever reads a hostile file may stop.
    pub fn full(&self) -> bool {
        self.unlisted.get() > 0
    }

    /// What was made, if nothing is wrong.
    ///
    /// # Errors
    /// the problems, in the order of files and lines
    pub fn finish<T>(self, made: Option<T>) -> Result<T, Vec<Problem>> {
        let mut list = self.list.into_inner();
        match made {
            Some(made) if list.is_empty() => return Ok(made),
            _ => debug_assert!(!list.is_empty(), "whoever leaves something out records a problem"),
        }
        list.sort_by_key(|(place, _)| *place); // stable: problems of one place stay in the order found
        let mut problems: Vec<Problem> = list.into_iter().map(|(_, problem)| problem).collect();
        if let (true, Some(first)) = (self.unlisted.get() > 0, problems.first().cloned()) {
            let what = format!("there are more problems than the {LISTED_MAX} listed");
            let help = "mend these first".to_string();
            problems.push(Problem { line: 0, column: 0, path: String::new(), what, help, ..first });
        }
        Err(problems)
    }
}

/// `did you mean ...?` if one of `names` is close to `word`; else empty.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let near = names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(word, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len().min(word.len()) / 4)
        .min();
    near.map_or_else(String::new, |(_, name)| format!("did you mean `{name}`?"))
}

/// A word of the file, fit to be shown: short, on one line, no control characters.
pub fn quoted(word: &str) -> String {
    const SHOWN: usize = 48;
    let shown: String = word.chars().take(SHOWN).map(|c| if c.is_control() { '?' } else { c }).collect();
    if word.chars().nth(SHOWN).is_some() { format!("`{shown}...`") } else { format!("`{shown}`") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place = Place { file: 0, line: 3, column: 5 };

    #[test]
    fn a_problem_reads_as_place_path_what_and_help() {
        let problems = Problems::new(vec!["policies/routes.yaml".into()]);
        problems.add(HERE, "routes.chat.pool", "no pool is named `b`", "did you mean `a`?");
        let list = problems.finish(Some(())).unwrap_err();
        let text = "error: policies/routes.yaml:3:5: routes.chat.pool: no pool is named `b`\n help: did you mean `a`?";
        assert_eq!(list[0].to_string(), text);
    }

    #[test]
    fn a_flood_of_problems_is_cut_and_says_so() {
        let problems = Problems::new(vec!["a.yaml".into()]);
        for _ in 0..LISTED_MAX + 10 {
            problems.add(HERE, "", "wrong", "");
        }
        assert!(problems.full());
        assert_eq!(problems.finish(Some(())).unwrap_err().len(), LISTED_MAX + 1);
    }

    #[test]
    fn only_near_words_are_suggested() {
        assert_eq!(nearest("pangu-mian", ["pangu-main", "maas"]), "did you mean `pangu-main`?");
        assert_eq!(nearest("zzz", ["pangu-main", "maas"]), "");
        assert_eq!(nearest("", ["a", "b"]), "did you mean `a`?");
    }

    #[test]
    fn a_quoted_word_is_short_and_on_one_line() {
        assert_eq!(quoted("a\nb"), "`a?b`");
        assert!(quoted(&"x".repeat(10_000)).len() < 60);
    }
}
