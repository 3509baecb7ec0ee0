//! Policy files in, one immutable [`Snapshot`] out.
//!
//! `main` opens a [`Store`]; each request takes [`Store::current`] and keeps it to its end; whoever watches
//! the directory calls [`Store::reload`]. Nobody on the walk reads a file or the environment.
//!
//! *Steps.* [`files`] reads the directory once; [`yaml`] makes trees in which every value has its place;
//! [`decode`] and [`sections`] (with [`routes`], [`pools`], [`limits`], [`models`] and [`tenants`]) turn them into the
//! [`spec`], by the one table in [`keys`]; [`check`] resolves names, reads secrets and asks whether the whole makes sense; [`install`]
//! makes the snapshot. All steps but the last add to one list of [`Problems`](problem::Problems), and only an
//! empty list leads to the last step: a bad policy changes nothing.
//!
//! *Cost.* Linear in the size of the files, paid by whoever calls `reload`, never by a worker.
//!
//! *Not here.* What a limit, a signature or a route means (`limit`, `auth`, `route`), and the walk itself.

mod check;
mod credential;
mod decode;
mod discover;
mod files;
mod health;
mod iam;
mod install;
#[rustfmt::skip] // one key a row
mod keys;
mod limits;
mod models;
mod pools;
mod posture;
mod problem;
mod protocol;
mod queue;
mod retry;
mod routes;
mod schema;
mod secret;
mod sections;
mod snapshot;
mod spec;
mod store;
mod streams;
mod tenants;
mod units;
mod url;
mod versions;
pub mod watch;
mod yaml;

pub use posture::Posture;
pub use problem::Problem;
pub use schema::{reference, schema};
pub use snapshot::{
    Api, Caller, Caps, Ceilings, Fallback, Metering, Model, Models, Queue, QueueClass, Retry, Route,
    Snapshot, Timeouts, WebSocket,
};
pub use store::{Status, Store};
pub use watch::Watch;

use check::Checked;
use files::Text;
use problem::{Place, Problems};
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// State that outlives every snapshot: levels, replay caches, backends.
#[derive(Default)]
pub struct Live {
    /// Levels of tenants and routes.
    pub limits: crate::limit::Registry,
    /// Replay caches and lockouts.
    pub auth: crate::auth::Live,
    /// Gates before pools, by the pools' names.
    pub gates: crate::fair::Gates,
    /// Tokens of the gateway's own, and what is known of callers' tokens.
    pub iam: crate::iam::Live,
    /// What each tenant does on each route.
    pub tenants: crate::observe::tenants::Tenants,
    /// Upstream addresses.
    pub backends: crate::upstream::Registry,
    /// What was found out of them.
    pub feeds: crate::upstream::discover::Feeds,
    /// What is left for trying again, by pool.
    pub retries: crate::upstream::budget::Budgets,
    /// What tenants use of streams.
    pub streams: crate::stream::Levels,
    /// Names of the listeners that streams may be for.
    pub tcp_listeners: Vec<String>,
    /// Is what was spent of budgets on the disk for the next start?
    pub budgets_saved: bool,
}

/// What a good policy consists of, for `pangu-gateway check`.
#[allow(missing_docs)] // numbers of what their names say
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// As in [`Snapshot::digest`].
    pub digest: String,
    pub files: usize,
    pub routes: usize,
    pub pools: usize,
    pub plans: usize,
    pub tenants: usize,
    pub users: usize,
    pub streams: usize,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Summary { digest, files, routes, pools, plans, tenants, users, streams } = self;
        write!(
            f,
            "policy {digest}: {files} files, {routes} routes, {pools} pools, {plans} plans, {tenants} tenants, {users} users"
        )?;
        if *streams > 0 { write!(f, ", {streams} streams") } else { Ok(()) }
    }
}

/// Would this directory load?
///
/// # Errors
/// every problem found, in the order of files and lines
pub fn check(dir: &Path) -> Result<Summary, Vec<Problem>> {
    let Loaded { digest, files, checked, .. } = load(dir, &environment).result?;
    Ok(Summary {
        digest: digest.to_string(),
        files,
        routes: checked.routes.len(),
        pools: checked.pools.len(),
        plans: checked.plans.len(),
        tenants: checked.tenants.len(),
        users: checked.tenants.iter().map(|tenant| tenant.users.len()).sum(),
        streams: checked.streams.len(),
    })
}

/// For every route of the directory: what limits it, who may call it, and what is worth a look. `budgets_saved`: has
/// the gateway a state directory?
///
/// # Errors
/// every problem found, in the order of files and lines
pub fn posture(dir: &Path, budgets_saved: bool) -> Result<Posture, Vec<Problem>> {
    let Loaded { checked, .. } = load(dir, &environment).result?;
    let posture = Posture::of(&checked);
    Ok(if budgets_saved { posture } else { posture.in_memory(&checked) })
}

/// One reading of the directory.
struct Read {
    /// Digest over everything the result depends on: files, secrets, authorities.
    fingerprint: [u8; 32],
    /// Files outside the policy's own that it depends on.
    depends: Vec<PathBuf>,
    result: Result<Loaded, Vec<Problem>>,
}

struct Loaded {
    digest: Arc<str>,
    files: usize,
    checked: Checked,
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Reads, decodes and checks; installs nothing.
fn load(dir: &Path, env: &dyn Fn(&str) -> Option<String>) -> Read {
    let files = files::read(dir);
    let problems = Problems::new(files.names.clone());
    files.report(&problems);
    let mut policy = spec::Policy::default();
    for (file, text) in files.texts.iter().enumerate() {
        if let Text::Utf8(text) = text {
            decode_file(text, files.place(file), dir, &mut policy, &problems);
        }
    }
    let secrets = secret::Secrets::new(dir, env);
    let checked = check::check(policy, &secrets, &problems);
    let mut all = files.digest();
    let digest = all.clone().finish();
    all.update(secrets.seen.into_inner().finish().as_ref());
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(all.finish().as_ref());
    let digest: String = digest.as_ref()[..6].iter().map(|byte| format!("{byte:02x}")).collect();
    let files = files.names.len();
    let result = problems.finish(checked).map(|checked| Loaded { digest: digest.into(), files, checked });
    Read { fingerprint, depends: secrets.files.into_inner(), result }
}

fn decode_file(text: &str, place: Place, dir: &Path, policy: &mut spec::Policy, problems: &Problems) {
    match yaml::parse(text) {
        Ok(documents) if documents.is_empty() => {
            problems.add(place, "", "the file holds no policy", "write a policy into it, or remove it");
        }
        Ok(documents) => {
            for document in &documents {
                sections::read(document, place.file, dir, policy, problems);
            }
        }
        Err(yaml::Refused { mark, what, help }) => {
            problems.add(Place { line: mark.line, column: mark.column, ..place }, "", what, help);
        }
    }
}
