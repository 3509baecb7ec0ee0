//! The three signing algorithms: hash, text to sign, HMAC.

use super::date::SdkDate;
use aws_lc_rs::{digest, hmac};
use http::HeaderName;
use sm3::{Digest as _, Sm3};
use std::hint::black_box;

/// How a request was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// SDK-HMAC-SHA256.
    Sha256,
    /// V11-HMAC-SHA256: SDK-HMAC-SHA256 with a key derived per day, region and service.
    V11,
    /// SDK-HMAC-SM3.
    Sm3,
}

/// The bytes that both hashes take at a time.
const BLOCK: usize = 64;

/// Parsed here, once: a look-up by text parses the text each time, which costs more than the look-up.
static X_SDK_CONTENT_SHA256: HeaderName = HeaderName::from_static("x-sdk-content-sha256");
static X_SDK_CONTENT_SM3: HeaderName = HeaderName::from_static("x-sdk-content-sm3");

impl Algorithm {
    /// As it stands in Authorization and in the string to sign.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "SDK-HMAC-SHA256",
            Algorithm::V11 => "V11-HMAC-SHA256",
            Algorithm::Sm3 => "SDK-HMAC-SM3",
        }
    }

    /// The header that may state the body's digest.
    pub fn content_header(self) -> &'static HeaderName {
        match self {
            Algorithm::Sha256 | Algorithm::V11 => &X_SDK_CONTENT_SHA256,
            Algorithm::Sm3 => &X_SDK_CONTENT_SM3,
        }
    }

    /// The digest of nothing, in hex.
    pub fn empty_digest(self) -> &'static str {
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

    /// HMAC of the text that `write` appends, by a key that is used once (RFC 2104). A library sets up three states for
    /// that, which takes as long as the hashing; this needs none, and no more memory than `buffer`.
    fn mac(self, key: &[u8], buffer: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) -> [u8; 32] {
        let mut block = [0; BLOCK];
        match block.get_mut(..key.len()) {
            Some(short) => short.copy_from_slice(key),
            None => block[..32].copy_from_slice(&self.hash(key)),
        }
        buffer.clear();
        buffer.extend(block.map(|byte| byte ^ 0x36));
        write(buffer);
        let mut outer = [0; BLOCK + 32];
        outer[..BLOCK].copy_from_slice(&block.map(|byte| byte ^ 0x5c));
        outer[BLOCK..].copy_from_slice(&self.hash(buffer));
        let mac = self.hash(&outer);
        wipe(&mut block);
        wipe(&mut outer);
        wipe(&mut buffer[..BLOCK]);
        mac
    }

    /// Signs a canonical request. `buffer` is for the text to sign.
    pub fn sign(
        self,
        key: &[u8],
        date: &SdkDate,
        scope: &str,
        canonical: &[u8],
        buffer: &mut Vec<u8>,
    ) -> [u8; 32] {
        let hash = self.hash(canonical);
        self.mac(key, buffer, |text| self.write_text(date, scope, &hash, text))
    }

    /// Appends the text to sign for a canonical request with this hash.
    pub fn write_text(self, date: &SdkDate, scope: &str, canonical_hash: &[u8; 32], text: &mut Vec<u8>) {
        text.extend_from_slice(self.name().as_bytes());
        text.push(b'\n');
        text.extend_from_slice(date.text());
        text.push(b'\n');
        if self == Algorithm::V11 {
            text.extend_from_slice(scope.as_bytes());
            text.push(b'\n');
        }
        text.extend_from_slice(&hex(canonical_hash));
    }
}

/// V11's key: HKDF over the access key (salt), the secret key and the scope, written in hex.
#[derive(Clone)]
pub struct DerivedKey([u8; 64]);

impl DerivedKey {
    /// For `scope`, which is `<day>/<region>/<service>`.
    pub fn derive(access_key: &str, secret_key: &[u8], scope: &str) -> DerivedKey {
        DerivedKey::expand(&DerivedKey::extract(access_key, secret_key), scope)
    }

    /// The part that is the same for every scope.
    pub fn extract(access_key: &str, secret_key: &[u8]) -> hmac::Key {
        let mut extracted = mac(&hmac::Key::new(hmac::HMAC_SHA256, access_key.as_bytes()), &[secret_key]);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &extracted);
        wipe(&mut extracted);
        key
    }

    /// The part that is the scope's.
    pub fn expand(extracted: &hmac::Key, scope: &str) -> DerivedKey {
        DerivedKey(hex(&mac(extracted, &[scope.as_bytes(), &[1]])))
    }

    /// What HMAC takes for its key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for DerivedKey {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    to_array(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// HMAC-SHA256 with a key made beforehand, which spares half the hashing of a short text.
pub fn mac(key: &hmac::Key, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(part);
    }
    to_array(context.sign().as_ref())
}

fn to_array(bytes: &[u8]) -> [u8; 32] {
    bytes.try_into().expect("SHA-256 and its HMAC are 32 bytes long")
}

/// Lower-case hex.
pub fn hex(bytes: &[u8; 32]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

/// Overwrites a secret that is no longer needed.
pub fn wipe(secret: &mut [u8]) {
    secret.fill(0);
    black_box(secret); // else the compiler may see that nobody reads the zeros
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::hmac::{Hmac, KeyInit, Mac};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_mac_is_that_of_the_libraries(
            key in prop::collection::vec(any::<u8>(), 0..200),
            text in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut buffer = b"what was there before".to_vec();
            let mut ours = |algorithm: Algorithm| algorithm.mac(&key, &mut buffer, |out| out.extend(&text));
            prop_assert_eq!(ours(Algorithm::Sha256), mac(&hmac::Key::new(hmac::HMAC_SHA256, &key), &[&text]));
            let mut sm3 = Hmac::<Sm3>::new_from_slice(&key).unwrap();
            sm3.update(&text);
            prop_assert_eq!(ours(Algorithm::Sm3), <[u8; 32]>::from(sm3.finalize().into_bytes()));
            prop_assert_eq!(&buffer[..BLOCK], &[0; BLOCK], "nothing of the key is left");
        }
    }

    #[test]
    fn the_digests_of_nothing_are_right() {
        for algorithm in [Algorithm::Sha256, Algorithm::V11, Algorithm::Sm3] {
            assert_eq!(hex(&algorithm.hash(b"")), algorithm.empty_digest().as_bytes());
        }
    }
}
