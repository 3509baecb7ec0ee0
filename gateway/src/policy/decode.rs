//! Reading a located tree by the table of keys: the part that knows nothing of routes or tenants.
//!
//! Every getter records what is wrong and goes on, so that one load reports every mistake. A getter of a
//! value that is wrong or missing returns None; the problem is recorded already.

mod at;
mod values;

pub use self::at::At;
pub use self::values::text;

use super::keys::{Key, Kind, Need, Object};
use super::problem::{Place, Problems, nearest};
use super::yaml::{Mark, Node, Value};
use std::collections::HashSet;

/// A mapping that was checked against its table: no unknown key, none twice, none missing.
pub struct Entry<'a> {
    pub at: At<'a>,
    pub mark: Mark,
    entries: &'a [(super::yaml::Key<'a>, Node<'a>)],
    object: &'static Object,
    pub problems: &'a Problems,
}

impl<'a> Entry<'a> {
    /// None if it is no mapping at all. Wrong keys are recorded, the rest can be read.
    pub fn open(
        node: &'a Node<'a>,
        object: &'static Object,
        at: At<'a>,
        problems: &'a Problems,
    ) -> Option<Entry<'a>> {
        let Value::Map(entries) = &node.value else {
            let keys = names(object).collect::<Vec<_>>().join(", ");
            problems.add(at.place(node.mark), at, "a mapping is needed here", format!("its keys: {keys}"));
            return None;
        };
        let entry = Entry { at, mark: node.mark, entries, object, problems };
        entry.check_keys();
        Some(entry)
    }

    fn check_keys(&self) {
        let mut seen = HashSet::new();
        for (key, _) in self.entries {
            let name = key.name.as_ref();
            let problem = |what: &str, help: String| {
                self.problems.add(self.at.place(key.mark), self.at.key(name), what, help);
            };
            if self.problems.full() {
                return;
            }
            match self.object.keys.iter().find(|known| known.name == name) {
                _ if !seen.insert(name) => problem("written twice", "keep one of them".into()),
                Some(Key { kind: Kind::Later, .. }) => {
                    problem("not supported yet by this version", "leave it out".into());
                }
                Some(_) => {}
                None => problem("unknown key", self.help_for_unknown(name)),
            }
        }
        for key in self.object.keys {
            if matches!(key.need, Need::Required) && !seen.contains(key.name) {
                let help = format!("for instance `{}: {}`; {}", key.name, key.example, lowered(key.doc));
                self.problems.add(self.place(), self.at, format!("`{}` is missing", key.name), help);
            }
        }
    }

    fn help_for_unknown(&self, name: &str) -> String {
        if name == "<<" {
            return "merge keys are not part of a policy; write the keys out".into();
        }
        let near = nearest(name, names(self.object));
        if near.is_empty() {
            format!("keys here: {}", names(self.object).collect::<Vec<_>>().join(", "))
        } else {
            near
        }
    }

    pub fn place(&self) -> Place {
        self.at.place(self.mark)
    }

    /// The first value written at `key`.
    pub fn get(&self, key: &str) -> Option<&'a Node<'a>> {
        self.entries.iter().find(|(k, _)| k.name == key).map(|(_, node)| node)
    }

    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Where a key, or else the whole entry, is.
    pub fn place_of(&self, key: &str) -> Place {
        self.get(key).map_or(self.place(), |node| self.at.place(node.mark))
    }

    /// Records a problem at the value of `key`.
    pub fn wrong(&self, key: &str, what: impl Into<String>, help: impl Into<String>) {
        self.problems.add(self.place_of(key), self.at.key(key), what, help);
    }

    /// Items of the list at `key`; none if it is absent or no list.
    pub fn items(&self, key: &str) -> &'a [Node<'a>] {
        match self.get(key).map(|node| (&node.value, node)) {
            None => &[],
            Some((Value::List(items), _)) => items,
            Some((Value::Null, _)) => {
                self.wrong(key, "nothing is written here", format!("write a list, or leave `{key}` out"));
                &[]
            }
            Some(_) => {
                self.wrong(key, "a list is needed here", "write `[...]`, or one `- ` line for each");
                &[]
            }
        }
    }

    /// Items of the list at `key`, or the one value there.
    pub fn many(&self, key: &str) -> &'a [Node<'a>] {
        match self.get(key) {
            Some(node) if !matches!(node.value, Value::List(_) | Value::Null) => std::slice::from_ref(node),
            _ => self.items(key),
        }
    }

    /// The mapping at `key`, checked against its own table; an absent one reads as empty: all defaults.
    pub fn object(&'a self, key: &'a str, object: &'static Object) -> Option<Entry<'a>> {
        match self.get(key) {
            Some(node) => Entry::open(node, object, self.at.key(key), self.problems),
            None => Some(Entry {
                at: self.at.key(key),
                mark: self.mark,
                entries: &[],
                object,
                problems: self.problems,
            }),
        }
    }
}

fn names(object: &'static Object) -> impl Iterator<Item = &'static str> {
    object.keys.iter().filter(|key| !matches!(key.kind, Kind::Later)).map(|key| key.name)
}

/// A sentence as the middle of another.
fn lowered(doc: &str) -> String {
    let mut chars = doc.chars();
    let first = chars.next().map(|c| c.to_lowercase().to_string()).unwrap_or_default();
    first + chars.as_str().trim_end_matches('.')
}
