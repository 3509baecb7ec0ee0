//! What does an exchange cost, in model tokens? Reads it off the request and the answer as they pass.

pub mod tokens;

mod escape;
mod json;
mod number;
mod paths;
mod short;

mod asked;
mod edit;
mod field;

mod answer;
mod ending;
mod gate;
mod said;
mod shape;
mod sse;

pub use answer::{Framing, Holding, Reader, Seen};
pub use asked::{Asked, NotRead};
pub use edit::{Changes, edit};
pub use field::Api;
pub use gate::{HELD_MAX, Passed};
pub use paths::BadPath;
pub use shape::{CustomPaths, Shape};
pub use tokens::{Text, Tokens};

#[cfg(test)]
mod tests;
