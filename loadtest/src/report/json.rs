//! The file form of a run: one JSON object that says which form it has.

use serde::{Deserialize, Serialize};

use crate::measure::Report;

/// Version of the form. It goes up when a field changes its meaning or goes away; a new field does not change it.
pub const FORMAT: u32 = 1;

/// Writes a run as JSON, on one line that ends with a newline.
pub fn json(report: &Report) -> String {
    let file = File { format: FORMAT, report };
    let mut text = serde_json::to_string(&file).expect("plain data with string keys has a JSON form");
    text.push('\n');
    text
}

/// Reads what [`json`] wrote.
///
/// # Errors
/// The text is not JSON, not a report, or a report of another format.
pub fn read(text: &str) -> Result<Report, ReadError> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(ReadError::NotJson)?;
    match value.get("format").and_then(serde_json::Value::as_u64) {
        Some(format) if format == u64::from(FORMAT) => {}
        Some(format) => return Err(ReadError::OtherFormat(format)),
        None => return Err(ReadError::NotAReport("it has no number `format`".to_owned())),
    }
    Report::deserialize(value).map_err(|e| ReadError::NotAReport(e.to_string()))
}

/// Why a text could not be read as a report.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Not JSON at all, or cut off.
    #[error("not JSON ({0}); give the file that `pangu-loadtest run --json FILE` wrote")]
    NotJson(serde_json::Error),
    /// JSON, but not of a report.
    #[error("JSON, but not a report: {0}; give the file that `pangu-loadtest run --json FILE` wrote")]
    NotAReport(String),
    /// A report of a newer or older program.
    #[error(
        "a report of format {0}, and this program reads format {FORMAT}; read it with the version that wrote it"
    )]
    OtherFormat(u64),
}

#[derive(Serialize)]
struct File<'a> {
    format: u32,
    #[serde(flatten)]
    report: &'a Report,
}
