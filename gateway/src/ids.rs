//! Small, `Copy` names for what a snapshot holds, so that the walk never compares strings.

/// Index of a route in its snapshot, in the order of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub u16);

/// Index of a caller (a tenant's user) in its snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallerId(pub u32);
