//! Policy: what the gateway must load for a scenario to be let in.
//!
//! Routes, pool and plans are in one file and the tenants, who may be ten thousand, in another, so that a reload
//! under load rewrites the small one. Secret keys, which a policy names and never holds, are files beside them.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::{Map, Value};

use super::spec::{Api, CredentialSpec};
use super::{Caller, Credential, Plan, Route, Setup};
use crate::sign::sha256_hex;

/// Name of the file with routes, pool and plans; what a reload rewrites.
pub const ROUTES_FILE: &str = "routes.yaml";
const TENANTS_FILE: &str = "tenants.yaml";
const SECRETS_DIR: &str = "secrets";
const MIB: u32 = 1 << 20;

/// Writes the whole policy into `dir`, which is made if it is not there. `pool` is the URL of the upstream.
///
/// # Errors
/// A file cannot be written.
pub fn write(setup: &Setup, pool: &str, dir: &Path) -> io::Result<()> {
    let secrets = dir.join(SECRETS_DIR);
    fs::create_dir_all(dir)?;
    for caller in &setup.scenario.callers {
        if let Credential::AkSk { access_key, secret_key } = &caller.credential {
            fs::create_dir_all(&secrets)?;
            write_private(&secrets.join(access_key), secret_key)?;
        }
    }
    fs::write(dir.join(TENANTS_FILE), tenants(setup))?;
    fs::write(dir.join(ROUTES_FILE), routes(setup, pool, 0))
}

/// The file of routes. `revision` changes a timeout that nobody reaches, and so what the gateway has to compile, but
/// nothing that a caller could notice.
pub fn routes(setup: &Setup, pool: &str, revision: u64) -> String {
    let scenario = &setup.scenario;
    let mut text =
        format!("# Policy of load-test scenario `{}`, revision {revision}.\nroutes:\n", scenario.name);
    for route in &setup.routes {
        route.write(&mut text, 3600 + revision % 1000);
    }
    text.push_str("pools:\n");
    let mut pools: Vec<&str> = setup.routes.iter().map(|route| route.pool.as_str()).collect();
    pools.sort_unstable();
    pools.dedup();
    for name in pools {
        let _ = writeln!(text, "  - name: {name}\n    backends: [{{url: {}}}]", quoted(pool));
        if let Some(queue) = &setup.queue {
            let _ = writeln!(text, "    queue: {}", flow(queue));
        }
    }
    text.push_str("plans:\n");
    for Plan { name, limits } in &setup.plans {
        write_list(&mut text, 2, name, limits);
    }
    if setup.plans.is_empty() {
        text.push_str("  {}\n");
    }
    text
}

impl Route {
    fn write(&self, text: &mut String, total_s: u64) {
        let Route { name, pool, path, methods, .. } = self;
        let auth = if self.auth.is_empty() {
            "none".to_owned()
        } else {
            format!("[{}]", self.auth.iter().map(|kind| word(*kind)).collect::<Vec<_>>().join(", "))
        };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "  - name: {name}\n    match: {{path: {}, methods: [{}]}}\n    api: {}\n    auth: {auth}\n    \
             pool: {pool}\n    body_max: {}\n    timeouts: {{total: {total_s}s}}\n",
            quoted(path),
            methods.join(", "),
            api(self.api),
            self.body_bytes_max.max(MIB),
        );
        if !self.auth.is_empty() {
            text.push_str("    tenant_header: x-tenant\n");
        }
        if let Some(reason) = &self.unlimited {
            let _ = writeln!(text, "    unlimited: {}", quoted(reason));
        }
        if !self.limits.is_empty() {
            write_list(text, 4, "limits", &self.limits);
        }
    }
}

/// The file of tenants: with digests where policies take them.
fn tenants(setup: &Setup) -> String {
    let scenario = &setup.scenario;
    let mut text = format!("# Callers of load-test scenario `{}`, seed {}.\n", scenario.name, scenario.seed);
    let mut tenant = "";
    for caller in scenario.callers.iter().filter(|caller| caller.credential != Credential::None) {
        if tenant.is_empty() {
            text.push_str("tenants:\n");
        }
        if tenant != caller.tenant {
            tenant = &caller.tenant;
            let plan = &scenario.groups[usize::from(caller.group)].name;
            let _ = write!(text, "  - name: {tenant}\n    plan: {plan}\n    users:\n");
        }
        let _ = writeln!(text, "      - {{name: {}, {}}}", caller.user, proof(caller));
    }
    text
}

fn proof(caller: &Caller) -> String {
    match &caller.credential {
        Credential::AkSk { access_key, .. } => {
            format!("ak_sk: {{access_key: {access_key}, secret_key: {{file: {SECRETS_DIR}/{access_key}}}}}")
        }
        Credential::AppCode(code) => format!("app_code: {{sha256: \"{}\"}}", sha256_hex(code.as_bytes())),
        Credential::ApiKey(key) => format!("api_key: {{sha256: \"{}\"}}", sha256_hex(key.as_bytes())),
        Credential::None => String::new(),
    }
}

fn word(kind: CredentialSpec) -> &'static str {
    match kind {
        CredentialSpec::AkSk => "ak_sk",
        CredentialSpec::AppCode => "app_code",
        CredentialSpec::ApiKey => "api_key",
        CredentialSpec::None => "none",
    }
}

fn api(api: Api) -> &'static str {
    match api {
        Api::Pangu => "pangu",
        Api::Openai => "openai",
        Api::Modelarts => "modelarts",
        Api::Plain => "plain",
    }
}

fn write_list(text: &mut String, indent: usize, key: &str, limits: &[Map<String, Value>]) {
    let _ = writeln!(text, "{:indent$}{key}:{}", "", if limits.is_empty() { " []" } else { "" });
    for limit in limits {
        let _ = writeln!(text, "{:indent$}  - {}", "", flow(limit));
    }
}

/// A mapping on one line, values as in JSON, which YAML takes.
fn flow(entries: &Map<String, Value>) -> String {
    let each: Vec<String> = entries.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    format!("{{{}}}", each.join(", "))
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn write_private(file: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
    file.write_all(text.as_bytes())
}
