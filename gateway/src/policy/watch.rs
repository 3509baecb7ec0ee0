//! Tells when something below some paths changed. Knows nothing of what is in them.
//!
//! Two senses. *inotify* makes a change known within milliseconds; every folder is watched on its own, and
//! so is the folder above each path, so that a path may be a link that is swapped or a folder that is made
//! anew. A *slow poll* compares a cheap stamp (names, inodes, sizes, times) and finds what inotify cannot:
//! network file systems, lost events, a folder that was missing. Both wait until it has been quiet for a
//! moment, so that a set of files written together is seen together.
//!
//! What it cannot tell is whether a writer is done: whoever is told must check what it reads.

use crate::clock::mono_us;
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashSet};
use std::hash::{Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks without an event.
const POLL: Duration = Duration::from_secs(2);
/// So long nothing happens before a change counts as complete.
const QUIET: Duration = Duration::from_millis(20);
/// A change is reported after this long, quiet or not.
const BUSY_MAX: Duration = Duration::from_millis(60);
/// Entries a stamp looks at, and folders that are watched.
const ENTRIES_MAX: usize = 20_000;
const FOLDERS_MAX: usize = 1_000;
const DEPTH_MAX: usize = 16;

/// Ends the watch when dropped; a call that is running is waited for.
pub struct Watch {
    signals: Sender<Signal>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _gone_already = self.signals.send(Signal::Stop);
        if let Some(thread) = self.thread.take().filter(|t| t.thread().id() != std::thread::current().id()) {
            let _panicked = thread.join();
        }
    }
}

enum Signal {
    Changed,
    Stop,
}

/// Calls `on_change` on a thread of its own, named `name`, after each change below `paths()`.
///
/// `paths` is asked at each look: folders (with all below them, links followed) and single files. It may be
/// called though nothing relevant changed; it is never called twice at once.
pub fn watch(
    name: &str,
    paths: impl Fn() -> Vec<PathBuf> + Send + 'static,
    mut on_change: impl FnMut() + Send + 'static,
) -> Watch {
    // Events carry absolute paths.
    let paths = move || -> Vec<PathBuf> {
        paths().into_iter().map(|path| std::path::absolute(&path).unwrap_or(path)).collect()
    };
    let (signals, inbox) = channel();
    let sender = signals.clone();
    let mut senses = Senses::new(paths(), sender); // before this returns: no change after it is missed
    let run = move || {
        while let Some(event) = wait(&inbox) {
            let changed = senses.look(paths());
            if changed || event {
                on_change();
            }
        }
    };
    let thread = std::thread::Builder::new().name(name.to_string()).spawn(run);
    if let Err(error) = &thread {
        tracing::error!(%error, "no thread to watch files with: changes need a restart");
    }
    Watch { signals, thread: thread.ok() }
}

/// Waits for an event or the next poll. Some(true): an event; None: stop.
fn wait(inbox: &Receiver<Signal>) -> Option<bool> {
    match inbox.recv_timeout(POLL) {
        Ok(Signal::Changed) => {}
        Err(RecvTimeoutError::Timeout) => return Some(false),
        Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return None,
    }
    let begun = mono_us();
    loop {
        match inbox.recv_timeout(QUIET) {
            Err(RecvTimeoutError::Timeout) => return Some(true),
            Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return None,
            Ok(Signal::Changed) if mono_us() - begun > BUSY_MAX.as_micros() as u64 => return Some(true),
            Ok(Signal::Changed) => {}
        }
    }
}

/// What is known of the files, and the kernel's watches on them.
struct Senses {
    signals: Sender<Signal>,
    seen: Seen,
    /// Dropped and made anew when the folders change.
    _watcher: Option<RecommendedWatcher>,
}

impl Senses {
    fn new(paths: Vec<PathBuf>, signals: Sender<Signal>) -> Senses {
        let seen = Seen::take(&paths);
        let watcher = arm(&paths, &seen, &signals);
        // Whatever came between looking and watching is found by looking again.
        let mut senses = Senses { signals, seen, _watcher: watcher };
        if senses.look(paths) {
            let _nobody_yet = senses.signals.send(Signal::Changed);
        }
        senses
    }

    /// Has anything changed since the last look?
    fn look(&mut self, paths: Vec<PathBuf>) -> bool {
        let seen = Seen::take(&paths);
        if seen.folders != self.seen.folders {
            self._watcher = arm(&paths, &seen, &self.signals);
        }
        let changed = seen.stamp != self.seen.stamp;
        self.seen = seen;
        changed
    }
}

/// A stamp over names, inodes, sizes and times, and the folders to watch.
struct Seen {
    stamp: u64,
    /// With inodes: a folder made anew under the same name is another one.
    folders: BTreeSet<(PathBuf, u64, u64)>,
}

impl Seen {
    fn take(paths: &[PathBuf]) -> Seen {
        let mut walk = Walk {
            stamp: DefaultHasher::new(),
            entries: 0,
            folders: BTreeSet::new(),
            entered: HashSet::new(),
        };
        for path in paths {
            walk.visit(path, 0);
            walk.folder(&above(path));
        }
        Seen { stamp: walk.stamp.finish(), folders: walk.folders }
    }
}

struct Walk {
    stamp: DefaultHasher,
    entries: usize,
    folders: BTreeSet<(PathBuf, u64, u64)>,
    entered: HashSet<(u64, u64)>,
}

impl Walk {
    fn visit(&mut self, path: &Path, depth: usize) {
        self.entries += 1;
        path.hash(&mut self.stamp);
        let Ok(meta) = std::fs::metadata(path) else { return }; // a link that leads nowhere: by its name only
        (meta.dev(), meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec(), meta.mode())
            .hash(&mut self.stamp);
        if !meta.is_dir() || depth > DEPTH_MAX || !self.entered.insert((meta.dev(), meta.ino())) {
            return;
        }
        self.folder(path);
        let Ok(listing) = std::fs::read_dir(path) else { return };
        let mut below: Vec<PathBuf> = listing.flatten().map(|entry| entry.path()).collect();
        below.sort();
        for path in below {
            if self.entries < ENTRIES_MAX {
                self.visit(&path, depth + 1);
            }
        }
    }

    fn folder(&mut self, path: &Path) {
        if let Ok(meta) = std::fs::metadata(path)
            && self.folders.len() < FOLDERS_MAX
        {
            self.folders.insert((path.to_path_buf(), meta.dev(), meta.ino()));
        }
    }
}

/// The folder that holds the path's own name.
fn above(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).to_path_buf()
}

/// Watches every folder. None: this machine has no watches left, and the poll must do.
fn arm(paths: &[PathBuf], seen: &Seen, signals: &Sender<Signal>) -> Option<RecommendedWatcher> {
    let signals = signals.clone();
    // In the folder above a watched folder only that folder's own name matters; it may be a busy place.
    let quiet: Vec<PathBuf> = paths.iter().filter(|path| path.is_dir()).map(|path| above(path)).collect();
    let own: Vec<PathBuf> = paths.to_vec();
    let relevant = move |event: &notify::Event| {
        let stranger = |path: &PathBuf| {
            quiet.iter().any(|folder| path.parent() == Some(folder))
                && !own.iter().any(|own| path.starts_with(own))
        };
        event.need_rescan() || event.paths.is_empty() || !event.paths.iter().all(stranger)
    };
    let handler = move |event: notify::Result<notify::Event>| {
        let tell = match &event {
            Ok(event) => changes(event.kind) && relevant(event),
            Err(_) => true, // look and see
        };
        if tell {
            let _ended = signals.send(Signal::Changed);
        }
    };
    let watching = notify::recommended_watcher(handler).and_then(|mut watcher| {
        let mut paths = watcher.paths_mut();
        for (folder, _, _) in &seen.folders {
            match paths.add(folder, RecursiveMode::NonRecursive) {
                Err(_) if !folder.exists() => {} // gone again: the next look sees it
                added => added?,
            }
        }
        paths.commit()?;
        Ok(watcher)
    });
    watching
        .map_err(|error| tracing::warn!(%error, "no file events: changes are found by polling, within 2 s"))
        .ok()
}

/// Reading is no change, and neither is a write before the file is closed.
fn changes(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Data(_)) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Counts calls until dropped.
    fn counting(path: PathBuf) -> (Watch, Arc<AtomicUsize>) {
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = calls.clone();
        let watch = watch(
            "test-watch",
            move || vec![path.clone()],
            move || {
                counter.fetch_add(1, Ordering::Relaxed);
            },
        );
        (watch, calls)
    }

    fn within(ms: u64, holds: impl Fn() -> bool) -> bool {
        let begun = mono_us();
        while mono_us() - begun < ms * 1000 {
            if holds() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    }

    #[test]
    fn files_written_together_are_one_change() {
        let dir = tempfile::tempdir().unwrap();
        let (_watch, calls) = counting(dir.path().to_path_buf());
        for i in 0..20 {
            std::fs::write(dir.path().join(format!("{i}.yaml")), "x").unwrap();
        }
        assert!(within(1_000, || calls.load(Ordering::Relaxed) > 0));
        std::thread::sleep(Duration::from_millis(200));
        assert!(calls.load(Ordering::Relaxed) <= 3, "{} calls", calls.load(Ordering::Relaxed));
    }

    #[test]
    fn reading_is_no_change_and_neither_are_neighbours() {
        let above = tempfile::tempdir().unwrap();
        let dir = above.path().join("policies");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join("a"), "x").unwrap();
        let (_watch, calls) = counting(dir.clone());
        std::fs::read(dir.join("a")).unwrap();
        std::fs::write(above.path().join("neighbour"), "x").unwrap();
        std::fs::create_dir(above.path().join("policies-old")).unwrap();
        assert!(!within(200, || calls.load(Ordering::Relaxed) > 0));
    }

    #[test]
    fn a_folder_behind_a_link_is_watched_and_so_is_the_link() {
        let above = tempfile::tempdir().unwrap();
        for release in ["one", "two"] {
            std::fs::create_dir(above.path().join(release)).unwrap();
        }
        let link = above.path().join("current");
        std::os::unix::fs::symlink("one", &link).unwrap();
        let (_watch, calls) = counting(link.clone());
        let mut before = 0;
        let mut told = |what: &str| {
            assert!(within(1_000, || calls.load(Ordering::Relaxed) > before), "{what}");
            std::thread::sleep(Duration::from_millis(100));
            before = calls.load(Ordering::Relaxed);
        };
        std::fs::write(above.path().join("one/a"), "x").unwrap();
        told("a file behind the link");
        std::os::unix::fs::symlink("two", above.path().join("next")).unwrap();
        std::fs::rename(above.path().join("next"), &link).unwrap();
        told("the link leads elsewhere");
        std::fs::write(above.path().join("two/a"), "x").unwrap();
        told("a file at the new place");
    }

    #[test]
    fn what_makes_no_event_is_found_by_polling() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "x").unwrap();
        let mut file = std::fs::File::options().append(true).open(dir.path().join("a")).unwrap();
        let (_watch, calls) = counting(dir.path().to_path_buf());
        std::io::Write::write_all(&mut file, b"more").unwrap(); // and left open
        assert!(within(5_000, || calls.load(Ordering::Relaxed) > 0));
    }
}
