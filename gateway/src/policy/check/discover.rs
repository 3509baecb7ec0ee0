//! What pools find out: APIs that can be asked, with credentials that can be shown.

use super::{Check, Discover};
use crate::policy::problem::Located;
use crate::policy::spec;
use crate::upstream::Backend;
use crate::upstream::discover::ServiceApi;
use std::sync::Arc;

impl Check<'_> {
    /// What a pool asks; None if something is wrong, which is recorded.
    pub(super) fn discovers(&self, pool: &str, discovers: Vec<spec::Discover>) -> Option<Vec<Discover>> {
        let path = format!("pools.{pool}.discover");
        let checked = discovers.into_iter().map(|spec::Discover { at, source, every, api }| {
            let api = match api {
                Some(api) => Some(self.api(api, &path)?),
                None => None,
            };
            Some(Discover { at, source, every, api })
        });
        let checked: Vec<Option<Discover>> = checked.collect(); // all of them
        checked.into_iter().collect()
    }

    fn api(&self, api: spec::DiscoverApi, path: &str) -> Option<Arc<ServiceApi>> {
        let credential = self.shown(api.credential, &format!("{path}.credential"));
        let Located { value: mut endpoint, place } = api.endpoint;
        if let (Some(file), Some(tls)) = (&api.ca_file, &mut endpoint.tls) {
            tls.ca_pem = Some(self.authorities(&file.value, file.place, format!("{path}.ca"))?);
        }
        match Backend::new(endpoint) {
            Ok(backend) => Some(Arc::new(ServiceApi::new(backend, credential?))),
            Err(what) => {
                self.problems.add(place, format!("{path}.endpoint"), what, "check `endpoint` and `ca`");
                None
            }
        }
    }
}
