//! Surroundings: the versions and the day that a result belongs to.

use std::path::Path;
use std::process::Command;

use super::Options;
use super::case::Case;
use super::peer::{self, Peer};
use super::problem::Problem;
use crate::clock;

/// Programs that take part, with their versions.
///
/// # Errors
/// One is missing; better said before the first run than after it.
pub fn versions(options: &Options) -> Result<Vec<(String, String)>, Problem> {
    let mut versions = Vec::new();
    // nginx is the origin of most loads.
    let origin = options.cases.iter().any(|case| !case.wants_mock()).then_some(Peer::Nginx);
    for peer in [Peer::Gateway].into_iter().chain(origin).chain(options.others.iter().copied()) {
        let program = options.programs.find(peer)?;
        let version = match peer {
            Peer::Pingora => pingora_proxy(include_str!("../../peers/pingora/Cargo.lock")),
            _ => peer::version(peer, &program),
        };
        let one = (peer.name().to_owned(), version);
        if !versions.contains(&one) {
            versions.push(one);
        }
    }
    let tools = [
        ("wrk", [Case::Get, Case::Keys, Case::Post, Case::Coded, Case::Signed, Case::Tls].as_slice(), "-v"),
        ("h2load", &[Case::H2, Case::Grpc], "--version"),
    ];
    for (tool, cases, flag) in tools {
        if options.cases.iter().any(|case| cases.contains(case)) {
            versions.push((tool.to_owned(), version(&peer::on_path(tool)?, flag)));
        }
    }
    Ok(versions)
}

/// What a program answers to a flag that asks for its version.
pub fn version(program: &Path, flag: &str) -> String {
    let said = Command::new(program).arg(flag).output();
    said.map(|said| peer::version_in(&[said.stdout, said.stderr].concat())).unwrap_or_default()
}

/// The day, UTC.
pub fn today() -> String {
    let now =
        jiff::Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_secs(clock::since_epoch().as_secs() as i64);
    now.strftime("%Y-%m-%d").to_string()
}

/// The version in a lock file.
fn pingora_proxy(lock: &str) -> String {
    let (_, rest) = lock.split_once("name = \"pingora-proxy\"\nversion = \"").unwrap_or_default();
    rest.split('"').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_file_knows_the_version() {
        assert_eq!(pingora_proxy("name = \"pingora-proxy\"\nversion = \"1.2.3\"\nsource = \"x\"\n"), "1.2.3");
        assert_ne!(pingora_proxy(include_str!("../../peers/pingora/Cargo.lock")), "");
    }

    #[test]
    fn only_what_takes_part_has_to_be_there() {
        let mut options = Options {
            others: Vec::new(),
            cases: vec![Case::Tcp, Case::Sse, Case::WebSocket],
            rounds: 1,
            seconds: 1,
            programs: peer::Programs { gateway: std::env::current_exe().ok(), ..Default::default() },
            command: String::new(),
        };
        let names = |options: &Options| -> Result<Vec<String>, Problem> {
            Ok(versions(options)?.into_iter().map(|(name, _)| name).collect())
        };
        assert_eq!(names(&options).unwrap(), ["gateway"], "the mock answers, and the loads are our own");
        options.programs.envoy = Some("not/there".into());
        options.others = vec![Peer::Envoy];
        let Err(Problem::Missing { program, .. }) = names(&options) else { panic!("it takes part") };
        assert!(program.ends_with("not/there"), "{program}");
    }

    #[test]
    fn today_is_a_day() {
        let today = today();
        assert_eq!((today.len(), &today[4..5]), (10, "-"), "{today}");
    }
}
