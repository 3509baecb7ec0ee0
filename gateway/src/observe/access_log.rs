//! The access log: one JSON line per request, also for refused and cancelled ones.
//!
//! A worker appends lines to a buffer of its own; a writer thread takes whole buffers, so that a slow
//! disk never stops a worker. The queue between them is bounded: when the sink stands still, lines are
//! dropped and counted (`gateway_access_log_lines_dropped_total`), and requests go on.

use super::line::{Line, StreamLine};
use crate::observe::metrics;
use crate::settings::AccessLog;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::thread::JoinHandle;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// A buffer goes to the writer when it holds this much, or with the worker's next tick: some 500 lines, so that
/// waking the writer costs each of them next to nothing.
const BUFFER_BYTES: usize = 128 << 10;
/// Buffers that may wait for the writer: 8 MiB in all.
///
/// In a channel of tokio's, which wakes the writer once for each: that of the standard library holds a lock while it does,
/// and a writer on the same core runs into it, sleeps, and has to be woken again.
const QUEUE: usize = 64;

/// Where lines go; shared by all workers.
pub struct Sink {
    queue: Sender<Message>,
    writer: JoinHandle<()>,
}

enum Message {
    Lines(Vec<u8>),
    Reopen,
    End,
}

impl Sink {
    /// Opens the sink; `None` if the log is off.
    ///
    /// # Errors
    /// One sentence, if the file cannot be opened.
    pub fn open(to: &AccessLog) -> Result<Option<Sink>, String> {
        let out = match to {
            AccessLog::Off => return Ok(None),
            AccessLog::Stdout => Output::Stdout,
            AccessLog::File(path) => Output::file(path).map_err(|e| {
                format!("access log {}: {e}; choose another `access_log.file`", path.display())
            })?,
        };
        let (queue, lines) = channel(QUEUE);
        let spawn = std::thread::Builder::new().name("access-log".into());
        let writer = spawn.spawn(move || write(out, lines)).map_err(|e| format!("access log: {e}"))?;
        Ok(Some(Sink { queue, writer }))
    }

    /// A buffer for one worker.
    pub fn buffer(&self) -> Buffer {
        Buffer { bytes: Vec::new(), lines: 0, queue: Some(self.queue.clone()) }
    }

    /// Opens the file again, after somebody has moved it away.
    pub async fn reopen(&self) {
        let _ = self.queue.send(Message::Reopen).await;
    }

    /// Writes what is left. Workers have flushed theirs, and no runtime is there to be blocked.
    pub fn close(self) {
        let _ = self.queue.blocking_send(Message::End);
        let _ = self.writer.join();
    }
}

/// A worker's own lines, not yet handed over.
#[derive(Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    lines: u64,
    queue: Option<Sender<Message>>,
}

impl Buffer {
    /// Appends one line.
    pub fn write(&mut self, line: &Line<'_>) {
        self.append(|bytes| line.append(bytes));
    }

    /// Appends the line of a connection of plain TCP.
    pub fn write_stream(&mut self, line: &StreamLine<'_>) {
        self.append(|bytes| line.append(bytes));
    }

    #[inline]
    fn append(&mut self, line: impl FnOnce(&mut Vec<u8>)) {
        if self.queue.is_none() {
            return;
        }
        line(&mut self.bytes);
        self.lines += 1;
        if self.bytes.len() >= BUFFER_BYTES {
            self.flush();
        }
    }

    /// Hands all lines to the writer.
    pub fn flush(&mut self) {
        let Some(queue) = &self.queue else { return };
        if self.bytes.is_empty() {
            return;
        }
        let lines = std::mem::replace(&mut self.bytes, Vec::with_capacity(BUFFER_BYTES + 1024));
        if queue.try_send(Message::Lines(lines)).is_err() {
            metrics::access_log_dropped(self.lines);
        }
        self.lines = 0;
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.flush();
    }
}

enum Output {
    Stdout,
    File { path: std::path::PathBuf, file: std::fs::File },
}

impl Output {
    fn file(path: &Path) -> std::io::Result<Output> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Output::File { path: path.to_owned(), file })
    }

    fn write(&mut self, lines: &[u8]) -> std::io::Result<()> {
        match self {
            Output::Stdout => std::io::stdout().lock().write_all(lines),
            Output::File { file, .. } => file.write_all(lines),
        }
    }

    fn reopen(&mut self) {
        if let Output::File { path, .. } = self {
            match Output::file(path) {
                Ok(fresh) => *self = fresh,
                Err(e) => {
                    tracing::error!("access log {}: {e}; still writing to the old file", path.display())
                }
            }
        }
    }
}

fn write(mut out: Output, mut messages: Receiver<Message>) {
    while let Some(message) = messages.blocking_recv() {
        match message {
            Message::Lines(lines) => {
                if let Err(e) = out.write(&lines) {
                    let lost = memchr::memchr_iter(b'\n', &lines).count() as u64;
                    metrics::access_log_dropped(lost);
                    tracing::error!("access log: {e}; {lost} lines lost");
                }
            }
            Message::Reopen => out.reopen(),
            Message::End => return,
        }
    }
}

/// RFC 3339 in UTC with milliseconds; the part up to the second is made once a second.
#[derive(Default)]
pub struct Stamp {
    second: u64,
    text: String,
}

impl Stamp {
    /// The text of `wall_ms`.
    pub fn of(&mut self, wall_ms: u64) -> &str {
        use std::fmt::Write;
        let second = wall_ms / 1000;
        if self.text.is_empty() || second != self.second {
            self.second = second;
            self.text.clear();
            let at = jiff::Timestamp::from_second(second as i64).unwrap_or(jiff::Timestamp::MAX);
            let _ = write!(self.text, "{}", at.strftime("%Y-%m-%dT%H:%M:%S."));
        } else {
            self.text.truncate("2026-01-01T00:00:00.".len());
        }
        let ms = (wall_ms % 1000) as u16; // digit by digit: `write!` costs ten times as much
        for digit in [ms / 100, ms / 10 % 10, ms % 10] {
            self.text.push(char::from(b'0' + digit as u8));
        }
        self.text.push('Z');
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_rfc_3339_within_and_across_seconds() {
        let mut stamp = Stamp::default();
        assert_eq!(stamp.of(1_700_000_000_007), "2023-11-14T22:13:20.007Z");
        assert_eq!(stamp.of(1_700_000_000_999), "2023-11-14T22:13:20.999Z");
        assert_eq!(stamp.of(1_700_000_001_000), "2023-11-14T22:13:21.000Z");
    }
}
