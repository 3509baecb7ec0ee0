//! h2load: saturates with HTTP/2 over TLS.

use std::process::Command;
use std::time::Duration;

use super::{Done, Target};
use crate::compare::origin::ANSWER_BYTES;
use crate::compare::peer::on_path;
use crate::compare::problem::Problem;
use crate::compare::process;

const CONNECTIONS: u64 = 8;
const STREAMS: u64 = 10;
const OPEN_MAX: u64 = CONNECTIONS * STREAMS;
/// What wrk and the generator get too; left alone, h2load would ask for another first.
const CIPHER: &str = "TLS_AES_256_GCM_SHA384";

/// Runs h2load to its end.
pub fn run(target: &Target, seconds: u64) -> Result<Result<Done, String>, Problem> {
    let mut command = command(target, seconds)?;
    command.arg(format!("https://localhost:{}/mock/bytes/{ANSWER_BYTES}", target.address.port()));
    finish(target, command, Duration::from_secs(seconds))
}

/// h2load with all but what it asks for.
pub fn command(target: &Target, seconds: u64) -> Result<Command, Problem> {
    let mut command = Command::new(on_path("h2load")?);
    command.args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-m{STREAMS}"), &format!("-D{seconds}")]);
    command.args(["--tls13-ciphers", CIPHER]);
    command.args(["-H", &format!("x-apig-appcode: {}", target.code)]);
    Ok(command)
}

/// Runs it to its end.
pub fn finish(
    target: &Target,
    mut command: Command,
    lasts: Duration,
) -> Result<Result<Done, String>, Problem> {
    let output = process::run("h2load", target.core, &mut command)?;
    let said = String::from_utf8_lossy(&output.stdout);
    let done = parse(&said, lasts).filter(|_| output.status.success());
    let words = || format!("h2load is not content:\n{said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(done.ok_or_else(words))
}

/// What h2load has done, if it spoke HTTP/2 on the right terms and all went well.
fn parse(said: &str, lasted: Duration) -> Option<Done> {
    let has = |line: &str| said.lines().any(|said| said.trim() == line);
    if !has("Application protocol: h2") || !has(&format!("Cipher: {CIPHER}")) {
        return None;
    }
    let requests = answered(said, OPEN_MAX)?;
    Some(Done { requests, units: requests, open_max: OPEN_MAX, lasted, times: None })
}

/// Requests that were answered, if all of them were answered well; so many may have been open at the end.
pub fn answered(said: &str, open_max: u64) -> Option<u64> {
    let [requests, statuses] =
        ["requests: ", "status codes: "].map(|name| counts(said, name).unwrap_or_default());
    let count = |counts: &[(u64, String)], name: &str| Some(counts.iter().find(|(_, of)| of == name)?.0);
    let done = count(&requests, "done").filter(|done| *done > 0)?;
    let bad = ["failed", "errored", "timeout"].map(|name| count(&requests, name));
    let ill = ["3xx", "4xx", "5xx"].map(|name| count(&statuses, name));
    // Heads are counted as they come, so those of open streams are among them.
    let good = (done..=done + open_max).contains(&count(&statuses, "2xx")?);
    if !good || count(&requests, "succeeded") != Some(done) || bad != [Some(0); 3] || ill != [Some(0); 3] {
        return None;
    }
    Some(done)
}

/// `NAME: 12 total, 3 done` as pairs.
fn counts(said: &str, name: &str) -> Option<Vec<(u64, String)>> {
    let line = said.lines().find_map(|line| line.strip_prefix(name))?;
    let pair = |words: &str| {
        let (count, of) = words.trim().split_once(' ')?;
        Some((count.parse().ok()?, of.to_owned()))
    };
    line.split(',').map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
starting benchmark...
spawning thread #0: 8 total client(s). Timing-based test with 0s of warm-up time and 2s of main duration for measurements.
Warm-up started for thread #0.
TLS Protocol: TLSv1.3
Cipher: TLS_AES_256_GCM_SHA384
Server Temp Key: X25519 253 bits
Application protocol: h2
Main benchmark duration is over for thread #0. Stopping all clients.

finished in 2.00s, 24123.50 req/s, 24.95MB/s
requests: 48247 total, 48327 started, 48247 done, 48247 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 48251 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 49.90MB (52325000) total, 1.00MB (1000000) headers (space savings 95.00%), 47.12MB (49404928) data
";

    #[test]
    fn requests_are_read() {
        let done = parse(SAID, Duration::from_secs(2)).unwrap();
        assert_eq!((done.requests, done.units, done.open_max), (48_247, 48_247, 80));
    }

    #[test]
    fn a_run_with_errors_is_none() {
        for (good, bad) in [
            ("0 failed", "1 failed"),
            ("0 errored", "80 errored"),
            ("48247 succeeded", "48246 succeeded"),
            ("48251 2xx", "48246 2xx"),
            ("48251 2xx", "48328 2xx"),
            ("0 4xx", "1 4xx"),
            ("AES_256_GCM_SHA384", "AES_128_GCM_SHA256"),
            ("protocol: h2", "protocol: http/1.1"),
            ("requests: 48247 total", "requests: none"),
        ] {
            assert!(SAID.contains(good));
            assert_eq!(parse(&SAID.replace(good, bad), Duration::from_secs(2)), None, "{bad}");
        }
    }
}
