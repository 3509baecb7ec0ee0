//! Throw-away certificates for development: an authority and a pair for localhost.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Names and addresses that the pair answers to.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Makes `ca.crt`, `localhost.crt` and `localhost.key`; leaves an existing pair alone. The authority's key
/// is never written, so that nobody can sign with it later.
///
/// # Errors
/// One sentence that names the file.
pub fn make(directory: &Path) -> Result<String, String> {
    let (certificate, key) = (directory.join("localhost.crt"), directory.join("localhost.key"));
    if certificate.exists() && key.exists() {
        return Ok(format!("{} is there already", certificate.display()));
    }
    let (authority_pem, certificate_pem, key_pem) = issue().map_err(|e| format!("certificates: {e}"))?;
    fs::create_dir_all(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    for (path, mode, text) in [
        (directory.join("ca.crt"), 0o644, authority_pem),
        (certificate.clone(), 0o644, certificate_pem),
        (key, 0o600, key_pem),
    ] {
        write(&path, mode, &text).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(format!("made {}; trust {} to use it", certificate.display(), directory.join("ca.crt").display()))
}

fn issue() -> Result<(String, String, String), rcgen::Error> {
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "pangu-gateway development (throw-away)");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority_key = KeyPair::generate()?;
    let authority_pem = authority.self_signed(&authority_key)?.pem();

    let mut leaf = CertificateParams::new(NAMES.map(String::from))?;
    leaf.distinguished_name.push(DnType::CommonName, NAMES[0]);
    let key = KeyPair::generate()?;
    let leaf = leaf.signed_by(&key, &Issuer::new(authority, authority_key))?;
    Ok((authority_pem, leaf.pem(), key.serialize_pem()))
}

fn write(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_made_once_and_its_key_is_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        assert!(make(dir.path()).unwrap().starts_with("made"));
        let key = dir.path().join("localhost.key");
        assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let before = fs::read(&key).unwrap();
        assert!(make(dir.path()).unwrap().contains("already"));
        assert_eq!(fs::read(&key).unwrap(), before);
        assert!(!dir.path().join("ca.key").exists());
    }
}
