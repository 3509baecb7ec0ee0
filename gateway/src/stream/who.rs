//! Who connects? By the certificate shown, or else by the network the connection comes from.

use super::level::Level;
use super::networks::Networks;
use super::subject::common_name;
use ahash::AHashMap;
use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use std::net::IpAddr;
use std::sync::Arc;

/// Index of a tenant that streams know.
pub type TenantIx = u32;

/// What certificates and networks say of tenants; one for all streams of a policy.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    /// By the SHA-256 of the certificate.
    pub fingerprints: AHashMap<[u8; 32], TenantIx>,
    /// By a name in the certificate, in lower case.
    pub names: AHashMap<Box<str>, TenantIx>,
    /// By where the connection comes from.
    pub networks: Networks<TenantIx>,
}

/// Whom a stream lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admits {
    /// Anybody; all count as one.
    Anybody,
    /// Tenants, known in these ways.
    Tenants {
        /// By certificate. A certificate that is shown decides: there is no second try by network.
        certificate: bool,
        /// By network.
        network: bool,
    },
}

/// A tenant on a stream.
#[derive(Clone)]
pub struct Member {
    /// As in the files; None: anybody.
    pub tenant: Option<Arc<str>>,
    /// What it uses of the stream.
    pub level: Arc<Level>,
}

impl Directory {
    /// The tenant of a connection; None: nobody that is known.
    pub fn find(
        &self,
        admits: Admits,
        certificate: Option<&CertificateDer<'_>>,
        source: IpAddr,
    ) -> Option<TenantIx> {
        let Admits::Tenants { certificate: by_certificate, network } = admits else { return None };
        match certificate {
            Some(certificate) if by_certificate => self.by_certificate(certificate),
            _ if network => self.networks.find(source),
            _ => None,
        }
    }

    /// The certificate itself, then a name in it: DNS names and URIs of its subjectAltName, in order, then its common
    /// name. Its issuer has been verified.
    fn by_certificate(&self, certificate: &CertificateDer<'_>) -> Option<TenantIx> {
        let fingerprint = digest(&SHA256, certificate);
        if let Some(tenant) = self.fingerprints.get(fingerprint.as_ref()) {
            return Some(*tenant);
        }
        let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
        let names = certificate.valid_dns_names().chain(certificate.valid_uri_names());
        let mut names = names.chain(common_name(certificate.subject()));
        names.find_map(|name| self.names.get(&*name.to_ascii_lowercase()).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(names: &[&str], common_name: &str) -> CertificateDer<'static> {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, common_name);
        params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn both() -> Admits {
        Admits::Tenants { certificate: true, network: true }
    }

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 2, 3));

    #[test]
    fn a_certificate_is_known_by_fingerprint_then_name_then_common_name() {
        let mut directory = Directory::default();
        directory.names.insert("rpc.acme.internal".into(), 1);
        directory.names.insert("batch".into(), 2);
        let find = |directory: &Directory, certificate: &CertificateDer<'_>| {
            directory.find(both(), Some(certificate), HERE)
        };
        assert_eq!(find(&directory, &certificate(&["RPC.acme.internal"], "batch")), Some(1));
        assert_eq!(find(&directory, &certificate(&["other.test"], "Batch")), Some(2));
        assert_eq!(find(&directory, &certificate(&["other.test"], "nobody")), None);
        let known = certificate(&["rpc.acme.internal"], "batch");
        let fingerprint = digest(&SHA256, &known).as_ref().try_into().unwrap();
        directory.fingerprints.insert(fingerprint, 3);
        assert_eq!(find(&directory, &known), Some(3));
    }

    #[test]
    fn a_certificate_that_is_shown_decides() {
        let mut directory = Directory::default();
        directory.networks.insert("10.0.0.0/8".parse().unwrap(), 7);
        let unknown = certificate(&["other.test"], "nobody");
        assert_eq!(directory.find(both(), Some(&unknown), HERE), None);
        assert_eq!(directory.find(both(), None, HERE), Some(7));
        let by_network = Admits::Tenants { certificate: false, network: true };
        assert_eq!(directory.find(by_network, Some(&unknown), HERE), Some(7));
        let by_certificate = Admits::Tenants { certificate: true, network: false };
        assert_eq!(directory.find(by_certificate, None, HERE), None);
    }
}
