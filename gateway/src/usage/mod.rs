//! What does an exchange cost, in model tokens? Reads it off the request and the answer as they pass.

mod asked;
mod edit;
mod field;
mod json;
mod number;
mod paths;
mod short;
pub mod tokens;

pub use asked::{Asked, NotRead};
pub use edit::{Changes, edit};
pub use field::Api;
pub use paths::BadPath;
pub use tokens::{Text, Tokens};

#[cfg(test)]
mod tests;
