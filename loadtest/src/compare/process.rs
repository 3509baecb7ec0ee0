//! Process: a program that runs on one core for as long as the comparison lasts.

use std::fs::{File, OpenOptions};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
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
