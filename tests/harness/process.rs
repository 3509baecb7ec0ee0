//! A program under test: started with its output in files, ended when dropped.

use crate::clock::now;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// A running program.
pub struct Process {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// Starts `program` with its output in `dir`.
    pub fn start<A: AsRef<OsStr>>(
        program: &str,
        args: impl IntoIterator<Item = A>,
        env: &[(String, String)],
        dir: &Path,
    ) -> Process {
        Process::launch(Command::new(binary(program)), program, args, env, dir)
    }

    /// The same by a command of the test's own, such as one that runs the program under a tool.
    pub fn launch<A: AsRef<OsStr>>(
        mut command: Command,
        program: &str,
        args: impl IntoIterator<Item = A>,
        env: &[(String, String)],
        dir: &Path,
    ) -> Process {
        let (stdout, stderr) = (dir.join(format!("{program}.out")), dir.join(format!("{program}.err")));
        let child = command
            .args(args)
            .envs(env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).expect("temporary directory is writable"))
            .stderr(File::create(&stderr).expect("temporary directory is writable"))
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
        Process { child, stdout, stderr }
    }

    /// What it printed so far.
    pub fn stdout(&self) -> String {
        fs::read_to_string(&self.stdout).unwrap_or_default()
    }

    /// What it said on standard error so far.
    pub fn stderr(&self) -> String {
        fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status().expect("a shell is there");
        assert!(status.success(), "{kill}");
    }

    /// Is it still there?
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    /// Waits for its end; None: it still runs after `within`.
    pub fn wait(&mut self, within: Duration) -> Option<ExitStatus> {
        let start = now();
        while start.elapsed() < within {
            if let Some(status) = self.exited() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Path of a program of this workspace: from `PANGU_BIN_DIR`, else from the target directory this test runs in.
pub fn binary(program: &str) -> PathBuf {
    let path = match std::env::var_os("PANGU_BIN_DIR") {
        Some(dir) => PathBuf::from(dir).join(program),
        None => {
            let test = std::env::current_exe().expect("a test has a path");
            let profile = test.parent().and_then(Path::parent).expect("target/<profile>/deps/<test>");
            profile.join(program)
        }
    };
    assert!(
        path.exists(),
        "{} is not built; run `cargo build -p pangu-gateway -p pangu-loadtest` first",
        path.display()
    );
    path
}
