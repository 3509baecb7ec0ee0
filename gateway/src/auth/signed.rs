//! A signed request, from its head to the verdict.
//!
//! The head is read when it arrives and the request may then be taken apart; the verdict falls when the body's
//! digest is known. What a stranger can learn on the way does not depend on whether his access key exists:
//! all checks of the head come before it is looked up, an unknown key is verified like a known one, and
//! everything that speaks of the pair is said only to who could sign with it.

use super::authorization::{Fields, one};
use super::canonical::Readings;
use super::denied::Denied;
use super::keys::{Credential, Keyring};
use super::live::Live;
use super::lockout::{Lockout, Pair, Tried};
use super::payload::Payload;
use super::replay::{Refused, Seen};
use super::rules::{Kind, Rules};
use super::signed_headers::SignedHeaders;
use super::{Digest, Request, skew};
use crate::clock::Now;
use crate::ids::CallerId;
use crate::signing::{Algorithm, DerivedKey, SdkDate, hex};
use http::header::HOST;
use http::{HeaderMap, HeaderName};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq;

/// A parsed, not yet verified signature. Owns what it needs: the request may be taken apart meanwhile.
pub struct Signed {
    algorithm: Algorithm,
    date: SdkDate,
    scope: Box<str>,
    signature: [u8; 32],
    payload: Payload,
    readings: Readings,
    credential: Arc<Credential>,
    /// V11 only; else the secret key signs.
    derived: Option<DerivedKey>,
    token_fits: bool,
    lockout: Arc<Lockout>,
    pair: Pair,
    /// None: replays pass.
    replay_max: Option<usize>,
    window: Duration,
}

/// A verified caller, and the mark its signature left in the replay cache.
pub struct Verified {
    /// Who it is.
    pub caller: CallerId,
    /// Dropped without `keep()`: the signature may be used again (the request never went upstream).
    pub seen: Option<Seen>,
}

/// A signature is remembered at least this long, so that a route with a narrower window than another one does
/// not make it forget what the other would still take.
const WINDOW_MIN: Duration = Duration::from_secs(15 * 60);

/// Room for a text to sign and what its HMAC puts before it.
const TEXT: usize = 384;

/// Reads the head of a signed request.
pub(super) fn read(
    keys: &Keyring,
    live: &Live,
    rules: &Rules,
    request: &Request<'_>,
    (algorithm, fields): (Algorithm, &[u8]),
    now: Now,
) -> Result<Signed, Denied> {
    let headers = request.headers;
    let fields = Fields::parse(algorithm, fields)?;
    let listed = &fields.signed_headers;

    let pair = live.lockout.pair(Tried::AccessKey(fields.access_key), request.peer);
    live.lockout.check(pair, now).map_err(|retry_after| Denied::Locked { kind: Kind::AkSk, retry_after })?;

    let date = read_date(headers, listed)?;
    skew::check(&date, rules.skew, now)?;
    let scope_day = fields.scope.split('/').next().map(str::as_bytes);
    if algorithm == Algorithm::V11 && scope_day != Some(date.day()) {
        return Err(Denied::Malformed("the day in Credential is not the day of X-Sdk-Date"));
    }
    check_headers(request, listed)?;
    let payload = Payload::read(headers, listed, algorithm, rules.unsigned_payload)?;
    let readings = Readings::of(request, listed, rules.double_encoded_path)?;

    let credential = keys.credential(fields.access_key);
    Ok(Signed {
        algorithm,
        date,
        scope: fields.scope.into(),
        signature: fields.signature,
        payload,
        readings,
        derived: (algorithm == Algorithm::V11)
            .then(|| credential.derived_key(fields.access_key, fields.scope)),
        token_fits: credential.takes_token(one(headers, &X_SECURITY_TOKEN)?),
        credential: Arc::clone(credential),
        lockout: Arc::clone(&live.lockout),
        pair,
        replay_max: rules.refuse_replay.then_some(keys.replay_max),
        window: rules.skew.max(WINDOW_MIN),
    })
}

impl Signed {
    /// Which digest of the body [`Signed::verify`] wants.
    pub fn digest(&self) -> Digest {
        self.payload.digest(self.algorithm)
    }

    /// Gives the verdict. `body_digest` is of the body as received, by the algorithm [`Signed::digest`] names;
    /// `now` is the time of the verdict, which may be long after the head came.
    ///
    /// Reserves the signature last, so that only a request good in every other way uses it up.
    ///
    /// # Errors
    /// [`Denied`]
    pub fn verify(mut self, body_digest: &[u8], now: Now) -> Result<Verified, Denied> {
        let body_hash = body_digest.try_into().map(hex).ok();
        let body_hash = body_hash.as_ref().map_or(&[][..], |hex| hex);

        let holds = self.signature_holds(body_hash);
        if !(holds & self.credential.known & self.token_fits) {
            self.lockout.failed(self.pair, now);
            return Err(match (self.credential.known, holds) {
                (false, _) => Denied::UnknownAccessKey,
                (true, false) => Denied::BadSignature,
                (true, true) => Denied::SecurityToken,
            });
        }
        if !self.payload.is(body_hash) {
            return Err(Denied::BodyDigest);
        }
        self.lockout.succeeded(self.pair);
        Ok(Verified { caller: self.credential.caller, seen: self.reserve(now)? })
    }

    /// Tries each reading with each hash the client may have meant; there is one of both nearly always.
    fn signature_holds(&mut self, body_hash: &[u8]) -> bool {
        let key = self.derived.as_ref().map_or(self.credential.secret_key(), DerivedKey::as_bytes);
        let hashes = self.payload.signed_as(self.algorithm, body_hash);
        let mut buffer = Vec::with_capacity(TEXT);
        for reading in self.readings.iter_mut() {
            let prefix = reading.len();
            for hash in hashes.into_iter().flatten() {
                reading.truncate(prefix);
                reading.extend_from_slice(hash);
                let signature = self.algorithm.sign(key, &self.date, &self.scope, reading, &mut buffer);
                if signature.ct_eq(&self.signature).into() {
                    return true;
                }
            }
        }
        false
    }

    fn reserve(&self, now: Now) -> Result<Option<Seen>, Denied> {
        let Some(max) = self.replay_max else {
            return Ok(None);
        };
        // A body that took until its signature was forgotten would let that signature pass twice.
        skew::check(&self.date, self.window, now)?;
        let replay = &self.credential.state.replay;
        match replay.reserve(&self.signature, self.date.unix_ms(), self.window, max, now) {
            Ok(seen) => Ok(Some(seen)),
            Err(Refused::Replayed) => Err(Denied::Replayed),
            Err(Refused::Full(retry_after)) => Err(Denied::ReplayFull { retry_after }),
        }
    }
}

fn read_date(headers: &HeaderMap, listed: &SignedHeaders<'_>) -> Result<SdkDate, Denied> {
    let value = one(headers, &X_SDK_DATE)?.ok_or(Denied::DateMissing)?;
    if !listed.contains(X_SDK_DATE.as_str()) {
        return Err(Denied::DateNotSigned);
    }
    SdkDate::parse(value).ok_or(Denied::DateMalformed)
}

static X_SDK_DATE: HeaderName = HeaderName::from_static("x-sdk-date");
static X_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-security-token");

fn check_headers(request: &Request<'_>, listed: &SignedHeaders<'_>) -> Result<(), Denied> {
    // What the gateway acts on is signed if sent, and sent once.
    let [sha256, sm3] = [Algorithm::Sha256, Algorithm::Sm3].map(Algorithm::content_header);
    for name in [&X_SECURITY_TOKEN, sha256, sm3] {
        if one(request.headers, name)?.is_some() && !listed.contains(name.as_str()) {
            return Err(Denied::HeaderNotSigned(name.clone()));
        }
    }
    // Host itself may be left out: the Go SDK does so.
    match (one(request.headers, &HOST)?, request.authority) {
        (Some(host), Some(authority)) if !host.eq_ignore_ascii_case(authority.as_bytes()) => {
            Err(Denied::Malformed("Host and :authority differ"))
        }
        _ => Ok(()),
    }
}

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("caller", &self.caller).finish_non_exhaustive()
    }
}
