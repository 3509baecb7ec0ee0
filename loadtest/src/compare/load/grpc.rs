//! gRPC: h2load again, with the same message in every call. It looks at heads only; how calls went is in the access logs.

use std::io::Write;
use std::time::Duration;

use super::{Done, Target, h2load};
use crate::compare::problem::{Context, Problem};

/// What the message carries, bytes.
const MESSAGE: usize = 100;

/// Runs h2load to its end.
pub fn run(target: &Target, seconds: u64) -> Result<Result<Done, String>, Problem> {
    let mut file = tempfile::NamedTempFile::new().while_doing("make a file for h2load")?;
    file.write_all(&message()).while_doing("write a file for h2load")?;
    let mut command = h2load::command(target, seconds)?;
    command.args(["-H", "content-type: application/grpc", "-H", "te: trailers", "-d"]).arg(file.path());
    command.arg(format!("https://localhost:{}/mock.Echo/Say", target.address.port()));
    h2load::finish(target, command, Duration::from_secs(seconds))
}

/// Not compressed, its length, its bytes.
fn message() -> Vec<u8> {
    [&[0][..], &(MESSAGE as u32).to_be_bytes(), &[b'x'; MESSAGE]].concat()
}
