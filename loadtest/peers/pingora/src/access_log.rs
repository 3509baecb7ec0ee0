//! Access log: a line of JSON per request, written in blocks.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;

/// As the other peers: a block of 32 KiB, or what there is after a second.
const BLOCK_BYTES: usize = 32 << 10;
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// The log. There is one worker, so its lock is always free but for the flush once a second.
#[derive(Clone)]
pub struct AccessLog(Arc<Mutex<BufWriter<File>>>);

/// What a line says.
pub struct Line<'a> {
    /// Milliseconds since 1970.
    pub time_ms: u64,
    /// `X-Request-Id`.
    pub request_id: &'a str,
    /// Port the caller came to.
    pub listener: u16,
    /// Address of the caller.
    pub peer: &'a str,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: http::Version,
    /// Method.
    pub method: &'a str,
    /// Path without the query.
    pub path: &'a str,
    /// Tenant, or nothing.
    pub tenant: &'a str,
    /// User, or nothing.
    pub user: &'a str,
    /// Status of the answer.
    pub status: u16,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: usize,
    /// From head to end, microseconds.
    pub duration_us: u128,
    /// From head to head of the answer, microseconds.
    pub first_byte_us: u128,
    /// Address of the origin.
    pub backend: &'a str,
}

impl AccessLog {
    /// Opens a log to append to.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path) -> io::Result<AccessLog> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(AccessLog(Arc::new(Mutex::new(BufWriter::with_capacity(BLOCK_BYTES, file)))))
    }

    /// Appends a line. Only the path is the caller's choice, and a URI holds neither quotes nor control characters.
    pub fn write(&self, line: &Line<'_>) {
        let Ok(mut out) = self.0.lock() else { return };
        let _ = writeln!(
            out,
            concat!(
                r#"{{"time":{},"request_id":"{}","listener":"{}","peer":"{}","protocol":"{:?}","method":"{}","#,
                r#""path":"{}","route":"bench","tenant":"{}","user":"{}","status":{},"bytes_in":{},"#,
                r#""bytes_out":{},"duration_us":{},"first_byte_us":{},"backend":"{}"}}"#,
            ),
            line.time_ms,
            line.request_id,
            line.listener,
            line.peer,
            line.protocol,
            line.method,
            line.path,
            line.tenant,
            line.user,
            line.status,
            line.bytes_in,
            line.bytes_out,
            line.duration_us,
            line.first_byte_us,
            line.backend,
        );
    }

    fn flush(&self) {
        if let Ok(mut out) = self.0.lock() {
            let _ = out.flush();
        }
    }
}

#[async_trait]
impl BackgroundService for AccessLog {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let mut tick = tokio::time::interval(FLUSH_EVERY);
        loop {
            tokio::select! {
                _ = tick.tick() => self.flush(),
                _ = shutdown.changed() => return self.flush(),
            }
        }
    }
}
