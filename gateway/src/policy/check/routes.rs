//! Routes: told apart by what they match, and everything they name is there.

use super::{Check, Names, Route, good};
use crate::ids::RouteId;
use crate::limit::Per;
use crate::policy::spec;
use crate::route::{Conflict, Table, TableBuilder};

/// Routes of one policy: [`RouteId`] has 16 bits.
const ROUTES_MAX: usize = 10_000;

impl Check<'_> {
    /// The table of routes. Its own rules (patterns, overlaps) are problems like any other.
    pub(super) fn table(&self, routes: &[spec::Route]) -> Table {
        if let Some(extra) = routes.get(ROUTES_MAX) {
            let what = format!("more than {ROUTES_MAX} routes");
            self.problems.add(extra.name.place, "routes", what, "patterns may take several paths");
        }
        let mut table = TableBuilder::default();
        for (i, route) in routes.iter().enumerate().take(ROUTES_MAX) {
            let id = RouteId(i as u16); // below ROUTES_MAX
            let added = table.add(id, route.host.as_deref(), &route.methods, &route.path.value);
            let (what, help) = match added {
                Ok(()) => continue,
                Err(Conflict::Pattern { what, help }) => (what, help),
                Err(Conflict::Taken { other }) => {
                    let other = &routes[usize::from(other.0)];
                    let (name, at) = (&other.name.value, self.at(other.path.place));
                    let what = format!("route `{name}` at {at} takes these requests already");
                    (what, "tell them apart by path, method or host".to_string())
                }
            };
            let path = format!("routes.{}.match.path", route.name.value);
            self.problems.add(route.path.place, path, what, help);
        }
        table.build()
    }

    /// None only if there are problems.
    pub(super) fn route(&self, route: spec::Route, names: &Names) -> Option<Route> {
        let path = format!("routes.{}", route.name.value);
        if route.auth.is_none() {
            self.nobody_to_count(&path, &route.limits);
        }
        if !route.api.is_metered() {
            self.nothing_to_spend(&path, &route.limits);
        }
        let pool = self.find(format!("{path}.pool"), "pool", &route.pool, &names.pools);
        let named = route.metering.model.as_ref();
        let model = named.map(|name| self.find(format!("{path}.model"), "model", name, &names.models));
        let retry = self.retry(&route, names);
        let credential = route.credential.map(|shown| self.shown(shown, &format!("{path}.credential")));
        Some(Route {
            limits: self.limits(&format!("{path}.limits"), route.limits),
            pool: pool?,
            name: route.name.value,
            path: route.path.value,
            methods: route.methods,
            host: route.host,
            api: route.api,
            auth: route.auth,
            caps: route.caps,
            timeouts: route.timeouts,
            unlimited: route.unlimited.map(|reason| reason.value),
            websocket: route.websocket,
            rate_headers: route.rate_headers,
            tenant_header: route.tenant_header,
            model: good(model)?,
            model_fixed: route.metering.fixed,
            shape: route.metering.shape,
            ceilings: route.ceilings,
            credential: good(credential)?,
            retry: retry?,
        })
    }

    /// Limits that count by tenant where nobody says who calls.
    fn nobody_to_count(&self, path: &str, limits: &spec::Limits) {
        for limit in limits.list.iter().filter(|limit| limit.per == Per::TenantRoute) {
            let path = format!("{path}.limits.{}.per", limit.name.value);
            let what = "this route has `auth: none`, so there is no tenant to count by";
            let help = "write `per: route`, or ask for a credential";
            self.problems.add(limit.name.place, path, what, help);
        }
    }
}
