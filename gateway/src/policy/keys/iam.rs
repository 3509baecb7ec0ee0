//! Logins at IAM: to check callers' tokens, and to have tokens of our own.

use super::Kind::{self, Count, Duration, Rate, Secret, Text};
use super::Need::{Default, Optional, Required};
use super::tls::IAM_TLS;
use super::{Object, key};

/// The keys of a login at IAM, which `iam` and credentials have in common, and further ones.
macro_rules! iam_login {
    ($doc:literal, $($more:expr),*) => {
        Object {
            doc: $doc,
            keys: &[
                key("endpoint", Text, Required, "https://iam.cn-southwest-2.myhuaweicloud.com", "IAM of the region. `http` only on this machine."),
                key("tls", Kind::Object(&IAM_TLS), Optional, "{ca: ca.pem}", "Whom to trust, if not the machine's authorities."),
                key("hw_ak_sk", Kind::Object(&IAM_AK_SK), Optional, "{access_key: {env: IAM_AK}, secret_key: {env: IAM_SK}}", "Who the gateway is to IAM: a permanent key pair, which IAM sees whole. Either this or `password`."),
                key("password", Kind::Object(&IAM_PASSWORD), Optional, "{user: gateway, domain: acme, password: {env: IAM_PASSWORD}}", "The same: an IAM user and its password."),
                key("agency", Kind::Object(&IAM_AGENCY), Optional, "{domain: models, name: gateway}", "Rights that another account has delegated to that of the gateway, taken on with `assume_role`."),
                key("project", Text, Optional, "cn-southwest-2", "Name or id of the project that the token is for. Default: the whole account."),
                $($more),*
            ],
        }
    };
}

/// `credential.iam_token`
pub static SHOWN_IAM: Object = iam_login!("An IAM token of the gateway's own.",);

/// `iam`
pub static IAM: Object = iam_login!(
    "How callers' IAM tokens are checked: the gateway asks IAM with a token of its own, whose user needs the right to check those of others (Security Administrator).",
    key("cache", Kind::Object(&IAM_CACHE), Optional, "{ttl: 2m}", "How long IAM's answers are believed."),
    key("unknown", Rate, Default("30/s"), "10/s", "Questions to IAM about tokens that nobody has vouched for; in seconds only. Beyond, their requests get a 503."),
    key("unknown_per_address", Rate, Default("10/s"), "2/s", "The same of one address.")
);

/// `iam.cache`
pub static IAM_CACHE: Object = Object {
    doc: "How long IAM's answers are believed.",
    keys: &[
        key("ttl", Duration, Default("5m"), "1m", "A revoked token is refused after this long at the latest; 1 h at most."),
        key("stale", Duration, Default("10m"), "1h", "So much longer while IAM does not answer, but never beyond the token's end."),
        key("negative", Duration, Default("10s"), "1m", "A token that IAM refused is not asked about again for this long."),
        key("max", Count(16..=1_000_000), Default("10000"), "100k", "Tokens remembered at most, and as many refused ones; 16 to 1,000,000."),
    ],
};

/// `hw_ak_sk` of a login at IAM
pub static IAM_AK_SK: Object = Object {
    doc: "A permanent key pair of an IAM user.",
    keys: &[
        key("access_key", Secret, Required, "{env: IAM_AK}", "The public half."),
        key("secret_key", Secret, Required, "{env: IAM_SK}", "The secret half."),
    ],
};

/// `password` of a login at IAM
pub static IAM_PASSWORD: Object = Object {
    doc: "An IAM user by name and password.",
    keys: &[
        key("user", Text, Required, "gateway", "Name of the user."),
        key("domain", Text, Required, "acme", "Name or id of its account."),
        key("password", Secret, Required, "{env: IAM_PASSWORD}", "Its password."),
    ],
};

/// `agency` of a login at IAM
pub static IAM_AGENCY: Object = Object {
    doc: "Rights that another account has delegated.",
    keys: &[
        key("domain", Text, Required, "models", "Name or id of the account that delegates."),
        key("name", Text, Required, "gateway", "What it calls the agency."),
    ],
};
