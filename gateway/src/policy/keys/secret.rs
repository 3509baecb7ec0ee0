//! Secrets by name, or by digest.

use super::Kind::Text;
use super::Need::Optional;
use super::{Key, Object, key};

/// `secret_key`, `security_token`
pub static SECRET: Object = Object {
    doc: "Where a secret is; a policy never holds one.",
    keys: &[
        key("env", Text, Optional, "ALICE_SK", "Environment variable, read when the policy is loaded."),
        FILE,
    ],
};

/// `app_code`, `api_key`
pub static HASHED: Object = Object {
    doc: "A secret by its digest, or where it is.",
    keys: &[
        key("sha256", Text, Optional, "9f86...", "64 hex digits: `printf %s CODE | sha256sum`."),
        key("env", Text, Optional, "ALICE_KEY", "Environment variable, read when the policy is loaded."),
        FILE,
    ],
};

const FILE: Key = key("file", Text, Optional, "/run/secrets/alice", "File, relative to the policy directory; one newline at its end does not count. Read again on every reload.");
