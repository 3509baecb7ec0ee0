//! Which body a signature speaks of.

use super::Digest;
use super::authorization::one;
use super::denied::Denied;
use super::signed_headers::SignedHeaders;
use crate::signing::{Algorithm, UNSIGNED_PAYLOAD};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};

/// What stands for the body in the canonical request.
pub(super) enum Payload {
    /// The digest of the body received.
    Received,
    /// The digest the caller states in a signed header; the body received must have it.
    Stated(Box<[u8]>),
    /// The word `UNSIGNED-PAYLOAD`: the signature does not bind the body.
    Unsigned {
        /// The head announces no body. The Python SDK then signs the empty body, whatever its header says.
        empty: bool,
    },
}

const UNSIGNED: &[u8] = UNSIGNED_PAYLOAD.as_bytes();

impl Payload {
    /// # Errors
    /// the stating header is not signed, or says UNSIGNED-PAYLOAD where `unsigned_allowed` is false
    pub(super) fn read(
        headers: &HeaderMap,
        signed: &SignedHeaders<'_>,
        algorithm: Algorithm,
        unsigned_allowed: bool,
    ) -> Result<Payload, Denied> {
        let Some(stated) = one(headers, algorithm.content_header())? else {
            return Ok(Payload::Received);
        };
        debug_assert!(
            signed.contains(algorithm.content_header().as_str()),
            "checked with every header acted on"
        );
        match stated {
            UNSIGNED if !unsigned_allowed => Err(Denied::UnsignedPayload),
            UNSIGNED => Ok(Payload::Unsigned { empty: announces_no_body(headers) }),
            digest => Ok(Payload::Stated(digest.into())),
        }
    }

    /// Which digest of the body the verification wants.
    pub(super) fn digest(&self, algorithm: Algorithm) -> Digest {
        match (self, algorithm) {
            (Payload::Unsigned { .. }, _) => Digest::None,
            (_, Algorithm::Sm3) => Digest::Sm3,
            (_, Algorithm::Sha256 | Algorithm::V11) => Digest::Sha256,
        }
    }

    /// What may stand in the canonical request, most likely first; `received` is hex.
    pub(super) fn signed_as<'a>(&'a self, algorithm: Algorithm, received: &'a [u8]) -> [Option<&'a [u8]>; 2] {
        match self {
            Payload::Received => [Some(received), None],
            Payload::Stated(digest) => [Some(digest), None],
            Payload::Unsigned { empty } => {
                [Some(UNSIGNED), empty.then_some(algorithm.empty_digest().as_bytes())]
            }
        }
    }

    /// Is the body received, whose digest is `received` (hex), the one that was signed?
    pub(super) fn is(&self, received: &[u8]) -> bool {
        match self {
            Payload::Received | Payload::Unsigned { .. } => true,
            Payload::Stated(digest) => digest.eq_ignore_ascii_case(received),
        }
    }
}

fn announces_no_body(headers: &HeaderMap) -> bool {
    match headers.get(CONTENT_LENGTH) {
        Some(length) => length.as_bytes() == b"0",
        None => !headers.contains_key(TRANSFER_ENCODING),
    }
}
