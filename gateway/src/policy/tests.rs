//! The module as a whole: what loads, what does not, and what is said then.

mod bad_input;
mod counts;
mod golden;
mod good;
mod health;
mod live;
mod models;
mod queue;
mod tokens;

use super::{Loaded, Problem, load};
use std::path::{Path, PathBuf};

/// What the tests' environment holds.
fn env(name: &str) -> Option<String> {
    match name {
        "EMPTY_KEY" => Some(String::new()),
        "OTHER_KEY" => Some("another-secret-value".into()),
        name if name.starts_with("KNOWN_")
            || name.starts_with("EXAMPLE_")
            || name.starts_with("PANGU_DEV_") =>
        {
            Some(format!("a-secret-for-{name}"))
        }
        _ => None,
    }
}

fn load_dir(dir: &Path) -> Result<Loaded, Vec<Problem>> {
    load(dir, &env).result
}

/// Loads one file as a whole policy.
fn load_text(text: impl AsRef<[u8]>) -> Result<Loaded, Vec<Problem>> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("policy.yaml"), text).unwrap();
    load_dir(dir.path())
}

/// A folder of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(path)
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

/// A small policy that is whole.
const GOOD: &str = r#"
routes:
  - name: chat
    match: {path: /v1/chat/completions, methods: [POST]}
    api: openai
    auth: [api_key, ak_sk]
    pool: maas
    limits: [{name: route-rps, per: route, requests: 500/s, burst: 20}]
pools:
  - name: maas
    backends: [{url: "https://maas.example.com:8443/base", weight: 2}]
plans:
  gold: [{name: user-rpm, per: user, requests: 20/min}]
tenants:
  - name: acme
    plan: gold
    users:
      - {name: alice, api_key: {env: KNOWN_KEY}}
      - {name: bob, ak_sk: {access_key: AKBOB, secret_key: {env: KNOWN_SK}}}
"#;
