//! Load: puts one peer under the load of a case for some seconds, and says what came of it.
//!
//! wrk and h2load saturate; where requests have to come at a pace, one at a time, on new connections or as streams,
//! this package's own generator sends them.

mod bytes;
pub(crate) mod generated;
mod grpc;
pub(crate) mod h2load;
mod signed;
mod websocket;
pub(crate) mod wrk;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::case::Case;
use super::problem::Problem;

/// Connections of the saturating loads.
pub const CONNECTIONS: u32 = 64;

/// Who is put under load, with what.
#[derive(Debug, Clone)]
pub struct Target {
    /// Address of plain HTTP, or of TLS if the case has it.
    pub address: SocketAddr,
    /// AppCode of the caller, where one is enough.
    pub code: String,
    /// File with all AppCodes, one a line.
    pub codes: PathBuf,
    /// Certificate of the authority that `localhost` is signed by.
    pub authority: PathBuf,
    /// Core for the generator.
    pub core: usize,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// Requests answered, all of them well.
    pub requests: u64,
    /// What processor time is divided by: requests, events of streams, messages, or MiB.
    pub units: u64,
    /// Requests that may have been under way when the load ended; the generator forgot them.
    pub open_max: u64,
    /// How long the load lasted.
    pub lasted: Duration,
    /// Median and 99th percentile, us, if the case is timed.
    pub times: Option<(f64, f64)>,
}

/// Why a run is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// The generator was late: that says nothing of the peer, and another run may be good.
    Late(String),
    /// Something is wrong.
    Wrong(String),
}

/// Runs the load to its end.
///
/// # Errors
/// The generator is not content, in words; or is missing.
pub fn run(case: Case, target: &Target, seconds: u64) -> Result<Result<Done, Unfit>, Problem> {
    match case {
        Case::Get | Case::Keys | Case::Post | Case::Coded | Case::Signed | Case::Tls => {
            Ok(wrk::run(case, target, seconds)?.map_err(Unfit::Wrong))
        }
        Case::Grpc => Ok(grpc::run(target, seconds)?.map_err(Unfit::Wrong)),
        Case::WebSocket => Ok(websocket::run(target, seconds)?.map_err(Unfit::Wrong)),
        Case::H2 => Ok(h2load::run(target, seconds)?.map_err(Unfit::Wrong)),
        Case::Tcp => Ok(bytes::run(target.address, seconds)?.map_err(Unfit::Wrong)),
        Case::Handshake | Case::Latency1 | Case::Latency2000 | Case::Sse | Case::First => {
            generated::run(case, target, seconds)
        }
    }
}
