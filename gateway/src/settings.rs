//! Settings: what is read once, at start. Addresses, directories, workers, the life of a connection.
//!
//! Everything has a default, so that `pangu-gateway run` works beside a `policies/` directory. What may
//! change while traffic flows is policy, not a setting.

use serde::Deserialize;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `gateway.yaml`. Relative paths start at the file's own directory.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where callers connect. Default: plain HTTP on 127.0.0.1:8080.
    pub listeners: Vec<Listener>,
    /// Where operators connect.
    pub admin: Admin,
    /// Directory of policy files. Default: `policies`.
    pub policies: PathBuf,
    /// Directory of `NAME.crt` and `NAME.key` pairs. Default: `certs`.
    pub certs: PathBuf,
    /// Directory in which what is spent of budgets survives a restart; made if there is none, and used by one gateway
    /// at a time. Default: none, and budgets begin anew with every start.
    pub state_dir: Option<PathBuf>,
    /// Threads that serve requests. Default: one per core.
    pub workers: Option<usize>,
    /// One JSON line per request. Default: standard output.
    pub access_log: AccessLog,
    /// How many connections at once.
    pub connections: Connections,
    /// How long the life of a connection may stand still.
    pub timeouts: Timeouts,
    /// What one request head may measure before any route is known.
    pub heads: Heads,
    /// Bytes of request bodies held in memory because they are read whole before they go on (to check a signature, to
    /// meter, to wait, to be sent again), over all workers. Default: 256 MiB. Beyond it, such requests get a 503.
    pub buffered_bodies_max: u64,
    /// Who is asked for the addresses of names.
    pub dns: Dns,
    /// Proxies whose `X-Forwarded-For` or PROXY header names the caller's address. Default: none.
    pub trusted_proxies: Vec<ipnet::IpNet>,
}

/// One address to listen on.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Name in logs and metrics.
    pub name: String,
    /// `127.0.0.1:8080`; port 0 takes a free one.
    pub address: SocketAddr,
    /// TLS with the pairs in `certs`; HTTP/2 by ALPN. Default: false.
    #[serde(default)]
    pub tls: bool,
    /// Plain TCP, for the stream of the policy that names this listener. Default: false, which is HTTP.
    #[serde(default)]
    pub tcp: bool,
    /// Every connection comes from one of `trusted_proxies` and begins with a PROXY header of version 2; only with
    /// `tcp`. Default: false, and no header is believed.
    #[serde(default)]
    pub proxy_protocol: bool,
}

/// The operators' listener.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Admin {
    /// Default: 127.0.0.1:9900.
    pub address: SocketAddr,
    /// File with the bearer token that every admin request must show. Required unless the address is
    /// a loopback one.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
}

/// Where access-log lines go.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessLog {
    /// Standard output.
    Stdout,
    /// Nowhere.
    Off,
    /// Appended to this file; opened again on SIGHUP.
    File(PathBuf),
}

/// Caps on open connections, checked before TLS.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Connections {
    /// In all. Default: 10,000.
    pub max: usize,
    /// From one address (an IPv6 /64 counts as one). Default: 1,000.
    pub per_address: u32,
}

/// How long a connection may stand still.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// TLS handshake, from accept to finished. Default: 5 s.
    #[serde(with = "humantime_text")]
    pub handshake: Duration,
    /// A request head, from its first byte to its last. Default: 10 s.
    #[serde(with = "humantime_text")]
    pub head: Duration,
    /// An idle connection between requests. Default: 75 s.
    #[serde(with = "humantime_text")]
    pub keep_alive: Duration,
    /// A request body must come at this many bytes per second. Default: 1024.
    pub body_rate_min: u64,
    /// The rate is measured over this much waiting. Default: 10 s.
    #[serde(with = "humantime_text")]
    pub body_grace: Duration,
    /// From the first SIGTERM until open requests are cut. Default: 30 s.
    #[serde(with = "humantime_text")]
    pub drain: Duration,
}

/// Who is asked for the addresses of backends that are written as names, and for SRV records.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dns {
    /// Name servers: `10.0.0.2`, or `10.0.0.2:5353` for another port than 53. Default: those of `/etc/resolv.conf`, with
    /// its search list. `/etc/hosts` is asked first in either case.
    pub servers: Vec<NameServer>,
}

impl Dns {
    /// Addresses with ports.
    pub fn servers(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(|server| server.0).collect()
    }
}

/// The address of a name server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct NameServer(SocketAddr);

impl TryFrom<String> for NameServer {
    type Error = String;

    fn try_from(text: String) -> Result<NameServer, String> {
        let alone = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
        let server = alone.or_else(|_| text.parse::<SocketAddr>());
        server.map(NameServer).map_err(|_| {
            format!("`{text}` is not the address of a name server; write `10.0.0.2` or `10.0.0.2:5353`")
        })
    }
}

/// Sizes of a request head, before any route is known; routes may set less.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Heads {
    /// Bytes of request line and headers. Default: 65,536.
    pub bytes_max: usize,
    /// Header lines. Default: 100, as many as the HTTP parser takes without an allocation.
    pub lines_max: usize,
    /// Bytes of the request target. Default: 32,768; at most 65,534, which is what the HTTP parser takes.
    pub target_max: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            listeners: vec![Listener {
                name: "http".into(),
                address: SocketAddr::from(([127, 0, 0, 1], 8080)),
                tls: false,
                tcp: false,
                proxy_protocol: false,
            }],
            admin: Admin { address: SocketAddr::from(([127, 0, 0, 1], 9900)), token_file: None },
            policies: "policies".into(),
            certs: "certs".into(),
            state_dir: None,
            workers: None,
            access_log: AccessLog::Stdout,
            connections: Connections::default(),
            timeouts: Timeouts::default(),
            heads: Heads::default(),
            buffered_bodies_max: 256 << 20,
            dns: Dns::default(),
            trusted_proxies: Vec::new(),
        }
    }
}

impl Default for Connections {
    fn default() -> Connections {
        Connections { max: 10_000, per_address: 1_000 }
    }
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            handshake: Duration::from_secs(5),
            head: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            body_rate_min: 1024,
            body_grace: Duration::from_secs(10),
            drain: Duration::from_secs(30),
        }
    }
}

impl Default for Heads {
    fn default() -> Heads {
        Heads { bytes_max: 64 << 10, lines_max: 100, target_max: 32 << 10 }
    }
}

impl Settings {
    /// Reads `file`, or the defaults if none is given.
    ///
    /// # Errors
    /// One sentence that names the file and the place in it.
    pub fn load(file: Option<&Path>) -> Result<Settings, String> {
        let Some(file) = file else { return Ok(Settings::default()) };
        let text = std::fs::read_to_string(file).map_err(|e| at(file, e))?;
        let mut settings: Settings = serde_saphyr::from_str(&text).map_err(|e| at(file, e))?;
        settings.resolve_paths(file.parent().unwrap_or(Path::new("")));
        settings.check().map_err(|what| at(file, what))?;
        Ok(settings)
    }

    /// Worker threads: as set, or one per core.
    pub fn workers(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.workers.unwrap_or_else(cores)
    }

    fn resolve_paths(&mut self, base: &Path) {
        self.policies = base.join(&self.policies);
        self.certs = base.join(&self.certs);
        if let AccessLog::File(file) = &mut self.access_log {
            *file = base.join(&*file);
        }
        for path in [&mut self.state_dir, &mut self.admin.token_file].into_iter().flatten() {
            *path = base.join(&*path);
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.listeners.is_empty() {
            return Err("`listeners` is empty; name at least one address to listen on");
        }
        if self.listeners.iter().any(|listener| listener.proxy_protocol && !listener.tcp) {
            return Err("`proxy_protocol` is for listeners with `tcp: true`; HTTP callers are known by \
                        `X-Forwarded-For` of `trusted_proxies`");
        }
        if self.trusted_proxies.is_empty() && self.listeners.iter().any(|listener| listener.proxy_protocol) {
            return Err(
                "a listener with `proxy_protocol` lets in nobody but `trusted_proxies`, and there are none; \
                        write their networks, such as `[10.0.0.0/24]`",
            );
        }
        if self.workers == Some(0) {
            return Err("`workers: 0` serves nobody; leave it out for one per core");
        }
        if self.heads.target_max > 65_534 {
            return Err("`heads.target_max` is above 65534, which is what the HTTP parser takes; lower it");
        }
        if !self.admin.address.ip().is_loopback() && self.admin.token_file.is_none() {
            return Err("`admin.address` can be reached from other machines; set `admin.token_file`, \
                        or listen on 127.0.0.1");
        }
        Ok(())
    }
}

fn at(file: &Path, what: impl Display) -> String {
    format!("{}: {what}", file.display())
}

/// Durations as people write them: `5s`, `2m 30s`.
mod humantime_text {
    use serde::{Deserialize, Deserializer, de::Error};
    use std::time::Duration;

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        humantime::parse_duration(&text)
            .map_err(|e| D::Error::custom(format!("`{text}` is not a duration ({e}); write `5s` or `2m`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(yaml: &str) -> Result<Settings, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("gateway.yaml");
        std::fs::write(&file, yaml).unwrap();
        Settings::load(Some(&file)).map_err(|e| e.replace(&dir.path().display().to_string(), "DIR"))
    }

    #[test]
    fn everything_has_a_default() {
        let settings = load("workers: 2").unwrap();
        assert_eq!(settings.workers(), 2);
        assert_eq!(settings.listeners[0].address.port(), 8080);
        assert!(settings.policies.ends_with("policies") && settings.policies.is_absolute());
    }

    #[test]
    fn relative_paths_start_at_the_file() {
        let settings = load(
            "state_dir: state\naccess_log: {file: a.log}\nadmin: {address: \"127.0.0.1:1\", token_file: t}",
        );
        let settings = settings.unwrap();
        let AccessLog::File(log) = settings.access_log else { panic!("a file") };
        for path in [settings.state_dir.unwrap(), log, settings.admin.token_file.unwrap()] {
            assert!(path.is_absolute(), "{}", path.display());
        }
    }

    #[test]
    fn a_misspelt_key_is_an_error_with_its_place() {
        let error = load("workers: 1\nlisteners:\n  - {name: a, adress: \"127.0.0.1:0\"}\n").unwrap_err();
        assert!(error.contains("gateway.yaml") && error.contains("adress"), "{error}");
        assert!(error.contains('3'), "the line: {error}");
    }

    #[test]
    fn an_admin_listener_for_other_machines_needs_a_token() {
        let error = load("admin: {address: \"0.0.0.0:9900\"}").unwrap_err();
        assert!(error.contains("token_file"), "{error}");
    }

    #[test]
    fn a_proxy_header_is_for_tcp_listeners_and_trusted_proxies() {
        let listener = |more: &str| {
            let text =
                format!("listeners: [{{name: a, address: \"127.0.0.1:0\", proxy_protocol: true{more}}}]\n");
            text + "trusted_proxies: [10.0.0.0/24]"
        };
        assert!(load(&listener(", tcp: true")).is_ok());
        let error = load(&listener("")).unwrap_err();
        assert!(error.contains("`tcp: true`"), "{error}");
        let error = load(&listener(", tcp: true").replace("[10.0.0.0/24]", "[]")).unwrap_err();
        assert!(error.contains("trusted_proxies"), "{error}");
    }

    #[test]
    fn name_servers_have_port_53_unless_they_say_another() {
        let settings = load("dns: {servers: [10.0.0.2, \"127.0.0.1:5353\", fd00::2]}").unwrap();
        let servers: Vec<String> = settings.dns.servers().iter().map(SocketAddr::to_string).collect();
        assert_eq!(servers, ["10.0.0.2:53", "127.0.0.1:5353", "[fd00::2]:53"]);
        let error = load("dns: {servers: [ns.example.com]}").unwrap_err();
        assert!(error.contains("10.0.0.2:5353"), "{error}");
    }

    #[test]
    fn a_duration_without_a_unit_says_how_to_write_one() {
        let error = load("timeouts: {head: 10}").unwrap_err();
        assert!(error.contains("5s"), "{error}");
    }
}
