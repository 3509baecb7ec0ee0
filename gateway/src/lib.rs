//! `pangu-gateway`: an edge API gateway in front of Pangu large models, ModelArts MaaS and
//! ModelArts real-time services.
//!
//! The modules stand in the order in which they matter: first what happens before traffic, then the
//! walk of one request (`proxy` is its story, the six below it answer one question each), then what
//! runs alongside. Arrows point one way: `main -> server -> proxy -> {route, auth, limit, fair, upstream,
//! reject, observe}`; `policy` builds the first five and nobody calls it back.

pub mod cli;
pub mod settings;

pub mod server;

pub mod policy;

pub mod proxy;

pub mod stream;

pub mod route;

pub mod auth;

pub mod usage;

pub mod limit;

pub mod fair;

pub mod upstream;

pub mod iam;

pub mod reject;

pub mod observe;

pub mod admin;

pub mod state;

pub mod signing;

pub mod clock;
pub mod ids;
pub mod memory;
pub mod swar;

#[cfg(test)]
mod proptests;
