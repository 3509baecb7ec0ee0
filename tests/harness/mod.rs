//! What the end-to-end tests stand on: the real programs on free ports, and clients that send exactly the bytes
//! they are told to.
//!
//! A test starts a [`Mock`] and a [`Gateway`] in front of it, each with its own temporary directory, and talks to
//! them over sockets only. Both are ended when dropped. Nothing here is shared between tests.

#![expect(missing_docs, reason = "nobody but the tests beside it reads this; names and signatures say it")]

pub mod certs;
pub mod clock;
pub mod dns;
pub mod gateway;
pub mod http1;
pub mod http2;
pub mod http2_backend;
mod listening;
pub mod mock;
pub mod process;
pub mod script;
pub mod sign;
pub mod tcp_backend;
pub mod tls_backend;
pub mod websocket;

pub use clock::{eventually, http_date, now};
pub use dns::Dns;
pub use gateway::{Gateway, Setup};
pub use http1::{Conn, Request, Response};
pub use http2_backend::Http2Backend;
pub use mock::Mock;
pub use script::{Reply, Script};
pub use tcp_backend::TcpBackend;
pub use tls_backend::TlsBackend;
pub use websocket::WebSocket;
