//! Where in a JSON document something stands that is wanted: `usage.prompt_tokens`, `choices.delta.content`.
//!
//! Arrays are transparent: an element stands where its array stands, so that `choices.delta` means the delta of
//! every choice.

use std::fmt;

/// Paths by name, made once per shape; a scanner walks along them while it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths<T> {
    nodes: Vec<Node<T>>,
}

/// Where a scanner stands in [`Paths`]. Small, since a scanner keeps one for each open container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(u8);

/// A path that cannot be followed: an empty name in it, too long a name, or too many of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadPath;

impl fmt::Display for BadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("write names of JSON objects with dots between them, such as `usage.prompt_tokens`; at most 16 of 64 bytes")
    }
}

impl std::error::Error for BadPath {}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Node<T> {
    tag: Option<T>,
    children: Vec<(Box<[u8]>, Place)>,
    /// Where all other keys lead.
    others: Place,
}

impl Place {
    /// The document itself.
    pub const ROOT: Self = Self(0);

    /// Not on any path.
    pub const NOWHERE: Self = Self(u8::MAX);
}

impl<T: Copy> Paths<T> {
    /// Longest name, in bytes.
    pub const NAME_MAX: usize = 64;

    const NAMES_MAX: usize = 16;

    /// No path but that of the document itself.
    pub fn new() -> Self {
        Self { nodes: vec![Node { tag: None, children: Vec::new(), others: Place::NOWHERE }] }
    }

    /// What stands exactly here is `tag`. The empty path is the document.
    ///
    /// # Errors
    /// [`BadPath`].
    pub fn at(mut self, path: &str, tag: T) -> Result<Self, BadPath> {
        let place = self.find_or_make(path)?;
        self.node(place).tag = Some(tag);
        Ok(self)
    }

    /// What stands here or anywhere below is `tag`, unless another path says otherwise.
    ///
    /// # Errors
    /// [`BadPath`].
    pub fn below(mut self, path: &str, tag: T) -> Result<Self, BadPath> {
        let place = self.find_or_make(path)?;
        let deeper = self.make(Node { tag: Some(tag), children: Vec::new(), others: Place::NOWHERE })?;
        self.node(deeper).others = deeper;
        let node = self.node(place);
        (node.tag, node.others) = (Some(tag), deeper);
        Ok(self)
    }

    /// What has this name, at any depth below a path that was given to [`below`](Self::below), is not wanted, nor
    /// what stands in it.
    ///
    /// # Errors
    /// [`BadPath`].
    pub fn except(self, path: &str, name: &str) -> Result<Self, BadPath> {
        self.instead(path, name, None)
    }

    /// What has this name, at any depth below a path that was given to [`below`](Self::below), is `tag`; what stands in
    /// it is not wanted.
    ///
    /// # Errors
    /// [`BadPath`].
    pub fn apart(self, path: &str, name: &str, tag: T) -> Result<Self, BadPath> {
        self.instead(path, name, Some(tag))
    }

    fn instead(mut self, path: &str, name: &str, tag: Option<T>) -> Result<Self, BadPath> {
        let place = self.find_or_make(path)?;
        let instead = self.make(Node { tag, children: Vec::new(), others: Place::NOWHERE })?;
        let deeper = self.node(place).others;
        for place in [place, deeper] {
            self.node(place).children.push((name.as_bytes().into(), instead));
        }
        Ok(self)
    }

    fn node(&mut self, place: Place) -> &mut Node<T> {
        &mut self.nodes[usize::from(place.0)]
    }

    fn make(&mut self, node: Node<T>) -> Result<Place, BadPath> {
        let new = u8::try_from(self.nodes.len()).map(Place).ok().filter(|&new| new != Place::NOWHERE);
        self.nodes.push(node);
        new.ok_or(BadPath)
    }

    fn find_or_make(&mut self, path: &str) -> Result<Place, BadPath> {
        if path.split('.').count() > Self::NAMES_MAX {
            return Err(BadPath);
        }
        let names = path.split('.').filter(|_| !path.is_empty());
        names.into_iter().try_fold(Place::ROOT, |place, name| self.child_or_new(place, name))
    }

    /// The child of this name; a new one is what its name was so far.
    fn child_or_new(&mut self, place: Place, name: &str) -> Result<Place, BadPath> {
        if name.is_empty() || name.len() > Self::NAME_MAX {
            return Err(BadPath);
        }
        match self.child(place, Some(name.as_bytes())) {
            (child, true) => Ok(child),
            (others, false) => {
                let like = self.nodes.get(usize::from(others.0));
                let children = like.map(|others| others.children.clone()).unwrap_or_default();
                let new = self.make(Node { tag: self.tag(others), children, others })?;
                self.node(place).children.push((name.as_bytes().into(), new));
                Ok(new)
            }
        }
    }

    /// What is wanted at this place.
    #[inline]
    pub fn tag(&self, place: Place) -> Option<T> {
        self.nodes.get(usize::from(place.0))?.tag
    }

    /// Where the value of this key stands in an object that stands at `place`; the second is whether a path names the
    /// key. `None` for a key that is too long to be known.
    #[inline]
    pub fn child(&self, place: Place, key: Option<&[u8]>) -> (Place, bool) {
        let Some(node) = self.nodes.get(usize::from(place.0)) else { return (Place::NOWHERE, false) };
        let named = key.and_then(|key| node.children.iter().find(|(name, _)| **name == *key));
        named.map_or((node.others, false), |&(_, child)| (child, true))
    }
}

impl<T: Copy> Default for Paths<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(paths: &Paths<char>, names: &[&str]) -> Option<char> {
        let step = |place, name: &&str| paths.child(place, Some(name.as_bytes())).0;
        paths.tag(names.iter().fold(Place::ROOT, step))
    }

    #[test]
    fn a_path_leads_there_and_nowhere_else() {
        let paths = Paths::new().at("", 'r').unwrap().at("usage.prompt", 'p').unwrap();
        assert_eq!(walk(&paths, &[]), Some('r'));
        assert_eq!(walk(&paths, &["usage"]), None);
        assert_eq!(walk(&paths, &["usage", "prompt"]), Some('p'));
        assert_eq!(walk(&paths, &["prompt"]), None);
        assert_eq!(walk(&paths, &["usage", "prompt", "prompt"]), None);
        assert_eq!(walk(&paths, &["x", "usage", "prompt"]), None);
    }

    #[test]
    fn below_reaches_down_except_where_another_path_says_otherwise() {
        let paths = Paths::new().below("m", 't').unwrap();
        let paths = paths.except("m", "url").unwrap().at("m.usage.n", 'n').unwrap();
        assert_eq!(walk(&paths, &["m"]), Some('t'));
        assert_eq!(walk(&paths, &["m", "a", "b"]), Some('t'));
        assert_eq!(walk(&paths, &["m", "url"]), None);
        assert_eq!(walk(&paths, &["m", "a", "url", "b"]), None);
        assert_eq!(walk(&paths, &["m", "usage", "n"]), Some('n'));
        assert_eq!(walk(&paths, &["m", "usage", "other"]), Some('t'));
        assert_eq!(walk(&paths, &["m", "usage", "url"]), None);
        assert_eq!(walk(&paths, &["m", "a", "usage", "n"]), Some('t'), "not exactly there");
        assert_eq!(walk(&paths, &["m", "m"]), Some('t'));
        let paths = paths.apart("m", "img", 'i').unwrap();
        assert_eq!(walk(&paths, &["m", "a", "img"]), Some('i'));
        assert_eq!(walk(&paths, &["m", "a", "img", "b"]), None);
        assert_eq!(paths.child(Place::ROOT, None).0, Place::NOWHERE);
    }

    #[test]
    fn a_path_that_cannot_be_followed_is_refused() {
        for bad in [".", "a.", "a..b", &"x".repeat(65), &["x"; 17].join(".")] {
            assert_eq!(Paths::new().at(bad, ' '), Err(BadPath), "{bad}");
        }
        let many = (0..300).try_fold(Paths::new(), |paths, i| paths.at(&i.to_string(), ' '));
        assert_eq!(many, Err(BadPath));
    }
}
