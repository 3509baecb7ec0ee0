//! The scenarios that come with the program; their files are in loadtest/scenarios.

/// Name and text of each, in the order of the documentation.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("steady", include_str!("../../scenarios/steady.yaml")),
    ("ramp", include_str!("../../scenarios/ramp.yaml")),
    ("burst", include_str!("../../scenarios/burst.yaml")),
    ("noisy_neighbour", include_str!("../../scenarios/noisy_neighbour.yaml")),
    ("noisy_stream", include_str!("../../scenarios/noisy_stream.yaml")),
    ("many_tenants", include_str!("../../scenarios/many_tenants.yaml")),
    ("signed", include_str!("../../scenarios/signed.yaml")),
    ("streaming", include_str!("../../scenarios/streaming.yaml")),
    ("slow_upstream", include_str!("../../scenarios/slow_upstream.yaml")),
    ("tokens", include_str!("../../scenarios/tokens.yaml")),
    ("disconnects", include_str!("../../scenarios/disconnects.yaml")),
    ("reload_under_load", include_str!("../../scenarios/reload_under_load.yaml")),
    ("connection_churn", include_str!("../../scenarios/connection_churn.yaml")),
];

/// Text of the built-in scenario of that name.
pub fn find(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(built_in, _)| *built_in == name).map(|(_, text)| *text)
}
