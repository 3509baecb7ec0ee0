//! Generator: who sends, and what they say they have seen.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{LATENCY_MS, h2load, ours, wrk};
use crate::compare::peer::{on_path, version_in};
use crate::compare::problem::Problem;
use crate::compare::surroundings;

/// Header that makes the mock wait.
pub const WAIT: &str = "x-mock-latency-ms";

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generator {
    /// This package's.
    Ours,
    /// wrk.
    Wrk,
    /// h2load, with HTTP/1.1.
    H2load,
}

/// What all of them load, and from where.
#[derive(Debug, Clone)]
pub struct Target {
    /// The mock's.
    pub address: SocketAddr,
    /// What is asked for.
    pub path: String,
    /// The generator's core.
    pub core: usize,
    /// For files that are needed meanwhile.
    pub directory: PathBuf,
}

impl Target {
    /// The URL.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.address, self.path)
    }
}

/// What a generator says of its turn, every request answered well.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// Requests completed.
    pub requests: u64,
    /// Requests that may have been under way at the end, and which the generator forgot.
    pub open_max: u64,
    /// Requests completed per second.
    pub rate_per_s: f64,
    /// Median of the latency, us.
    pub p50_us: f64,
    /// 99th percentile of it, us.
    pub p99_us: f64,
}

impl Generator {
    /// All, in the order of tables.
    pub const ALL: [Generator; 3] = [Generator::Ours, Generator::Wrk, Generator::H2load];
    /// Those that this package's is measured by.
    pub const OTHERS: [Generator; 2] = [Generator::Wrk, Generator::H2load];

    /// As tables and messages name it.
    pub fn name(self) -> &'static str {
        match self {
            Generator::Ours => "pangu-loadtest",
            Generator::Wrk => "wrk",
            Generator::H2load => "h2load",
        }
    }

    /// Where it is.
    ///
    /// # Errors
    /// It is not there; says what installs it.
    pub fn program(self) -> Result<PathBuf, Problem> {
        let package = match self {
            Generator::Ours => return Ok(std::env::current_exe().unwrap_or_default()),
            Generator::Wrk => "wrk",
            Generator::H2load => "nghttp2-client",
        };
        let help =
            format!("install it (on Debian: apt-get install {package}), or run loadtest/peers/setup.sh");
        on_path(self.name()).map_err(|_| Problem::Missing { program: self.name().to_owned(), help })
    }

    /// Name and version.
    ///
    /// # Errors
    /// It is not there.
    pub fn version(self) -> Result<(String, String), Problem> {
        let version = match self {
            Generator::Ours => version_in(env!("CARGO_PKG_VERSION").as_bytes()),
            Generator::Wrk => surroundings::version(&self.program()?, "-v"),
            Generator::H2load => surroundings::version(&self.program()?, "--version"),
        };
        Ok((self.name().to_owned(), version))
    }

    /// Has it send for so many seconds.
    ///
    /// # Errors
    /// It cannot be started; or, inside, what it says if it is not content.
    pub fn run(self, target: &Target, seconds: u64) -> Result<Result<Seen, String>, Problem> {
        match self {
            Generator::Ours => ours::run(target, seconds),
            Generator::Wrk => wrk::run(target, seconds),
            Generator::H2load => h2load::run(target, seconds),
        }
    }
}

/// The header that makes the mock wait, as a line.
pub fn wait_line() -> String {
    format!("{WAIT}: {LATENCY_MS}")
}
