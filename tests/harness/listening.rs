//! A listener on a free port whose connections have a thread each; what the backends of tests stand on.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// It listens until it is dropped.
pub struct Listening {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    ended: Arc<AtomicBool>,
}

impl Listening {
    /// `serve` is told how many connections came before.
    pub fn start(serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Listening {
        Listening::on(TcpListener::bind("127.0.0.1:0").expect("a free port"), serve)
    }

    pub fn on(listener: TcpListener, serve: impl Fn(TcpStream, usize) + Send + Sync + 'static) -> Listening {
        let address = listener.local_addr().expect("bound");
        let listening = Listening { address, connections: Arc::default(), ended: Arc::default() };
        let (connections, ended) = (listening.connections.clone(), listening.ended.clone());
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let number = connections.fetch_add(1, Ordering::Relaxed);
                let serve = serve.clone();
                thread::spawn(move || serve(stream, number));
            }
        });
        listening
    }

    /// Connections it has accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address); // the listener looks up, and leaves
    }
}
