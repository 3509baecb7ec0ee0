//! The saver: what is spent of budgets is on the disk within a second.
//!
//! A thread of its own asks the levels twice a second what has changed, and saves it in one transaction, so that no
//! request and no operator waits for a disk. A gateway killed at any moment has lost what was charged since; one that
//! ends saves once more after its workers have ended.
//!
//! *Failure.* What could not be saved, as on a full disk, is kept for the next time, and requests go on. The log and
//! `gateway_state_save_failures_total` tell.
//!
//! *A wrong clock* at the start loses nothing: what is of a day to come is set aside under another name before today's
//! counts can overwrite it, and what is old is told by the newest count, too.
//!
//! *Cost.* None on the walk but the note of whom was charged. A save writes all counts of everybody who was.

use crate::clock::{Now, mono_us};
use crate::limit::{Dates, Saved};
use crate::observe::log::Sampled;
use crate::policy::{self, Live};
use crate::state::{Entry, Problem, Store};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// From the beginning of a save to that of the next. What is charged right after the levels were asked is asked for
/// with the next, so that it is on the disk within a second if a save takes less than this.
const EVERY: Duration = Duration::from_millis(500);

/// Opens the store, and gives the limits what an earlier run has spent.
///
/// # Errors
/// One sentence that says what to do.
pub fn open(dir: &Path, live: &mut Live, now: Now) -> Result<Store, String> {
    let read = || {
        let mut store = Store::open(dir)?;
        let all = store.load()?.map(|(key, Entry { serial, used })| Saved { key, serial, used });
        let all: Vec<Saved> = all.collect();
        let dates = Dates::new(&all, now);
        let (old, saved): (Vec<Saved>, Vec<Saved>) =
            all.into_iter().partition(|saved| saved.is_long_past(&dates));
        store.forget(old.iter().map(|saved| saved.key.as_str()))?;
        keep_ahead(&mut store, &saved, now)?;
        Ok((store, saved))
    };
    let (store, saved) = read().map_err(|problem: Problem| problem.to_string())?;
    tracing::info!("{} budgets found in {}", saved.len(), dir.display());
    live.limits.restore(saved);
    live.budgets_saved = true;
    Ok(store)
}

/// Sets aside what is of a day or month to come: if the clock is behind, today's counts would overwrite it.
fn keep_ahead(store: &mut Store, saved: &[Saved], now: Now) -> Result<(), Problem> {
    let ahead = saved.iter().filter(|saved| saved.is_ahead(now) && !saved.is_aside());
    let ahead: Vec<Saved> = ahead.map(Saved::aside).collect();
    if ahead.is_empty() {
        return Ok(());
    }
    let budgets = ahead.len();
    tracing::warn!("{budgets} budgets were last used on a day to come: is the clock right? they wait for it");
    store.save(
        ahead.iter().map(|Saved { key, serial, used }| (&**key, Entry { serial: *serial, used: *used })),
    )
}

/// The running saver.
pub struct Saver {
    /// How it goes.
    pub saves: Arc<Saves>,
    end: Sender<()>,
    thread: JoinHandle<()>,
}

impl Saver {
    /// Saves a last time, and waits for it.
    pub fn end(self) {
        drop(self.end);
        let _panicked = self.thread.join();
    }
}

/// How the saves go, for metrics.
#[derive(Default)]
pub struct Saves {
    failures: AtomicU64,
    /// When all that had been spent was on the disk.
    complete_us: AtomicU64,
}

impl Saves {
    /// Saves that failed.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// How long ago all that had been spent was on the disk.
    pub fn age(&self, now: Now) -> Duration {
        Duration::from_micros(now.mono_us.saturating_sub(self.complete_us.load(Ordering::Relaxed)))
    }
}

/// Starts the saver.
///
/// # Errors
/// One sentence, if there is no thread for it.
pub fn start(store: Store, policy: Arc<policy::Store>) -> Result<Saver, String> {
    let saves = Arc::new(Saves { complete_us: AtomicU64::new(mono_us()), ..Saves::default() });
    let (end, ended) = channel();
    let book =
        Book { store, policy, waiting: HashMap::new(), saves: saves.clone(), failed: Sampled::default() };
    let thread = std::thread::Builder::new().name("saver".into());
    let thread = thread.spawn(move || book.run(&ended)).map_err(|e| format!("saver: {e}"))?;
    Ok(Saver { saves, end, thread })
}

/// What the saver's thread works on.
struct Book {
    store: Store,
    policy: Arc<policy::Store>,
    /// Not saved yet: what the last save could not.
    waiting: HashMap<String, Entry>,
    saves: Arc<Saves>,
    failed: Sampled,
}

impl Book {
    fn run(mut self, ended: &Receiver<()>) {
        let mut took = Duration::ZERO;
        while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(EVERY.saturating_sub(took)) {
            let begun_us = mono_us();
            self.save();
            took = Duration::from_micros(mono_us() - begun_us);
        }
        self.save();
        if !self.waiting.is_empty() {
            tracing::error!("{} budgets begin the next start with what was last saved", self.waiting.len());
        }
    }

    fn save(&mut self) {
        let begun_us = mono_us();
        let unsaved = self.policy.live().limits.unsaved();
        self.waiting
            .extend(unsaved.into_iter().map(|Saved { key, serial, used }| (key, Entry { serial, used })));
        match self.store.save(self.waiting.iter().map(|(key, entry)| (key.as_str(), *entry))) {
            Ok(()) => {
                self.waiting.clear();
                self.saves.complete_us.store(begun_us, Ordering::Relaxed);
            }
            Err(problem) => {
                self.saves.failures.fetch_add(1, Ordering::Relaxed);
                if let Some(times) = self.failed.due() {
                    let budgets = self.waiting.len();
                    tracing::error!(
                        "{budgets} budgets could not be saved {times} times, and wait: {problem}"
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAST: &str = "tenant/gone/daily/Tokens/day";
    const PRESENT: &str = "tenant/acme/daily/Tokens/day";
    /// The day 20,778.
    const NOW: Now = Now { mono_us: 0, wall_ms: 1_795_262_400_000 };

    fn entry(serial: u32) -> Entry {
        Entry { serial, used: 7 }
    }

    fn at(day: u64) -> Now {
        Now { wall_ms: day * 86_400_000, ..NOW }
    }

    /// What is in the file after a start.
    fn started(dir: &Path, now: Now) -> Vec<(String, Entry)> {
        let mut live = Live::default();
        let mut store = open(dir, &mut live, now).unwrap();
        assert!(live.budgets_saved);
        store.load().unwrap().collect()
    }

    fn named(entries: &[(&str, Entry)]) -> Vec<(String, Entry)> {
        entries.iter().map(|(key, entry)| (key.to_string(), *entry)).collect()
    }

    #[test]
    fn what_is_long_past_is_forgotten_at_the_start() {
        let dir = tempfile::tempdir().unwrap();
        Store::open(dir.path()).unwrap().save([(PAST, entry(20_000)), (PRESENT, entry(20_700))]).unwrap();
        assert_eq!(started(dir.path(), NOW), named(&[(PRESENT, entry(20_700))]));
    }

    #[test]
    fn a_start_in_2038_forgets_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let saved = [(PRESENT, entry(20_778)), (PAST, entry(20_700))];
        Store::open(dir.path()).unwrap().save(saved).unwrap();
        assert_eq!(started(dir.path(), at(25_000)), named(&saved));
    }

    #[test]
    fn a_start_in_1970_sets_aside_what_it_would_overwrite() {
        let dir = tempfile::tempdir().unwrap();
        let aside = format!("aside/20778/{PRESENT}");
        let both = named(&[(&aside, entry(20_778)), (PRESENT, entry(20_778))]);
        Store::open(dir.path()).unwrap().save([(PRESENT, entry(20_778))]).unwrap();
        assert_eq!(started(dir.path(), at(1)), both);
        assert_eq!(started(dir.path(), at(1)), both, "once");

        Store::open(dir.path()).unwrap().save([(PRESENT, entry(1))]).unwrap();
        let only = named(&[(&aside, entry(20_778))]);
        assert_eq!(started(dir.path(), NOW), only, "it is there when the clock is right");
        Store::open(dir.path()).unwrap().save([(PAST, entry(21_200))]).unwrap();
        assert_eq!(started(dir.path(), at(21_200)), named(&[(PAST, entry(21_200))]), "not for ever");
    }
}
