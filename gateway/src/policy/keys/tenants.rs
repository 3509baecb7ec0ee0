//! `tenants[]`: who may call.

use super::Kind::{self, Either, Hashed, List, Many, Name, Secret, Text, Word};
use super::Need::{Optional, Required};
use super::{Object, key, later};

/// `tenants[]`
pub static TENANT: Object = Object {
    doc: "Who shares a plan's limits.",
    keys: &[
        key("name", Name, Required, "acme", "Unique; appears in logs, metrics and `tenant_header`."),
        key("plan", Name, Required, "gold", "Name of a plan."),
        key("iam", Kind::Object(&TENANT_IAM), Optional, "{domain: acme}", "Whose IAM tokens are its own; users say which of them. The closest counts: a project before its account."),
        key("users", List(&Kind::Object(&USER)), Required, "[{name: alice, api_key: {env: ALICE_KEY}}]", "Its users: people or programs. `[]` for a tenant of streams only."),
        key("networks", List(&Text), Optional, "[10.1.0.0/16]", "Streams with `auth: [network]`: connections from these are its own. Of all tenants' networks the longest prefix wins."),
        key("client_certs", List(&Kind::Object(&CLIENT_CERT)), Optional, "[{name: rpc.acme.internal}]", "Streams with `auth: [client_cert]`: connections that show these are its own."),
    ],
};

/// `tenants[].users[]`
pub static USER: Object = Object {
    doc: "A user of a tenant; each has at least one credential.",
    keys: &[
        key("name", Name, Required, "alice", "Unique within the tenant."),
        key("ak_sk", Many(&Kind::Object(&AK_SK)), Optional, "{access_key: AKALICE, secret_key: {env: ALICE_SK}}", "AK/SK, or AppKey/AppSecret: signed requests. One or a list."),
        key("app_code", Many(&Hashed), Optional, "{sha256: 9f86...}", "`X-Apig-AppCode`. One or a list."),
        key("api_key", Many(&Hashed), Optional, "{env: ALICE_KEY}", "`Authorization: Bearer`. One or a list."),
        key("iam", Either(&Word(&["any"]), &Kind::Object(&USER_IAM)), Optional, "{user: alice}", "An IAM user of the tenant's project or account, or `any`: all that no user of the tenant names. `X-Auth-Token`."),
        later("client_cert"),
        later("limits"),
    ],
};

/// Credentials that `tenants[].users[]` holds itself.
pub static USER_CREDENTIALS: &[&str] = &["ak_sk", "app_code", "api_key"];

/// `tenants[].users[].ak_sk`
pub static AK_SK: Object = Object {
    doc: "A signing key pair.",
    keys: &[
        key("access_key", Text, Required, "AKALICE", "The public half; unique in the policy."),
        key("secret_key", Secret, Required, "{env: ALICE_SK}", "The secret half: the name of an environment variable or of a file."),
        key("security_token", Secret, Optional, "{file: alice.token}", "Temporary credentials: `X-Security-Token` must carry it."),
    ],
};

/// `tenants[].client_certs[]`
pub static CLIENT_CERT: Object = Object {
    doc: "A certificate of a caller: exactly one of both.",
    keys: &[
        key("name", Text, Optional, "rpc.acme.internal", "A DNS name or URI of the certificate, or else its common name; whole, in any case of letters. Its issuer is one of the stream's `client_ca`."),
        key("sha256", Text, Optional, "9f86...", "64 hex digits: `openssl x509 -in CERT -outform DER | sha256sum`."),
    ],
};

/// `tenants[].iam`
pub static TENANT_IAM: Object = Object {
    doc: "Whose IAM tokens are a tenant's. What has 32 hexadecimal digits is an id, anything else a name.",
    keys: &[
        key("project", Text, Optional, "0123456789abcdef0123456789abcdef", "Id of a project; or its name, with its account in `domain`."),
        key("domain", Text, Optional, "acme", "Name or id of an account; alone, its tokens for any project that is no tenant's own."),
    ],
};

/// `tenants[].users[].iam`
pub static USER_IAM: Object = Object {
    doc: "An IAM user.",
    keys: &[key("user", Text, Required, "alice", "Its name, unique in the account, or its id.")],
};
