//! Why a credential was not accepted: a text that helps the caller, and a word for the log.
//!
//! The two differ on purpose. An unknown access key and a wrong signature read alike from outside, byte for
//! byte, so that nobody can find out which keys exist; [`Denied::reason`] tells them apart for operators.

use super::rules::{Kind, Kinds};
use super::token::TokenDenied;
use http::HeaderName;
use std::time::Duration;

/// Every way `auth` refuses. `Display` is what the caller reads; it never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// No credential was sent at all.
    #[error("no credential was sent; this API accepts {accepted}")]
    NoCredential {
        /// What the route accepts.
        accepted: Kinds,
    },
    /// A credential was sent, but of a kind the route does not accept.
    #[error("this API does not accept this kind of credential; it accepts {accepted}")]
    KindNotAccepted {
        /// What the route accepts.
        accepted: Kinds,
    },
    /// ECDSA or SM2: their public keys would have to be enrolled first.
    #[error(
        "this signing algorithm is not supported; use SDK-HMAC-SHA256, V11-HMAC-SHA256 or SDK-HMAC-SM3 \
         (signing_algorithm in the SDK's HttpConfig)"
    )]
    UnsupportedAlgorithm,
    /// `Authorization` starts with a word that names no scheme known here.
    #[error("this Authorization scheme is not supported; this API accepts {accepted}")]
    UnsupportedScheme {
        /// What the route accepts.
        accepted: Kinds,
    },
    /// The signature's header is not what its scheme says.
    #[error("malformed signature: {0}")]
    Malformed(&'static str),
    /// A header that must be unique came twice.
    #[error("header {0} was sent more than once")]
    HeaderRepeated(HeaderName),
    /// A header named in SignedHeaders was not sent.
    #[error("header {0} is listed in SignedHeaders but was not sent")]
    HeaderMissing(HeaderName),
    /// A header the gateway acts on was sent unsigned.
    #[error("header {0} was sent but is not listed in SignedHeaders; sign it")]
    HeaderNotSigned(HeaderName),
    /// No X-Sdk-Date.
    #[error("a signed request must carry X-Sdk-Date: YYYYMMDDTHHMMSSZ (UTC)")]
    DateMissing,
    /// X-Sdk-Date is not a date.
    #[error("X-Sdk-Date must be YYYYMMDDTHHMMSSZ (UTC)")]
    DateMalformed,
    /// X-Sdk-Date is not covered by the signature.
    #[error("X-Sdk-Date must be listed in SignedHeaders")]
    DateNotSigned,
    /// X-Sdk-Date is too far from the gateway's clock.
    #[error(
        "signature expired: X-Sdk-Date is {} s {} the gateway's clock, at most {allowed_secs} s is accepted; \
         set the clock, or sign again just before sending",
        .behind_secs.unsigned_abs(), if *.behind_secs < 0 { "ahead of" } else { "behind" }
    )]
    Skew {
        /// Gateway's clock minus X-Sdk-Date; negative if the date lies in the future.
        behind_secs: i64,
        /// The route's limit.
        allowed_secs: u64,
    },
    /// The signature leaves the body out, and the route does not allow that.
    #[error("UNSIGNED-PAYLOAD is not accepted by this API; sign the body's digest")]
    UnsignedPayload,
    /// No such access key. Reads like [`Denied::BadSignature`].
    #[error("{BAD_SIGNATURE}")]
    UnknownAccessKey,
    /// The signature is not the one computed here.
    #[error("{BAD_SIGNATURE}")]
    BadSignature,
    /// No such AppCode.
    #[error("this AppCode is not accepted")]
    UnknownAppCode,
    /// No such API key.
    #[error("this API key is not accepted")]
    UnknownApiKey,
    /// The signature holds for the stated digest, but the body has another.
    #[error("the body received is not the one whose digest was signed")]
    BodyDigest,
    /// The pair is temporary and its token is missing or wrong, or it is permanent and came with one.
    #[error("X-Security-Token does not belong to this access key; send exactly the token issued with it")]
    SecurityToken,
    /// The same signature came before.
    #[error("this exact request was received before; sign again with a new X-Sdk-Date")]
    Replayed,
    /// No more signatures of this credential can be remembered, so none is let through.
    #[error(
        "too many signed requests of this access key within the time window; try again in {} s",
        secs_up(*.retry_after)
    )]
    ReplayFull {
        /// Until the oldest signatures are forgotten.
        retry_after: Duration,
    },
    /// An IAM token.
    #[error(transparent)]
    Token(#[from] TokenDenied),
    /// Too many failures of this credential from this address.
    #[error("too many failed attempts from this address; try again in {} s", secs_up(*.retry_after))]
    Locked {
        /// What was tried.
        kind: Kind,
        /// Until the lock opens.
        retry_after: Duration,
    },
}

const BAD_SIGNATURE: &str = "signature not accepted: check access key and secret key, and that method, path, \
     query, signed headers and body are sent exactly as they were signed";

impl Denied {
    /// A word from a closed set, for logs and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Denied::NoCredential { .. } => "no_credential",
            Denied::KindNotAccepted { .. } => "kind_not_accepted",
            Denied::UnsupportedAlgorithm => "unsupported_algorithm",
            Denied::UnsupportedScheme { .. } => "unsupported_scheme",
            Denied::Malformed(_) => "malformed",
            Denied::HeaderRepeated(_) => "header_repeated",
            Denied::HeaderMissing(_) => "header_missing",
            Denied::HeaderNotSigned(_) => "header_not_signed",
            Denied::DateMissing => "date_missing",
            Denied::DateMalformed => "date_malformed",
            Denied::DateNotSigned => "date_not_signed",
            Denied::Skew { .. } => "skew",
            Denied::UnsignedPayload => "unsigned_payload",
            Denied::UnknownAccessKey => "unknown_access_key",
            Denied::BadSignature => "bad_signature",
            Denied::UnknownAppCode => "unknown_app_code",
            Denied::UnknownApiKey => "unknown_api_key",
            Denied::BodyDigest => "body_digest",
            Denied::SecurityToken => "security_token",
            Denied::Replayed => "replayed",
            Denied::ReplayFull { .. } => "replay_full",
            Denied::Token(denied) => denied.reason(),
            Denied::Locked { .. } => "locked",
        }
    }

    /// The kind of credential that failed; None if the request carried none the route could have taken.
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Denied::NoCredential { .. }
            | Denied::KindNotAccepted { .. }
            | Denied::UnsupportedScheme { .. } => None,
            Denied::HeaderRepeated(name) if name == "x-apig-appcode" => Some(Kind::AppCode),
            Denied::HeaderRepeated(name) if name == "x-auth-token" => Some(Kind::IamToken),
            Denied::Token(_) => Some(Kind::IamToken),
            Denied::UnsupportedAlgorithm
            | Denied::Malformed(_)
            | Denied::HeaderRepeated(_)
            | Denied::HeaderMissing(_)
            | Denied::HeaderNotSigned(_)
            | Denied::DateMissing
            | Denied::DateMalformed
            | Denied::DateNotSigned
            | Denied::Skew { .. }
            | Denied::UnsignedPayload
            | Denied::UnknownAccessKey
            | Denied::BadSignature
            | Denied::BodyDigest
            | Denied::SecurityToken
            | Denied::Replayed
            | Denied::ReplayFull { .. } => Some(Kind::AkSk),
            Denied::UnknownAppCode => Some(Kind::AppCode),
            Denied::UnknownApiKey => Some(Kind::ApiKey),
            Denied::Locked { kind, .. } => Some(*kind),
        }
    }

    /// What the route would have taken, if the request carried nothing of that kind.
    pub fn accepted(&self) -> Option<Kinds> {
        match self {
            Denied::NoCredential { accepted }
            | Denied::KindNotAccepted { accepted }
            | Denied::UnsupportedScheme { accepted } => Some(*accepted),
            _ => None,
        }
    }

    /// When the same credential may try again, if waiting is the cure.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Denied::ReplayFull { retry_after } | Denied::Locked { retry_after, .. } => Some(*retry_after),
            Denied::Token(denied) => denied.retry_after(),
            _ => None,
        }
    }
}

/// Whole seconds, rounded up and never 0: whoever waits that long has waited enough.
fn secs_up(wait: Duration) -> u64 {
    wait.as_millis().div_ceil(1000).max(1) as u64
}
