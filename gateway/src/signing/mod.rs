//! What Huawei's request signatures are made of, for those who verify them (`auth`) and for whoever makes them
//! (`upstream`): the one implementation in the gateway.
//!
//! ```text
//! canonical request = METHOD \n path \n query \n name:value\n ... \n SignedHeaders \n body's hash
//! text to sign      = algorithm \n X-Sdk-Date \n (V11: day/region/service \n) hash of the canonical request
//! signature         = HMAC(key, text to sign), in hex
//! ```
//! *Cost.* An allocation for a request without a query; two hashes beside the body's.
//!
//! *Not here.* Which headers are signed, which readings of a request are accepted, and whose key it is.

mod algorithm;
mod canonical;
mod date;
mod signer;

pub(crate) use algorithm::{Algorithm, DerivedKey, hex, sha256, wipe};
pub(crate) use canonical::{Query, encode_path, recode_path, write_request_lines};
pub(crate) use date::SdkDate;
pub use signer::{Signer, Unsigned};

/// Stands for the hash of a body that is not signed.
pub(crate) const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
