//! 1. Which route? (contract; the wire owner replaces bodies and may add to it)

use crate::ids::RouteId;
use http::Method;

/// Collects routes for a [`Table`].
#[derive(Default)]
pub struct TableBuilder;

impl TableBuilder {
    /// Adds a route. `path` is a pattern: literal segments, `{name}` for one segment, `{*rest}` at the end for one or more.
    /// `host`: lower case, without port; `*.example.com` for any one label; None for every host. `methods` empty: all.
    ///
    /// # Errors
    /// [`Conflict`]: the pattern is malformed, or the same requests already belong to another route.
    pub fn add(
        &mut self,
        _route: RouteId,
        _host: Option<&str>,
        _methods: &[Method],
        _path: &str,
    ) -> Result<(), Conflict> {
        todo!()
    }
    pub fn build(self) -> Table {
        todo!()
    }
}

/// Why a route cannot be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    #[error("{what}")]
    Pattern { what: String, help: String },
    #[error("route {other:?} already takes these requests")]
    Taken { other: RouteId },
}

/// All routes of one policy, ready to search.
pub struct Table;

/// Why no route takes a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// A spelling that two parsers could read differently (`what` is a short reason for the caller).
    Ambiguous {
        what: &'static str,
    },
    NotFound,
    /// The path is known, the method is not; the value for `Allow`.
    Method,
}

impl Table {
    /// Hot path. `host` may carry a port; `path` is raw, as on the wire.
    ///
    /// # Errors
    /// [`Miss`]
    pub fn find(&self, _host: &str, _method: &Method, _path: &str) -> Result<RouteId, Miss> {
        todo!()
    }
}
