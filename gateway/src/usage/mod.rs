//! Stub.
mod tokens;
pub use tokens::{Text, Tokens};
