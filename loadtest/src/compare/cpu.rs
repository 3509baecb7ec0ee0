//! Processor time: how much did a proxy use between two moments?
//!
//! Two accounts are read. `schedstat` of every thread has nanoseconds, but forgets a thread that has ended; `stat` of
//! every process has everything, but in clock ticks of 10 ms. The first is used, and both must agree.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::Duration;

use super::problem::{Context, Problem};

/// The two accounts may differ by ticks that are not full yet, and by this share.
const DISAGREEMENT_MAX: f64 = 0.03;
const TICKS_MAX: f64 = 4.0;

/// What a process and its children have used so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Nanoseconds on a processor by thread.
    threads: BTreeMap<u32, u64>,
    /// User and system time of all processes, clock ticks.
    ticks: u64,
}

impl Reading {
    /// Reads both accounts now.
    ///
    /// # Errors
    /// The process has ended, or the kernel keeps no `schedstat`.
    pub fn of(process: u32) -> Result<Reading, Problem> {
        read(process).while_doing("read processor times; has the proxy ended?")
    }

    /// Time used between an earlier reading and this one.
    ///
    /// # Errors
    /// The accounts disagree, in words.
    pub fn since(&self, earlier: &Reading) -> Result<Duration, String> {
        let used =
            |(thread, now): (&u32, &u64)| now - earlier.threads.get(thread).copied().unwrap_or(0).min(*now);
        let fine = Duration::from_nanos(self.threads.iter().map(used).sum());
        let tick_s = 1.0 / rustix::param::clock_ticks_per_second() as f64;
        let coarse_s = self.ticks.saturating_sub(earlier.ticks) as f64 * tick_s;
        let allowed = TICKS_MAX * tick_s + DISAGREEMENT_MAX * coarse_s;
        if (fine.as_secs_f64() - coarse_s).abs() > allowed {
            return Err(format!("schedstat says {fine:.3?} of processor time, stat {coarse_s:.3} s"));
        }
        Ok(fine)
    }
}

fn read(process: u32) -> io::Result<Reading> {
    let mut reading = Reading { threads: BTreeMap::new(), ticks: 0 };
    for process in family(process)? {
        let Stat { ticks, .. } = Stat::of(process)?;
        reading.ticks += ticks;
        for entry in fs::read_dir(format!("/proc/{process}/task"))? {
            let entry = entry?;
            let Ok(thread) = entry.file_name().to_string_lossy().parse() else { continue };
            // A thread that has just ended is no longer there.
            if let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) {
                reading.threads.insert(thread, on_cpu_ns(&text).ok_or_else(malformed)?);
            }
        }
    }
    Ok(reading)
}

/// A process, its children, their children, and so on.
fn family(process: u32) -> io::Result<Vec<u32>> {
    let all = fs::read_dir("/proc")?.flatten();
    let parents: Vec<(u32, u32)> = all
        .filter_map(|entry| {
            let process = entry.file_name().to_str()?.parse().ok()?;
            Some((process, Stat::of(process).ok()?.parent))
        })
        .collect();
    let mut family = vec![process];
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        family.extend(parents.iter().filter(|of| of.1 == parent).map(|of| of.0));
        next += 1;
    }
    Ok(family)
}

/// What is needed of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    ticks: u64,
}

impl Stat {
    fn of(process: u32) -> io::Result<Stat> {
        Stat::parse(&fs::read_to_string(format!("/proc/{process}/stat"))?).ok_or_else(malformed)
    }

    /// Fields count from behind the name, which may hold anything, spaces and brackets included.
    fn parse(text: &str) -> Option<Stat> {
        let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
        let parent = fields.nth(1)?.parse().ok()?; // field 4
        let user: u64 = fields.nth(9)?.parse().ok()?; // field 14
        let system: u64 = fields.next()?.parse().ok()?;
        Some(Stat { parent, ticks: user + system })
    }
}

/// First field of `schedstat`.
fn on_cpu_ns(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

fn malformed() -> io::Error {
    io::Error::other("what the kernel says is in no known form")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let plain = "7 (nginx) S 3 7 7 0 -1 4194304 1 0 0 0 250 40 9 9 20 0 1 0 5 1 1";
        assert_eq!(Stat::parse(plain), Some(Stat { parent: 3, ticks: 290 }));
        let odd = "7 (a) S 1 (b) ) S 3 7 7 0 -1 4194304 1 0 0 0 250 40 9 9 20 0 1 0 5 1 1";
        assert_eq!(Stat::parse(odd), Some(Stat { parent: 3, ticks: 290 }));
        assert_eq!(Stat::parse("7 (nginx) S 3"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn schedstat_begins_with_the_time_on_a_processor() {
        assert_eq!(on_cpu_ns("1234567 89 10\n"), Some(1_234_567));
        assert_eq!(on_cpu_ns("\n"), None);
    }

    #[test]
    fn threads_that_come_and_go_count_for_what_is_known_of_them() {
        let reading =
            |threads: &[(u32, u64)], ticks| Reading { threads: threads.iter().copied().collect(), ticks };
        let earlier = reading(&[(1, 1_000_000_000), (2, 500_000_000)], 150);
        let later = reading(&[(1, 1_300_000_000), (3, 200_000_000)], 200);
        assert_eq!(later.since(&earlier), Ok(Duration::from_millis(500)));
    }

    #[test]
    fn accounts_that_disagree_are_no_result() {
        let reading = |ns, ticks| Reading { threads: [(1, ns)].into(), ticks };
        let said = reading(1_000_000_000, 130).since(&reading(0, 0)).unwrap_err();
        assert!(said.contains("schedstat") && said.contains("1.300 s"), "{said}");
    }

    #[test]
    fn a_busy_child_of_a_child_counts() {
        let busy = "(while :; do :; done) & wait";
        let mut shell = std::process::Command::new("sh").args(["-c", busy]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(200));
        let before = Reading::of(shell.id()).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        let after = Reading::of(shell.id()).unwrap();
        for process in family(shell.id()).unwrap() {
            let process = rustix::process::Pid::from_raw(process as i32).unwrap();
            rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
        }
        shell.wait().unwrap();
        assert!(after.since(&before).unwrap() > Duration::from_millis(20));
    }
}
