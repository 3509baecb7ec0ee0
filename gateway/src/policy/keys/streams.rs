//! `streams[]`: plain TCP.

use super::Kind::{self, Count, Duration, Either, List, Name, Rate, Speed, Text, Word};
use super::Need::{Default, Optional, Required};
use super::{Object, key};

/// `streams[]`
pub static STREAM: Object = Object {
    doc: "Connections whose bytes pass as they are.",
    keys: &[
        key("name", Name, Required, "rpc", "Unique; appears in logs and metrics."),
        key("listener", Name, Required, "rpc", "Name of a listener of gateway.yaml with `tcp: true`; one stream for each."),
        key("pool", Name, Required, "rpc", "Name of the pool; its backends are `tcp://` or `tls://`."),
        key("auth", Either(&Word(&["none"]), &List(&Word(STREAM_CREDENTIALS))), Required, "[client_cert, network]", "How a tenant is known, in this order; a certificate that is shown decides. `none` lets anybody in."),
        key("client_ca", Text, Optional, "callers.pem", "PEM file of the authorities of callers' certificates; relative to the policy directory. Required with `client_cert`, which also needs `tls: true` at the listener."),
        key("limits", Kind::Object(&STREAM_LIMITS), Optional, "{connections: 64, connects: 20/s, bytes: 50MiB/s}", "What each tenant may use of it; with `auth: none`, all together."),
        key("timeouts", Kind::Object(&STREAM_TIMEOUTS), Optional, "{idle: 5m}", "How long a connection may stand open."),
        key("proxy_protocol", Word(&["none", "v2"]), Default("none"), "v2", "`v2`: backends are told by a PROXY header whose connection it is, the tenant's name in type 0xE0."),
    ],
};

/// `streams[].auth[]`
pub static STREAM_CREDENTIALS: &[&str] = &["client_cert", "network"];

/// `streams[].limits`, `plans.*.streams`
pub static STREAM_LIMITS: Object = Object {
    doc: "What one tenant may use of one stream.",
    keys: &[
        key("connections", Count(1..=u32::MAX), Optional, "64", "Open at the same time."),
        key("connects", Rate, Optional, "20/s", "Begun in a period; as many at once. What was refused does not count."),
        key("bytes_in", Speed, Optional, "10MiB/s", "Towards backends. More waits, and nothing is dropped."),
        key("bytes_out", Speed, Optional, "10MiB/s", "Towards callers."),
        key("bytes", Speed, Optional, "15MiB/s", "Both ways together."),
    ],
};

/// `streams[].timeouts`
pub static STREAM_TIMEOUTS: Object = Object {
    doc: "How long a connection may stand open.",
    keys: &[
        key("idle", Duration, Default("10m"), "5m", "Longest silence in both directions."),
        key("total", Duration, Optional, "1d", "Longest life. Default: no end."),
    ],
};
