//! About: what was run, where, of which commit, so that a figure can be judged next year.

use std::fs;
use std::process::{Command, Stdio};

use crate::measure::{About, Machine};
use crate::scenario::{Load, Scenario};

/// Describes a run that is about to begin; when it did and how long it lasted is for the generator to say.
pub fn about(scenario: &Scenario, target: &str) -> About {
    About {
        scenario: scenario.name.clone(),
        about: scenario.about.clone(),
        seed: scenario.seed,
        load: match scenario.load {
            Load::Open { .. } => "open",
            Load::Closed { .. } => "closed",
        }
        .to_owned(),
        target: target.to_owned(),
        started: String::new(),
        lasted_s: 0.0,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: commit(),
        machine: machine(),
        command: command(),
    }
}

/// This machine, now.
pub fn machine() -> Machine {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    Machine {
        processor: processor(&read("/proc/cpuinfo")),
        cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u32),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        load_average: read("/proc/loadavg")
            .split(' ')
            .next()
            .and_then(|text| text.parse().ok())
            .unwrap_or(0.0),
    }
}

/// `model name` on x86; elsewhere the architecture has to do.
fn processor(cpuinfo: &str) -> String {
    let named =
        |line: &str| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_owned());
    cpuinfo.lines().find_map(named).unwrap_or_else(|| std::env::consts::ARCH.to_owned())
}

/// Commit of the tree around the current directory, with `-dirty` if anything but documents is changed (what is
/// measured is written into those); empty if there is none, or no git.
pub fn commit() -> String {
    let Some(commit) = git(&["rev-parse", "HEAD"]) else { return String::new() };
    let changed = git(&["status", "--porcelain", "--", ":/", ":(exclude,top,glob)**/*.md"])
        .is_some_and(|files| !files.is_empty());
    commit + if changed { "-dirty" } else { "" }
}

fn git(args: &[&str]) -> Option<String> {
    let done = Command::new("git")
        .args(args)
        .env("GIT_OPTIONAL_LOCKS", "0") // only looking
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
}

/// The command line as it could be typed again. The program takes no secret as an argument here.
fn command() -> String {
    let mut words = std::env::args();
    let program = words.next().unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    std::iter::once(program).chain(words.map(|word| quoted(&word))).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named_once() {
        let cpuinfo = "processor\t: 0\nmodel name\t: AMD EPYC\nprocessor\t: 1\nmodel name\t: AMD EPYC\n";
        assert_eq!(processor(cpuinfo), "AMD EPYC");
        assert_eq!(processor(""), std::env::consts::ARCH);
    }

    #[test]
    fn a_command_can_be_typed_again() {
        assert_eq!(quoted("--target=http://a:1/"), "--target=http://a:1/");
        assert_eq!(quoted("it's here"), r"'it'\''s here'");
        assert_eq!(quoted(""), "''");
    }
}
