//! Bytes: plain TCP to an echo and back, as fast as it goes.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::Builder;

use super::Done;
use crate::clock;
use crate::compare::problem::{Context, Problem};

const CONNECTIONS: u64 = 16;
/// Bytes handed to the system at once: large, so that the generator is not the slow end.
const BUFFER_BYTES: usize = 256 << 10;
const MIB: u64 = 1 << 20;
/// The longest time from the last byte that was sent to the end of the echo.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends for so long on every connection, ends it, and waits for the rest, on the core that this thread is on.
pub fn run(address: SocketAddr, seconds: u64) -> Result<Result<Done, String>, Problem> {
    let runtime = Builder::new_current_thread().enable_all().build().while_doing("start a runtime")?;
    let began_us = clock::mono_us();
    let moved = runtime.block_on(all(address, Duration::from_secs(seconds)));
    let lasted = Duration::from_micros(clock::mono_us() - began_us);
    Ok(moved.map(|bytes| Done {
        requests: CONNECTIONS,
        units: (bytes / MIB).max(1),
        open_max: 0,
        lasted,
        times: None,
    }))
}

/// Bytes that came back on all connections.
async fn all(address: SocketAddr, lasts: Duration) -> Result<u64, String> {
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        let (reading, writing) = stream.into_split();
        open.push((tokio::spawn(send(writing, lasts)), tokio::spawn(receive(reading, lasts + PATIENCE))));
    }
    let mut bytes = 0;
    for (sending, receiving) in open {
        let sent = sending.await.map_err(|error| error.to_string())?;
        let got = receiving.await.map_err(|error| error.to_string())?;
        match (sent, got) {
            (Ok(sent), Ok(got)) if sent == got => bytes += got,
            (sent, got) => return Err(format!("of {sent:?} bytes {got:?} came back")),
        }
    }
    Ok(bytes)
}

/// Sends until the time is over; how much.
async fn send(mut writing: OwnedWriteHalf, lasts: Duration) -> Result<u64, String> {
    let buffer = vec![7; BUFFER_BYTES];
    let mut sent = 0;
    // Between two writes nothing is lost: a write has happened, or it has not.
    let forever = async {
        loop {
            match writing.write(&buffer).await {
                Ok(length) => sent += length as u64,
                Err(error) => return error.to_string(),
            }
        }
    };
    if let Ok(broken) = tokio::time::timeout(lasts, forever).await {
        return Err(broken);
    }
    writing.shutdown().await.map_err(|error| error.to_string())?;
    Ok(sent)
}

/// Receives until the other end has ended; how much.
async fn receive(mut reading: OwnedReadHalf, within: Duration) -> Result<u64, String> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut got = 0;
    let whole = async {
        loop {
            match reading.read(&mut buffer).await {
                Ok(0) => return Ok(got),
                Ok(length) => got += length as u64,
                Err(error) => return Err(error.to_string()),
            }
        }
    };
    tokio::time::timeout(within, whole).await.unwrap_or_else(|_| Err("the echo does not end".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener, TcpStream};

    /// Serves each connection in a thread.
    fn served(serve: impl Fn(TcpStream) + Send + Copy + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().take(CONNECTIONS as usize).flatten() {
                std::thread::spawn(move || serve(stream));
            }
        });
        address
    }

    #[test]
    fn what_comes_back_is_counted() {
        let echo = served(|stream| {
            let _ = std::io::copy(&mut &stream, &mut &stream);
            let _ = stream.shutdown(Shutdown::Write);
        });
        let done = run(echo, 1).unwrap().unwrap();
        assert!(done.units > 1 && done.requests == CONNECTIONS, "{done:?}");
        assert!(done.lasted > Duration::from_millis(900), "{done:?}");
    }

    #[test]
    fn what_is_lost_makes_no_result() {
        let thief = served(|mut stream| {
            let _ = stream.read_exact(&mut [0; 10]);
            let _ = std::io::copy(&mut stream.try_clone().unwrap(), &mut stream);
            let _ = stream.flush();
            let _ = stream.shutdown(Shutdown::Write);
        });
        let said = run(thief, 1).unwrap().unwrap_err();
        assert!(said.contains("came back"), "{said}");
    }
}
