//! What reading promises, checked against `serde_json` and against other splits of the same bytes.

mod asked;
mod edit;
mod json;
