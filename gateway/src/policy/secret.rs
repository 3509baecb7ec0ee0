//! Secrets: read by name while a policy is compiled, never written, never printed.

use super::spec::Source;
use aws_lc_rs::digest::{SHA256, digest};
use std::cell::RefCell;
use std::io::Read;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The longest secret, in bytes.
const SECRET_MAX: u64 = 16 << 10;
/// The longest file with a private key, in bytes; chains before it included.
const KEY_MAX: u64 = 256 << 10;

/// A secret's bytes, wiped when it drops. It has no `Display`, and its `Debug` says nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Box<[u8]>>);

impl Secret {
    fn new(bytes: Vec<u8>) -> Secret {
        // Copied and wiped: a vector that shrinks to a box may leave what it was behind.
        Secret(Zeroizing::new(Zeroizing::new(bytes).as_slice().into()))
    }

    /// The bytes, for the one who needs them.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// SHA-256 of it, which is all an AppCode or an API key is kept as.
    pub fn sha256(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, &self.0).as_ref());
        bytes
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Looks secrets up, and remembers what a change must make the policy be read again.
pub struct Secrets<'a> {
    dir: &'a Path,
    env: &'a dyn Fn(&str) -> Option<String>,
    /// Files that were read, secrets and authorities: part of what a policy depends on.
    pub files: RefCell<Vec<PathBuf>>,
    /// Digest over all that was read.
    pub seen: RefCell<aws_lc_rs::digest::Context>,
}

/// Why there is no secret, and what to do.
pub struct Missing {
    pub what: String,
    pub help: String,
}

impl<'a> Secrets<'a> {
    /// Paths count from `dir`; `env` is the environment.
    pub fn new(dir: &'a Path, env: &'a dyn Fn(&str) -> Option<String>) -> Secrets<'a> {
        let seen = aws_lc_rs::digest::Context::new(&SHA256);
        Secrets { dir, env, files: RefCell::default(), seen: RefCell::new(seen) }
    }

    /// Reads a secret.
    ///
    /// # Errors
    /// [`Missing`]: not there, empty, too long
    pub fn read(&self, source: &Source) -> Result<Secret, Missing> {
        let bytes = match source {
            Source::Env(name) => self.variable(name)?,
            Source::File(path) => self.file(path)?,
        };
        self.remember(&bytes);
        Ok(Secret::new(bytes))
    }

    fn variable(&self, name: &str) -> Result<Vec<u8>, Missing> {
        let usable = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && name.len() <= 128;
        if !usable {
            // Not quoted: somebody may have put the secret where its name belongs.
            return missing("not the name of an environment variable", "letters, digits and `_`");
        }
        match (self.env)(name) {
            Some(value) if !value.is_empty() => Ok(value.into_bytes()),
            Some(_) => missing(
                format!("environment variable `{name}` is empty"),
                format!("set `{name}` before the gateway starts"),
            ),
            None => missing(
                format!("environment variable `{name}` is not set"),
                format!("set `{name}` before the gateway starts, or name a file instead"),
            ),
        }
    }

    fn file(&self, path: &str) -> Result<Vec<u8>, Missing> {
        let path = self.dir.join(path);
        let bytes = read_at_most(&path, SECRET_MAX);
        self.files.borrow_mut().push(path.clone());
        let mut bytes = bytes.map_err(|error| Missing {
            what: format!("secret file `{}` cannot be read: {error}", path.display()),
            help: "create it, readable by the gateway only".into(),
        })?;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
        }
        if bytes.is_empty() {
            return missing(format!("secret file `{}` is empty", path.display()), "write the secret into it");
        }
        Ok(bytes)
    }

    /// A path of the policy's, from its directory.
    pub fn at(&self, path: &Path) -> PathBuf {
        self.dir.join(path)
    }

    /// Reads a PEM file of certificates; `whose` are wanted.
    ///
    /// # Errors
    /// [`Missing`]: not there, or no certificate in it
    pub fn certificates(&self, path: &Path, whose: &str) -> Result<Vec<u8>, Missing> {
        use rustls::pki_types::{CertificateDer, pem::PemObject};
        const CERTIFICATES_MAX: u64 = 4 << 20;
        self.files.borrow_mut().push(path.to_path_buf());
        let pem = read_at_most(path, CERTIFICATES_MAX).map_err(|error| Missing {
            what: format!("`{}` cannot be read: {error}", path.display()),
            help: format!("name a PEM file of {whose}; relative paths count from the policy directory"),
        })?;
        self.remember(&pem);
        let whole = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
        if whole.is_ok_and(|certificates| !certificates.is_empty()) {
            return Ok(pem);
        }
        missing(
            format!("`{}` holds no whole PEM certificate", path.display()),
            format!("name a PEM file of {whose}"),
        )
    }

    /// Reads a PEM file with a private key.
    ///
    /// # Errors
    /// [`Missing`]: not there, or no key in it. Nothing of the file is quoted.
    pub fn private_key(&self, path: &Path) -> Result<Secret, Missing> {
        use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
        self.files.borrow_mut().push(path.to_path_buf());
        let pem = read_at_most(path, KEY_MAX).map_err(|error| Missing {
            what: format!("`{}` cannot be read: {error}", path.display()),
            help: "name the PEM file of the certificate's key, readable by the gateway only".into(),
        })?;
        self.remember(&pem);
        if PrivateKeyDer::from_pem_slice(&pem).is_ok() {
            return Ok(Secret::new(pem));
        }
        let help = "name a PEM file with a private key that has no passphrase";
        missing(format!("`{}` holds no private key", path.display()), help)
    }

    fn remember(&self, bytes: &[u8]) {
        let mut seen = self.seen.borrow_mut();
        seen.update(&(bytes.len() as u64).to_be_bytes());
        seen.update(bytes);
    }
}

fn read_at_most(path: &Path, max: u64) -> std::io::Result<Vec<u8>> {
    let file = std::fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::other("not a regular file"));
    }
    // Of the right size at once: a vector that grows leaves copies behind.
    let mut bytes = Vec::with_capacity(file.metadata()?.len().min(max) as usize + 1);
    file.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(std::io::Error::other(format!("more than {max} bytes")));
    }
    Ok(bytes)
}

fn missing<T>(what: impl Into<String>, help: impl Into<String>) -> Result<T, Missing> {
    Err(Missing { what: what.into(), help: help.into() })
}
