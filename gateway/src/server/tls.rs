//! TLS towards callers: certificates by SNI, loaded as matched pairs, reloaded without a failed handshake.
//!
//! A pair is `NAME.crt` and `NAME.key` in one directory (so a Kubernetes TLS secret, `tls.crt` and
//! `tls.key`, works as it is). The names it answers to are those in the certificate. A set that is not
//! whole, such as a certificate whose key has not been written yet, changes nothing: the last good one
//! serves on.

use crate::policy::watch::{self, Watch};
use crate::settings::Settings;
use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Sessions that callers may resume by id (TLS 1.2); TLS 1.3 and most clients use tickets instead.
const SESSIONS: usize = 16_384;

/// The certificates in force.
pub struct Certificates {
    directory: PathBuf,
    current: ArcSwap<Set>,
    /// Sets that took effect after the first.
    pub reloads: AtomicU64,
    /// Sets that were refused.
    pub failures: AtomicU64,
}

/// One directory's worth.
struct Set {
    by_name: HashMap<String, Arc<CertifiedKey>>,
    /// For callers who send no name, or one that no certificate carries: `default.crt`, else the first.
    default: Arc<CertifiedKey>,
    /// To tell a changed directory from a touched one.
    files: Vec<(PathBuf, Vec<u8>)>,
}

/// Loads the certificates, if any listener speaks TLS.
///
/// # Errors
/// One sentence: which file, what is wrong, how to mend it.
pub fn open(settings: &Settings) -> Result<Option<Arc<Certificates>>, String> {
    if !settings.listeners.iter().any(|listener| listener.tls) {
        return Ok(None);
    }
    let set = Set::load(&settings.certs)?;
    Ok(Some(Arc::new(Certificates {
        directory: settings.certs.clone(),
        current: ArcSwap::from_pointee(set),
        reloads: AtomicU64::new(0),
        failures: AtomicU64::new(0),
    })))
}

impl Certificates {
    /// Reads the directory again; a set that is not whole changes nothing.
    pub fn reload(&self) {
        match Set::load(&self.directory) {
            Ok(set) if set.files == self.current.load().files => {}
            Ok(set) => {
                self.current.store(Arc::new(set));
                self.reloads.fetch_add(1, Ordering::Relaxed);
                tracing::info!("certificates reloaded from {}", self.directory.display());
            }
            Err(what) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                tracing::warn!("certificates not reloaded, the last good ones serve on: {what}");
            }
        }
    }

    /// Reloads whenever the directory changes, until the guard drops.
    pub fn watch(self: &Arc<Certificates>) -> Watch {
        let this = self.clone();
        let directory = self.directory.clone();
        watch::watch("certs-watch", move || vec![directory.clone()], move || this.reload())
    }

    /// The TLS configuration, one for all workers: a session may be resumed on any of them.
    ///
    /// # Errors
    /// One sentence, if there is no randomness to make ticket keys of.
    pub fn server_config(self: &Arc<Certificates>) -> Result<Arc<ServerConfig>, String> {
        // TLS 1.2 is offered with AEAD suites only: the provider has no others. No early data: it replays.
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(|e| format!("tls: {e}"))?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(|e| format!("tls: {e}"))?;
        Ok(Arc::new(config))
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let set = self.current.load();
        Some(set.find(hello.server_name()).clone())
    }
}

impl Set {
    fn load(directory: &Path) -> Result<Set, String> {
        let mend = "`pangu-gateway dev-certs DIRECTORY` makes a pair for development";
        let entries =
            std::fs::read_dir(directory).map_err(|e| format!("{}: {e}; {mend}", directory.display()))?;
        let mut certificates: Vec<PathBuf> = entries
            .filter_map(|entry| entry.ok().map(|e| e.path()))
            .filter(|p| has_extension(p, "crt"))
            .collect();
        certificates.retain(|path| path.file_name().is_none_or(|name| name != CA_FILE));
        certificates.sort();
        let mut set: Option<Set> = None;
        for path in certificates {
            let key_path = path.with_extension("key");
            let (chain, key) = (read(&path)?, read(&key_path)?);
            let pair = pair(&path, &chain, &key_path, &key)?;
            let set = set.get_or_insert_with(|| Set {
                by_name: HashMap::new(),
                default: pair.clone(),
                files: Vec::new(),
            });
            for name in names(&path, &pair)? {
                set.by_name.insert(name, pair.clone());
            }
            if path.file_stem().is_some_and(|stem| stem == "default") {
                set.default = pair;
            }
            set.files.extend([(path, chain), (key_path, key)]);
        }
        set.ok_or_else(|| format!("{} holds no NAME.crt with its NAME.key; {mend}", directory.display()))
    }

    /// Exact name, then a wildcard for its first label, then the default.
    fn find(&self, name: Option<&str>) -> &Arc<CertifiedKey> {
        let Some(name) = name else { return &self.default };
        let name = name.to_ascii_lowercase();
        let wildcard = || self.by_name.get(&format!("*.{}", name.split_once('.')?.1));
        self.by_name.get(&name).or_else(wildcard).unwrap_or(&self.default)
    }
}

/// The development authority lies beside the pairs and is none.
const CA_FILE: &str = "ca.crt";

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|e| e == extension)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path)
        .map_err(|e| format!("{}: {e}; every NAME.crt needs a NAME.key beside it", path.display()))
}

/// Never echoes what the files hold.
fn pair(path: &Path, chain: &[u8], key_path: &Path, key: &[u8]) -> Result<Arc<CertifiedKey>, String> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(|_| format!("{}: not a PEM certificate chain", path.display()))?;
    if chain.is_empty() {
        return Err(format!("{}: holds no PEM certificate", path.display()));
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| format!("{}: holds no PEM private key", key_path.display()))?;
    let key = aws_lc_rs::sign::any_supported_type(&key).map_err(|_| {
        format!("{}: not a private key of a supported kind (RSA, ECDSA, Ed25519)", key_path.display())
    })?;
    let pair = CertifiedKey::new(chain, key);
    pair.keys_match().map_err(|_| {
        format!(
            "{} does not match {}: replace both files with one issued pair",
            key_path.display(),
            path.display()
        )
    })?;
    Ok(Arc::new(pair))
}

fn names(path: &Path, pair: &CertifiedKey) -> Result<Vec<String>, String> {
    let leaf = pair.cert.first().expect("a pair has a certificate");
    let leaf = webpki::EndEntityCert::try_from(leaf)
        .map_err(|e| format!("{}: not a certificate that a server can show: {e}", path.display()))?;
    Ok(leaf.valid_dns_names().map(str::to_ascii_lowercase).collect())
}
