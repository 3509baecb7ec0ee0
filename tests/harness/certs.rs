//! A throw-away certificate authority.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fs;
use std::path::Path;

/// An authority that signs what a test asks for.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: Certificate,
}

/// A certificate and its key, as PEM.
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "gateway tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("P-256 key");
        let root = params.self_signed(&key).expect("parameters are complete");
        Authority { issuer: Issuer::new(params, key), root }
    }

    /// Its own certificate, as PEM: what those who trust it are given.
    pub fn pem(&self) -> String {
        self.root.pem()
    }

    /// Signs a pair for these names; `common_name` tells one issue from the next.
    pub fn issue(&self, common_name: &str, names: &[&str]) -> Pair {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names are valid");
        params.distinguished_name.push(DnType::CommonName, common_name);
        let key = KeyPair::generate().expect("P-256 key");
        let certificate = params.signed_by(&key, &self.issuer).expect("parameters are complete");
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// This authority and no other.
    pub fn roots(&self) -> rustls::RootCertStore {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.root.der().clone()).expect("the root is well formed");
        roots
    }

    /// Trusts this authority and nobody else.
    pub fn trust(&self, alpn: &[&str]) -> rustls::ClientConfig {
        let provider = rustls::crypto::aws_lc_rs::default_provider().into();
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider knows TLS 1.2 and 1.3")
            .with_root_certificates(self.roots())
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }
}

impl Default for Authority {
    fn default() -> Authority {
        Authority::new()
    }
}

impl Pair {
    /// Its certificate, as it goes over the wire.
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).expect("a certificate")
    }

    /// Digest of the certificate, as policies write it.
    pub fn sha256(&self) -> String {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.der());
        digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Writes `<name>.crt` and `<name>.key`, each in one step, the key readable by its owner only.
    pub fn write(&self, dir: &Path, name: &str) {
        write_whole(dir, &format!("{name}.key"), &self.key);
        write_whole(dir, &format!("{name}.crt"), &self.certificate);
    }
}

/// Writes a file beside its place and renames it there, so that nobody reads half of it.
pub fn write_whole(dir: &Path, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let beside = dir.join(format!(".{name}.new"));
    fs::write(&beside, text).expect("directory is writable");
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o600)).expect("file is ours");
    fs::rename(&beside, dir.join(name)).expect("directory is writable");
}
