//! The gateway under `valgrind --tool=callgrind`, and the instructions it has executed.

use harness::{Gateway, Setup, now};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// A running gateway whose instructions are counted.
pub struct Counted {
    pub gateway: Gateway,
    /// Dumps are this with `.1`, `.2` and so on.
    out: PathBuf,
    dumps: u32,
    /// What it executes in a second without requests: ticks, watches.
    pub idle_per_s: f64,
}

/// How long it is left alone to learn that.
const IDLE: Duration = Duration::from_secs(2);

impl Counted {
    /// Starts `program` as `setup` says; profiles go to `out`.
    pub fn start(setup: Setup, program: &Path, out: PathBuf) -> Counted {
        assert!(
            Command::new("valgrind").arg("--version").output().is_ok_and(|ran| ran.status.success()),
            "valgrind is not installed; run `tests/clients/setup.sh`, or install it (Debian: apt-get install valgrind)"
        );
        let mut file = OsString::from("--callgrind-out-file=");
        file.push(&out);
        let launcher = ["valgrind".into(), "--tool=callgrind".into(), file, program.into()];
        let mut counted =
            Counted { gateway: setup.launcher(launcher.into()).start(), out, dumps: 0, idle_per_s: 0.0 };
        counted.idle_per_s = counted.during(|| std::thread::sleep(IDLE)).0 / IDLE.as_secs_f64();
        counted
    }

    /// Instructions the gateway executes for `work`, in user mode and in all threads, less what it would have
    /// executed in that time anyhow; and the profile they can be looked up in.
    pub fn during(&mut self, work: impl FnOnce()) -> (f64, PathBuf) {
        self.tell("zero");
        let start = now();
        work();
        let anyhow = self.idle_per_s * start.elapsed().as_secs_f64();
        self.tell("dump");
        self.dumps += 1;
        let dump = PathBuf::from(format!("{}.{}", self.out.display(), self.dumps));
        let text = fs::read_to_string(&dump).unwrap_or_else(|error| panic!("{}: {error}", dump.display()));
        let total: u64 = total(&text).unwrap_or_else(|| panic!("no total in {}", dump.display()));
        (total as f64 - anyhow, dump)
    }

    /// Gives callgrind a command, by way of valgrind's own channel; returns when it is carried out.
    fn tell(&self, command: &str) {
        let pid = format!("--pid={}", self.gateway.process.pid());
        let ran =
            Command::new("vgdb").args([pid.as_str(), command]).output().expect("vgdb comes with valgrind");
        assert!(ran.status.success(), "vgdb {command}: {}", String::from_utf8_lossy(&ran.stderr));
    }
}

/// The sum over all functions, as the profile itself states it.
fn total(profile: &str) -> Option<u64> {
    let line =
        profile.lines().find_map(|line| line.strip_prefix("totals: ").or(line.strip_prefix("summary: ")))?;
    line.trim().parse().ok()
}
