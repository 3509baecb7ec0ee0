//! Which methods a route takes, and who takes what at one pattern.

use crate::ids::RouteId;
use http::{HeaderValue, Method};

/// The methods of RFC 9110 and RFC 5789, the common ones first.
const KNOWN: [&str; 9] = ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "CONNECT"];

/// A set of methods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Methods {
    All,
    /// One bit for each of [`KNOWN`], and the others by name.
    Some {
        known: u16,
        others: Vec<Method>,
    },
}

impl Methods {
    /// The set of these methods; all if there are none.
    pub(super) fn new(methods: &[Method]) -> Methods {
        if methods.is_empty() {
            return Methods::All;
        }
        let known = methods.iter().filter_map(known_bit).fold(0, |set, bit| set | bit);
        let others = methods.iter().filter(|method| known_bit(method).is_none()).cloned().collect();
        Methods::Some { known, others }
    }

    fn contains(&self, method: &Method) -> bool {
        match self {
            Methods::All => true,
            Methods::Some { known, others } => match known_bit(method) {
                Some(bit) => known & bit != 0,
                None => others.contains(method),
            },
        }
    }

    fn overlaps(&self, other: &Methods) -> bool {
        match (self, other) {
            (Methods::Some { known: a, others }, Methods::Some { known: b, .. }) => {
                a & b != 0 || others.iter().any(|method| other.contains(method))
            }
            _ => true,
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let (known, others) = match self {
            Methods::All => (u16::MAX, &[][..]),
            Methods::Some { known, others } => (*known, others.as_slice()),
        };
        let known =
            KNOWN.iter().enumerate().filter(move |(bit, _)| known & (1 << bit) != 0).map(|(_, name)| *name);
        known.chain(others.iter().map(Method::as_str))
    }
}

fn known_bit(method: &Method) -> Option<u16> {
    let name = method.as_str();
    KNOWN.iter().position(|known| *known == name).map(|bit| 1 << bit)
}

/// The routes of one host and pattern; no two of them take the same method.
#[derive(Debug)]
pub(super) struct Takers {
    routes: Vec<(Methods, RouteId)>,
    allow: HeaderValue,
}

impl Takers {
    pub(super) fn of(route: RouteId, methods: Methods) -> Takers {
        let routes = vec![(methods, route)];
        Takers { allow: allow(&routes), routes }
    }

    /// Adds a route, or names the one that takes one of these methods already.
    pub(super) fn add(&mut self, route: RouteId, methods: Methods) -> Result<(), RouteId> {
        if let Some((_, other)) = self.routes.iter().find(|(taken, _)| taken.overlaps(&methods)) {
            return Err(*other);
        }
        self.routes.push((methods, route));
        self.allow = allow(&self.routes);
        Ok(())
    }

    /// The route that takes this method.
    pub(super) fn find(&self, method: &Method) -> Option<RouteId> {
        self.routes.iter().find(|(methods, _)| methods.contains(method)).map(|(_, route)| *route)
    }

    /// Every method some route takes, as `Allow` lists them.
    pub(super) fn allow(&self) -> HeaderValue {
        self.allow.clone()
    }
}

fn allow(routes: &[(Methods, RouteId)]) -> HeaderValue {
    let names: Vec<&str> = routes.iter().flat_map(|(methods, _)| methods.names()).collect();
    HeaderValue::from_str(&names.join(", ")).expect("methods are tokens, and tokens are fit for a header")
}
