//! Whom to trust over TLS, and as whom to appear.

use super::Kind::{self, Text};
use super::Need::{Optional, Required};
use super::{Key, Object, key};

/// `pools[].tls`
pub static TLS: Object = Object {
    doc: "Whom an `https` pool trusts. Verification is always on.",
    keys: &[
        CA,
        key("name", Text, Optional, "nlp.internal", "Name the certificate must carry. Default: the host of the url."),
        key("client", Kind::Object(&CLIENT), Optional, "{cert: gateway.crt, key: gateway.key}", "The certificate to show a backend that asks for one."),
    ],
};

/// `pools[].tls.client`
pub static CLIENT: Object = Object {
    doc: "A client certificate and its key. Both files are watched: a new pair takes effect like a changed policy, and connections made with the old one are not used again.",
    keys: &[
        key("cert", Text, Required, "gateway.crt", "The certificate as PEM, then those between it and the authority; relative to the policy directory."),
        key("key", Text, Required, "gateway.key", "Its private key as PEM, without a passphrase."),
    ],
};

/// `tls` of a login at IAM
pub static IAM_TLS: Object = Object {
    doc: "Whom to trust. Verification is always on.",
    keys: &[CA],
};

/// The same wherever somebody is to be trusted.
const CA: Key = key("ca", Text, Optional, "ca.pem", "PEM file of the only authorities to trust; relative to the policy directory. Default: the machine's.");
