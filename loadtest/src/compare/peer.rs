//! Peer: the gateway, and what people would use in its place.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use super::problem::Problem;

/// Who answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Peer {
    /// The origin itself, without a proxy: what added times are measured against.
    Direct,
    /// pangu-gateway.
    Gateway,
    /// nginx.
    Nginx,
    /// haproxy.
    Haproxy,
    /// envoy.
    Envoy,
    /// The proxy on pingora-proxy in `loadtest/peers/pingora`.
    Pingora,
    /// The relay of this program: what the kernel takes of any proxy.
    Relay,
}

impl Peer {
    /// Those the gateway is compared with.
    pub const OTHERS: [Peer; 5] = [Peer::Nginx, Peer::Haproxy, Peer::Envoy, Peer::Pingora, Peer::Relay];

    /// As arguments, tables and files name it.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Direct => "direct",
            Peer::Gateway => "gateway",
            Peer::Nginx => "nginx",
            Peer::Haproxy => "haproxy",
            Peer::Envoy => "envoy",
            Peer::Pingora => "pingora",
            Peer::Relay => "relay",
        }
    }

    /// Whether it knows requests: then it is under the policy of all, takes TLS, and writes an access log.
    pub fn knows_requests(self) -> bool {
        self != Peer::Relay
    }
}

/// Where programs are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Programs {
    /// pangu-gateway. Default: beside this program.
    pub gateway: Option<PathBuf>,
    /// envoy. Default: in `.venv-peers`, else on the path.
    pub envoy: Option<PathBuf>,
    /// The proxy on pingora-proxy. Default: in the target directory of its workspace.
    pub pingora: Option<PathBuf>,
    /// This program, to serve the mock and to relay. Default: the one that runs.
    pub loadtest: Option<PathBuf>,
}

impl Programs {
    /// The program of a peer; of [`Peer::Direct`], the origin's.
    ///
    /// # Errors
    /// It is not there; says what brings it.
    pub fn find(&self, peer: Peer) -> Result<PathBuf, Problem> {
        const SETUP: &str = "loadtest/peers/setup.sh installs it";
        match peer {
            Peer::Direct | Peer::Nginx => on_path("nginx"),
            Peer::Haproxy => on_path("haproxy"),
            Peer::Gateway => {
                let beside = || Some(std::env::current_exe().ok()?.with_file_name("pangu-gateway"));
                let program = self.gateway.clone().or_else(beside).unwrap_or_default();
                there(
                    program,
                    "build it (`cargo build --release -p pangu-gateway`), or name it with --gateway",
                )
            }
            Peer::Envoy => match &self.envoy {
                Some(program) => there(program.clone(), "name another with --envoy"),
                None => there(".venv-peers/bin/envoy".into(), SETUP).or_else(|_| on_path("envoy")),
            },
            Peer::Pingora => {
                let built = || "loadtest/peers/pingora/target/release/pangu-peer-pingora".into();
                there(self.pingora.clone().unwrap_or_else(built), "loadtest/peers/setup.sh builds it")
            }
            Peer::Relay => self.find_loadtest(),
        }
    }

    /// The program that serves the mock and relays.
    ///
    /// # Errors
    /// It is not there.
    pub fn find_loadtest(&self) -> Result<PathBuf, Problem> {
        let running = || std::env::current_exe().unwrap_or_default();
        there(self.loadtest.clone().unwrap_or_else(running), "start this program from where it was built")
    }
}

/// A program on the path, or in the directories that Debian keeps for administrators.
///
/// # Errors
/// It is not there; says what installs it.
pub fn on_path(name: &str) -> Result<PathBuf, Problem> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut directories = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found =
        directories.find_map(|directory| Some(directory.join(name)).filter(|program| program.is_file()));
    let missing = || Problem::Missing {
        program: name.to_owned(),
        help: "loadtest/peers/setup.sh installs it".to_owned(),
    };
    found.ok_or_else(missing)
}

/// What a program says its version is, without its own name before it.
pub fn version(peer: Peer, program: &Path) -> String {
    let flag = match peer {
        Peer::Nginx | Peer::Haproxy | Peer::Direct => "-v",
        Peer::Gateway | Peer::Envoy | Peer::Pingora | Peer::Relay => "--version",
    };
    let said = Command::new(program).arg(flag).output();
    said.map(|said| version_in(&[said.stdout, said.stderr].concat())).unwrap_or_default()
}

/// The first thing in a text that looks like a version: digits with dots, and what clings to them.
pub fn version_in(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let words = said.split(|c: char| c.is_whitespace() || c == '/' || c == ',');
    let versions = words.filter(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'));
    versions.map(|word| word.trim_end_matches(['.', ')']).to_owned()).next().unwrap_or_default()
}

fn there(program: PathBuf, help: &str) -> Result<PathBuf, Problem> {
    if program.is_file() {
        // Programs start in a directory of their own.
        return Ok(std::path::absolute(&program).unwrap_or(program));
    }
    Err(Problem::Missing { program: program.display().to_string(), help: help.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        let said = [
            ("nginx version: nginx/1.22.1\n", "1.22.1"),
            ("HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/\n", "2.6.12-1+deb12u4"),
            ("\n/x/envoy  version: 84dd2e6/1.40.0/Clean/RELEASE/BoringSSL\n", "1.40.0"),
            ("pangu-gateway 0.1.0\n", "0.1.0"),
            ("wrk debian/4.1.0-3+b2 [epoll] Copyright (C) 2012\n", "4.1.0-3+b2"),
            ("h2load nghttp2/1.52.0\n", "1.52.0"),
            ("", ""),
        ];
        for (text, version) in said {
            assert_eq!(version_in(text.as_bytes()), version, "{text}");
        }
    }

    #[test]
    fn what_is_missing_is_said_with_what_brings_it() {
        let programs = Programs { pingora: Some("/nowhere/proxy".into()), ..Programs::default() };
        let said = programs.find(Peer::Pingora).unwrap_err().to_string();
        assert_eq!(said, "/nowhere/proxy is missing; loadtest/peers/setup.sh builds it");
        let said = on_path("no-such-program").unwrap_err().to_string();
        assert_eq!(said, "no-such-program is missing; loadtest/peers/setup.sh installs it");
    }
}
