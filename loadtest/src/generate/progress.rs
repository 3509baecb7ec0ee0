//! Progress: what a run looks like while it lasts.
//!
//! The threads that send add to a few shared counters; [`draw`] reads them from a thread of its own, four times a second.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::clock;

/// Time between two pictures.
const REDRAW: Duration = Duration::from_millis(250);

/// Live counters of a run.
#[derive(Debug, Default)]
pub struct Progress {
    sent: AtomicU64,
    ok: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    p99_us: AtomicU64,
}

/// A reading of the counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// Requests taken by a lane.
    pub sent: u64,
    /// Good answers.
    pub ok: u64,
    /// 429.
    pub refused: u64,
    /// Anything else that is not good; callers who left on purpose apart.
    pub failed: u64,
    /// 99th percentile of the latency of good answers in a second just over, of the slowest thread; us, 0 before the first.
    pub p99_us: u64,
}

impl Progress {
    /// Reads the counters.
    pub fn read(&self) -> Reading {
        Reading {
            sent: self.sent.load(Relaxed),
            ok: self.ok.load(Relaxed),
            refused: self.refused.load(Relaxed),
            failed: self.failed.load(Relaxed),
            p99_us: self.p99_us.load(Relaxed),
        }
    }

    pub(super) fn sent(&self) {
        self.sent.fetch_add(1, Relaxed);
    }

    pub(super) fn ended(&self, is_ok: bool, is_refused: bool, is_failed: bool) {
        for (counter, is_it) in [(&self.ok, is_ok), (&self.refused, is_refused), (&self.failed, is_failed)] {
            if is_it {
                counter.fetch_add(1, Relaxed);
            }
        }
    }

    pub(super) fn p99(&self, us: u64) {
        self.p99_us.store(us, Relaxed);
    }
}

/// A progress bar being drawn; dropping it takes the bar away.
#[derive(Debug)]
pub struct Drawing {
    /// Dropped to stop the thread.
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Draws a bar on stderr for a run that sends for about `lasts`. Draws nothing if stderr is not a terminal.
pub fn draw(progress: Arc<Progress>, lasts: Duration) -> Drawing {
    if !std::io::stderr().is_terminal() {
        return Drawing { stop: None, thread: None };
    }
    let (stop, stopped) = mpsc::channel();
    let thread = thread::Builder::new().name("progress".to_owned());
    // Without a thread there is no bar, and the run is none the worse.
    let thread = thread.spawn(move || redraw(&progress, lasts, &stopped)).ok();
    Drawing { stop: Some(stop), thread }
}

impl Drop for Drawing {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A bar that panicked has left its message on stderr.
            let _ = thread.join();
        }
    }
}

fn redraw(progress: &Progress, lasts: Duration, stopped: &mpsc::Receiver<()>) {
    let bar = ProgressBar::new(lasts.as_millis() as u64);
    let style =
        ProgressStyle::with_template("{elapsed:>4} {bar:30} {msg}").expect("the template is a constant");
    bar.set_style(style);
    let start_us = clock::mono_us();
    let (mut before, mut before_us) = (Reading::default(), start_us);
    while stopped.recv_timeout(REDRAW) == Err(RecvTimeoutError::Timeout) {
        let (now, now_us) = (progress.read(), clock::mono_us());
        bar.set_position((now_us - start_us) / 1000);
        bar.set_message(line(&before, &now, now_us - before_us));
        (before, before_us) = (now, now_us);
    }
    bar.finish_and_clear();
}

/// What stands beside the bar: rate of the last moment, errors so far, p99.
fn line(before: &Reading, now: &Reading, passed_us: u64) -> String {
    let rate = (now.sent - before.sent) * 1_000_000 / passed_us.max(1);
    let p99_ms = now.p99_us as f64 / 1000.0;
    format!("{rate}/s, {} ok, {} refused, {} failed, p99 {p99_ms:.1} ms", now.ok, now.refused, now.failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_has_rate_errors_and_p99() {
        let before = Reading { sent: 1000, ..Reading::default() };
        let now = Reading { sent: 1500, ok: 1400, refused: 30, failed: 2, p99_us: 12_345 };
        assert_eq!(line(&before, &now, 250_000), "2000/s, 1400 ok, 30 refused, 2 failed, p99 12.3 ms");
    }

    #[test]
    fn nothing_is_drawn_without_a_terminal() {
        let drawing = draw(Arc::default(), Duration::from_secs(1));
        assert!(drawing.thread.is_none() || std::io::stderr().is_terminal());
    }
}
