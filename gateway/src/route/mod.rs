//! 1. Which route takes this request?
//!
//! Asked by [`proxy`](crate::proxy) first of all, with what stood on the wire: the host, the method and
//! the raw path.
//!
//! *One parser.* A path that two programs could read differently is refused ([`spelling`]), not
//! repaired. What is left is matched byte for byte and forwarded byte for byte, so the path that was
//! matched is the path the upstream sees.
//!
//! *Order.* An exact host goes before `*.suffix`, which goes before routes for every host; the first of
//! them that knows the path decides. Within it a literal segment goes before `{name}`, and that before
//! `{*rest}`. Order in the files never matters: two routes that could take the same request are a
//! [`Conflict`] when the table is built.
//!
//! *Cost.* No allocation unless the host has capitals, the path has escapes, or a pattern has more than
//! four parameters. Watched by `benches/route_find.rs`.
//!
//! *Not here.* What a route decides (`policy`), how a miss is answered (`reject`).

mod host;
mod methods;
mod pattern;
mod spelling;
#[cfg(test)]
mod tests;

pub use host::Host;
pub use spelling::spelling;

use crate::ids::RouteId;
use ahash::HashMap;
use http::{HeaderValue, Method};
use matchit::{InsertError, Router};
use memchr::memchr;
use methods::{Methods, Takers};
use pattern::Pattern;

/// All routes of one policy, ready to search.
#[derive(Default)]
pub struct Table {
    /// Routes that name their host.
    exact: HashMap<Box<str>, Paths>,
    /// Routes for `*.example.com`, under `example.com`.
    suffix: HashMap<Box<str>, Paths>,
    /// Routes for every host.
    any: Paths,
}

/// Why no route takes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Miss {
    /// A spelling that two parsers could read differently.
    Ambiguous {
        /// What is wrong with it, for the caller.
        what: &'static str,
    },
    /// No route has this host and path.
    NotFound,
    /// The path is known, the method is not.
    Method {
        /// Value of `Allow`; made when the table was built, cheap to clone.
        allow: HeaderValue,
    },
}

impl Table {
    /// Finds the route of a request. Hot path, once per request.
    ///
    /// `host` may carry a port; empty (HTTP/1.0 without Host) it finds only routes for every host.
    /// `path` is raw, as on the wire, without the query.
    ///
    /// # Errors
    /// [`Miss`]: no route, or a spelling nobody should have to interpret.
    pub fn find(&self, host: &str, method: &Method, path: &str) -> Result<RouteId, Miss> {
        let ambiguous = |what| Miss::Ambiguous { what };
        let plain = spelling::is_plain(path);
        if !plain {
            spelling(path).map_err(ambiguous)?;
        }
        let host = Host::parse(host).map_err(ambiguous)?;
        let takers = self.takers(&host, path).ok_or(Miss::NotFound)?;
        if !plain && memchr(b'%', path.as_bytes()).is_some() && !self.same_decoded(takers, &host, path) {
            return Err(ambiguous("path: an escape that changes which route is meant"));
        }
        takers.find(method).ok_or_else(|| Miss::Method { allow: takers.allow() })
    }

    /// Who takes this path on this host, by whatever method.
    fn takers(&self, host: &Host<'_>, path: &str) -> Option<&Takers> {
        let exact = || self.exact.get(host.as_str()).and_then(|paths| paths.find(path));
        let suffix = || {
            if self.suffix.is_empty() {
                return None;
            }
            let dot = memchr(b'.', host.as_str().as_bytes())?;
            self.suffix.get(&host.as_str()[dot + 1..])?.find(path)
        };
        exact().or_else(suffix).or_else(|| self.any.find(path))
    }

    /// Does an upstream that decodes first, as most do, mean the same route? It would not where a
    /// literal holds a character such as `:` and the path holds `%3A`.
    fn same_decoded(&self, takers: &Takers, host: &Host<'_>, path: &str) -> bool {
        let decoded = spelling::decode(path);
        self.takers(host, &decoded).is_some_and(|other| std::ptr::eq(other, takers))
    }
}

/// The patterns of one host.
#[derive(Default)]
struct Paths {
    router: Router<usize>,
    takers: Vec<Takers>,
    /// Patterns that differ only in the names of their parameters are one pattern.
    by_shape: HashMap<String, usize>,
}

impl Paths {
    fn find(&self, path: &str) -> Option<&Takers> {
        let found = self.router.at(path).ok()?;
        Some(&self.takers[*found.value])
    }

    fn add(&mut self, route: RouteId, methods: Methods, pattern: &Pattern) -> Result<(), Conflict> {
        if let Some(&known) = self.by_shape.get(pattern.shape()) {
            return self.takers[known].add(route, methods).map_err(|other| Conflict::Taken { other });
        }
        let new = self.takers.len();
        self.router.insert(pattern.text(), new).map_err(|error| collision(pattern.text(), error))?;
        self.by_shape.insert(pattern.shape().to_owned(), new);
        self.takers.push(Takers::of(route, methods));
        Ok(())
    }
}

/// Collects routes for a [`Table`].
#[derive(Default)]
pub struct TableBuilder {
    table: Table,
}

/// Why a route cannot be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The pattern is malformed, or overlaps another in a way that has no order.
    #[error("{what}")]
    Pattern {
        /// What is wrong.
        what: String,
        /// What to write instead.
        help: String,
    },
    /// Host, pattern and a method are those of another route.
    #[error("route {other:?} already takes these requests")]
    Taken {
        /// The route that was there first.
        other: RouteId,
    },
}

impl TableBuilder {
    /// Adds a route. `path` is a pattern: literal segments, `{name}` for one segment, `{*rest}` at the
    /// end for one or more; a slash at the end counts. `host`: lower case, without port;
    /// `*.example.com` for any one label; None for every host. `methods` empty: all.
    ///
    /// # Errors
    /// [`Conflict`]: the pattern is malformed, or the same requests already belong to another route.
    /// Nothing was added.
    pub fn add(
        &mut self,
        route: RouteId,
        host: Option<&str>,
        methods: &[Method],
        path: &str,
    ) -> Result<(), Conflict> {
        let pattern = Pattern::parse(path)?;
        self.paths(host)?.add(route, Methods::new(methods), &pattern)
    }

    /// The table, ready to search.
    pub fn build(self) -> Table {
        self.table
    }

    fn paths(&mut self, host: Option<&str>) -> Result<&mut Paths, Conflict> {
        let Some(host) = host else { return Ok(&mut self.table.any) };
        let (map, name) = match host.strip_prefix("*.") {
            Some(suffix) => (&mut self.table.suffix, suffix),
            None => (&mut self.table.exact, host),
        };
        host::check_pattern(host, name)?;
        Ok(map.entry(name.into()).or_default())
    }
}

/// Two patterns that both fit some path, with nothing to put one before the other.
fn collision(pattern: &str, error: InsertError) -> Conflict {
    let what = match error {
        InsertError::Conflict { with } => {
            format!("path `{pattern}` and path `{with}` can match the same request, and neither goes first")
        }
        other => format!("path `{pattern}`: {other}"),
    };
    let help = "at one place in a path there may be literals and one of `{name}` or `{*rest}`; \
                put the routes on different hosts, or make a segment before them differ"
        .to_owned();
    Conflict::Pattern { what, help }
}
