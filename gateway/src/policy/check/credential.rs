//! What the gateway shows backends: secrets read, and fit for the headers they go into.

use super::{Check, Pool, Route};
use crate::iam::Own;
use crate::policy::problem::{Located, Place};
use crate::policy::secret::{Missing, Secret};
use crate::policy::spec::{ClientFiles, Shown, Signing, Source};
use crate::signing::Signer;
use crate::upstream::{AkSk, ClientIdentity, Credential};
use http::HeaderValue;
use std::path::Path;
use std::sync::Arc;

impl Check<'_> {
    /// `path` is the key's own.
    pub(super) fn shown(&self, shown: Located<Shown>, path: &str) -> Option<Arc<Credential>> {
        let credential = match shown.value {
            Shown::None => Credential::None,
            Shown::Pass => Credential::Pass,
            Shown::AkSk(signing) => {
                Credential::AkSk(Box::new(self.signing(signing, &format!("{path}.ak_sk"))?))
            }
            Shown::AppCode(source) => {
                Credential::AppCode(self.value(&source, "", format!("{path}.app_code"))?)
            }
            Shown::ApiKey(source) => {
                Credential::ApiKey(self.value(&source, "Bearer ", format!("{path}.api_key"))?)
            }
            Shown::IamToken(login) => {
                Credential::IamToken(Box::new(Own::new(self.login(*login, &format!("{path}.iam_token"))?)))
            }
            Shown::Header(name, source) => {
                Credential::Header(name, self.value(&source, "", format!("{path}.header.value"))?)
            }
        };
        Some(Arc::new(credential))
    }

    fn signing(&self, signing: Signing, path: &str) -> Option<AkSk> {
        let access_key = self.access_key(&signing.access_key, format!("{path}.access_key"));
        let Located { value: secret_key, place } = &signing.secret_key;
        let secret_key = self.secret(secret_key, *place, format!("{path}.secret_key"));
        let token =
            signing.security_token.map(|token| self.value(&token, "", format!("{path}.security_token")));
        let (access_key, secret_key) = (access_key?, secret_key?);
        Some(AkSk {
            signer: match &signing.derived {
                None => Signer::sdk(&access_key, secret_key.bytes()),
                Some((region, service)) => Signer::v11(&access_key, secret_key.bytes(), region, service),
            },
            unsigned_payload: signing.unsigned_payload,
            project_id: signing.project_id,
            security_token: match token {
                Some(None) => return None,
                token => token.flatten(),
            },
        })
    }

    fn access_key(&self, source: &Located<Source>, path: String) -> Option<Box<str>> {
        let secret = self.secret(&source.value, source.place, path.clone())?;
        let good = |b: u8| b.is_ascii_graphic() && !b",;=/".contains(&b);
        match std::str::from_utf8(secret.bytes()) {
            Ok(key) if key.bytes().all(good) => Some(key.into()),
            _ => self.unfit(source.place, path, "cannot stand in an Authorization header"),
        }
    }

    /// The secret as the value of a header, with `word` before it.
    fn value(&self, source: &Located<Source>, word: &str, path: String) -> Option<HeaderValue> {
        let secret = self.secret(&source.value, source.place, path.clone())?;
        match header_value(&secret, word) {
            Some(value) => Some(value),
            None => self.unfit(source.place, path, "cannot stand in a header"),
        }
    }

    fn unfit<T>(&self, place: Place, path: String, what: &str) -> Option<T> {
        let help = "printable ASCII on one line is possible; look for blanks, quotes and line ends around it";
        self.problems.add(place, path, format!("what is there {what}"), help);
        None
    }

    /// A PEM file of authorities; `path` is the key that names it.
    pub(super) fn authorities(&self, file: &Path, place: Place, path: String) -> Option<Arc<[u8]>> {
        let report = |Missing { what, help }| self.problems.add(place, path, what, help);
        self.secrets.certificates(file, "authorities").map_err(report).ok().map(Arc::from)
    }

    /// The certificate that backends ask for. Whether its key fits shows when a backend is built.
    pub(super) fn client(&self, files: &ClientFiles, pool: &str) -> Option<ClientIdentity> {
        let report = |place, key: &str, Missing { what, help }| {
            self.problems.add(place, format!("pools.{pool}.tls.client.{key}"), what, help);
        };
        let chain = self.secrets.certificates(&files.cert.value, "the client certificate");
        let chain = chain.map_err(|missing| report(files.cert.place, "cert", missing));
        let key = self.secrets.private_key(&files.key.value);
        let key = key.map_err(|missing| report(files.key.place, "key", missing));
        Some(ClientIdentity::new(chain.ok()?, key.ok()?.bytes()))
    }

    /// A header that tells the tenant cannot carry the credential as well.
    pub(super) fn one_meaning(&self, routes: &[(Place, Option<Route>)], pools: &[Option<Pool>]) {
        for (place, route) in routes.iter().filter_map(|(place, route)| Some((place, route.as_ref()?))) {
            let pool = pools.get(route.pool).and_then(Option::as_ref).map(|pool| &pool.credential);
            let shown = route.credential.as_ref().or(pool);
            let Some(header) = &route.tenant_header else { continue };
            if shown.is_some_and(|shown| shown.own_headers().contains(header)) {
                let path = format!("routes.{}.tenant_header", route.name);
                let what = format!("`{header}` carries the credential of its pool");
                self.problems.add(*place, path, what, "name another header");
            }
        }
    }
}

/// Sensitive: its `Debug` does not show it, and HTTP/2 does not keep it in its tables.
fn header_value(secret: &Secret, word: &str) -> Option<HeaderValue> {
    let bytes = secret.bytes();
    let printable = bytes.iter().all(|b| matches!(b, b' '..=b'~'));
    if !printable || bytes.trim_ascii().len() != bytes.len() {
        return None;
    }
    let mut value = HeaderValue::from_bytes(&[word.as_bytes(), bytes].concat()).ok()?;
    value.set_sensitive(true);
    Some(value)
}
