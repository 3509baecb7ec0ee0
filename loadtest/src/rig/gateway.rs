//! Gateway: one of the rig's own, with a directory, a policy and free ports, ended when dropped.
//!
//! The log folder stands beside the watched folders, not in them: a log that wakes the watcher would be part of what
//! is measured.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use super::{Problem, admin};
use crate::clock::mono_us;

/// An unoptimised gateway needs a while for ten thousand tenants.
const START_MAX: Duration = Duration::from_secs(60);
/// Longer than the drain in the settings.
const END_MAX: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(10);

/// What is started.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The program; None: the one beside this program.
    pub program: Option<PathBuf>,
    /// Threads that serve.
    pub workers: u16,
    /// Directory that is kept afterwards; None: a temporary one.
    pub keep: Option<PathBuf>,
}

/// Where the rig's files are.
#[derive(Debug)]
pub enum Dir {
    /// Removed at the end.
    Temporary(TempDir),
    /// Left for whoever wants to look.
    Kept(PathBuf),
}

/// The process that must not outlive this one, if there is one now. Shared with whoever waits for signals.
pub type Slot = Arc<Mutex<Option<Process>>>;

/// A running gateway with its files. Dropping it ends it, by its id, and then removes the files.
#[derive(Debug)]
pub struct Process {
    child: Child,
    /// Dropped last: removed when nobody writes there any more.
    _dir: Dir,
}

/// A gateway that is ready for callers.
#[derive(Debug)]
pub struct Gateway {
    /// Where callers connect.
    pub address: SocketAddr,
    /// The same in the clear; the oracle's probe asks there.
    pub plain: SocketAddr,
    /// Where operators connect.
    pub admin: SocketAddr,
    /// Directory of its policy.
    pub policy: PathBuf,
    /// The authority to trust, if callers come over TLS.
    pub authority: Option<PathBuf>,
    slot: Slot,
}

impl Gateway {
    /// Starts one, which takes callers over TLS or in the clear; `write_policy` fills the directory of its policy first.
    ///
    /// # Errors
    /// A file cannot be written, or the gateway does not get ready; with what it said.
    pub fn start(
        plan: &Plan,
        tls: bool,
        slot: &Slot,
        write_policy: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<Gateway, Problem> {
        let program = program(plan)?;
        let dir = Dir::make(plan.keep.as_deref())?;
        let root = dir.path().to_owned();
        let [policy, certs, logs] = ["policy", "certs", "logs"].map(|name| root.join(name));
        for folder in [&policy, &certs, &logs] {
            fs::create_dir_all(folder).map_err(Problem::file(folder))?;
        }
        write_policy(&policy).map_err(Problem::file(&policy))?;
        if tls {
            make_certificates(&program, &certs)?;
        }
        let settings = root.join("gateway.yaml");
        fs::write(&settings, plan.settings(tls)).map_err(Problem::file(&settings))?;
        let addresses = root.join("addresses.json");
        let _ = fs::remove_file(&addresses); // of an earlier run in a kept directory; mostly there is none
        let log = logs.join("gateway.log");
        let child = spawn(&program, &settings, &addresses, &log)?;
        *slot.lock() = Some(Process { child, _dir: dir });

        // From here on, dropping it ends the process.
        let mut gateway = Gateway {
            address: NOWHERE,
            plain: NOWHERE,
            admin: NOWHERE,
            policy,
            authority: tls.then(|| certs.join("ca.crt")),
            slot: Arc::clone(slot),
        };
        gateway.wait(&addresses, &log, if tls { "https" } else { "http" })?;
        Ok(gateway)
    }

    /// Waits until it serves, and learns where.
    fn wait(&mut self, addresses: &Path, log: &Path, listener: &str) -> Result<(), Problem> {
        let by_us = mono_us() + START_MAX.as_micros() as u64;
        while mono_us() < by_us {
            if let Some(status) = self.exited() {
                return Err(Problem::Gateway(format!("it ended with {status}:\n{}", said(log))));
            }
            if let Some([address, plain, admin]) = read_addresses(addresses, listener)
                && admin::ready(admin)
            {
                (self.address, self.plain, self.admin) = (address, plain, admin);
                return Ok(());
            }
            sleep(LOOK);
        }
        Err(Problem::Gateway(format!("it was not ready within {} s:\n{}", START_MAX.as_secs(), said(log))))
    }

    /// Its process id; None if a signal has ended it.
    pub fn process_id(&self) -> Option<u32> {
        self.slot.lock().as_ref().map(|process| process.child.id())
    }

    fn exited(&self) -> Option<std::process::ExitStatus> {
        self.slot.lock().as_mut().and_then(|process| process.child.try_wait().ok().flatten())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let process = self.slot.lock().take();
        drop(process); // outside the lock: it waits
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Asked to end first, so that what it logs of its end is in a kept directory.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let by_us = mono_us() + END_MAX.as_micros() as u64;
        while mono_us() < by_us {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            sleep(LOOK);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Dir {
    fn make(keep: Option<&Path>) -> Result<Dir, Problem> {
        match keep {
            Some(dir) => {
                fs::create_dir_all(dir).map_err(Problem::file(dir))?;
                // Relative paths would be read from another directory by the gateway.
                Ok(Dir::Kept(fs::canonicalize(dir).map_err(Problem::file(dir))?))
            }
            None => tempfile::Builder::new()
                .prefix("pangu-loadtest-")
                .tempdir()
                .map(Dir::Temporary)
                .map_err(Problem::file(&std::env::temp_dir())),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Dir::Temporary(dir) => dir.path(),
            Dir::Kept(dir) => dir,
        }
    }
}

impl Plan {
    fn settings(&self, tls: bool) -> String {
        let https = if tls { r#", {name: https, address: "127.0.0.1:0", tls: true}"# } else { "" };
        // All callers of a run come from one address.
        format!(
            "listeners: [{{name: http, address: \"127.0.0.1:0\"}}{https}]\nadmin: {{address: \"127.0.0.1:0\"}}\npolicies: policy\ncerts: certs\n\
             workers: {}\naccess_log: {{file: logs/access.log}}\n\
             connections: {{max: 20000, per_address: 20000}}\ntimeouts: {{drain: 2s}}\n",
            self.workers,
        )
    }
}

fn program(plan: &Plan) -> Result<PathBuf, Problem> {
    let program = match &plan.program {
        Some(program) => program.clone(),
        None => std::env::current_exe().unwrap_or_default().with_file_name("pangu-gateway"),
    };
    if program.is_file() { Ok(program) } else { Err(Problem::NoProgram(program)) }
}

fn make_certificates(program: &Path, certs: &Path) -> Result<(), Problem> {
    let done = Command::new(program).arg("dev-certs").arg(certs).output().map_err(Problem::file(program))?;
    if done.status.success() {
        return Ok(());
    }
    Err(Problem::Gateway(format!("dev-certs: {}", String::from_utf8_lossy(&done.stderr).trim())))
}

fn spawn(program: &Path, settings: &Path, addresses: &Path, log: &Path) -> Result<Child, Problem> {
    let output = File::create(log).map_err(Problem::file(log))?;
    let errors = output.try_clone().map_err(Problem::file(log))?;
    Command::new(program)
        .arg("run")
        .arg("--settings")
        .arg(settings)
        .arg("--addresses")
        .arg(addresses)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .process_group(0) // Ctrl-C is for this program, which ends the gateway itself
        .spawn()
        .map_err(Problem::file(program))
}

/// Of the listener for callers, the one in the clear, and the admin listener.
fn read_addresses(file: &Path, listener: &str) -> Option<[SocketAddr; 3]> {
    let addresses: Value = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
    let address = |value: &Value| value.as_str()?.parse().ok();
    Some([address(&addresses[listener][0])?, address(&addresses["http"][0])?, address(&addresses["admin"])?])
}

/// The last lines of a log.
fn said(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
