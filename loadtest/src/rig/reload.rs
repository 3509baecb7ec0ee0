//! Reload: the policy, written anew again and again while the load runs.
//!
//! Every revision differs from the one before in a timeout that nobody reaches; every tenth has a mistake. Each is
//! written whole under another name and renamed into place. What became of them is read from the gateway's metrics.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Problem, admin};
use crate::clock::mono_us;
use crate::measure::{Check, Reloads};
use crate::scenario::{Setup, policy};

/// One in so many revisions is bad.
const BAD_EVERY: u64 = 10;
/// So long the last revision may take to be in force.
const SETTLE_MAX: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(50);

/// Rewrites a policy until it is told to stop.
#[derive(Debug)]
pub struct Reloader {
    stop: Sender<()>,
    thread: JoinHandle<io::Result<Reloads>>,
    admin: SocketAddr,
    /// What the gateway had counted before.
    before: (u64, u64),
}

impl Reloader {
    /// Begins to rewrite the policy in `dir` of the gateway whose admin listener is `admin`.
    ///
    /// # Errors
    /// The gateway does not tell its metrics, or no thread can be had.
    pub fn start(
        setup: &Setup,
        pool: &str,
        dir: PathBuf,
        every: Duration,
        admin: SocketAddr,
    ) -> Result<Reloader, Problem> {
        let before = counted(admin)?;
        let (stop, stopped) = channel();
        let (setup, pool) = (setup.clone(), pool.to_owned());
        let rewrite = move || {
            let mut written = Reloads::default();
            let mut revision = 0;
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                revision += 1;
                let mut text = policy::routes(&setup, &pool, revision);
                if revision % BAD_EVERY == 0 {
                    text.push_str("mistake: on purpose\n");
                    written.bad += 1;
                } else {
                    written.good += 1;
                }
                replace(&dir, &text)?;
            }
            // A good one at the end: it is what the oracle reads.
            replace(&dir, &policy::routes(&setup, &pool, revision + 1))?;
            written.good += 1;
            Ok(written)
        };
        let thread =
            thread::Builder::new().name("reload".to_owned()).spawn(rewrite).map_err(Problem::Thread)?;
        Ok(Reloader { stop, thread, admin, before })
    }

    /// Ends it, and says what became of what was written.
    ///
    /// # Errors
    /// The policy could not be written, or the gateway did not tell.
    pub fn stop(self) -> Result<Reloads, Problem> {
        let _ = self.stop.send(()); // it has ended already if a file could not be written
        let written =
            self.thread.join().map_err(|_| Problem::Thread(io::Error::other("a thread panicked")))?;
        let written = written.map_err(Problem::Reload)?;
        let mut last = counted(self.admin)?;
        let by_us = mono_us() + SETTLE_MAX.as_micros() as u64;
        while mono_us() < by_us {
            thread::sleep(LOOK);
            let now = counted(self.admin)?;
            // The watcher waits for 60 ms of quiet at most; unchanged for longer, and nothing wrong, means: all read.
            if now == last && problems(self.admin)? == 0 && written.good > 0 && now.0 > self.before.0 {
                break;
            }
            last = now;
        }
        Ok(Reloads { taken: last.0 - self.before.0, refused: last.1 - self.before.1, ..written })
    }
}

/// What the oracle says of reloads. Two written close together may be read as one, so fewer may be counted than were
/// written; more never.
pub fn judge(reloads: &Reloads) -> Check {
    let Reloads { good, bad, taken, refused } = *reloads;
    let mut violations = Vec::new();
    if taken == 0 || taken > good {
        violations.push(format!("{taken} policies took effect, {good} good ones were written"));
    }
    if refused > bad || (refused == 0 && bad > 0) {
        violations.push(format!("{refused} policies were refused, {bad} bad ones were written"));
    }
    let claim = "policies written under load: good ones take effect, bad ones are refused".to_owned();
    Check { claim, evidence: taken + refused, tightest: None, violations }
}

/// Renames into place, so that nobody reads half a file. Hidden files are no policy.
fn replace(dir: &std::path::Path, text: &str) -> io::Result<()> {
    let draft = dir.join(".routes.draft");
    fs::write(&draft, text)?;
    fs::rename(draft, dir.join(policy::ROUTES_FILE))
}

/// Policies taken and refused since the gateway's start.
fn counted(admin: SocketAddr) -> Result<(u64, u64), Problem> {
    let page = metrics(admin)?;
    let count = |name| admin::metric(&page, name);
    Ok((count("gateway_policy_reloads_total"), count("gateway_policy_reload_failures_total")))
}

fn problems(admin: SocketAddr) -> Result<u64, Problem> {
    Ok(admin::metric(&metrics(admin)?, "gateway_policy_problems"))
}

fn metrics(admin: SocketAddr) -> Result<String, Problem> {
    let page = admin::get(admin, "/metrics").map_err(Problem::Admin)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_was_written_and_nothing_at_all_are_violations() {
        let broken =
            |good, bad, taken, refused| judge(&Reloads { good, bad, taken, refused }).violations.len();
        assert_eq!(broken(9, 1, 9, 1), 0);
        assert_eq!(broken(9, 1, 7, 1), 0, "two were read as one");
        assert_eq!(broken(9, 0, 9, 0), 0);
        assert_eq!(broken(9, 1, 10, 0), 2, "the bad one took effect");
        assert_eq!(broken(9, 1, 8, 2), 1, "a good one was refused");
        assert_eq!(broken(9, 1, 0, 0), 2);
    }
}
