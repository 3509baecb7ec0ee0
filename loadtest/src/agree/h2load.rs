//! h2load: its command line, what it prints, and what it logs.
//!
//! It prints only the mean of its latencies; the percentiles are of its log, which has the latency of every request.

use std::process::Command;

use super::CONNECTIONS;
use super::generator::{Generator, Seen, Target, wait_line};
use crate::compare::load::h2load;
use crate::compare::problem::Problem;
use crate::compare::process;

/// Runs h2load to its end.
pub fn run(target: &Target, seconds: u64) -> Result<Result<Seen, String>, Problem> {
    let log = target.directory.join("h2load.log");
    let mut command = Command::new(Generator::H2load.program()?);
    command.args(["--h1", "-t1", &format!("-c{CONNECTIONS}"), &format!("-D{seconds}")]);
    command.args(["-H", &wait_line()]).arg("--log-file").arg(&log).arg(target.url());
    let output = process::run("h2load", target.core, &mut command)?;
    let said = String::from_utf8_lossy(&output.stdout);
    // Without a log, what it has printed says why.
    let logged = std::fs::read_to_string(&log).unwrap_or_default();
    // It appends to a log that is there. Should this one stay, the next turn finds too many lines.
    let _ = std::fs::remove_file(&log);
    let seen = parse(&said, &logged).filter(|_| output.status.success());
    let words = || {
        let lines = logged.lines().count();
        format!(
            "it is not content, or its log of {lines} lines is not of these requests:\n{said}{}",
            String::from_utf8_lossy(&output.stderr)
        )
    };
    Ok(seen.ok_or_else(words))
}

/// What h2load says, if all went well and it has logged as many requests as it has counted.
fn parse(said: &str, logged: &str) -> Option<Seen> {
    if !said.lines().any(|line| line.trim() == "Application protocol: http/1.1") {
        return None;
    }
    let requests = h2load::answered(said, CONNECTIONS.into())?;
    let times_us = times(logged).filter(|times| times.len() as u64 == requests)?;
    Some(Seen {
        requests,
        open_max: CONNECTIONS.into(),
        rate_per_s: rate(said)?,
        p50_us: at(&times_us, 50),
        p99_us: at(&times_us, 99),
    })
}

/// "finished in 2.00s, 2806.50 req/s, 3.11MB/s"
fn rate(said: &str) -> Option<f64> {
    let line = said.lines().find(|line| line.starts_with("finished in "))?;
    line.split(", ").nth(1)?.strip_suffix(" req/s")?.parse().ok()
}

/// Latencies in ascending order, us. A line is start (us since 1970), status and latency (us), with tabs between.
fn times(logged: &str) -> Option<Vec<u64>> {
    let time = |line: &str| {
        let mut columns = line.split('\t').skip(1);
        columns.next().filter(|status| *status == "200")?;
        columns.next()?.parse().ok()
    };
    let mut times: Vec<u64> = logged.lines().map(time).collect::<Option<_>>()?;
    times.sort_unstable();
    Some(times)
}

/// The least time that so many percent do not exceed; of one time at least.
fn at(times_us: &[u64], percent: usize) -> f64 {
    times_us[(times_us.len() * percent).div_ceil(100) - 1] as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// h2load 1.52.0 on the mock with 20 ms of latency; its progress left out.
    const SAID: &str = "\
starting benchmark...
spawning thread #0: 64 total client(s). Timing-based test with 0s of warm-up time and 2s of main duration for measurements.
Warm-up started for thread #0.
progress: 9% of clients started
progress: 93% of clients started
Warm-up phase is over for thread #0.
Main benchmark duration is started for thread #0.
Application protocol: http/1.1
Main benchmark duration is over for thread #0. Stopping all clients.
Stopped all clients for thread #0

finished in 2.00s, 2806.50 req/s, 3.11MB/s
requests: 5613 total, 5677 started, 5613 done, 5613 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 5613 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 6.22MB (6523725) total, 565.97KB (579558) headers (space savings 0.00%), 5.48MB (5747712) data
                     min         max         mean         sd        +/- sd
time for request:    20.23ms     33.56ms     22.66ms      1.78ms    78.66%
time for connect:       33us       660us       341us       180us    59.38%
time to 1st byte:    23.70ms     25.07ms     24.29ms       354us    60.94%
req/s           :      43.47       44.49       43.83        0.28    60.94%
";

    /// As many lines as there were requests, the first three as they were.
    fn log() -> String {
        let first =
            "1795314089547569\t200\t23326\n1795314089547563\t200\t23397\n1795314089547556\t200\t23413\n";
        let rest = |i: u64| format!("{}\t200\t{}\n", 1_795_314_089_547_600 + i, 20_000 + i);
        first.to_owned() + &(0..5610).map(rest).collect::<String>()
    }

    #[test]
    fn counts_rate_and_percentiles_are_read() {
        let seen = Seen {
            requests: 5613,
            open_max: CONNECTIONS.into(),
            rate_per_s: 2806.5,
            p50_us: 22_806.0,
            p99_us: 25_553.0,
        };
        assert_eq!(parse(SAID, &log()), Some(seen));
    }

    #[test]
    fn answers_that_are_not_good_are_no_turn() {
        for (good, bad) in [
            ("5613 succeeded, 0 failed", "0 succeeded, 5613 failed"),
            ("0 5xx", "5613 5xx"),
            ("protocol: http/1.1", "protocol: h2c"),
            ("5613 done", "0 done"),
            ("req/s, ", ""),
        ] {
            assert!(SAID.contains(good));
            assert_eq!(parse(&SAID.replace(good, bad), &log()), None, "{bad}");
        }
    }

    #[test]
    fn a_log_of_other_requests_is_none() {
        let (log, (_, short)) =
            (log(), log().split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap());
        assert_eq!(parse(SAID, &short), None, "one is missing");
        assert_eq!(parse(SAID, &format!("{log}{log}")), None, "of an earlier turn too");
        assert_eq!(parse(SAID, &log.replacen("\t200\t", "\t503\t", 1)), None);
        assert_eq!(parse(SAID, ""), None);
    }

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let times: Vec<u64> = (1..=200).collect();
        assert_eq!([at(&times, 50), at(&times, 99), at(&[7], 50)], [100.0, 198.0, 7.0]);
    }
}
