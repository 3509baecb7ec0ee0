//! `pools[]`: where requests go.

use super::Kind::{self, Bool, Count, Duration, Either, List, Name, Percent, Size, Text, Word};
use super::Need::{Default, Optional, Required};
use super::credential::SHOWN_KIND;
use super::discover::DISCOVER;
use super::health::{EJECT, HEALTH};
use super::queue::QUEUE;
use super::tls::TLS;
use super::versions::{SPLIT, VERSION};
use super::{Object, key};

/// `pools[]`
pub static POOL: Object = Object {
    doc: "A named set of backends.",
    keys: &[
        key("name", Name, Required, "pangu-nlp", "Unique; routes name it."),
        key("backends", List(&Kind::Object(&BACKEND)), Optional, "[{url: \"https://10.0.0.11:8443\"}]", "Upstream addresses. A pool has these, `discover`, or both; or `versions`."),
        key("versions", List(&Kind::Object(&VERSION)), Optional, "[{name: v1, weight: 90, backends: [...]}, {name: v2, weight: 10, backends: [...]}]", "Versions of what the pool serves, each with its part of the requests (grey release), or with callers of its own (A/B)."),
        key("split", Kind::Object(&SPLIT), Optional, "{by: user}", "Who gets which of the `versions`."),
        key("protocol", Word(&["h1", "h2"]), Default("h1"), "h2", "What the backends speak: HTTP/1.1 or HTTP/2. `h2` is agreed by ALPN with `https`, known beforehand with `http`; many requests share a connection, and `api: grpc` needs it."),
        key("connect_timeout", Duration, Default("3s"), "1s", "Longest time for a connection, with its TLS handshake."),
        key("tls", Kind::Object(&TLS), Optional, "{ca: ca.pem}", "Only with `https` backends."),
        key("balance", Word(BALANCES), Default("round_robin"), "least_requests", "Which backend is next: `round_robin` in turn, by weight; `least_requests` of two by chance the one with fewer requests for its weight; `ewma` of two the one whose first bytes come sooner, by what they took lately and the requests it has; `hash` the same one for the same `hash.by`."),
        key("hash", Kind::Object(&HASH), Optional, "{by: user}", "Only with `balance: hash`: what goes to the same backend."),
        key("queue", Kind::Object(&QUEUE), Optional, "{in_flight_max: 64}", "Whose turn it is while the pool has less room than callers want. Without it, nobody waits, and every request goes at once."),
        key("health", Kind::Object(&HEALTH), Optional, "{path: /health}", "What every backend is asked, again and again. Without it, none is."),
        key("eject", Either(&Bool, &Kind::Object(&EJECT)), Optional, "{consecutive: 5, error_rate: 50%}", "Takes a backend out for a while when requests to it fail. Without it, 5 failed connections in a row do; `false`: nothing does."),
        key("panic", Percent, Default("10%"), "50%", "With less of the weight well than this, all backends are used again, except those that were never ready; `0%`: never, and then callers get 503."),
        key("discover", Kind::Object(&DISCOVER), Optional, "{file: backends.json}", "Where further backends are found out, and found out again. In place of `backends`, or beside them."),
        key("networks", List(&Text), Optional, "[10.1.0.0/16]", "Where backends may lie that are found out; other addresses are not used. Default: with `discover` private networks (10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, fc00::/7); for names in `backends` all but this machine's own, and those too for `localhost`. Link-local and metadata addresses are never used. Addresses written in `backends` are not asked about."),
        key("credential", SHOWN_KIND, Default("none"), "{api_key: {env: MAAS_KEY}}", "Who the gateway is to the backends; exactly one of its keys. `none`: nobody. Without `pass`, callers' own credentials end at the gateway on routes with `auth`, and everywhere if it shows one of its own."),
    ],
};

/// `pools[].backends[]`
pub static BACKEND: Object = Object {
    doc: "One upstream address.",
    keys: &[
        key("url", Text, Required, "https://10.0.0.11:8443/base", "`http` or `https`; a path is put before every request path. A name stands for all its addresses, which share the weight and are looked up again as their TTL says. For streams `tcp` or `tls`, with a port. Link-local and metadata addresses are refused."),
        key("weight", Count(1..=1_000), Default("1"), "3", "Share of requests, 1 to 1000."),
    ],
};

/// `pools[].balance`
pub static BALANCES: &[&str] = &["round_robin", "least_requests", "ewma", "hash"];

/// `pools[].hash`
pub static HASH: Object = Object {
    doc: "What goes to the same backend, while that is to be had.",
    keys: &[
        key("by", Text, Required, "header x-session", "`user`, `tenant`, `header NAME`, or `prompt`: how its text begins, so that what a backend has cached of one prompt is of use to the next."),
        key("prefix", Size, Default("256B"), "2KiB", "Only with `by: prompt`: how much of the text counts, 16 B to 64 KiB. Make it longer than what all prompts have in common, else one backend gets them all."),
    ],
};
