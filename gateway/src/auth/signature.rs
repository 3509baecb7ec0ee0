//! The three signing algorithms: hash, string to sign, HMAC.

use super::date::SdkDate;
use ::hmac::{Hmac, KeyInit, Mac};
use aws_lc_rs::{digest, hmac};
use parking_lot::Mutex;
use sm3::{Digest as _, Sm3};
use std::hint::black_box;

/// How a request was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// SDK-HMAC-SHA256.
    Sha256,
    /// V11-HMAC-SHA256: SDK-HMAC-SHA256 with a key derived per day, region and service.
    V11,
    /// SDK-HMAC-SM3.
    Sm3,
}

impl Algorithm {
    /// As it stands in Authorization and in the string to sign.
    pub(super) fn name(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "SDK-HMAC-SHA256",
            Algorithm::V11 => "V11-HMAC-SHA256",
            Algorithm::Sm3 => "SDK-HMAC-SM3",
        }
    }

    /// The header that may state the body's digest.
    pub(super) fn content_header(self) -> &'static str {
        match self {
            Algorithm::Sha256 | Algorithm::V11 => "x-sdk-content-sha256",
            Algorithm::Sm3 => "x-sdk-content-sm3",
        }
    }

    /// The digest of nothing, in hex.
    pub(super) fn empty_digest(self) -> &'static str {
        match self {
            Algorithm::Sha256 | Algorithm::V11 => {
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
            }
            Algorithm::Sm3 => "1ab21d8355cfa17f8e61194831e81a8f22bec8c728fefb747ed035eb5082aa2b",
        }
    }

    fn hash(self, bytes: &[u8]) -> [u8; 32] {
        match self {
            Algorithm::Sha256 | Algorithm::V11 => sha256(bytes),
            Algorithm::Sm3 => Sm3::digest(bytes).into(),
        }
    }

    fn mac(self, key: &[u8], bytes: &[u8]) -> [u8; 32] {
        match self {
            Algorithm::Sha256 | Algorithm::V11 => hmac_sha256(key, &[bytes]),
            Algorithm::Sm3 => {
                let mut mac = Hmac::<Sm3>::new_from_slice(key).expect("HMAC takes a key of any length");
                mac.update(bytes);
                mac.finalize().into_bytes().into()
            }
        }
    }

    /// Signs a canonical request. `text` is a buffer for the string to sign.
    pub(super) fn sign(
        self,
        key: &[u8],
        date: &SdkDate,
        scope: &str,
        canonical: &[u8],
        text: &mut Vec<u8>,
    ) -> [u8; 32] {
        text.clear();
        text.extend_from_slice(self.name().as_bytes());
        text.push(b'\n');
        text.extend_from_slice(date.text());
        text.push(b'\n');
        if self == Algorithm::V11 {
            text.extend_from_slice(scope.as_bytes());
            text.push(b'\n');
        }
        text.extend_from_slice(&hex(&self.hash(canonical)));
        self.mac(key, text)
    }
}

/// V11's key: HKDF over the access key (salt), the secret key and the scope, written in hex.
#[derive(Clone)]
pub(super) struct DerivedKey([u8; 64]);

impl DerivedKey {
    fn derive(access_key: &str, secret_key: &[u8], scope: &str) -> DerivedKey {
        let extracted = hmac_sha256(access_key.as_bytes(), &[secret_key]);
        DerivedKey(hex(&hmac_sha256(&extracted, &[scope.as_bytes(), &[1]])))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for DerivedKey {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// The derived keys of one credential for the scopes used last.
///
/// A real client uses one scope a day. Who knows only the access key can push scopes out, which costs the
/// owner the derivation (two HMACs) again and nothing else; so keys are kept before the signature is checked,
/// and a known and an unknown access key take the same time.
#[derive(Default)]
pub(super) struct DerivedKeys(Mutex<Vec<(Box<str>, DerivedKey)>>);

const SCOPES_MAX: usize = 4;

impl DerivedKeys {
    /// The key for `scope`, derived unless it is at hand. The scope must be bounded by the caller.
    pub(super) fn get(&self, access_key: &str, secret_key: &[u8], scope: &str) -> DerivedKey {
        if let Some((_, key)) = self.0.lock().iter().find(|(of, _)| **of == *scope) {
            return key.clone();
        }
        let key = DerivedKey::derive(access_key, secret_key, scope);
        let mut keys = self.0.lock();
        if keys.len() >= SCOPES_MAX {
            keys.remove(0);
        }
        keys.push((scope.into(), key.clone()));
        key
    }
}

/// SHA-256.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    to_array(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let mut context = hmac::Context::with_key(&key);
    for part in parts {
        context.update(part);
    }
    to_array(context.sign().as_ref())
}

fn to_array(bytes: &[u8]) -> [u8; 32] {
    bytes.try_into().expect("SHA-256 and its HMAC are 32 bytes long")
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8; 32]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

/// Overwrites a secret that is no longer needed.
pub(super) fn wipe(secret: &mut [u8]) {
    secret.fill(0);
    black_box(secret); // else the compiler may see that nobody reads the zeros
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digests_of_nothing_are_right() {
        for algorithm in [Algorithm::Sha256, Algorithm::V11, Algorithm::Sm3] {
            assert_eq!(hex(&algorithm.hash(b"")), algorithm.empty_digest().as_bytes());
        }
    }

    #[test]
    fn derived_keys_are_remembered_and_bounded() {
        let keys = DerivedKeys::default();
        let first = keys.get("AK", b"SK", "20240115/a/b");
        assert_eq!(keys.get("AK", b"SK", "20240115/a/b").0, first.0);
        assert_eq!(keys.0.lock().len(), 1);
        for i in 0..100 {
            keys.get("AK", b"SK", &format!("20240115/a/{i}"));
        }
        assert_eq!(keys.0.lock().len(), SCOPES_MAX);
        assert_eq!(keys.get("AK", b"SK", "20240115/a/b").0, first.0, "derived again, to the same key");
    }
}
