//! Callers: whose AppCode is it?

use std::io;
use std::path::Path;

use ahash::AHashMap;
use http::HeaderValue;

/// A user of a tenant, with what is sent and counted of them.
pub struct Caller {
    /// As the log names it.
    pub tenant: String,
    /// As the log names it.
    pub user: String,
    /// Value of `X-Tenant`.
    pub tenant_header: HeaderValue,
    /// What the tenant is counted by.
    pub tenant_key: u64,
    /// What the user is counted by.
    pub user_key: u64,
}

/// All callers, by AppCode.
pub struct Callers(AHashMap<Vec<u8>, Caller>);

impl Callers {
    /// Reads lines of AppCode, tenant and user.
    ///
    /// # Errors
    /// The file cannot be read, or a line of it not be understood.
    pub fn read(path: &Path) -> io::Result<Callers> {
        let text = std::fs::read_to_string(path)?;
        let mut tenants = AHashMap::new();
        let mut callers = AHashMap::new();
        for (number, line) in text.lines().enumerate() {
            let malformed =
                || io::Error::other(format!("line {}: write AppCode, tenant and user", number + 1));
            let mut words = line.split(' ');
            let (Some(code), Some(tenant), Some(user)) = (words.next(), words.next(), words.next()) else {
                return Err(malformed());
            };
            let tenants_so_far = tenants.len() as u64;
            let caller = Caller {
                tenant: tenant.to_owned(),
                user: user.to_owned(),
                tenant_header: HeaderValue::from_str(tenant).map_err(|_| malformed())?,
                tenant_key: *tenants.entry(tenant.to_owned()).or_insert(tenants_so_far),
                user_key: number as u64,
            };
            callers.insert(code.as_bytes().to_vec(), caller);
        }
        Ok(Callers(callers))
    }

    /// The caller with this AppCode.
    pub fn find(&self, code: &HeaderValue) -> Option<&Caller> {
        self.0.get(code.as_bytes())
    }
}
