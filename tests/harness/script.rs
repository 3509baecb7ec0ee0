//! An upstream that says what a test tells it to, byte for byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Between two pieces of an answer, so that each is read by itself.
const PAUSE: Duration = Duration::from_micros(500);

/// What it does with one request.
#[derive(Debug, Clone)]
pub struct Reply {
    bytes: Vec<u8>,
    /// How many bytes leave at once; 1 shows every place at which an answer can be cut.
    piece: usize,
    then: Then,
    /// Answers once the head has come, and reads nothing of the body.
    early: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Keep,
    Close,
}

impl Reply {
    /// Says `bytes` and waits for the next request on the same connection.
    pub fn keep(bytes: impl AsRef<[u8]>) -> Reply {
        Reply { bytes: bytes.as_ref().to_vec(), piece: usize::MAX, then: Then::Keep, early: false }
    }

    /// Says `bytes` and closes the connection.
    pub fn close(bytes: impl AsRef<[u8]>) -> Reply {
        Reply { then: Then::Close, ..Reply::keep(bytes) }
    }

    /// In pieces of so many bytes.
    pub fn in_pieces(self, piece: usize) -> Reply {
        Reply { piece, ..self }
    }

    /// Before the request's body has come.
    pub fn early(self) -> Reply {
        Reply { early: true, ..self }
    }
}

/// It listens until it is dropped.
pub struct Script {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

impl Script {
    /// Asks `reply` what to do with each request, by its number, counted from 0 over all connections.
    pub fn start(reply: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Script {
        Script::asking(move |number, _| reply(number))
    }

    /// The same, told also the head of the request.
    pub fn asking(reply: impl Fn(usize, &str) -> Reply + Send + Sync + 'static) -> Script {
        Script::listening(TcpListener::bind("127.0.0.1:0").expect("a free port"), reply)
    }

    /// The same on a socket of the test's own.
    pub fn listening(
        listener: TcpListener,
        reply: impl Fn(usize, &str) -> Reply + Send + Sync + 'static,
    ) -> Script {
        let address = listener.local_addr().expect("bound");
        let script =
            Script { address, seen: Arc::default(), connections: Arc::default(), ended: Arc::default() };
        let (seen, connections, ended) =
            (script.seen.clone(), script.connections.clone(), script.ended.clone());
        let reply = Arc::new(reply);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), seen, reply) = (stream, seen.clone(), reply.clone()) else { continue };
                connections.fetch_add(1, Ordering::Relaxed);
                thread::spawn(move || serve(stream, &seen, &*reply));
            }
        });
        script
    }

    /// Every request it was sent, head and body.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no test panics holding it").clone()
    }

    /// Connections it was offered.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address); // the listener looks up, and leaves
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<String>>, reply: &dyn Fn(usize, &str) -> Reply) {
    let _ = stream.set_nodelay(true);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
    let mut buffer = Vec::new();
    loop {
        let Some(head) = until(&mut stream, &mut buffer, b"\r\n\r\n") else { return };
        let text = String::from_utf8_lossy(&head).into_owned();
        let number = {
            let mut seen = seen.lock().expect("no test panics holding it");
            seen.push(text.clone());
            seen.len() - 1
        };
        let reply = reply(number, &text);
        if !reply.early {
            let Some(body) = body(&mut stream, &mut buffer, &head) else { return };
            seen.lock().expect("no test panics holding it")[number].push_str(&String::from_utf8_lossy(&body));
        }
        for piece in reply.bytes.chunks(reply.piece.min(reply.bytes.len().max(1))) {
            if stream.write_all(piece).is_err() {
                return;
            }
            if reply.piece < reply.bytes.len() {
                thread::sleep(PAUSE);
            }
        }
        if reply.then == Then::Close {
            return;
        }
    }
}

fn body(stream: &mut TcpStream, buffer: &mut Vec<u8>, head: &[u8]) -> Option<Vec<u8>> {
    let head = String::from_utf8_lossy(head).to_lowercase();
    if head.contains("transfer-encoding: chunked") {
        return until(stream, buffer, b"0\r\n\r\n");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    while buffer.len() < length.unwrap_or(0) {
        more(stream, buffer)?;
    }
    Some(buffer.drain(..length.unwrap_or(0)).collect())
}

fn until(stream: &mut TcpStream, buffer: &mut Vec<u8>, end: &[u8]) -> Option<Vec<u8>> {
    loop {
        if let Some(at) = buffer.windows(end.len()).position(|window| window == end) {
            return Some(buffer.drain(..at + end.len()).collect());
        }
        more(stream, buffer)?;
    }
}

fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let mut bytes = [0; 16 * 1024];
    match stream.read(&mut bytes) {
        Ok(0) | Err(_) => None,
        Ok(n) => {
            buffer.extend_from_slice(&bytes[..n]);
            Some(())
        }
    }
}
