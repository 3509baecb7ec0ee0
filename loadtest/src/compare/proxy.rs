//! Proxy: a peer that runs, its addresses and its access log.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::callers;
use super::case::Case;
use super::peer::{Peer, Programs};
use super::problem::{Context, Problem};
use super::process::{self, Process};
use super::template;

/// A running peer; dropping it ends it.
#[derive(Debug)]
pub struct Proxy {
    /// Which one.
    pub peer: Peer,
    /// Where it takes plain HTTP.
    pub http: SocketAddr,
    /// Where it takes TLS.
    pub https: SocketAddr,
    /// Where it takes plain TCP, if [`Case::Tcp`] is for it.
    pub tcp: SocketAddr,
    log: PathBuf,
    process: Process,
}

/// What all proxies have in common.
#[derive(Debug, Clone, Copy)]
pub struct Site<'a> {
    /// Directory of this comparison, with the callers' files and certificates.
    pub directory: &'a Path,
    /// Where the origin listens.
    pub origin: SocketAddr,
    /// Where plain TCP is echoed.
    pub echo: SocketAddr,
    /// Core of the proxies.
    pub core: usize,
    /// Where programs are.
    pub programs: &'a Programs,
}

/// Lines of an access log, by status; 0 for those that have none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lines(BTreeMap<u16, u64>);

impl Lines {
    /// All.
    pub fn all(&self) -> u64 {
        self.0.values().sum()
    }

    /// Those of an answer with this status.
    pub fn with(&self, status: u16) -> u64 {
        self.0.get(&status).copied().unwrap_or(0)
    }
}

impl<const N: usize> From<[(u16, u64); N]> for Lines {
    fn from(lines: [(u16, u64); N]) -> Lines {
        Lines(lines.into())
    }
}

impl Proxy {
    /// Writes its configuration, starts it, and waits until it listens.
    ///
    /// # Errors
    /// It is missing, or does not start.
    pub fn start(peer: Peer, site: &Site<'_>) -> Result<Proxy, Problem> {
        let [http, https, tcp, admin] = free_addresses()?;
        let log = site.directory.join("logs").join(peer.name()).with_extension("log");
        process::append(&log)?;
        // haproxy has no log files: it hands its lines to whoever listens.
        let log_port = if peer == Peer::Haproxy { write_lines(&log)?.port() } else { 0 };
        let certificates = site.directory.join("certs");
        let path = |name: &str| certificates.join(name).display().to_string();
        let values = [
            ("dir", site.directory.display().to_string()),
            ("log", log.display().to_string()),
            ("certificate", path("localhost.crt")),
            ("key", path("localhost.key")),
            ("pem", path("localhost.pem")),
            ("http_port", http.port().to_string()),
            ("https_port", https.port().to_string()),
            ("tcp_port", tcp.port().to_string()),
            ("admin_port", admin.port().to_string()),
            ("origin_port", site.origin.port().to_string()),
            ("echo_port", site.echo.port().to_string()),
            ("log_port", log_port.to_string()),
            ("credentials", if peer == Peer::Envoy { callers::envoy_credentials() } else { String::new() }),
        ];
        let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
        for (name, text) in templates(peer) {
            let file = site.directory.join(name);
            std::fs::write(&file, template::fill(text, &values)).while_doing(format!("write {name}"))?;
        }
        let mut command = Command::new(site.programs.find(peer)?);
        command.current_dir(site.directory);
        match peer {
            Peer::Direct | Peer::Nginx => command.arg("-p").arg(site.directory).args(["-c", "nginx.conf"]),
            Peer::Gateway => command.args(["run", "--settings", "gateway.yaml"]),
            Peer::Haproxy => command.args(["-db", "-f", "haproxy.cfg"]),
            Peer::Envoy => command
                .args(["-c", "envoy.yaml", "--concurrency", "1", "--disable-hot-restart"])
                .args(["--log-level", "error", "--file-flush-interval-msec", "1000"]),
            Peer::Pingora => command
                .args([http.to_string(), https.to_string(), site.origin.to_string()])
                .arg("pingora-callers")
                .args(["certs/localhost.crt", "certs/localhost.key"])
                .arg(&log),
            Peer::Relay => command.args(["relay", &http.to_string(), &site.origin.to_string()]),
        };
        let mut process = Process::start(peer.name(), site.core, &mut command, site.directory)?;
        if peer.knows_requests() {
            process.wait_for(https)?;
        }
        process.wait_for(http)?;
        Ok(Proxy { peer, http, https, tcp, log, process })
    }

    /// Where it takes the load of a case.
    pub fn address(&self, case: Case) -> SocketAddr {
        match case {
            Case::Tcp => self.tcp,
            _ if case.tls() => self.https,
            _ => self.http,
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// How it ended, if it has.
    pub fn fate(&self) -> Option<Problem> {
        self.process.fate()
    }

    /// Empties its log.
    ///
    /// # Errors
    /// The file cannot be truncated.
    pub fn empty_log(&self) -> Result<(), Problem> {
        let file = std::fs::OpenOptions::new().write(true).open(&self.log);
        file.and_then(|file| file.set_len(0)).while_doing("empty an access log")
    }

    /// All that its log holds.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn log_text(&self) -> Result<String, Problem> {
        std::fs::read_to_string(&self.log).while_doing("read an access log")
    }

    /// A reader of its log.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn log(&self) -> Result<LogReader, Problem> {
        let file = std::fs::File::open(&self.log).while_doing("read an access log")?;
        Ok(LogReader {
            file: BufReader::with_capacity(1 << 20, file),
            lines: Lines::default(),
            rest: Vec::new(),
        })
    }
}

/// Reads an access log as it grows.
#[derive(Debug)]
pub struct LogReader {
    file: BufReader<std::fs::File>,
    lines: Lines,
    /// A line whose end is not there yet.
    rest: Vec<u8>,
}

impl LogReader {
    /// Lines so far.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn lines(&mut self) -> Result<&Lines, Problem> {
        while self.file.read_until(b'\n', &mut self.rest).while_doing("read an access log")? > 0 {
            if self.rest.last() != Some(&b'\n') {
                break;
            }
            *self.lines.0.entry(status(&self.rest)).or_default() += 1;
            self.rest.clear();
        }
        Ok(&self.lines)
    }
}

/// The status that a line names, wherever in the object it stands. A connection of plain TCP has none: 200 if it ended
/// as it should, in the words of the gateway or of haproxy.
fn status(line: &[u8]) -> u16 {
    const NAME: &[u8] = br#""status":"#;
    const TCP: &[u8] = br#""protocol":"tcp""#;
    let has = |what: &[u8]| memchr::memmem::find(line, what).is_some();
    if has(TCP) {
        return if has(br#""outcome":"ok""#) || has(br#""outcome":"--""#) { 200 } else { 0 };
    }
    let value = memchr::memmem::find(line, NAME).map(|at| &line[at + NAME.len()..]);
    let digits = value.and_then(|value| value.split(|byte| matches!(byte, b',' | b'}')).next());
    digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()).unwrap_or(0)
}

fn templates(peer: Peer) -> &'static [(&'static str, &'static str)] {
    match peer {
        Peer::Direct | Peer::Pingora | Peer::Relay => &[],
        Peer::Gateway => &[
            ("gateway.yaml", include_str!("../../peers/gateway.yaml")),
            ("policy/bench.yaml", include_str!("../../peers/policy/bench.yaml")),
            ("policy/protocols.yaml", include_str!("../../peers/policy/protocols.yaml")),
        ],
        Peer::Nginx => &[("nginx.conf", include_str!("../../peers/nginx.conf"))],
        Peer::Haproxy => &[("haproxy.cfg", include_str!("../../peers/haproxy.cfg"))],
        Peer::Envoy => &[("envoy.yaml", include_str!("../../peers/envoy.yaml"))],
    }
}

/// Loopback addresses that nobody listened on a moment ago, all different.
///
/// # Errors
/// There are none.
pub fn free_addresses<const N: usize>() -> Result<[SocketAddr; N], Problem> {
    let bind = |()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listeners = [(); N].map(bind);
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for (address, listener) in addresses.iter_mut().zip(&listeners) {
        *address = match listener {
            Ok(listener) => listener.local_addr().while_doing("find a free port")?,
            Err(refused) => return Err(refused.kind().into()).while_doing("find a free port"),
        };
    }
    Ok(addresses)
}

/// Writes lines that arrive on a connection into a file, on this thread's core; returns where it listens.
fn write_lines(log: &Path) -> Result<SocketAddr, Problem> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).while_doing("listen for log lines")?;
    let address = listener.local_addr().while_doing("listen for log lines")?;
    let mut file = process::append(log)?;
    // Ends with the program: whoever sends lines may come back at any time.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = io::copy(&mut { stream }, &mut file);
        }
    });
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_status_is_found_wherever_it_stands() {
        assert_eq!(status(br#"{"status":200,"x":1}"#), 200);
        assert_eq!(status(br#"{"x":200,"status":499}"#), 499);
        assert_eq!(status(br#"{"status":"-"}"#), 0, "no status");
        assert_eq!(status(b"{}"), 0);
        assert_eq!(status(br#"{"protocol":"tcp","outcome":"ok"}"#), 200);
        assert_eq!(status(br#"{"protocol":"tcp","outcome":"--"}"#), 200);
        assert_eq!(status(br#"{"protocol":"tcp","outcome":"cD"}"#), 0);
    }

    #[test]
    fn a_log_is_counted_as_it_grows() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let reader = BufReader::new(file.reopen().unwrap());
        let mut log = LogReader { file: reader, lines: Lines::default(), rest: Vec::new() };
        assert_eq!(*log.lines().unwrap(), Lines::default());
        file.write_all(b"{\"status\":200}\n{\"stat").unwrap();
        assert_eq!(*log.lines().unwrap(), Lines::from([(200, 1)]));
        file.write_all(b"us\":200}\n{\"status\":401}\n").unwrap();
        let lines = log.lines().unwrap();
        assert_eq!((lines.all(), lines.with(200), lines), (3, 2, &Lines::from([(200, 2), (401, 1)])));
    }

    #[test]
    fn lines_on_a_connection_end_in_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let address = write_lines(file.path()).unwrap();
        for line in ["one\n", "two\n"] {
            std::net::TcpStream::connect(address).unwrap().write_all(line.as_bytes()).unwrap();
        }
        for _ in 0..500 {
            if std::fs::read(file.path()).unwrap() == b"one\ntwo\n" {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("the lines do not arrive");
    }

    #[test]
    fn free_addresses_differ() {
        let [one, two, three] = free_addresses().unwrap();
        assert!(one != two && two != three && one != three);
    }

    #[test]
    fn every_template_can_be_filled() {
        let names = [
            "dir",
            "log",
            "certificate",
            "key",
            "pem",
            "http_port",
            "https_port",
            "tcp_port",
            "admin_port",
            "origin_port",
            "echo_port",
            "log_port",
            "credentials",
        ];
        for peer in Peer::OTHERS.into_iter().chain([Peer::Gateway]) {
            for (name, text) in templates(peer) {
                let filled = template::fill(text, &names.map(|name| (name, "value")));
                let is_name = |part: &str| {
                    !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
                };
                let left: Vec<&str> = filled.split('@').filter(|part| is_name(part)).collect();
                assert!(left.is_empty(), "{name}: {left:?}");
            }
        }
    }
}
