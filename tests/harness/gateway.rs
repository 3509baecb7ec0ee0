//! The gateway under test, with a directory, a policy and free ports of its own.

use crate::certs::write_whole;
use crate::clock::eventually;
use crate::http1::{Request, Response};
use crate::mock::Mock;
use crate::process::Process;
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// The policy of tests that do not bring one: routes of every kind, wide limits.
pub const BASE: &str = include_str!("base.yaml");

/// Secrets of [`BASE`]. They double as canaries: no log, metric or error may ever contain one.
pub const ALICE_SK: &str = "canary-secret-key-of-alice";
pub const BATCH_APP_CODE: &str = "canary-app-code-of-batch-0123456789abcdefghijklmnopqrstuvwxyz0123";
pub const CHAT_API_KEY: &str = "canary-api-key-of-chat";

/// How long a start may take before the test calls it failed.
const START: Duration = Duration::from_secs(10);

/// A gateway to be started.
pub struct Setup {
    dir: tempfile::TempDir,
    mock: SocketAddr,
    /// Sections of gateway.yaml, replaced by key.
    settings: Vec<(&'static str, String)>,
    env: Vec<(String, String)>,
    /// Stands for the program, if not empty.
    launcher: Vec<OsString>,
}

impl Setup {
    /// In front of `mock`, with [`BASE`] as policy, HTTP only, access log to a file.
    pub fn new(mock: &Mock) -> Setup {
        Setup::in_front_of(mock.address)
    }

    /// The same in front of a mock that the test runs itself.
    pub fn in_front_of(mock: SocketAddr) -> Setup {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(dir.path().join("policies")).expect("directory is ours");
        fs::create_dir(dir.path().join("certs")).expect("directory is ours");
        let setup = Setup { dir, mock, settings: Vec::new(), env: Vec::new(), launcher: Vec::new() };
        setup
            .set("listeners", r#"[{name: http, address: "127.0.0.1:0"}]"#)
            .set("admin", r#"{address: "127.0.0.1:0"}"#)
            .set("policies", "policies")
            .set("certs", "certs")
            .set("workers", "1")
            .set("access_log", "{file: access.log}")
            .policy(BASE)
            .env("ALICE_SK", ALICE_SK)
            .env("BATCH_APP_CODE", BATCH_APP_CODE)
            .env("CHAT_API_KEY", CHAT_API_KEY)
    }

    /// Replaces one section of the settings.
    pub fn set(mut self, key: &'static str, value: &str) -> Setup {
        self.settings.retain(|(have, _)| *have != key);
        self.settings.push((key, value.to_owned()));
        self
    }

    /// Adds the HTTPS listener.
    pub fn https(self) -> Setup {
        self.set(
            "listeners",
            r#"[{name: http, address: "127.0.0.1:0"}, {name: https, address: "127.0.0.1:0", tls: true}]"#,
        )
    }

    /// Replaces the policy; the pool address of [`BASE`] in it becomes the mock's.
    pub fn policy(self, text: &str) -> Setup {
        write_whole(&self.policies(), "policy.yaml", &at_mock(text, self.mock));
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Setup {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Runs it by this command, such as `valgrind <path of the gateway>`; it may take its time to start.
    pub fn launcher(mut self, command: Vec<OsString>) -> Setup {
        self.launcher = command;
        self
    }

    pub fn policies(&self) -> PathBuf {
        self.dir.path().join("policies")
    }

    pub fn certs(&self) -> PathBuf {
        self.dir.path().join("certs")
    }

    /// Starts it and waits until it is ready.
    pub fn start(self) -> Gateway {
        let mut process = self.spawn();
        let within = if self.launcher.is_empty() { START } else { 6 * START };
        let file = self.dir.path().join("addresses.json");
        let addresses: Value = eventually("the gateway gets ready", within, || {
            assert!(process.exited().is_none(), "the gateway ended:\n{}", process.stderr());
            serde_json::from_str(&fs::read_to_string(&file).ok()?).ok()
        });
        let list = |key: &str| -> Vec<SocketAddr> {
            addresses[key].as_array().into_iter().flatten().filter_map(address).collect()
        };
        let first = |key: &str| list(key).first().copied().unwrap_or(NOWHERE);
        Gateway {
            http: first("http"),
            https: first("https"),
            tcp: first("tcp"),
            tls: first("tls"),
            admin: address(&addresses["admin"]).expect("an admin address"),
            process,
            mock: self.mock,
            dir: self.dir,
        }
    }

    /// Starts it with something wrong: its exit status (None: still running after `within`) and what it said.
    pub fn start_and_fail(self, within: Duration) -> (Option<ExitStatus>, String) {
        let mut process = self.spawn();
        let status = process.wait(within);
        (status, process.stderr() + &process.stdout())
    }

    fn spawn(&self) -> Process {
        let dir = self.dir.path();
        let settings: String = self.settings.iter().map(|(key, value)| format!("{key}: {value}\n")).collect();
        fs::write(dir.join("gateway.yaml"), settings).expect("directory is ours");
        let (settings, addresses) = (dir.join("gateway.yaml"), dir.join("addresses.json"));
        let args = ["run".as_ref(), "--settings".as_ref(), settings.as_os_str(), "--addresses".as_ref()];
        let args = args.into_iter().chain([addresses.as_os_str()]);
        match self.launcher.split_first() {
            None => Process::start("pangu-gateway", args, &self.env, dir),
            Some((tool, rest)) => {
                let mut command = Command::new(tool);
                command.args(rest);
                Process::launch(command, "pangu-gateway", args, &self.env, dir)
            }
        }
    }
}

const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);

fn address(value: &Value) -> Option<SocketAddr> {
    value.as_str()?.parse().ok()
}

fn at_mock(policy: &str, mock: SocketAddr) -> String {
    policy.replace("127.0.0.1:9100", &mock.to_string())
}

/// A running gateway.
pub struct Gateway {
    pub http: SocketAddr,
    pub https: SocketAddr,
    /// Plain TCP.
    pub tcp: SocketAddr,
    /// Plain TCP over TLS.
    pub tls: SocketAddr,
    pub admin: SocketAddr,
    pub process: Process,
    mock: SocketAddr,
    dir: tempfile::TempDir,
}

impl Gateway {
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn policies(&self) -> PathBuf {
        self.dir.path().join("policies")
    }

    pub fn certs(&self) -> PathBuf {
        self.dir.path().join("certs")
    }

    /// Writes a policy over the one in force, whole.
    pub fn write_policy(&self, text: &str) {
        write_whole(&self.policies(), "policy.yaml", &self.at_mock(text));
    }

    /// A policy text with the mock's address in it.
    pub fn at_mock(&self, text: &str) -> String {
        at_mock(text, self.mock)
    }

    /// Asks the admin listener.
    pub fn admin(&self, path: &str) -> Response {
        Request::get(path).send(self.admin)
    }

    /// Everything it logged: access log and standard error.
    pub fn logs(&self) -> String {
        self.access_log() + &self.process.stderr() + &self.process.stdout()
    }

    pub fn access_log(&self) -> String {
        fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default()
    }

    /// The access-log line of a request, once it is written.
    pub fn access_line(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(what, Duration::from_secs(5), || {
            let log = self.access_log();
            let (whole, _) = log.rsplit_once('\n').unwrap_or_default(); // the last one may be half written
            whole
                .lines()
                .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON ({e}): {line}")))
                .find(|line| wanted(line))
        })
    }
}
