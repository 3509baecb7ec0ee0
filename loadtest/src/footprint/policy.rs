//! Policy: one route to call, one for streams, and one that shows which revision is in force.
//!
//! The tenants, who may be many, are in a file of their own, so that a reload rewrites the small one.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use crate::sign::sha256_hex;

/// What every user may call; the mock answers 200 without a body.
pub const ANSWER: &str = "/mock/status/200";
/// Likewise, with an event each 20 ms for two seconds.
pub const STREAM: &str = "/mock/sse?chunks=100&every=20";
const ROUTES_FILE: &str = "routes.yaml";
const TENANTS_FILE: &str = "tenants.yaml";
/// Bytes of the answer that shows the revision are its number; beyond that they begin again.
const REVISIONS: u32 = 4096;

/// Writes the whole policy: `tenants` with one user each, whose plan has three limits. `pool` is the mock's URL.
///
/// # Errors
/// A file cannot be written.
pub fn write(dir: &Path, pool: &str, tenants: u32) -> io::Result<()> {
    fs::write(dir.join(TENANTS_FILE), tenants_yaml(tenants))?;
    fs::write(dir.join(ROUTES_FILE), routes(pool, 0))
}

/// Writes another revision beside its place; see [`Draft::put`]. Hidden files are no policy.
///
/// # Errors
/// A file cannot be written.
pub fn draft(dir: &Path, pool: &str, revision: u32) -> io::Result<Draft> {
    let (draft, file) = (dir.join(".routes.draft"), dir.join(ROUTES_FILE));
    fs::write(&draft, routes(pool, revision))?;
    Ok(Draft { draft, file })
}

/// A revision that is written and not yet in its place.
#[derive(Debug)]
pub struct Draft {
    draft: std::path::PathBuf,
    file: std::path::PathBuf,
}

impl Draft {
    /// Renames it into place, so that nobody reads half of it.
    ///
    /// # Errors
    /// The system refuses.
    pub fn put(self) -> io::Result<()> {
        fs::rename(self.draft, self.file)
    }
}

/// The one path that a revision answers with 200, and no other does.
pub fn path(revision: u32) -> String {
    format!("/mock/bytes/{}", revision % REVISIONS)
}

/// The AppCode of a tenant's user: 32 characters.
pub fn code(tenant: u32) -> String {
    let mut code = sha256_hex(format!("footprint {tenant}").as_bytes());
    code.truncate(32);
    code
}

fn routes(pool: &str, revision: u32) -> String {
    format!(
        "# Revision {revision}.
routes:
  - name: answer
    match: {{path: {ANSWER}}}
    api: plain
    auth: [app_code]
    pool: mock
    body_max: 64KiB
    tenant_header: x-tenant
  - name: stream
    match: {{path: /mock/sse}}
    api: plain
    auth: [app_code]
    pool: mock
    body_max: 64KiB
    tenant_header: x-tenant
  - name: revision
    match: {{path: {}}}
    api: plain
    auth: none
    pool: mock
    body_max: 64KiB
    unlimited: shows which policy is in force
pools:
  - name: mock
    backends: [{{url: \"{pool}\"}}]
plans:
  footprint:
    - {{name: tenant, per: tenant, requests: 1000000/s}}
    - {{name: user, per: user, requests: 1000000/s}}
    - {{name: tenant-route, per: tenant+route, requests: 1000000/s}}
",
        path(revision)
    )
}

fn tenants_yaml(tenants: u32) -> String {
    let mut text = "tenants:\n".to_owned();
    for tenant in 0..tenants {
        let digest = sha256_hex(code(tenant).as_bytes());
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  - {{name: tenant-{tenant}, plan: footprint, users: [{{name: user-0, app_code: {{sha256: {digest}}}}}]}}"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_two_files_without_a_code_in_clear() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "http://127.0.0.1:1", 3).unwrap();
        let read = |name| fs::read_to_string(dir.path().join(name)).unwrap();
        let tenants = read(TENANTS_FILE);
        assert_eq!(tenants.lines().count(), 4);
        assert!(tenants.contains(&sha256_hex(code(2).as_bytes())) && !tenants.contains(&code(2)));
        assert!(read(ROUTES_FILE).contains("path: /mock/bytes/0}"));

        let next = draft(dir.path(), "http://127.0.0.1:1", 7).unwrap();
        assert!(read(ROUTES_FILE).contains("/mock/bytes/0}"), "a draft changes nothing");
        next.put().unwrap();
        assert!(read(ROUTES_FILE).contains("/mock/bytes/7}"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn neighbouring_revisions_differ_in_what_they_answer() {
        assert_ne!(path(REVISIONS - 1), path(REVISIONS));
        assert_ne!(path(1), path(2));
    }

    #[test]
    fn a_hundred_thousand_tenants_fit_into_what_a_policy_may_measure() {
        assert!(tenants_yaml(100_000).len() < 64 << 20);
        assert_ne!(code(1), code(2));
    }
}
