//! Origin: what every peer forwards to, and what counts the requests that arrive.
//!
//! Under load it is an nginx with a fixed answer of 1 KB: as cheap as can be, so that the load waits for the proxy. For
//! streams, and to see what a peer sends, it is the mock.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::ask;
use super::case::Case;
use super::peer::{Peer, Programs};
use super::problem::{Context, Problem};
use super::process::Process;
use super::template;

/// Bytes of its answers.
pub const ANSWER_BYTES: usize = 1024;

/// A running origin; dropping it ends it, and another one may take its place.
#[derive(Debug)]
pub struct Origin {
    kind: Kind,
    control: SocketAddr,
    /// Questions to the fixed one so far, this one included: it counts them as requests.
    questions: Cell<u64>,
    process: Option<Process>,
}

/// What answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// nginx, the same answer to everything.
    Fixed,
    /// The mock; `record` keeps what arrives.
    Mock {
        /// Whether requests can be looked at afterwards.
        record: bool,
    },
}

impl Origin {
    /// Starts one that listens at `address` and counts at `control`; a mock echoes plain TCP at `echo`.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(
        kind: Kind,
        [address, control, echo]: [SocketAddr; 3],
        core: usize,
        programs: &Programs,
        directory: &Path,
    ) -> Result<Origin, Problem> {
        let mut process = match kind {
            Kind::Fixed => {
                let values = [
                    ("dir", directory.display().to_string()),
                    ("origin_port", address.port().to_string()),
                    ("control_port", control.port().to_string()),
                    ("answer", "x".repeat(ANSWER_BYTES)),
                ];
                let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
                let file = directory.join("origin.conf");
                let text = template::fill(include_str!("../../peers/origin.conf"), &values);
                std::fs::write(&file, text).while_doing("write origin.conf")?;
                let mut command = Command::new(programs.find(Peer::Direct)?);
                Process::start(
                    "origin",
                    core,
                    command.arg("-p").arg(directory).arg("-c").arg(file),
                    directory,
                )?
            }
            Kind::Mock { record } => {
                let mut command = Command::new(programs.find_loadtest()?);
                command.args(["mock", "--listen", &address.to_string(), "--control", &control.to_string()]);
                command.args(["--tcp", &echo.to_string()]);
                command.args((!record).then_some("--no-record"));
                Process::start("mock", core, &mut command, directory)?
            }
        };
        process.wait_for(address)?;
        process.wait_for(control)?;
        Ok(Origin { kind, control, questions: Cell::new(0), process: Some(process) })
    }

    /// Ends it, so that another one may take its addresses.
    pub fn end(&mut self) {
        self.process = None;
    }

    /// How it ended, if it has.
    pub fn fate(&self) -> Option<Problem> {
        self.process.as_ref()?.fate()
    }

    /// Which kind it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Requests of such a case that have arrived so far; of plain TCP, connections.
    ///
    /// # Errors
    /// It does not say.
    pub fn arrived(&self, case: Case) -> Result<u64, Problem> {
        let counter = if case == Case::Tcp { "tcp_connections" } else { "requests" };
        let target = match self.kind {
            Kind::Fixed => "/",
            Kind::Mock { .. } => "/mock/stats",
        };
        let text = self.control(target)?;
        let count = match self.kind {
            Kind::Fixed => {
                self.questions.set(self.questions.get() + 1);
                requests_in_stub_status(&text).and_then(|count| count.checked_sub(self.questions.get()))
            }
            Kind::Mock { .. } => json(&text).and_then(|stats| stats[counter].as_u64()),
        };
        count.ok_or_else(|| unreadable(&text)).while_doing("read the origin's count")
    }

    /// Headers of the last request, names in lower case and sorted; of a mock that records.
    ///
    /// # Errors
    /// It keeps none.
    pub fn last_headers(&self) -> Result<Vec<(String, String)>, Problem> {
        let text = self.control("/mock/requests?last=1")?;
        let headers = json(&text).and_then(|records| headers_of(records.get(0)?));
        headers.ok_or_else(|| unreadable(&text)).while_doing("read what the origin has seen")
    }

    fn control(&self, target: &str) -> Result<String, Problem> {
        let answer = ask::get(self.control, target, &[]).while_doing("ask the origin")?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }
}

/// The third number below the line of names.
fn requests_in_stub_status(text: &str) -> Option<u64> {
    let (_, numbers) = text.split_once("requests\n")?;
    numbers.split_ascii_whitespace().nth(2)?.parse().ok()
}

fn headers_of(record: &serde_json::Value) -> Option<Vec<(String, String)>> {
    let pairs = record["headers"].as_array()?.iter();
    let header = |pair: &serde_json::Value| {
        Some((pair.get(0)?.as_str()?.to_ascii_lowercase(), pair.get(1)?.as_str()?.to_owned()))
    };
    let mut headers: Vec<(String, String)> = pairs.map(header).collect::<Option<_>>()?;
    headers.sort();
    Some(headers)
}

fn json(text: &str) -> Option<serde_json::Value> {
    serde_json::from_str(text).ok()
}

fn unreadable(text: &str) -> std::io::Error {
    std::io::Error::other(format!("it says {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stub_status_has_the_requests_third() {
        let text =
            "Active connections: 1 \nserver accepts handled requests\n 11 12 1300 \nReading: 0 Writing: 1\n";
        assert_eq!(requests_in_stub_status(text), Some(1300));
        assert_eq!(requests_in_stub_status("404"), None);
    }

    #[test]
    fn headers_are_sorted_by_name() {
        let record = serde_json::json!({"headers": [["X-Tenant", "t"], ["Host", "h"]]});
        let sorted =
            [("host", "h"), ("x-tenant", "t")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(headers_of(&record), Some(sorted.to_vec()));
    }
}
