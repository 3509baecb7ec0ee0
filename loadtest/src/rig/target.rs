//! Target: where requests go, whoever started what answers there.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::Uri;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::Problem;
use crate::scenario::Http;

/// A place that requests are sent to.
#[derive(Debug, Clone)]
pub struct Target {
    /// `http` or `https`, host and port; as reports show it.
    pub url: String,
    /// What to connect to.
    pub address: SocketAddr,
    /// Value of `Host`.
    pub host: String,
    /// What to trust; None without TLS.
    pub tls: Option<Arc<ClientConfig>>,
}

impl Target {
    /// What listens at `address` of this machine, with the rig's own certificate if there is an authority.
    ///
    /// # Errors
    /// The authority's file cannot be read.
    pub fn local(address: SocketAddr, authority: Option<&Path>, http: Http) -> Result<Target, Problem> {
        let host = format!("localhost:{}", address.port());
        let scheme = if authority.is_some() { "https" } else { "http" };
        let tls = authority.map(|file| trusting(file, http)).transpose()?;
        Ok(Target { url: format!("{scheme}://{host}"), address, host, tls })
    }

    /// Reads the URL of somebody else's gateway; `authority` is a PEM file to trust.
    ///
    /// # Errors
    /// It is not a URL of scheme, host and port; its host has no address; there is TLS and no authority.
    pub fn given(url: &str, authority: Option<&Path>, http: Http) -> Result<Target, Problem> {
        let bad = |what: &str| Problem::Target(url_without_userinfo(url), what.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad("write http://HOST:PORT or https://HOST:PORT"))?;
        let (Some(scheme), Some(authority_part)) = (uri.scheme_str(), uri.authority()) else {
            return Err(bad("write http://HOST:PORT or https://HOST:PORT"));
        };
        if authority_part.as_str().contains('@') || !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(bad("write scheme, host and port only; paths and credentials are the scenario's"));
        }
        let tls = match (scheme, authority) {
            ("http", None) => None,
            ("http", Some(_)) => return Err(bad("--ca is for https")),
            ("https", Some(file)) => Some(trusting(file, http)?),
            ("https", None) => return Err(bad("name the authority to trust: --ca FILE")),
            _ => return Err(bad("write http:// or https://")),
        };
        let port = uri.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let address = (host, port)
            .to_socket_addrs()
            .ok()
            .and_then(|mut addresses| addresses.next())
            .ok_or_else(|| bad("its host has no address"))?;
        let host = authority_part.as_str().to_owned();
        Ok(Target { url: format!("{scheme}://{host}"), address, host, tls })
    }
}

/// A problem must not repeat a password.
fn url_without_userinfo(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}***{}", &url[..scheme + 3], &url[at..]),
        _ => url.to_owned(),
    }
}

fn trusting(file: &Path, http: Http) -> Result<Arc<ClientConfig>, Problem> {
    let bad = |what: String| Problem::Authority(PathBuf::from(file), what);
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(file).map_err(|e| bad(e.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|e| bad(e.to_string()))?;
        roots.add(certificate).map_err(|e| bad(e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(bad("holds no certificate".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| bad(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![match http {
        Http::One => b"http/1.1".to_vec(),
        Http::Two => b"h2".to_vec(),
    }];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(url: &str) -> String {
        Target::given(url, None, Http::One).unwrap_err().to_string()
    }

    #[test]
    fn a_url_is_scheme_host_and_port() {
        let target = Target::given("http://127.0.0.1:8080/", None, Http::One).unwrap();
        assert_eq!(target.address, "127.0.0.1:8080".parse().unwrap());
        assert_eq!(target.host, "127.0.0.1:8080");
        assert_eq!(Target::given("http://[::1]", None, Http::One).unwrap().address.port(), 80);

        assert!(said("127.0.0.1:8080").contains("write http://HOST:PORT"));
        assert!(said("http://127.0.0.1:1/v1").contains("paths and credentials"));
        assert!(said("https://127.0.0.1:1").contains("--ca FILE"));
    }

    #[test]
    fn a_problem_does_not_repeat_a_password() {
        let said = said("http://me:hunter2@127.0.0.1:1");
        assert!(said.contains("127.0.0.1") && !said.contains("hunter2"), "{said}");
    }
}
