//! Where the decoder is in a tree.

use super::values::is_name;
use crate::policy::problem::{Place, quoted};
use crate::policy::yaml::{Mark, Node, Value};
use std::fmt;

/// Where the decoder is: prints as `routes.chat.limits[0].per`.
#[derive(Clone, Copy)]
pub struct At<'a> {
    file: u16,
    up: Option<&'a At<'a>>,
    part: Part<'a>,
}

#[derive(Clone, Copy)]
enum Part<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

impl<'a> At<'a> {
    /// The top of a file.
    pub fn file(file: u16) -> At<'static> {
        At { file, up: None, part: Part::Root }
    }

    /// A key of the mapping here, or an entry known by its name.
    pub fn key(&'a self, key: &'a str) -> At<'a> {
        At { file: self.file, up: Some(self), part: Part::Key(key) }
    }

    /// An item of the list here; an entry with a name of its own goes by that.
    pub fn item(&'a self, index: usize, node: &'a Node<'_>) -> At<'a> {
        let part = own_name(node).map_or(Part::Index(index), Part::Key);
        At { file: self.file, up: Some(self), part }
    }

    /// An item of the list here, by its number.
    pub fn index(&'a self, index: usize) -> At<'a> {
        At { file: self.file, up: Some(self), part: Part::Index(index) }
    }

    pub fn place(&self, mark: Mark) -> Place {
        Place { file: self.file, line: mark.line, column: mark.column }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(up) = self.up {
            up.fmt(f)?;
        }
        let below_root = !matches!(self.up, None | Some(At { part: Part::Root, .. }));
        match self.part {
            Part::Root => Ok(()),
            Part::Key(key) if below_root => write!(f, ".{}", shown(key)),
            Part::Key(key) => f.write_str(&shown(key)),
            Part::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// As in [`quoted`], without the quotes.
fn shown(key: &str) -> String {
    quoted(key).trim_matches('`').to_string()
}

/// Text of the entry's `name`, if it is fit to stand for the entry.
fn own_name<'a>(node: &'a Node<'_>) -> Option<&'a str> {
    let Value::Map(entries) = &node.value else { return None };
    let (_, name) = entries.iter().find(|(key, _)| key.name == "name")?;
    match &name.value {
        Value::Text(text) if is_name(text) => Some(text),
        _ => None,
    }
}
