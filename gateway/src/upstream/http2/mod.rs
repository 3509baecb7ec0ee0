//! HTTP/2 towards a backend: many requests at a time on one connection, RFC 9113.
//!
//! A [`Session`](session) is a connection, driven by a task of its own on the worker's thread; [`Sessions`] are a
//! worker's, and a [`Place`] is room for one request on one of them. [`Call`] is one request and its answer, as
//! [`http1::Call`](super::http1::Call) is there. Each backend is spoken to in HTTP/2 from the first byte: agreed by ALPN over
//! TLS, known beforehand in clear.
//!
//! *Why not hyper's client.* It moves a request's body into a task of its own and its answer through channels; here the
//! task that serves the caller drives both, knows how far each has come, and can tell a request that nobody has read.

mod call;
mod session;
mod sessions;

pub use call::{Call, Error};
pub use session::Place;
pub use sessions::Sessions;

#[cfg(test)]
mod tests;
