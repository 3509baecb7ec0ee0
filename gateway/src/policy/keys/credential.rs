//! `credential`: who the gateway is to backends.

use super::Kind::{self, Bool, Either, Secret, Text, Word};
use super::Need::{Default, Optional, Required};
use super::iam::SHOWN_IAM;
use super::{Object, key};

/// `credential` of pools and routes
pub(super) const SHOWN_KIND: Kind = Either(&Word(&["none"]), &Kind::Object(&SHOWN));

/// `credential`, but `none`
pub static SHOWN: Object = Object {
    doc: "Who the gateway is to backends: exactly one of these.",
    keys: &[
        key("ak_sk", Kind::Object(&SHOWN_AK_SK), Optional, "{access_key: {env: UP_AK}, secret_key: {env: UP_SK}}", "AK/SK, or AppKey and AppSecret: requests are signed as they go on the wire."),
        key("app_code", Secret, Optional, "{env: UP_APP_CODE}", "`X-Apig-AppCode`."),
        key("api_key", Secret, Optional, "{env: MAAS_KEY}", "`Authorization: Bearer`."),
        key("iam_token", Kind::Object(&SHOWN_IAM), Optional, "{endpoint: \"https://iam.cn-southwest-2.myhuaweicloud.com\", hw_ak_sk: {...}, project: cn-southwest-2}", "`X-Auth-Token`: a token of IAM, renewed before its end. While there is none, requests get a 503."),
        key("header", Kind::Object(&SHOWN_HEADER), Optional, "{name: x-api-key, value: {env: UP_KEY}}", "A header of the backend's own."),
        key("pass", Bool, Optional, "true", "The callers' own credentials pass. Their signatures hold only where the backend sees the same host, path and body."),
    ],
};

/// `credential.ak_sk`
pub static SHOWN_AK_SK: Object = Object {
    doc: "A signing key pair of the gateway's own.",
    keys: &[
        key("access_key", Secret, Required, "{env: UP_AK}", "The public half."),
        key("secret_key", Secret, Required, "{env: UP_SK}", "The secret half."),
        key("security_token", Secret, Optional, "{file: up.token}", "Of a temporary pair: goes, signed, in `X-Security-Token`."),
        key("algorithm", Word(&["sdk-hmac-sha256", "v11"]), Default("sdk-hmac-sha256"), "v11", "`v11`: V11-HMAC-SHA256, whose key is derived for each day, `region` and `service`."),
        key("region", Text, Optional, "cn-southwest-2", "With `v11`, and needed there."),
        key("service", Text, Optional, "modelarts", "With `v11`, and needed there."),
        key("unsigned_payload", Bool, Default("false"), "true", "Leaves the body out of the signature (`UNSIGNED-PAYLOAD`), so that it streams; else it is held until it has come whole."),
        key("project_id", Text, Optional, "0123456789abcdef0123456789abcdef", "Goes, signed, in `X-Project-Id`; a caller's does not."),
    ],
};

/// `credential.header`
pub static SHOWN_HEADER: Object = Object {
    doc: "A header that the backend knows its callers by.",
    keys: &[
        key("name", Text, Required, "x-api-key", "The header."),
        key("value", Secret, Required, "{env: UP_KEY}", "What it says."),
    ],
};
