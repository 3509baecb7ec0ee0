//! Framing: where does one request end and the next begin, beyond doubt?
//!
//! Stands between the socket (or TLS) and hyper's HTTP/1 connection. hyper is right for those who know
//! what they send, and more lenient than an edge may be: it takes lines that end in a bare LF, drops
//! Content-Length beside Transfer-Encoding, takes chunk extensions with any byte, several Host lines or
//! none. Each of these is a place where the next program along the way may find another boundary, and
//! what lies between two boundaries is a smuggled request (RFC 9112 section 11.2).
//!
//! *How.* [`FramingScanner`] follows the messages of one connection (head, body by length or in chunks,
//! next head) and judges every head and every chunk line before the last of its bytes may pass.
//! [`HeadGate`] applies it to what is read: hyper sees whole, flawless heads or nothing. A violation is
//! left in the [`HeadWatch`] for the task that runs the connection, which answers the requests before
//! it, then the violation itself, and closes: after a framing error nobody knows where the next
//! request would begin.
//!
//! *Cost.* A head that comes in one read is judged where it lies: no copy, no allocation, one search
//! and one pass per line. A head in pieces is kept until it is whole. Watched by `benches/framing.rs`.
//!
//! *Not here.* Deadlines (the connection's task keeps them; [`HeadWatch::head_started`] tells it what
//! it waits for), HTTP/2 (frames carry their length), what the path means ([`route`](crate::route)).

mod chunked;
mod gate;
mod head;
mod lines;
mod scanner;
#[cfg(test)]
mod tests;
mod violation;

pub use gate::{HeadGate, HeadWatch};
pub use scanner::{FramingScanner, Scan};
pub use violation::Framing;

/// Sizes a request head may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FramingCaps {
    /// Bytes of the request target. Default: 32 KiB.
    pub target_max: usize,
    /// Bytes of the whole head, line ends included. Default: 64 KiB.
    pub head_max: usize,
    /// Header lines. Default: 100.
    pub headers_max: usize,
}

impl Default for FramingCaps {
    fn default() -> FramingCaps {
        FramingCaps { target_max: 32 << 10, head_max: 64 << 10, headers_max: 100 }
    }
}
