//! `discover` of pools and versions: where backends are found out.

use super::Kind::{self, Duration, Text, Word};
use super::Need::{Default, Optional};
use super::credential::SHOWN_AK_SK;
use super::iam::SHOWN_IAM;
use super::{Object, key};

/// `discover` of pools and versions
pub static DISCOVER: Object = Object {
    doc: "Where backends are found out: exactly one of `modelarts_service`, `srv` and `file`. Whatever goes wrong, the last good set stays.",
    keys: &[
        key("modelarts_service", Text, Optional, "7a3e9b1c-5d4f-4a7b-9c66-0d2f3a1b8e75", "Id of a ModelArts real-time service, whose instances are asked for (`predict/endpoints?type=host_endpoints`). An answer without any is believed when it comes for the third time."),
        key("project_id", Text, Optional, "0123456789abcdef0123456789abcdef", "The service's project. With `modelarts_service`, and needed there."),
        key("endpoint", Text, Optional, "https://modelarts.cn-southwest-2.myhuaweicloud.com", "The ModelArts API of the region; `http` only on this machine. With `modelarts_service`, and needed there."),
        key("ca", Text, Optional, "ca.pem", "PEM file of the only authorities to trust at `endpoint`; relative to the policy directory. Default: the machine's."),
        key("credential", Kind::Object(&API_CREDENTIAL), Optional, "{ak_sk: {access_key: {env: API_AK}, secret_key: {env: API_SK}}}", "Who the gateway is to the API. With `modelarts_service`, and needed there."),
        key("every", Duration, Default("30s"), "10s", "From one question to the API to the next, 3s to 1h; twice as long after each failure, up to 5m. All pools with the same credential stay together below 20 questions a minute."),
        key("srv", Text, Optional, "_http._tcp.models.internal", "Name of SRV records: targets, ports and weights. Those of the lowest priority number are used that have an address. Looked up again as their TTL says."),
        key("file", Text, Optional, "backends.json", "JSON or YAML that another program writes, relative to the policy directory: a list of `{address: \"10.0.0.11:8080\", weight: 2}`. Looked at every second."),
        key("scheme", Word(&["http", "https"]), Default("http"), "https", "What backends of `srv` and `file` speak. `https` from `srv` needs `tls.name`."),
    ],
};

/// `discover.credential`
pub static API_CREDENTIAL: Object = Object {
    doc: "Who the gateway is to an API of the cloud's own: exactly one of these.",
    keys: &[
        key("ak_sk", Kind::Object(&SHOWN_AK_SK), Optional, "{access_key: {env: API_AK}, secret_key: {env: API_SK}}", "The key pair of an IAM user: questions are signed."),
        key("iam_token", Kind::Object(&SHOWN_IAM), Optional, "{endpoint: \"https://iam.cn-southwest-2.myhuaweicloud.com\", hw_ak_sk: {...}, project: cn-southwest-2}", "`X-Auth-Token`: a token of IAM, renewed before its end."),
    ],
};
