//! HTTP/1.1 towards a backend: one request at a time on one connection, driven by the task that serves the
//! caller.
//!
//! [`Link`] is the connection and its buffers, [`Call`] one request on it: head and body go out, the head of
//! the answer comes in ([`head`]), then its body ([`coding`]).
//!
//! *Why not hyper's.* Its client runs each connection in a task of its own and passes request, answer and
//! every part of a body through channels; here a request costs no second task, no channel, no copy of its
//! header map, and as a rule no allocation. ARCHITECTURE.md has the counts. Heads are parsed by
//! httparse, as in hyper.
//!
//! *Strictness.* What has two readings (two lengths, a transfer coding other than `chunked`, a malformed chunk) is an
//! error and the end of the connection; so is any byte that nobody asked for.

mod call;
mod coding;
mod head;
mod link;

pub use call::{Call, Error};
pub use link::Link;
