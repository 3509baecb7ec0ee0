//! Ids and names, which IAM has side by side.

use std::fmt;

/// An account, project or user, as policy names it.
///
/// Ids are 32 hexadecimal digits. Whoever chooses names could take somebody else's id for one, so what looks like an id
/// never matches a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Ref {
    /// Unique everywhere.
    Id(Box<str>),
    /// Unique among its neighbours.
    Name(Box<str>),
}

impl Ref {
    /// What `text` is by its looks.
    pub fn of(text: &str) -> Ref {
        if is_id(text) { Ref::Id(text.into()) } else { Ref::Name(text.into()) }
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        let (Ref::Id(text) | Ref::Name(text)) = self;
        text
    }
}

impl fmt::Display for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// What IAM calls one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Its id.
    pub id: Box<str>,
    /// Its name; empty if that looks like an id.
    pub name: Box<str>,
}

impl Named {
    /// An id and a name of IAM's.
    pub fn new(id: &str, name: &str) -> Named {
        Named { id: id.into(), name: if is_id(name) { "" } else { name }.into() }
    }

    /// Both, the unique one first; to be looked up among what policy names.
    pub fn keys(&self) -> [&str; 2] {
        [&self.id, &self.name]
    }

    /// Is it the one that policy means?
    pub fn is(&self, wanted: &Ref) -> bool {
        match wanted {
            Ref::Id(id) => self.id == *id,
            Ref::Name(name) => self.name == *name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_looks_like_an_id_matches_nothing() {
        let id = "0123456789abcdef0123456789abcdef";
        let stranger = Named::new("ffffffffffffffffffffffffffffffff", id);
        assert!(!stranger.is(&Ref::of(id)) && !stranger.keys().contains(&id));
        assert!(Named::new(id, "acme").is(&Ref::of(id)));
        assert!(Named::new(id, "acme").is(&Ref::of("acme")));
        assert_eq!(
            Ref::of("0123456789ABCDEF0123456789abcdef"),
            Ref::Name("0123456789ABCDEF0123456789abcdef".into())
        );
    }
}
