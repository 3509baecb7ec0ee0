//! Addresses: bound once for each worker, so that the kernel deals connections out; or an error that says
//! what to do.

use crate::settings::{self, Settings};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};

/// Connections that may wait to be accepted, per worker.
const BACKLOG: i32 = 1024;

/// A listener with a socket for each worker.
pub struct Bound {
    /// As configured.
    pub listener: settings::Listener,
    /// With the real port, where 0 was asked for.
    pub address: SocketAddr,
    /// One per worker.
    pub sockets: Vec<TcpListener>,
}

/// Binds every listener.
///
/// # Errors
/// One sentence: which address, why, and what to do.
pub fn bind_all(settings: &Settings) -> Result<Vec<Bound>, String> {
    settings.listeners.iter().map(|listener| bind(listener, settings.workers())).collect()
}

fn bind(listener: &settings::Listener, workers: usize) -> Result<Bound, String> {
    let explain = |e: io::Error| explain(&format!("listener `{}`", listener.name), listener.address, &e);
    // SO_REUSEPORT would let two gateways share an address unnoticed: a socket without it finds out.
    let address = if listener.address.port() == 0 {
        listener.address
    } else {
        drop(open(listener.address, false).map_err(explain)?);
        listener.address
    };
    let first = open(address, true).map_err(explain)?;
    let address = first.local_addr().map_err(explain)?;
    let mut sockets = vec![first];
    for _ in 1..workers {
        sockets.push(open(address, true).map_err(explain)?);
    }
    Ok(Bound { listener: listener.clone(), address, sockets })
}

/// Binds the operators' address.
///
/// # Errors
/// As [`bind_all`].
pub fn bind_admin(address: SocketAddr) -> Result<TcpListener, String> {
    open(address, false).map_err(|e| explain("admin listener", address, &e))
}

fn open(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn explain(who: &str, address: SocketAddr, error: &io::Error) -> String {
    let mend = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another process listens there; stop it (`ss -ltnp` shows which) or choose another port"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 need CAP_NET_BIND_SERVICE; grant it or choose a higher port"
        }
        io::ErrorKind::AddrNotAvailable => "this machine has no such address; `ip addr` lists those it has",
        _ => "check the address in the settings",
    };
    format!("{who}: cannot listen on {address}: {error}; {mend}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(port: u16) -> settings::Listener {
        let address = ([127, 0, 0, 1], port).into();
        settings::Listener { name: "http".into(), address, tls: false, tcp: false, proxy_protocol: false }
    }

    #[test]
    fn workers_share_a_port_and_nobody_else_does() {
        let bound = bind(&settings(0), 3).unwrap();
        assert_eq!(bound.sockets.len(), 3);
        for socket in &bound.sockets {
            assert_eq!(socket.local_addr().unwrap(), bound.address);
        }
        let error = bind(&settings(bound.address.port()), 1).err().unwrap();
        assert!(error.contains("`http`") && error.contains("choose another port"), "{error}");
    }
}
