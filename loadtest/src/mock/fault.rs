//! Faults: the ways in which a request may go wrong on purpose.
//!
//! One text form serves the command line, the control API and the `x-mock-fault` header:
//! `KIND[:ARGUMENT...][@PROBABILITY]`, several joined by commas. `@` defaults to 1.
//!
//! | text | what the caller sees |
//! | --- | --- |
//! | `status:CODE[:RETRY_AFTER_S]` | a refusal with that status, in the dialect of the endpoint |
//! | `reset-head` | the connection is reset (h2: the stream) in place of an answer |
//! | `hang-head` | no answer, ever |
//! | `reset-mid` | head and about half of the body, then a reset |
//! | `hang-mid` | head and about half of the body, then silence |
//! | `truncate` | head and about half of the body, then an orderly end of the connection |
//! | `drip[:BYTES[:MS]]` | the whole body in pieces of BYTES (1), one each MS (20) |
//! | `close` | a good answer that announces `connection: close` (HTTP/1 only) |
//! | `close-quiet` | a good answer, then the connection closes without having said so |

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use http::StatusCode;
use serde::{Deserialize, Serialize};

/// One way in which an answer goes wrong. The text forms are in the module's table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// Answers with an error of the endpoint's dialect.
    Status {
        /// 200 to 599.
        code: StatusCode,
        /// Value of `Retry-After`, in seconds; None: not sent.
        retry_after_s: Option<u32>,
    },
    /// Resets in place of a head.
    ResetHead,
    /// Never sends a head.
    HangHead,
    /// Stops somewhere in the body.
    Mid(Mid),
    /// Sends the body slowly.
    Drip(Drip),
    /// Announces the end of the connection.
    Close,
    /// Ends the connection after the answer without notice.
    CloseQuiet,
}

/// What happens in the middle of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mid {
    /// TCP RST, or RST_STREAM.
    Reset,
    /// Silence until the caller leaves.
    Hang,
    /// Orderly end before the announced length, or without the last chunk.
    Truncate,
}

/// A body cut into pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drip {
    /// Length of a piece; at least 1.
    pub bytes: usize,
    /// Pause before each piece.
    pub every: Duration,
}

/// A fault and how likely it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FaultRule {
    /// What happens.
    pub fault: Fault,
    /// From 0 (never) to 1 (always).
    pub probability: f64,
}

/// A fault's text that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no fault is written `{0}`; see `pangu-loadtest mock --help` for the forms")]
pub struct UnknownFault(String);

/// Reads faults joined by commas; empty text and `none` mean no fault.
///
/// # Errors
/// [`UnknownFault`] with the part that is wrong.
pub fn parse_rules(text: &str) -> Result<Vec<FaultRule>, UnknownFault> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty() && *part != "none")
        .map(str::parse)
        .collect()
}

impl FromStr for FaultRule {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<FaultRule, UnknownFault> {
        let unknown = || UnknownFault(text.to_owned());
        let (kind, probability) = match text.split_once('@') {
            Some((kind, p)) => {
                (kind, p.parse().ok().filter(|p| (0.0..=1.0).contains(p)).ok_or_else(unknown)?)
            }
            None => (text, 1.0),
        };
        let fault = parse_fault(kind).ok_or_else(unknown)?;
        Ok(FaultRule { fault, probability })
    }
}

fn parse_fault(text: &str) -> Option<Fault> {
    let mut parts = text.split(':');
    let kind = parts.next()?;
    let (first, second) = (parts.next(), parts.next());
    if parts.next().is_some() {
        return None;
    }
    match (kind, first) {
        ("status", Some(code)) => {
            let code = StatusCode::from_bytes(code.as_bytes())
                .ok()
                .filter(|code| (200..600).contains(&code.as_u16()))?;
            Some(Fault::Status { code, retry_after_s: optional(second)? })
        }
        ("drip", _) => {
            let bytes = optional(first)?.unwrap_or(1).max(1);
            let every = Duration::from_millis(optional(second)?.unwrap_or(20));
            Some(Fault::Drip(Drip { bytes, every }))
        }
        ("reset-head", None) => Some(Fault::ResetHead),
        ("hang-head", None) => Some(Fault::HangHead),
        ("reset-mid", None) => Some(Fault::Mid(Mid::Reset)),
        ("hang-mid", None) => Some(Fault::Mid(Mid::Hang)),
        ("truncate", None) => Some(Fault::Mid(Mid::Truncate)),
        ("close", None) => Some(Fault::Close),
        ("close-quiet", None) => Some(Fault::CloseQuiet),
        _ => None,
    }
}

/// A part that may be absent but, if there, must be a number.
fn optional<N: FromStr>(part: Option<&str>) -> Option<Option<N>> {
    match part {
        None => Some(None),
        Some(text) => text.parse().ok().map(Some),
    }
}

impl fmt::Display for FaultRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            Fault::Status { code, retry_after_s: None } => write!(f, "status:{}", code.as_u16())?,
            Fault::Status { code, retry_after_s: Some(s) } => write!(f, "status:{}:{s}", code.as_u16())?,
            Fault::Drip(drip) => write!(f, "drip:{}:{}", drip.bytes, drip.every.as_millis())?,
            Fault::ResetHead => f.write_str("reset-head")?,
            Fault::HangHead => f.write_str("hang-head")?,
            Fault::Mid(Mid::Reset) => f.write_str("reset-mid")?,
            Fault::Mid(Mid::Hang) => f.write_str("hang-mid")?,
            Fault::Mid(Mid::Truncate) => f.write_str("truncate")?,
            Fault::Close => f.write_str("close")?,
            Fault::CloseQuiet => f.write_str("close-quiet")?,
        }
        if self.probability < 1.0 {
            write!(f, "@{}", self.probability)?;
        }
        Ok(())
    }
}

impl TryFrom<String> for FaultRule {
    type Error = UnknownFault;

    fn try_from(text: String) -> Result<FaultRule, UnknownFault> {
        text.parse()
    }
}

impl From<FaultRule> for String {
    fn from(rule: FaultRule) -> String {
        rule.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_back_as_written() {
        let forms = [
            "status:429",
            "status:429:2@0.1",
            "status:503@0",
            "reset-head",
            "hang-head",
            "reset-mid@0.25",
            "hang-mid",
            "truncate",
            "drip:16:50",
            "close",
            "close-quiet",
        ];
        for form in forms {
            assert_eq!(form.parse::<FaultRule>().unwrap().to_string(), form);
        }
    }

    #[test]
    fn rules_are_joined_by_commas_and_none_is_none() {
        assert_eq!(parse_rules("status:500@0.5, reset-mid").unwrap().len(), 2);
        assert_eq!(parse_rules("none").unwrap(), []);
        assert_eq!(parse_rules("").unwrap(), []);
        let drip = parse_rules("drip").unwrap();
        assert_eq!(drip[0].fault, Fault::Drip(Drip { bytes: 1, every: Duration::from_millis(20) }));
    }

    #[test]
    fn misspelt_faults_are_refused() {
        for text in [
            "",
            "resett",
            "status",
            "status:99",
            "status:abc",
            "close:1",
            "reset-mid@2",
            "drip:a",
            "status:429:1:2",
        ] {
            assert!(text.parse::<FaultRule>().is_err(), "{text}");
        }
        assert!(parse_rules("close,nonsense").unwrap_err().to_string().contains("`nonsense`"));
    }
}
