//! wrk: saturates with HTTP/1.1.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use super::{CONNECTIONS, Done, Target, signed};
use crate::compare::case::Case;
use crate::compare::origin::ANSWER_BYTES;
use crate::compare::peer::on_path;
use crate::compare::problem::{Context, Problem};
use crate::compare::process;

const KEYS: &str = include_str!("../../../peers/keys.lua");
const POST: &str = include_str!("../../../peers/post.lua");
const CODED: &str = include_str!("../../../peers/coded.lua");
const SIGNED: &str = include_str!("../../../peers/signed.lua");

/// Runs wrk to its end.
pub fn run(case: Case, target: &Target, seconds: u64) -> Result<Result<Done, String>, Problem> {
    let script = match case {
        Case::Keys => Some(KEYS),
        Case::Post => Some(POST),
        Case::Coded => Some(CODED),
        Case::Signed => Some(SIGNED),
        _ => None,
    };
    let mut file = tempfile::NamedTempFile::new().while_doing("make a file for wrk")?;
    file.write_all(script.unwrap_or_default().as_bytes()).while_doing("write a file for wrk")?;

    let scheme = if case.tls() { "https" } else { "http" };
    let mut command = Command::new(on_path("wrk")?);
    command.args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s")]);
    if case != Case::Signed {
        command.args(["-H", &format!("X-Apig-AppCode: {}", target.code)]);
    }
    if script.is_some() {
        command.arg("-s").arg(file.path());
    }
    let url = format!("{scheme}://localhost:{}{}", target.address.port(), path(case));
    command.arg(&url).arg("--");
    let mut signatures = tempfile::NamedTempFile::new().while_doing("make a file for wrk")?;
    if case == Case::Signed {
        signed::write(signatures.as_file_mut(), &url, seconds).while_doing("sign requests")?;
        command.arg(signatures.path());
    } else {
        command.arg(&target.codes);
    }

    let output = process::run("wrk", target.core, &mut command)?;
    let said = String::from_utf8_lossy(&output.stdout);
    let done = parse(&said).filter(|_| output.status.success());
    let words = || format!("wrk is not content:\n{said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(done.ok_or_else(words))
}

/// Routes differ in what credentials they take, so that an AppCode is looked up alike in all other cases.
fn path(case: Case) -> String {
    let folder = if case == Case::Signed { "signed" } else { "mock" };
    format!("/{folder}/bytes/{ANSWER_BYTES}")
}

/// What wrk has done, if all went well.
pub fn parse(said: &str) -> Option<Done> {
    if said.contains("Non-2xx") || said.contains("Socket errors") {
        return None;
    }
    // "  113443 requests in 4.10s, 133.92MB read"
    let line = said.lines().find(|line| line.contains(" requests in "))?;
    let (requests, rest) = line.trim().split_once(" requests in ")?;
    let lasted = duration(rest.split(',').next()?)?;
    let requests = requests.parse().ok().filter(|requests| *requests > 0)?;
    Some(Done { requests, units: requests, open_max: CONNECTIONS.into(), lasted, times: None })
}

/// wrk writes `980.12ms`, `4.10s` or `1.02m`.
pub fn duration(text: &str) -> Option<Duration> {
    let units = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0)];
    let (number, unit_s) =
        units.iter().find_map(|(unit, unit_s)| Some((text.strip_suffix(unit)?, unit_s)))?;
    Duration::try_from_secs_f64(number.parse::<f64>().ok()? * unit_s).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
Running 4s test @ http://localhost:1/mock/bytes/1024
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     2.32ms  611.20us  12.93ms   88.77%
    Req/Sec    27.83k     1.93k   30.48k    82.50%
  113443 requests in 4.10s, 133.92MB read
Requests/sec:  27669.51
Transfer/sec:     32.66MB
";

    #[test]
    fn requests_and_time_are_read() {
        let done = parse(SAID).unwrap();
        assert_eq!((done.requests, done.units, done.open_max), (113_443, 113_443, 64));
        assert_eq!(done.lasted, Duration::from_millis(4100));
    }

    #[test]
    fn a_run_with_errors_is_none() {
        assert_eq!(parse(&format!("{SAID}  Non-2xx or 3xx responses: 12\n")), None);
        assert_eq!(parse(&format!("{SAID}  Socket errors: connect 0, read 1, write 0, timeout 0\n")), None);
        assert_eq!(parse("unable to connect to localhost:1 Connection refused\n"), None);
        assert_eq!(parse(&SAID.replace("113443", "0")), None);
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("980.50ms"), Some(Duration::from_micros(980_500)));
        assert_eq!(duration("1.50m"), Some(Duration::from_secs(90)));
        assert_eq!(duration("4"), None);
    }
}
