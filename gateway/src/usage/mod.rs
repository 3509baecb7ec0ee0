//! What does an exchange cost, in model tokens? Reads it off the request and the answer as they pass.
//!
//! Asked by the proxy on routes whose limits count tokens: [`Asked::read`] says what a request asks for, before
//! `limit` admits it; [`edit`] makes the few changes to its body that a limit may want; a [`Reader`] sees every chunk
//! of the answer and says at any time what it has cost so far.
//!
//! *Model.* An upstream's own count is believed when it tells one, and the last it tells counts; it is all so far,
//! and is never added up. Beside it the text that passes is counted by kind, ASCII or not, for the time before usage
//! is told, for answers that never tell it, and for those that tell nothing of a text that was there. Nothing is
//! decoded that is not counted, and no text is put together: where a read splits a character, a number or an escape
//! makes no difference.
//!
//! *One reading.* What was admitted must be what the upstream reads. A body that parsers may read in two ways is
//! refused: a key that is there twice or in other letters, a number in quotes, a byte order mark. Every other byte
//! goes on as it came, both ways, but for the usage at the end of a stream that the caller did not ask for.
//!
//! *Cost.* One pass and no allocation: about 0.1 us per KB of text in a request, about half a microsecond for an
//! event of 200 bytes. Chunks pass as the very bytes that came.
//!
//! *Memory.* A [`Reader`] takes about 700 bytes, and up to [`HELD_MAX`] more while an event waits to be whole.
//!
//! *Not here.* Estimating tokens from text and charging them (`limit`), which shape a route has (`policy`), whether
//! an answer is compressed and so cannot be read, and cutting a stream (`proxy`).

pub mod tokens;

mod escape;
mod json;
mod number;
mod paths;
mod short;

mod asked;
mod beginning;
mod edit;
mod field;
mod reading;
mod resemblance;

mod answer;
mod ending;
mod gate;
mod said;
mod shape;
mod sse;

pub use answer::{Framing, Holding, Reader, Seen};
pub use asked::{Asked, NotRead};
pub use beginning::beginning;
pub use edit::{Changes, edit};
pub use field::Api;
pub use gate::{HELD_MAX, Passed};
pub use paths::BadPath;
pub use resemblance::{resembles_json, resembles_multipart};
pub use shape::{CustomPaths, Shape};
pub use tokens::{Text, Tokens};

#[cfg(test)]
mod tests;
