//! Every key a policy may have: one table that the decoder, the JSON Schema and the README are made of.
//!
//! A default is written here as an operator would write it and parsed like any other value, so that what is
//! documented is what happens. Here is what a row says and the sections of a file; what a section holds is in the
//! file of its name.

mod credential;
mod discover;
mod health;
mod iam;
mod limits;
mod models;
mod pools;
mod queue;
mod retry;
mod routes;
mod secret;
mod streams;
mod tenants;
mod tls;
mod versions;

pub use self::credential::*;
pub use self::discover::*;
pub use self::health::*;
pub use self::iam::*;
pub use self::limits::*;
pub use self::models::*;
pub use self::pools::*;
pub use self::queue::*;
pub use self::retry::*;
pub use self::routes::*;
pub use self::secret::*;
pub use self::streams::*;
pub use self::tenants::*;
pub use self::tls::*;
pub use self::versions::*;

use self::Kind::{Later, List, Named, Rate};
use self::Need::{Optional, Required};
use std::ops::RangeInclusive;

/// A mapping of fixed keys.
pub struct Object {
    /// One sentence, for the schema.
    pub doc: &'static str,
    pub keys: &'static [Key],
}

/// One key of an [`Object`].
pub struct Key {
    /// As written.
    pub name: &'static str,
    /// What its value may be.
    pub kind: Kind,
    /// Must it be written?
    pub need: Need,
    /// A sentence or two, for the schema and the README.
    pub doc: &'static str,
    /// YAML, as one would write it.
    pub example: &'static str,
}

/// Must it be written?
pub enum Need {
    /// Yes.
    Required,
    /// No; the doc says what is without it.
    Optional,
    /// What stands if it is not written, spelled as in a file.
    Default(&'static str),
}

/// What a value may be.
pub enum Kind {
    /// A name others refer to: letters, digits, `.`, `_`, `-`; 64 at most.
    Name,
    /// Any text.
    Text,
    /// Bytes.
    Size,
    /// A time span.
    Duration,
    /// So many in every period.
    Rate,
    /// Bytes per second.
    Speed,
    /// So many model tokens in every period, day or month.
    Tokens,
    /// So much money in every day or month.
    Budget,
    /// A number with places after the point.
    Decimal,
    /// Three capital letters.
    Currency,
    /// A whole number, from least to most.
    Count(RangeInclusive<u32>),
    /// `0%` to `100%`.
    Percent,
    /// `true` or `false`.
    Bool,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A mapping of fixed keys.
    Object(&'static Object),
    /// A list of such values.
    List(&'static Kind),
    /// One, or a list of them.
    Many(&'static Kind),
    /// Names of the operator's own, each with such a value.
    Named(&'static Kind),
    /// One or the other.
    Either(&'static Kind, &'static Kind),
    /// A secret by name: `{env: X}` or `{file: path}`.
    Secret,
    /// A secret by name or by digest: also `{sha256: ...}`.
    Hashed,
    /// Planned: an error that says so.
    Later,
}

const fn key(name: &'static str, kind: Kind, need: Need, example: &'static str, doc: &'static str) -> Key {
    Key { name, kind, need, doc, example }
}

const fn later(name: &'static str) -> Key {
    key(name, Later, Optional, "", "")
}

/// A policy file: any of the sections; all files together are the policy.
pub static POLICY: Object = Object {
    doc: "A policy file of pangu-gateway. All files of the directory are one set.",
    keys: &[
        key("routes", List(&Kind::Object(&ROUTE)), Optional, "[...]", "What callers may call, and on what terms."),
        key("pools", List(&Kind::Object(&POOL)), Optional, "[...]", "Where requests go."),
        key("models", List(&Kind::Object(&MODEL)), Optional, "[{name: pangu-large, price: {...}}]", "What requests may be for: prices, limits and ceilings of models. All other models go by the name `other`."),
        key("plans", Named(&PLAN), Optional, "{gold: [...]}", "Named lists of limits; tenants name theirs."),
        key("tenants", List(&Kind::Object(&TENANT)), Optional, "[...]", "Who may call."),
        key("streams", List(&Kind::Object(&STREAM)), Optional, "[{name: rpc, listener: rpc, pool: rpc, auth: [network]}]", "Plain TCP: what callers of a listener with `tcp: true` may reach."),
        key("iam", Kind::Object(&IAM), Optional, "{endpoint: \"https://iam.cn-southwest-2.myhuaweicloud.com\", ...}", "How callers' IAM tokens are checked; needed with `auth: [iam_token]`. Written once."),
        key("guard", Kind::Object(&GUARD), Optional, "{per_address: 200/s}", "Defence before authentication. Written once."),
    ],
};

/// `guard`
pub static GUARD: Object = Object {
    doc: "Defence before authentication.",
    keys: &[key("per_address", Rate, Required, "200/s", "Requests of one address, before anything is hashed; in seconds only.")],
};
