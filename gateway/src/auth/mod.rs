//! 2. Who calls? (contract; the auth owner replaces bodies and may add to it)

use crate::clock::Now;
use crate::ids::CallerId;
use http::{HeaderMap, Method};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// The kinds of credential a route accepts (a small bit set).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kinds(u8);

/// One kind of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// AK/SK (or AppKey/AppSecret) signature: SDK-HMAC-SHA256, V11-HMAC-SHA256, SDK-HMAC-SM3.
    AkSk,
    /// `X-Apig-AppCode`.
    AppCode,
    /// `Authorization: Bearer`.
    ApiKey,
}

/// What one route demands of a credential.
#[derive(Debug, Clone)]
pub struct Rules {
    pub kinds: Kinds,
    /// |X-Sdk-Date - now| at most. Default 15 min.
    pub skew: Duration,
    /// May a signature leave the body out (`UNSIGNED-PAYLOAD`)? Default no.
    pub unsigned_payload: bool,
    /// Accept the npm SDK's doubly encoded path too? Default no.
    pub double_encoded_path: bool,
    /// Refuse a signature seen before? Default yes.
    pub refuse_replay: bool,
}

/// What `auth` reads of a request.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub method: &'a Method,
    /// Raw path as on the wire.
    pub path: &'a str,
    /// Raw query without `?`; empty if none.
    pub query: &'a str,
    /// h2 only: `:authority`, which stands for Host when no Host header was sent.
    pub authority: Option<&'a str>,
    pub headers: &'a HeaderMap,
    pub peer: IpAddr,
}

/// Every credential of one policy; immutable, part of the snapshot.
pub struct Keyring;

/// Collects credentials for a [`Keyring`].
pub struct KeyringBuilder;

/// Replay caches and lockouts, kept across reloads; one per gateway.
#[derive(Default)]
pub struct Live;

impl KeyringBuilder {
    pub fn new() -> KeyringBuilder {
        KeyringBuilder
    }
    /// # Errors
    /// the name (`tenant/user`) of who has the same access key already
    pub fn ak_sk(
        &mut self,
        _caller: CallerId,
        _name: &str,
        _access_key: &str,
        _secret_key: &[u8],
        _security_token_sha256: Option<[u8; 32]>,
    ) -> Result<(), Arc<str>> {
        todo!()
    }
    pub fn app_code(&mut self, _caller: CallerId, _name: &str, _sha256: [u8; 32]) -> Result<(), Arc<str>> {
        todo!()
    }
    pub fn api_key(&mut self, _caller: CallerId, _name: &str, _sha256: [u8; 32]) -> Result<(), Arc<str>> {
        todo!()
    }
    /// Attaches live state (replay caches) of credentials that did not change.
    pub fn build(self, _live: &Live) -> Keyring {
        todo!()
    }
}

/// Who it is, or who it will be if the body's digest confirms it.
pub enum Claim {
    /// AppCode or API key: proven.
    Proven(CallerId),
    /// Signature: the body's digest is still needed (or UNSIGNED-PAYLOAD: see `Signed::digest`).
    Signed(Signed),
}

/// Which digest of the body `Signed::verify` wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    Sha256,
    Sm3,
    /// UNSIGNED-PAYLOAD: pass an empty slice.
    None,
}

/// A parsed, not yet verified signature. Owns what it needs: the request may be taken apart meanwhile.
pub struct Signed;

impl Signed {
    pub fn digest(&self) -> Digest {
        todo!()
    }
    /// # Errors
    /// [`Denied`]
    pub fn verify(self, _body_digest: &[u8], _now: Now) -> Result<Verified, Denied> {
        todo!()
    }
}

/// A verified caller, and the mark its signature left in the replay cache.
pub struct Verified {
    pub caller: CallerId,
    /// Dropped without `keep()`: the signature may be used again (the request never went upstream).
    pub seen: Option<Seen>,
}

/// A reserved place in a replay cache.
pub struct Seen;
impl Seen {
    /// The request goes upstream now: the signature is used up.
    pub fn keep(self) {}
}

/// Why a credential was not accepted. What the caller reads and what the log says differ.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("contract")]
pub struct Denied;

/// Hot path. Finds out who claims to call.
///
/// # Errors
/// [`Denied`]
pub fn identify(
    _keys: &Keyring,
    _live: &Live,
    _rules: &Rules,
    _request: &Request<'_>,
    _now: Now,
) -> Result<Claim, Denied> {
    todo!()
}
