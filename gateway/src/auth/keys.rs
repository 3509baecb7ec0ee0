//! Every credential of one policy, found by what a request shows.
//!
//! AppCodes and API keys are known by their SHA-256 only. Secret keys must be kept as they are, since HMAC needs
//! them; nothing prints them, and they are overwritten when their policy is dropped.

use super::live::{Live, State};
use super::replay::REPLAY_MAX;
use super::rules::Kind;
use crate::ids::CallerId;
use crate::signing::{DerivedKey, sha256, wipe};
use ahash::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// Every credential of one policy; immutable, part of the snapshot.
pub struct Keyring {
    access_keys: HashMap<Box<str>, Arc<Credential>>,
    app_codes: HashMap<[u8; 32], CallerId>,
    api_keys: HashMap<[u8; 32], CallerId>,
    /// Stands in for an access key nobody has: the same work, and never a success.
    nobody: Arc<Credential>,
    pub(super) replay_max: usize,
}

impl Keyring {
    /// How many credentials of this kind there are.
    pub fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::AkSk => self.access_keys.len(),
            Kind::AppCode => self.app_codes.len(),
            Kind::ApiKey => self.api_keys.len(),
            Kind::IamToken => 0, // they are not held here
        }
    }

    /// The pair with this access key, or one that verifies nothing.
    pub(super) fn credential(&self, access_key: &str) -> &Arc<Credential> {
        self.access_keys.get(access_key).unwrap_or(&self.nobody)
    }

    /// Whose AppCode or API key this is. Looking up a digest takes no care of timing: what it could leak is how
    /// much of a *digest* agrees, and nobody can aim at a digest.
    pub(super) fn holder(&self, kind: Kind, secret: &[u8]) -> Option<CallerId> {
        let map = match kind {
            Kind::AppCode => &self.app_codes,
            Kind::ApiKey => &self.api_keys,
            Kind::AkSk | Kind::IamToken => return None,
        };
        // The digest of nothing could stand in a policy by an accident with `sha256sum`.
        if secret.is_empty() { None } else { map.get(&sha256(secret)).copied() }
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts = f.debug_struct("Keyring");
        for kind in Kind::ALL {
            counts.field(kind.as_str(), &self.count(kind));
        }
        counts.finish_non_exhaustive()
    }
}

/// One AK/SK pair.
pub(super) struct Credential {
    pub(super) caller: CallerId,
    /// False for the one that stands in for unknown keys, and for an empty secret.
    pub(super) known: bool,
    secret_key: SecretKey,
    /// Temporary pairs only.
    security_token_sha256: Option<Box<[u8; 32]>>,
    pub(super) state: State,
}

impl Credential {
    pub(super) fn secret_key(&self) -> &[u8] {
        &self.secret_key.0
    }

    /// V11's key for a scope.
    pub(super) fn derived_key(&self, access_key: &str, scope: &str) -> DerivedKey {
        self.state.derived.get(access_key, self.secret_key(), scope)
    }

    /// A temporary pair needs its token; a permanent pair has none, and a token sent with it would be one that
    /// nobody verified.
    pub(super) fn takes_token(&self, sent: Option<&[u8]>) -> bool {
        let sent = sent.map(sha256); // before looking at the pair: the same time whether it has a token or not
        match (&self.security_token_sha256, sent) {
            (Some(expected), Some(sent)) => bool::from(expected.ct_eq(&sent)),
            (None, None) => true,
            _ => false,
        }
    }
}

struct SecretKey(Box<[u8]>);

impl Drop for SecretKey {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Collects credentials for a [`Keyring`].
pub struct KeyringBuilder {
    access_keys: HashMap<Box<str>, Pair>,
    app_codes: HashMap<[u8; 32], CallerId>,
    api_keys: HashMap<[u8; 32], CallerId>,
    replay_max: usize,
}

struct Pair {
    caller: CallerId,
    secret_key: SecretKey,
    security_token_sha256: Option<Box<[u8; 32]>>,
}

impl Default for KeyringBuilder {
    fn default() -> KeyringBuilder {
        KeyringBuilder::new()
    }
}

impl KeyringBuilder {
    /// No credential yet, and the default bounds.
    pub fn new() -> KeyringBuilder {
        KeyringBuilder {
            access_keys: HashMap::default(),
            app_codes: HashMap::default(),
            api_keys: HashMap::default(),
            replay_max: REPLAY_MAX,
        }
    }

    /// Signatures one credential may have in the window at once; above, it is refused until old ones expire.
    /// Default: [`REPLAY_MAX`]. A credential that signs r requests/s needs 900 r for the default window.
    pub fn replay_max(&mut self, signatures: usize) {
        self.replay_max = signatures;
    }

    /// Adds an AK/SK (or AppKey/AppSecret) pair. With a token's digest the pair is a temporary one. An empty secret key
    /// verifies nobody.
    ///
    /// # Errors
    /// who has the same access key already
    pub fn ak_sk(
        &mut self,
        caller: CallerId,
        access_key: &str,
        secret_key: &[u8],
        security_token_sha256: Option<[u8; 32]>,
    ) -> Result<(), CallerId> {
        match self.access_keys.entry(access_key.into()) {
            Entry::Occupied(held) => return Err(held.get().caller),
            Entry::Vacant(free) => free.insert(Pair {
                caller,
                secret_key: SecretKey(secret_key.into()),
                security_token_sha256: security_token_sha256.map(Box::new),
            }),
        };
        Ok(())
    }

    /// Adds an AppCode, known by its digest.
    ///
    /// # Errors
    /// who has the same AppCode already
    pub fn app_code(&mut self, caller: CallerId, sha256: [u8; 32]) -> Result<(), CallerId> {
        if let Some(holder) = self.app_codes.get(&sha256) {
            return Err(*holder);
        }
        self.app_codes.insert(sha256, caller);
        Ok(())
    }

    /// Adds an API key, known by its digest.
    ///
    /// # Errors
    /// who has the same API key already
    pub fn api_key(&mut self, caller: CallerId, sha256: [u8; 32]) -> Result<(), CallerId> {
        if let Some(holder) = self.api_keys.get(&sha256) {
            return Err(*holder);
        }
        self.api_keys.insert(sha256, caller);
        Ok(())
    }

    /// Attaches live state (replay caches) of credentials that did not change.
    pub fn build(self, live: &Live) -> Keyring {
        let with_state = |(access_key, pair): (Box<str>, Pair)| {
            let state = live.state(&access_key, &pair.secret_key.0);
            (access_key, Arc::new(pair.with(state)))
        };
        Keyring {
            access_keys: self.access_keys.into_iter().map(with_state).collect(),
            app_codes: self.app_codes,
            api_keys: self.api_keys,
            nobody: Arc::new(Credential::nobody()),
            replay_max: self.replay_max,
        }
    }
}

impl fmt::Debug for KeyringBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyringBuilder").finish_non_exhaustive()
    }
}

impl Pair {
    fn with(self, state: State) -> Credential {
        Credential {
            caller: self.caller,
            known: !self.secret_key.0.is_empty(),
            secret_key: self.secret_key,
            security_token_sha256: self.security_token_sha256,
            state,
        }
    }
}

impl Credential {
    fn nobody() -> Credential {
        Credential {
            caller: CallerId(u32::MAX),
            known: false,
            secret_key: SecretKey(Box::new([0; 40])), // the length of a real one
            security_token_sha256: None,
            state: State::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: CallerId = CallerId(0);
    const BOB: CallerId = CallerId(1);

    #[test]
    fn a_credential_belongs_to_one_caller() {
        let mut keys = KeyringBuilder::new();
        assert_eq!(keys.ak_sk(ALICE, "AK", b"SK", None), Ok(()));
        assert_eq!(keys.app_code(ALICE, [1; 32]), Ok(()));
        assert_eq!(keys.api_key(ALICE, [1; 32]), Ok(()), "another kind, another namespace");

        assert_eq!(keys.ak_sk(BOB, "AK", b"other", None), Err(ALICE));
        assert_eq!(keys.app_code(BOB, [1; 32]), Err(ALICE));
        assert_eq!(keys.api_key(BOB, [1; 32]), Err(ALICE));

        let keys = keys.build(&Live::default());
        assert_eq!(Kind::ALL.map(|kind| keys.count(kind)), [1, 1, 0, 1]);
    }

    #[test]
    fn nothing_is_nobodys_code() {
        let mut keys = KeyringBuilder::new();
        keys.app_code(ALICE, sha256(b"")).unwrap();
        keys.ak_sk(ALICE, "AK", b"", None).unwrap();
        let keys = keys.build(&Live::default());
        assert_eq!(keys.holder(Kind::AppCode, b""), None);
        assert!(!keys.credential("AK").known);
    }

    #[test]
    fn a_token_belongs_to_a_temporary_pair_only() {
        let mut keys = KeyringBuilder::new();
        keys.ak_sk(ALICE, "temporary", b"SK", Some(sha256(b"token"))).unwrap();
        keys.ak_sk(BOB, "permanent", b"SK", None).unwrap();
        let keys = keys.build(&Live::default());
        let temporary = keys.credential("temporary");
        assert!(temporary.takes_token(Some(b"token")));
        assert!(!temporary.takes_token(Some(b"other")));
        assert!(!temporary.takes_token(None));
        let permanent = keys.credential("permanent");
        assert!(permanent.takes_token(None));
        assert!(!permanent.takes_token(Some(b"token")));
    }
}
