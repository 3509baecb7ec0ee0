//! wrk: its command line, and what it prints.

use std::process::Command;

use super::CONNECTIONS;
use super::generator::{Generator, Seen, Target, wait_line};
use crate::compare::load::wrk;
use crate::compare::problem::Problem;
use crate::compare::process;

/// Runs wrk to its end.
pub fn run(target: &Target, seconds: u64) -> Result<Result<Seen, String>, Problem> {
    let mut command = Command::new(Generator::Wrk.program()?);
    command.args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{seconds}s"), "--latency"]);
    command.args(["-H", &wait_line(), &target.url()]);
    let output = process::run("wrk", target.core, &mut command)?;
    let said = String::from_utf8_lossy(&output.stdout);
    let seen = parse(&said).filter(|_| output.status.success());
    let words = || format!("it is not content:\n{said}{}", String::from_utf8_lossy(&output.stderr));
    Ok(seen.ok_or_else(words))
}

/// What wrk says, if all went well.
fn parse(said: &str) -> Option<Seen> {
    let done = wrk::parse(said)?;
    let value = |name: &str| said.lines().find_map(|line| line.trim().strip_prefix(name)).map(str::trim);
    // "     50%   21.66ms"
    let time_us = |percent| Some(wrk::duration(value(percent)?)?.as_secs_f64() * 1e6);
    Some(Seen {
        requests: done.requests,
        open_max: done.open_max,
        rate_per_s: value("Requests/sec:")?.parse().ok()?,
        p50_us: time_us("50%")?,
        p99_us: time_us("99%")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// wrk 4.1.0 on the mock with 20 ms of latency.
    const SAID: &str = "\
Running 2s test @ http://127.0.0.1:36539/mock/bytes/1024
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    22.12ms    1.74ms  38.09ms   89.67%
    Req/Sec     2.88k   248.46     3.23k    70.00%
  Latency Distribution
     50%   21.66ms
     75%   22.24ms
     90%   23.96ms
     99%   28.17ms
  5742 requests in 2.00s, 6.36MB read
Requests/sec:   2868.49
Transfer/sec:      3.18MB
";

    #[test]
    fn counts_rate_and_percentiles_are_read() {
        let seen = Seen {
            requests: 5742,
            open_max: CONNECTIONS.into(),
            rate_per_s: 2868.49,
            p50_us: 21_660.0,
            p99_us: 28_170.0,
        };
        assert_eq!(parse(SAID), Some(seen));
    }

    #[test]
    fn answers_that_are_not_good_and_figures_that_are_missing_are_no_turn() {
        assert_eq!(parse(&format!("{SAID}  Non-2xx or 3xx responses: 2819\n")), None);
        assert_eq!(parse(&format!("{SAID}  Socket errors: connect 0, read 1, write 0, timeout 0\n")), None);
        for missing in ["     50%", "     99%", "Requests/sec:", "requests in"] {
            assert!(SAID.contains(missing));
            assert_eq!(parse(&SAID.replace(missing, "")), None, "{missing}");
        }
    }
}
