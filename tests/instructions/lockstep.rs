//! An upstream whose stream goes on only when it is told to.
//!
//! Chunks that come at a pace are read one by one or several at a time, as the scheduler has it, and cost
//! accordingly. Here a chunk is written once the one before has arrived at the caller.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, Sender, channel};

/// Serves one request with one endless stream.
pub struct Lockstep {
    pub address: SocketAddr,
    next: Sender<()>,
}

const HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

impl Lockstep {
    pub fn start() -> Lockstep {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (next, told) = channel();
        std::thread::spawn(move || serve(&listener, &told));
        Lockstep { address, next }
    }

    /// Writes one more chunk.
    pub fn chunk(&self) {
        self.next.send(()).expect("the upstream is there");
    }
}

/// Ends when nobody is there to tell it.
fn serve(listener: &TcpListener, told: &Receiver<()>) -> std::io::Result<()> {
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    stream.write_all(HEAD)?;
    let event =
        format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "word ".repeat(20));
    let chunk = format!("{:x}\r\n{event}\r\n", event.len());
    for () in told {
        stream.write_all(chunk.as_bytes())?;
    }
    Ok(())
}
