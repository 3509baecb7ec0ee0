//! TCP echo: bytes come back as they are, and the end of the caller's is answered by the end of ours.

use std::io;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::server::Shared;
use crate::local;

/// Bytes read at once: so many that under load the echo is not the slow end.
const BUFFER_BYTES: usize = 256 << 10;

/// What was echoed so far.
#[derive(Debug, Default)]
pub struct Echoed {
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Bytes sent back.
    pub bytes: AtomicU64,
}

impl Echoed {
    /// Sets both to zero.
    pub fn reset(&self) {
        self.connections.store(0, Relaxed);
        self.bytes.store(0, Relaxed);
    }
}

/// Runs the echo on this thread until `stop` says so or is dropped; open connections end with it.
///
/// # Errors
/// The runtime cannot be made, or does not take the listener.
pub fn run(listener: StdListener, shared: Arc<Shared>, stop: watch::Receiver<bool>) -> io::Result<()> {
    local::listen(listener, stop, |listener| accept(listener, shared))
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: only time brings some back.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        shared.echoed.connections.fetch_add(1, Relaxed);
        let shared = Arc::clone(&shared);
        tokio::task::spawn_local(async move {
            // A caller that breaks off has nobody to be told.
            let _ = echo(stream, &shared.echoed.bytes).await;
        });
    }
}

async fn echo(mut stream: TcpStream, echoed: &AtomicU64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return stream.shutdown().await;
        }
        stream.write_all(&buffer[..length]).await?;
        echoed.fetch_add(length as u64, Relaxed);
    }
}
