//! Authentication: who calls?
//!
//! Asked by [`proxy`](crate::proxy) once the route is known and the guard has let the address through.
//!
//! *Credentials.* A signature with AK/SK or AppKey/AppSecret (`SDK-HMAC-SHA256`, `V11-HMAC-SHA256`,
//! `SDK-HMAC-SM3`, with `X-Security-Token` if the pair is temporary), an AppCode in `X-Apig-AppCode`, an API key
//! in `Authorization: Bearer`, an IAM token in `X-Auth-Token`. If a request carries several, the first of signature, AppCode, IAM token
//! and API key that the route accepts counts, and it must hold: there is no second try with another one.
//!
//! *Two steps.* [`identify`] reads the head. An AppCode or API key is proven by that; an IAM token is handed on to whoever
//! knows what IAM says of it (`iam`). A signature covers the
//! body, so it ends in a [`Signed`] that gives its verdict when the body's digest is known; until then nothing
//! of the request may be completed upstream.
//!
//! *What a signature must cover.* X-Sdk-Date always, and every header acted on here if it was sent:
//! X-Security-Token, X-Sdk-Content-Sha256, X-Sdk-Content-Sm3. Host may be left out (the Go SDK does), but not
//! sent twice. A digest the caller states is believed for the signature and then compared with the body's.
//!
//! *Memory.* Strangers grow nothing: failures live in a table of fixed size, and signatures enter the replay
//! cache, which is bounded per credential, only once verified.
//!
//! *Cost.* Well below 1 us for an AppCode, a few us for a signature; watched by `benches/auth_verify.rs`.
//!
//! *Not here.* What the caller may do (`limit`), the 401 (`reject`), reading secrets from files (`policy`).

mod rules;
pub use rules::{Kind, Kinds, Rules};

mod authorization;

mod canonical;
mod derived;
mod payload;
mod skew;

mod signed;
mod signed_headers;
pub use signed::{Signed, Verified};

mod keys;
pub use keys::{Keyring, KeyringBuilder};

mod live;
pub use live::{Held, Live};

mod lockout;

mod replay;
pub use replay::{REPLAY_MAX, Seen};

mod token;
pub use token::TokenDenied;

mod denied;
pub use denied::Denied;

#[cfg(test)]
mod tests;

use crate::clock::Now;
use crate::ids::CallerId;
use crate::signing::sha256;
use authorization::Chosen;
use http::{HeaderMap, HeaderValue, Method};
use lockout::Tried;
use std::fmt;
use std::net::IpAddr;

/// What `auth` reads of a request.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// As on the wire.
    pub method: &'a Method,
    /// Raw path as on the wire.
    pub path: &'a str,
    /// Raw query without `?`; empty if none.
    pub query: &'a str,
    /// h2 only: `:authority`, which stands for Host when no Host header was sent.
    pub authority: Option<&'a str>,
    /// All of them.
    pub headers: &'a HeaderMap,
    /// Who failures are counted against.
    pub peer: IpAddr,
}

/// Who it is, or who it will be if the body's digest confirms it.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // it is taken apart at once; a box would cost an allocation per request
pub enum Claim {
    /// AppCode or API key: proven.
    Proven(CallerId),
    /// An IAM token: IAM has to vouch for it.
    Token(HeaderValue),
    /// Signature: the body's digest is still needed (or UNSIGNED-PAYLOAD: see [`Signed::digest`]).
    Signed(Signed),
}

/// Which digest of the body [`Signed::verify`] wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    /// 32 bytes.
    Sha256,
    /// 32 bytes.
    Sm3,
    /// UNSIGNED-PAYLOAD: no bytes.
    None,
}

impl Digest {
    /// The digest of `body`, for [`Signed::verify`].
    pub fn of(self, body: &[u8]) -> BodyDigest {
        match self {
            Digest::Sha256 => BodyDigest(Some(sha256(body))),
            Digest::Sm3 => BodyDigest(Some(<sm3::Sm3 as sm3::Digest>::digest(body).into())),
            Digest::None => BodyDigest(None),
        }
    }
}

/// A digest computed from the body received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyDigest(Option<[u8; 32]>);

impl std::ops::Deref for BodyDigest {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |digest| digest)
    }
}

/// Finds out who claims to call.
///
/// Hot path, once per request: no await, a lock only for V11 and for addresses that failed lately, a handful of
/// allocations for a signature and none for an AppCode or API key. Watched by `benches/auth_verify.rs`.
///
/// # Errors
/// [`Denied`]
pub fn identify(
    keys: &Keyring,
    live: &Live,
    rules: &Rules,
    request: &Request<'_>,
    now: Now,
) -> Result<Claim, Denied> {
    let prove = |kind, secret| prove(keys, live, kind, secret, request.peer, now).map(Claim::Proven);
    match authorization::choose(request.headers, rules.kinds)? {
        Chosen::Signature(algorithm, fields) => {
            signed::read(keys, live, rules, request, (algorithm, fields), now).map(Claim::Signed)
        }
        Chosen::AppCode(code) => prove(Kind::AppCode, code),
        Chosen::ApiKey(key) => prove(Kind::ApiKey, key),
        Chosen::IamToken(token) => Ok(Claim::Token(token.clone())),
    }
}

/// Looks the secret up; a wrong one counts as a guess of its address.
fn prove(
    keys: &Keyring,
    live: &Live,
    kind: Kind,
    secret: &[u8],
    peer: IpAddr,
    now: Now,
) -> Result<CallerId, Denied> {
    if let Some(caller) = keys.holder(kind, secret) {
        return Ok(caller);
    }
    let pair = live.lockout.pair(Tried::Guess(kind), peer);
    live.lockout.check(pair, now).map_err(|retry_after| Denied::Locked { kind, retry_after })?;
    live.lockout.failed(pair, now);
    Err(if kind == Kind::AppCode { Denied::UnknownAppCode } else { Denied::UnknownApiKey })
}

/// Without headers, path and query: they may hold secrets.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", self.method)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}
