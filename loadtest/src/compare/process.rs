//! Process: a program that runs on one core for as long as the comparison lasts.

use std::fs::{File, OpenOptions};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, set_parent_process_death_signal, waitid,
};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::problem::{Context, Problem};

/// Polls of a starting program, 50 ms apart.
const START_POLLS: u32 = 600;
/// Polls of an ending one, 20 ms apart.
const END_POLLS: u32 = 250;
const LAST_WORDS_BYTES: usize = 2000;

/// The two cores of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cores {
    /// Generator and origin.
    pub load: usize,
    /// The proxy that is measured, alone.
    pub proxy: usize,
}

impl Cores {
    /// The first and the last core that this process may use.
    ///
    /// # Errors
    /// There is only one.
    pub fn split() -> Result<Cores, Problem> {
        let allowed =
            sched_getaffinity(None).map_err(std::io::Error::from).while_doing("ask for the cores")?;
        let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
        match cores[..] {
            [load, .., proxy] => Ok(Cores { load, proxy }),
            _ => Err(Problem::Machine("two cores are needed: one for the proxy, one for load and origin")),
        }
    }
}

/// Keeps this thread, and the threads and programs it starts from now on, on one core.
///
/// # Errors
/// The kernel refuses.
pub fn pin_this_thread(core: usize) -> Result<(), Problem> {
    pin(core).while_doing("stay on one core")
}

/// Keeps a core from falling asleep, as long as the process lives.
///
/// It spins under SCHED_IDLE, so whatever else wants the core has it at once. Without it, at a few thousand requests a
/// second, most of what is measured is how long a core takes to wake up: on a virtual machine, a hundred times what a
/// proxy needs.
///
/// # Errors
/// `chrt` (util-linux) is missing.
pub fn keep_awake(core: usize, directory: &Path) -> Result<Process, Problem> {
    let mut command = Command::new("chrt");
    Process::start("awake", core, command.args(["--idle", "0", "sh", "-c", "while :; do :; done"]), directory)
}

/// A running program; dropping it ends it.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    output: PathBuf,
}

impl Process {
    /// Starts a program on a core. What it prints goes to `NAME.out` in `directory`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        name: &'static str,
        core: usize,
        command: &mut Command,
        directory: &Path,
    ) -> Result<Process, Problem> {
        let output = directory.join(name).with_extension("out");
        let file = append(&output)?;
        let errors = file.try_clone().while_doing("share an output file")?;
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        let child = on_core(command, core).spawn().while_doing(format!("start {name}"))?;
        Ok(Process { name, child, output })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it accepts connections there, at most 30 s.
    ///
    /// # Errors
    /// It ended, or does not listen; with its last words.
    pub fn wait_for(&mut self, address: SocketAddr) -> Result<(), Problem> {
        for _ in 0..START_POLLS {
            if self.child.try_wait().while_doing("look after a program")?.is_some() {
                break;
            }
            if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(Problem::Silent { name: self.name, last_words: self.last_words() })
    }

    /// How it ended, if it has.
    pub fn fate(&self) -> Option<Problem> {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(Pid::from_child(&self.child)), look).ok()??;
        let how = match status.terminating_signal() {
            Some(signal) => format!("signal {signal}"),
            None => format!("exit code {}", status.exit_status().unwrap_or_default()),
        };
        Some(Problem::Lost { name: self.name, how, last_words: self.last_words() })
    }

    fn last_words(&self) -> String {
        let said = std::fs::read(&self.output).unwrap_or_default();
        let from = said.len().saturating_sub(LAST_WORDS_BYTES);
        String::from_utf8_lossy(&said[from..]).into_owned()
    }
}

impl Drop for Process {
    /// Asks it to end, waits 5 s, and then insists.
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        }
        for _ in 0..END_POLLS {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program on a core to its end.
///
/// # Errors
/// It cannot be started.
pub fn run(name: &str, core: usize, command: &mut Command) -> Result<Output, Problem> {
    on_core(command.stdin(Stdio::null()), core).output().while_doing(format!("run {name}"))
}

/// Opens a file for many writers: all of them append, so that it may be truncated in between.
///
/// # Errors
/// It cannot be opened.
pub fn append(path: &Path) -> Result<File, Problem> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.while_doing(format!("open {}", path.display()))
}

/// The child stays on the core, and does not outlive this program.
fn on_core(command: &mut Command, core: usize) -> &mut Command {
    let begin = move || {
        pin(core)?;
        set_parent_process_death_signal(Some(Signal::TERM)).map_err(Into::into)
    };
    // SAFETY: between fork and exec only two system calls are made; nothing is allocated or locked.
    unsafe { command.pre_exec(begin) }
}

fn pin(core: usize) -> std::io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(words: &str) -> (Process, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let core = Cores::split().map_or(0, |cores| cores.load);
        let mut command = Command::new("sh");
        (Process::start("sh", core, command.args(["-c", words]), directory.path()).unwrap(), directory)
    }

    fn fate(process: &Process) -> String {
        for _ in 0..500 {
            if let Some(fate) = process.fate() {
                return fate.to_string();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not end");
    }

    #[test]
    fn the_fate_of_a_program_is_told_with_its_last_words() {
        let (process, _directory) = start("echo tired; exit 3");
        let said = fate(&process);
        assert_eq!(said, "sh has ended by exit code 3 while it was needed; its last words:\ntired\n");
        let (process, _directory) = start("kill -KILL $$");
        assert!(
            fate(&process).starts_with("sh has ended by signal 9 while it was needed"),
            "{}",
            fate(&process)
        );
    }

    #[test]
    fn who_does_not_listen_is_told_apart() {
        let (mut process, _directory) = start("echo no such port");
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let said = process.wait_for(nobody).unwrap_err().to_string();
        assert_eq!(said, "sh does not listen; its last words:\nno such port\n");
    }

    #[test]
    fn a_dropped_program_has_ended() {
        let (process, _directory) = start("exec sleep 60");
        assert!(process.fate().is_none());
        let id = process.id();
        drop(process);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }

    #[test]
    fn a_program_stays_on_its_core() {
        let core = Cores::split().map_or(0, |cores| cores.proxy);
        let mut command = Command::new("sh");
        let output =
            run("sh", core, command.args(["-c", "grep Cpus_allowed_list /proc/self/status"])).unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said.split_whitespace().last(), Some(core.to_string().as_str()));
    }
}
