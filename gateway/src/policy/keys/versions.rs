//! `pools[].versions` and `pools[].split`: grey release and A/B.

use super::Kind::{self, Count, List, Name, Text};
use super::Need::{Default, Optional, Required};
use super::discover::DISCOVER;
use super::pools::BACKEND;
use super::{Object, key};

/// `pools[].versions[]`
pub static VERSION: Object = Object {
    doc: "One version of what a pool serves.",
    keys: &[
        key("name", Name, Required, "v2", "Unique in the pool; appears in logs and metrics. Who stays with a version is decided by it."),
        key("weight", Count(0..=1_000), Required, "10", "Its part of the requests, by the weights of the others; 0 to 1000. 0: only whom `when` gives it."),
        key("backends", List(&Kind::Object(&BACKEND)), Optional, "[{url: \"https://10.0.0.12:8443\"}]", "Upstream addresses of this version. It has these, `discover`, or both."),
        key("discover", Kind::Object(&DISCOVER), Optional, "{modelarts_service: 7a3e..., ...}", "Where further backends of this version are found out."),
    ],
};

/// `pools[].split`
pub static SPLIT: Object = Object {
    doc: "Who gets which version. One that has no backend left leaves its requests to the others.",
    keys: &[
        key("by", Text, Default("request"), "user", "`request`: each by its turn. `user`, `tenant` or `header NAME`: whoever got a version keeps it; when weights change, no more callers move than have to."),
        key("when", List(&Kind::Object(&WHEN)), Optional, "[{tenant: acme, version: v2}]", "Asked first, in this order."),
    ],
};

/// `pools[].split.when[]`
pub static WHEN: Object = Object {
    doc: "Callers with a version of their own. Exactly one of `tenant` and `header`.",
    keys: &[
        key("tenant", Name, Optional, "acme", "All users of this tenant."),
        key("header", Kind::Object(&HEADER_IS), Optional, "{name: x-preview, value: \"yes\"}", "Requests with this header."),
        key("version", Name, Required, "v2", "Name of the version they get."),
    ],
};

/// `pools[].split.when[].header`
pub static HEADER_IS: Object = Object {
    doc: "A header and its value.",
    keys: &[
        key("name", Text, Required, "x-preview", "Letters of either case."),
        key("value", Text, Required, "\"yes\"", "The whole value, letter by letter."),
    ],
};
