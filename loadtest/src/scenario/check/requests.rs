//! What is called, and the routes of the policy that take it.

use http::{HeaderName, HeaderValue, Method};
use serde_saphyr::{Location, Spanned};

use super::Checker;
use crate::scenario::spec::{Api, BodySpec, CredentialSpec, LeaveSpec, RequestSpec};
use crate::scenario::{BodyKind, Leave, Request, Route};

/// What the mock takes with room to spare, and no memory is lost to.
const BODY_CEILING: u32 = 8 << 20;
/// A chat request is not shorter than its JSON.
const CHAT_MIN: u32 = 128;
const CHAT_DEFAULT: u32 = 512;

impl Checker<'_> {
    pub(super) fn requests(&mut self) -> Vec<Request> {
        let written = &self.spec.requests;
        if written.is_empty() {
            let help = "write one: `- {name: chat, api: openai, path: /v1/chat/completions}`";
            self.problems.add(Location::UNKNOWN, "requests", "nothing is ever called", help);
        }
        for (i, request) in written.iter().enumerate() {
            if written[..i].iter().any(|earlier| earlier.value.name == request.value.name) {
                let path = format!("requests.{}", request.value.name);
                self.problems.add(request.referenced, &path, "two requests have this name", "rename one");
            }
        }
        written.iter().map(|request| self.request(&request.value, request.referenced)).collect()
    }

    fn request(&mut self, spec: &RequestSpec, at: Location) -> Request {
        let path = format!("requests.{}", spec.name);
        self.name(at, "requests[].name", &spec.name);
        if let Some(route) = &spec.route {
            self.name(at, &format!("{path}.route"), route);
        }
        self.name(at, &format!("{path}.pool"), &spec.pool);
        let method = Method::from_bytes(spec.method.as_bytes()).unwrap_or_else(|_| {
            self.problems.add(at, &format!("{path}.method"), "is not a method", "write `GET` or `POST`");
            Method::POST
        });
        if !spec.path.starts_with('/') || spec.path.parse::<http::uri::PathAndQuery>().is_err() {
            let help = "write `/v1/chat/completions`, percent-encoded";
            self.problems.add(at, &format!("{path}.path"), "is not a path", help);
        }
        if spec.path.contains(['{', '}']) {
            let help = "write the path of one request, such as `/v1/p1/deployments/d1/chat/completions`";
            self.problems.add(at, &format!("{path}.path"), "is a pattern", help);
        }
        let (body, body_bytes) = self.body(spec, at, &path, &method);
        if spec.read_bytes_per_s == Some(0) {
            let help = "write `1` or more, or leave it out";
            self.problems.add(at, &format!("{path}.read_bytes_per_s"), "0 never ends", help);
        }
        if spec.max_tokens.is_some() && body != BodyKind::Chat {
            let help = "write `body: chat`, or leave it out";
            self.problems.add(at, &format!("{path}.max_tokens"), "only a chat request says so", help);
        }
        Request {
            name: spec.name.clone(),
            route: spec.route_name().to_owned(),
            method,
            target: spec.path.clone(),
            body_bytes,
            body,
            stream: spec.stream,
            max_tokens: spec.max_tokens,
            read_bytes_per_s: spec.read_bytes_per_s,
            leave: spec.leave.as_ref().map(|leave| self.leave(leave, at, &path)),
            headers: self.headers(spec, at, &path),
        }
    }

    fn body(&mut self, spec: &RequestSpec, at: Location, path: &str, method: &Method) -> (BodyKind, u32) {
        let kind = match (spec.body, method == Method::POST) {
            (Some(BodySpec::Chat), _) => BodyKind::Chat,
            (Some(BodySpec::Filler), _) => BodyKind::Filler,
            (Some(BodySpec::Empty), _) | (None, false) => BodyKind::Empty,
            (None, true) => BodyKind::Chat,
        };
        let path = format!("{path}.body_bytes");
        let bytes = match kind {
            BodyKind::Empty => 0,
            BodyKind::Chat => spec.body_bytes.unwrap_or(CHAT_DEFAULT),
            BodyKind::Filler => spec.body_bytes.unwrap_or_default(),
        };
        if kind == BodyKind::Empty && spec.body_bytes.unwrap_or_default() > 0 {
            let help = "write `body: chat` or `body: filler`, or leave `body_bytes` out";
            self.problems.add(at, &path, "this request has no body", help);
        }
        if kind == BodyKind::Filler && bytes == 0 {
            self.problems.add(at, &path, "a filler needs a length", "write `body_bytes: 2048`");
        }
        if kind == BodyKind::Chat && bytes < CHAT_MIN {
            let what = format!("a chat request has at least {CHAT_MIN} bytes");
            self.problems.add(at, &path, what, "write more, or `body: filler`");
        }
        if bytes > BODY_CEILING {
            self.problems.add(at, &path, format!("{bytes} is above {BODY_CEILING}"), "");
        }
        (kind, bytes)
    }

    fn leave(&mut self, spec: &LeaveSpec, at: Location, path: &str) -> Leave {
        if !(spec.share > 0.0 && spec.share <= 1.0) {
            let what = format!("{} is not a share", spec.share);
            self.problems.add(at, &format!("{path}.leave.share"), what, "write `0.3` for three in ten");
        }
        Leave { share: spec.share, after: spec.after.0 }
    }

    fn headers(&mut self, spec: &RequestSpec, at: Location, path: &str) -> Vec<(String, String)> {
        for (name, value) in &spec.headers {
            let path = format!("{path}.headers.{name}");
            if HeaderName::from_bytes(name.as_bytes()).is_err() || HeaderValue::from_str(value).is_err() {
                self.problems.add(at, &path, "cannot be sent as a header", "");
            }
            let ours = ["host", "content-length", "authorization", "x-apig-appcode", "x-loadtest-request"];
            if ours.contains(&name.to_ascii_lowercase().as_str()) {
                self.problems.add(at, &path, "the generator sets this header itself", "leave it out");
            }
        }
        spec.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// One route for each name that requests give, or for each request that gives none.
    pub(super) fn routes(&mut self) -> Vec<Route> {
        let mut routes: Vec<Route> = Vec::new();
        for request in &self.spec.requests {
            self.not_taken_by_another(request, &routes);
            match routes.iter_mut().find(|route| route.name == request.value.route_name()) {
                Some(route) => self.join(request, route),
                None => routes.push(Route::of(&request.value)),
            }
        }
        for route in &mut routes {
            route.auth = self.auth(&route.name);
            self.covered(route);
        }
        routes
    }

    /// Two requests of one route are the same to the gateway.
    fn join(&mut self, request: &Spanned<RequestSpec>, route: &mut Route) {
        let spec = &request.value;
        let path = format!("requests.{}", spec.name);
        if spec.api != route.api || spec.route_path() != route.path || spec.pool != route.pool {
            let what = format!("shares route `{}`, but not its `api`, `path` and `pool`", route.name);
            self.problems.add(request.referenced, &path, what, "give it a `route` of its own");
        }
        if spec.limits.is_some() || spec.unlimited.is_some() {
            let help = "write them with the first request of the route";
            let what = format!("the limits of route `{}` are written already", route.name);
            self.problems.add(request.referenced, &format!("{path}.limits"), what, help);
        }
        if !route.methods.contains(&spec.method) {
            route.methods.push(spec.method.clone());
        }
        route.body_bytes_max = route.body_bytes_max.max(spec.body_bytes.unwrap_or_default());
    }

    fn not_taken_by_another(&mut self, request: &Spanned<RequestSpec>, routes: &[Route]) {
        let spec = &request.value;
        let taken = |route: &&Route| {
            route.name != spec.route_name()
                && route.path == spec.route_path()
                && route.methods.contains(&spec.method)
        };
        if let Some(other) = routes.iter().find(taken) {
            let what = format!("route `{}` has the same method and path", other.name);
            let help = format!("write `route: {}`: to the gateway they are the same", other.name);
            self.problems.add(request.referenced, &format!("requests.{}.path", spec.name), what, help);
        }
    }

    /// Kinds of credential of those who send to this route; empty if they have none.
    fn auth(&mut self, route: &str) -> Vec<CredentialSpec> {
        let mut kinds = Vec::new();
        for group in self.senders(route) {
            kinds.push(group.credential);
        }
        kinds.sort_unstable();
        kinds.dedup();
        if kinds.len() > 1 && kinds.contains(&CredentialSpec::None) {
            let help =
                "a route lets in everybody or nobody without; give them requests with paths of their own";
            let what = "is sent by groups with and without a credential";
            self.problems.add(Location::UNKNOWN, &format!("requests.{route}"), what, help);
        }
        kinds.retain(|kind| *kind != CredentialSpec::None);
        kinds
    }

    /// The gateway wants a limit on whatever costs money. Said here, so that it is said before anything starts.
    fn covered(&mut self, route: &Route) {
        let own = !route.limits.is_empty() || route.unlimited.is_some() || route.api == Api::Plain;
        let bare = |plan: &Option<Vec<_>>| plan.as_ref().is_none_or(Vec::is_empty);
        let uncovered =
            self.senders(&route.name).find(|group| bare(&group.plan)).map(|group| group.name.clone());
        if let (false, Some(group)) = (own, uncovered) {
            let what = format!("no limit covers it when `{group}` sends it");
            let help = format!(
                "give `tenants.{group}` a `plan`, or this request `limits`, or `unlimited: \"the reason\"`"
            );
            self.problems.add(Location::UNKNOWN, &format!("requests.{}", route.name), what, help);
        }
    }
}

impl RequestSpec {
    /// Its route; its own name if it names none.
    pub fn route_name(&self) -> &str {
        self.route.as_deref().unwrap_or(&self.name)
    }

    fn route_path(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }
}

impl Route {
    fn of(spec: &RequestSpec) -> Route {
        Route {
            name: spec.route_name().to_owned(),
            pool: spec.pool.clone(),
            path: spec.route_path().to_owned(),
            methods: vec![spec.method.clone()],
            api: spec.api,
            auth: Vec::new(),
            limits: spec.limits.clone().unwrap_or_default(),
            unlimited: spec.unlimited.clone(),
            body_bytes_max: spec.body_bytes.unwrap_or_default(),
        }
    }
}
