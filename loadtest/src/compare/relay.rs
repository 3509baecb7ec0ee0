//! Relay: passes the bytes of one connection on to another, and does nothing else.
//!
//! It reads no request, so what it costs is what the kernel takes for the reads, writes and waits that any proxy on
//! sockets makes: the floor under the other figures. Each caller's connection has one of its own to the origin.
//!
//! It is made for messages that fit into the buffers of a socket: a write that does not blocks all connections.

use std::io;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

/// More than a request or an answer of the loads that it takes.
const BUFFER_BYTES: usize = 16 << 10;
const EVENTS_MAX: usize = 1024;
const LISTENER: u64 = u64::MAX;

/// The ends of the connections that are open: one pair after the other, the caller's first. The places of those that
/// are over stay empty, so that what was still to be said of them meets nobody else.
#[derive(Debug, Default)]
struct Ends(Vec<Option<TcpStream>>);

/// Serves until the process ends.
///
/// # Errors
/// The address is in use, or the system refuses to wait.
pub fn serve(listen: SocketAddr, origin: SocketAddr) -> io::Result<()> {
    relay(&TcpListener::bind(listen)?, origin)
}

fn relay(listener: &TcpListener, origin: SocketAddr) -> io::Result<()> {
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&poll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut ends = Ends::default();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut events = [MaybeUninit::<Event>::uninit(); EVENTS_MAX];
    loop {
        let ready = match epoll::wait(&poll, &mut events, None) {
            Ok((ready, _)) => ready,
            Err(Errno::INTR) => continue,
            Err(refused) => return Err(refused.into()),
        };
        for event in ready.iter() {
            match event.data.u64() {
                LISTENER => {
                    // A caller that is gone already, or an origin that is not there, is between those two.
                    let pair =
                        listener.accept().and_then(|(caller, _)| Ok([caller, TcpStream::connect(origin)?]));
                    if let Ok(pair) = pair {
                        ends.open(&poll, pair)?;
                    }
                }
                end => ends.pass_on(end as usize, &mut buffer),
            }
        }
    }
}

impl Ends {
    fn open(&mut self, poll: &impl std::os::fd::AsFd, pair: [TcpStream; 2]) -> io::Result<()> {
        for stream in pair {
            stream.set_nodelay(true)?;
            let end = EventData::new_u64(self.0.len() as u64);
            epoll::add(poll, &stream, end, EventFlags::IN | EventFlags::RDHUP | EventFlags::ET)?;
            self.0.push(Some(stream));
        }
        Ok(())
    }

    /// Moves what has arrived at one end to the other; when there is no more to come, ends both.
    fn pass_on(&mut self, from: usize, buffer: &mut [u8]) {
        let to = from ^ 1;
        let (Some(source), Some(target)) = (&self.0[from], &self.0[to]) else { return };
        loop {
            let read = match rustix::net::recv(source, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((read, _)) if read > 0 => read,
                Err(Errno::AGAIN) => return,
                _ => break,
            };
            // On a socket that blocks, all of it or an error.
            if rustix::net::send(target, &buffer[..read], SendFlags::NOSIGNAL) != Ok(read) {
                break;
            }
            // The kernel tells of what arrives after a read that has left room.
            if read < buffer.len() {
                return;
            }
        }
        self.0[from] = None;
        self.0[to] = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::Ipv4Addr;

    fn listen() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// Answers what arrives with the same, and ends when the caller does.
    fn echo() -> SocketAddr {
        let (listener, address) = listen();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || io::copy(&mut &stream, &mut &stream));
            }
        });
        address
    }

    fn relay_to(origin: SocketAddr) -> SocketAddr {
        let (listener, address) = listen();
        std::thread::spawn(move || relay(&listener, origin));
        address
    }

    #[test]
    fn bytes_pass_both_ways_on_connections_of_their_own() {
        let address = relay_to(echo());
        let mut callers: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(address).unwrap()).collect();
        for round in 0..50_u8 {
            for (n, caller) in callers.iter_mut().enumerate() {
                // From one byte to more than fits into the buffer at once.
                let sent = vec![round ^ n as u8; 1 + n * 5000];
                caller.write_all(&sent).unwrap();
                let mut back = vec![0; sent.len()];
                caller.read_exact(&mut back).unwrap();
                assert!(back == sent, "round {round}, caller {n}");
            }
        }
    }

    #[test]
    fn the_end_of_one_connection_is_the_end_of_its_other() {
        let (origin, address) = listen();
        let relay = relay_to(address);
        let caller = TcpStream::connect(relay).unwrap();
        let (mut at_origin, _) = origin.accept().unwrap();
        drop(caller);
        assert_eq!(at_origin.read(&mut [0]).unwrap(), 0, "the caller left");
        let mut caller = TcpStream::connect(relay).unwrap();
        drop(origin.accept().unwrap());
        assert_eq!(caller.read(&mut [0]).unwrap(), 0, "the origin left");
    }

    #[test]
    fn an_origin_that_is_not_there_ends_the_caller_and_nothing_else() {
        let (origin, address) = listen();
        let relay = relay_to(address);
        drop(origin);
        for _ in 0..3 {
            assert_eq!(TcpStream::connect(relay).unwrap().read(&mut [0]).unwrap_or(0), 0);
        }
    }
}
