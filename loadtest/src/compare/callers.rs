//! Callers: 10,000 AppCodes of 1,000 tenants, in the form of each peer; and ten that sign, for the gateway.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::problem::{Context, Problem};
use crate::sign::sha256_hex;

/// Tenants in the policy.
pub const TENANTS: usize = 1000;
/// Users of each.
pub const USERS: usize = 10;

/// Callers that sign. The gateway remembers a million signatures of each for 15 minutes, and no run may use that up.
pub const SIGNERS: usize = 10;

/// A caller that signs, below [`SIGNERS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signer(pub usize);

impl Signer {
    /// The public half of its pair.
    pub fn access_key(self) -> String {
        format!("BENCH{}", self.0)
    }

    /// The secret half.
    pub fn secret_key(self) -> String {
        sha256_hex(format!("bench signer {}", self.0).as_bytes())
    }
}

/// The number of a caller, below `TENANTS * USERS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller(pub usize);

impl Caller {
    /// What it proves itself with: 32 characters.
    pub fn code(self) -> String {
        let mut code = sha256_hex(format!("bench {}", self.0).as_bytes());
        code.truncate(32);
        code
    }

    /// Its tenant.
    pub fn tenant(self) -> String {
        format!("tenant-{}", self.0 / USERS)
    }

    /// Its name among the tenant's users.
    pub fn user(self) -> String {
        format!("user-{}", self.0 % USERS)
    }
}

/// Everybody.
pub fn all() -> impl Iterator<Item = Caller> {
    (0..TENANTS * USERS).map(Caller)
}

/// Writes the callers in every form that a peer or a generator reads.
///
/// # Errors
/// A file cannot be written.
pub fn write(directory: &Path) -> Result<(), Problem> {
    let lines = |line: &dyn Fn(Caller) -> String| all().map(|caller| line(caller) + "\n").collect::<String>();
    let forms = [
        ("codes", lines(&|one| one.code())),
        ("nginx-tenants.map", lines(&|one| format!("{} {};", one.code(), one.tenant()))),
        ("nginx-users.map", lines(&|one| format!("{} {}/{};", one.code(), one.tenant(), one.user()))),
        ("haproxy-tenants.map", lines(&|one| format!("{} {}", one.code(), one.tenant()))),
        ("haproxy-users.map", lines(&|one| format!("{} {}/{}", one.code(), one.tenant(), one.user()))),
        ("haproxy-networks.map", "127.0.0.1/32 vpc\n".to_owned()),
        ("pingora-callers", lines(&|one| format!("{} {} {}", one.code(), one.tenant(), one.user()))),
        ("policy/tenants.yaml", gateway_tenants()),
    ];
    for (name, text) in forms {
        fs::write(directory.join(name), text).while_doing(format!("write {name}"))?;
    }
    let secrets = directory.join("policy/secrets");
    fs::create_dir(&secrets).while_doing("make a directory")?;
    for signer in (0..SIGNERS).map(Signer) {
        let file = secrets.join(signer.access_key());
        fs::write(file, signer.secret_key()).while_doing("write a secret key")?;
    }
    Ok(())
}

/// The credentials of envoy's configuration.
pub fn envoy_credentials() -> String {
    let line = |one: Caller| format!("{:24}- {{key: {}, client: {}}}", "", one.code(), one.tenant());
    all().map(line).collect::<Vec<_>>().join("\n")
}

fn gateway_tenants() -> String {
    let mut text = "tenants:\n".to_owned();
    for one in all() {
        if one.0 % USERS == 0 {
            let _ = writeln!(text, "  - name: {}\n    plan: bench\n    users:", one.tenant());
        }
        let digest = sha256_hex(one.code().as_bytes());
        let _ = writeln!(text, "      - {{name: {}, app_code: {{sha256: {digest}}}}}", one.user());
    }
    text += "  - name: signers\n    plan: bench\n    users:\n";
    for signer in (0..SIGNERS).map(Signer) {
        let key = signer.access_key();
        let pair = format!("{{access_key: {key}, secret_key: {{file: secrets/{key}}}}}");
        let _ = writeln!(text, "      - {{name: {key}, ak_sk: {pair}}}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_caller_has_a_code_of_its_own() {
        let codes: HashSet<String> = all().map(Caller::code).collect();
        assert_eq!(codes.len(), 10_000);
        assert!(codes.iter().all(|code| code.len() == 32));
        let last = all().last().unwrap();
        assert_eq!((last.tenant().as_str(), last.user().as_str()), ("tenant-999", "user-9"));
    }

    #[test]
    fn the_policy_of_the_gateway_holds_digests_only() {
        let text = gateway_tenants();
        assert!(
            text.starts_with("tenants:\n  - name: tenant-0\n    plan: bench\n    users:\n"),
            "{}",
            &text[..200]
        );
        assert_eq!(text.matches("plan: bench").count(), TENANTS + 1);
        assert_eq!(text.matches("sha256").count(), TENANTS * USERS);
        assert!(!text.contains(&Caller(0).code()));
        assert!(!text.contains(&Signer(0).secret_key()));
    }

    #[test]
    fn every_form_names_every_caller() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("policy")).unwrap();
        write(directory.path()).unwrap();
        for form in ["codes", "nginx-users.map", "haproxy-tenants.map", "pingora-callers"] {
            let text = fs::read_to_string(directory.path().join(form)).unwrap();
            assert_eq!(text.lines().count(), 10_000, "{form}");
            assert!(text.lines().nth(4321).unwrap().starts_with(&Caller(4321).code()), "{form}");
        }
        assert_eq!(envoy_credentials().lines().count(), 10_000);
    }
}
