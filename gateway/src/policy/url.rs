//! Upstream addresses: what may stand in a pool, and what no policy may reach.

use super::problem::quoted;
use crate::upstream::networks::refused;
use crate::upstream::{BackendSpec, Protocol, TlsSpec};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// Why a url is no backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    pub what: String,
    pub help: String,
}

/// Reads `https://host:port/base`.
///
/// # Errors
/// [`Wrong`]: malformed, or an address that no upstream may have
pub fn backend(text: &str) -> Result<BackendSpec, Wrong> {
    let (tls, rest) = match text.split_once("://") {
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        Some(("tcp", rest)) => (false, only_authority(rest)?),
        Some(("tls", rest)) => (true, only_authority(rest)?),
        _ => return wrong("not an http or https url".into(), "write `https://host:port`"),
    };
    let (authority, base) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    if rest.contains('@') {
        // Whatever stands before the @ may be a password: it is not quoted.
        return wrong("credentials do not belong in a url".into(), "take out what stands before the `@`");
    }
    if rest.contains(['?', '#']) {
        return wrong("a backend has no query and no fragment".into(), "end the url with its path");
    }
    let (host, port) = host_and_port(authority, tls)?;
    let base = base.trim_end_matches('/');
    if !base.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~".contains(&b))
        || base.split('/').skip(1).any(|segment| matches!(segment, "" | "." | ".."))
    {
        return wrong(
            format!("{} is not a base path", quoted(base)),
            "plain segments of letters, digits, `-._~`",
        );
    }
    let host: Arc<str> = host.into();
    let tls = tls.then(|| TlsSpec { ca_pem: None, name: host.clone(), client: None });
    Ok(BackendSpec { tls, host, ip: None, port, base_path: base.into(), protocol: Protocol::default() })
}

/// Is this the url of a backend for streams, of which nothing but its bytes is known?
pub fn is_raw(url: &str) -> bool {
    url.starts_with("tcp://") || url.starts_with("tls://")
}

/// Plain TCP has no default port, and no path.
fn only_authority(rest: &str) -> Result<&str, Wrong> {
    let port = rest.rsplit(':').next().unwrap_or_default();
    if !port.is_empty() && port != rest && port.bytes().all(|b| b.is_ascii_digit()) || rest.contains('@') {
        return Ok(rest);
    }
    wrong("a backend for streams is a host and a port".into(), "write `tcp://host:port`")
}

fn host_and_port(authority: &str, tls: bool) -> Result<(String, u16), Wrong> {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((v6, port)) if v6.parse::<Ipv6Addr>().is_ok() => {
            (v6, port.strip_prefix(':').or(port.is_empty().then_some("")))
        }
        Some(_) => (authority, None),
        None => authority.rsplit_once(':').map_or((authority, Some("")), |(host, port)| (host, Some(port))),
    };
    let standard = if tls { 443 } else { 80 };
    let port = match port {
        Some("") if !authority.ends_with(':') => Some(standard),
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port.parse().ok().filter(|port| *port > 0),
        _ => None,
    };
    let Some(port) = port else {
        return wrong(format!("{} has no usable port", quoted(authority)), "a port is 1 to 65535");
    };
    let host = host.to_ascii_lowercase();
    if let Ok(address) = host.parse::<IpAddr>() {
        return match refused(address) {
            Some(why) => wrong(format!("{} is {why}", quoted(&host)), "name the address of a model endpoint"),
            None => Ok((host, port)),
        };
    }
    if !is_host(&host) {
        return wrong(
            format!("{} is not a host", quoted(&host)),
            "write a name or an address; IPv6 in brackets",
        );
    }
    Ok((host, port))
}

/// A host name or an address, in lower case.
///
/// Names whose last label is a number are refused: resolvers take `2852039166` or `0xa9.0xfea9fe` for
/// addresses in spellings that no check of ours would recognise.
pub fn is_host(host: &str) -> bool {
    if host.parse::<IpAddr>().is_ok() {
        return true;
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = host.rsplit('.').next().unwrap_or(host);
    let numeric = last.starts_with("0x") || last.bytes().all(|b| b.is_ascii_digit());
    host.len() <= 253 && host.split('.').all(label) && !numeric
}

fn wrong<T>(what: String, help: &str) -> Result<T, Wrong> {
    Err(Wrong { what, help: help.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_becomes_host_port_and_base() {
        let spec = backend("https://NLP.internal:8443/base/").unwrap();
        assert_eq!(
            (spec.tls.is_some(), &*spec.host, spec.port, &*spec.base_path),
            (true, "nlp.internal", 8443, "/base")
        );
        assert_eq!(backend("http://10.0.0.1").unwrap().port, 80);
        assert_eq!(backend("https://[fd00::1]:9").unwrap().host.as_ref(), "fd00::1");
        assert_eq!(backend("https://[fd00::1]").unwrap().port, 443);
        assert_eq!(backend("http://127.0.0.1:9100").unwrap().port, 9100, "loopback is for development");
        assert_eq!(backend("http://[::1]:9100").unwrap().port, 9100);
    }

    #[test]
    fn link_local_and_metadata_are_refused_in_any_spelling() {
        for host in [
            "169.254.169.254",
            "169.254.0.1:80",
            "[fe80::1]",
            "[febf::1]:80",
            "[::ffff:169.254.169.254]",
            "[::ffff:a9fe:a9fe]",
            "[::a9fe:a9fe]",
            "[64:ff9b::a9fe:a9fe]",
            "2852039166",
            "0xa9fea9fe",
            "169.254.43518",
            "0251.0376.0251.0376",
            "0.0.0.0",
            "[::]",
            "224.0.0.1",
            "255.255.255.255",
        ] {
            assert!(backend(&format!("http://{host}/")).is_err(), "{host}");
        }
    }

    #[test]
    fn malformed_urls_are_refused() {
        for url in [
            "",
            "10.0.0.1",
            "ftp://a",
            "http://",
            "http://:80",
            "http://a:",
            "http://a:0",
            "http://a:65536",
            "http://a:+80",
            "http://u:p@a",
            "http://a?x",
            "http://a/b#c",
            "http://a b",
            "http://a//b",
            "http://a/../b",
            "http://[::1",
            "http://[::1]x",
            "http://[10.0.0.1]",
            "http://fd00::1",
            "HTTP://a/%2e",
        ] {
            assert!(backend(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_not_repeated() {
        let wrong = backend("https://admin:hunter2@10.0.0.1").unwrap_err();
        assert!(!format!("{wrong:?}").contains("hunter2"));
    }
}
