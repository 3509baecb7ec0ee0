//! Scenario: who calls, how often, with what, for how long.
//!
//! A scenario is a YAML file; a few come with the program. It is read once, checked as a whole, and turned into
//! the plain values below, which the generator drives and the rig makes a policy of. Nothing here sends
//! anything.
//!
//! [`spec`] is the file as written, [`check`] makes sense of it, [`callers`] unfolds groups, [`policy`] writes what a
//! gateway must load for the callers to be let in.

pub mod builtin;

mod spec;

mod problem;

mod check;

mod callers;

pub mod policy;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::mock::behaviour::Behaviour;
pub use problem::Problems;
use spec::{Api, CredentialSpec, Spec};

/// Longest scenario file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A scenario with what it runs in: what the gateway lets through, and how the model behaves.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What the generator drives.
    pub scenario: Scenario,
    /// What takes the requests.
    pub routes: Vec<Route>,
    /// One for each group that shows a credential, by its name.
    pub plans: Vec<Plan>,
    /// How the mock answers.
    pub upstream: Behaviour,
    /// Whose turn it is in front of each pool, as policies write it; None: nobody waits.
    pub queue: Option<Map<String, Value>>,
    /// How often the policy is written anew while the load runs; None: never.
    pub reload_every: Option<Duration>,
}

/// A route of the policy.
#[derive(Debug, Clone)]
pub struct Route {
    name: String,
    pool: String,
    path: String,
    methods: Vec<String>,
    api: Api,
    /// Empty: everybody.
    auth: Vec<CredentialSpec>,
    limits: Vec<Map<String, Value>>,
    unlimited: Option<String>,
    body_bytes_max: u32,
}

/// A plan of the policy; limits are passed on as they were written.
#[derive(Debug, Clone)]
pub struct Plan {
    name: String,
    limits: Vec<Map<String, Value>>,
}

/// What a run changes about a scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Adjust {
    /// Another seed.
    pub seed: Option<u64>,
    /// So long in all; phases keep their proportions.
    pub lasts: Option<Duration>,
    /// What rates, or the requests under way of a closed load, are multiplied with. Default: 1.
    pub rate_factor: f64,
}

impl Default for Adjust {
    fn default() -> Adjust {
        Adjust { seed: None, lasts: None, rate_factor: 1.0 }
    }
}

/// Loads a built-in scenario by its name, or else a file.
///
/// # Errors
/// There is neither, or every problem found in it.
pub fn load(name_or_file: &str, adjust: &Adjust) -> Result<Setup, Problems> {
    if let Some(text) = builtin::find(name_or_file) {
        return read(name_or_file, &format!("built-in {name_or_file}"), text, adjust);
    }
    let unopened = |what: String| {
        let names: Vec<_> = builtin::BUILT_IN.iter().map(|(name, _)| *name).collect();
        let mut problems = Problems::of(name_or_file);
        let help = format!("name a file, or one of those that are built in: {}", names.join(", "));
        problems.add(serde_saphyr::Location::UNKNOWN, "", what, help);
        problems
    };
    let file = Path::new(name_or_file);
    let length = std::fs::metadata(file).map_err(|e| unopened(e.to_string()))?.len();
    if length > FILE_BYTES_MAX {
        return Err(unopened(format!("{length} bytes are no scenario")));
    }
    let text = std::fs::read_to_string(file).map_err(|e| unopened(e.to_string()))?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    read(&name, name_or_file, &text, adjust)
}

/// Reads a duration as scenario files write it: `200ms`, `1.5s`, `2m`, `1h`.
///
/// # Errors
/// One sentence that says how to write one.
pub fn duration(text: &str) -> Result<Duration, String> {
    text.parse().map(|spec::Time(duration)| duration)
}

/// Reads a scenario from text; `file` is what problems call it.
///
/// # Errors
/// Every problem found; of YAML that does not fit the form, the first.
pub fn read(name: &str, file: &str, text: &str, adjust: &Adjust) -> Result<Setup, Problems> {
    let mut problems = Problems::of(file);
    match serde_saphyr::from_str::<Spec>(text) {
        Ok(spec) => check::check(name, &spec, adjust, problems),
        Err(error) => {
            problems.add_unreadable(&error);
            Err(problems)
        }
    }
}

/// A checked scenario.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// File name without its ending, or the name of a built-in one.
    pub name: String,
    /// What it shows, in a sentence.
    pub about: String,
    /// Where all chance starts: arrivals, choice of tenant, bodies.
    pub seed: u64,
    /// When requests are sent.
    pub load: Load,
    /// How connections are made and kept.
    pub connections: Connections,
    /// Everybody who calls; groups are already unfolded into single callers.
    pub callers: Vec<Caller>,
    /// What is called.
    pub requests: Vec<Request>,
    /// How a group of callers is shown in reports: name and number of callers, in order.
    pub groups: Vec<Group>,
    /// Time after which nothing further is sent, whatever the load says. Always set.
    pub time_max: Duration,
    /// Requests after which nothing further is sent. Always set.
    pub requests_max: u64,
}

/// When requests are sent.
#[derive(Debug, Clone, PartialEq)]
pub enum Load {
    /// Each request is due at a time fixed beforehand, whether or not earlier ones are answered.
    Open {
        /// How the moments within a phase are drawn.
        arrivals: Arrivals,
        /// One after the other.
        phases: Vec<Phase>,
    },
    /// Each of so many workers sends its next request when the last one is answered.
    Closed {
        /// Requests under way at once.
        in_flight: u32,
        /// How long.
        lasts: Duration,
    },
}

/// How the moments of an open load are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// Evenly spaced.
    Constant,
    /// Exponential gaps: many callers that know nothing of one another.
    Poisson,
}

/// A stretch of an open load. The rate goes evenly from `from_per_s` to `to_per_s`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Phase {
    /// How long.
    pub lasts: Duration,
    /// Requests per second at its beginning.
    pub from_per_s: f64,
    /// Requests per second at its end; the same for a constant rate.
    pub to_per_s: f64,
}

/// How connections are made and kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// The protocol.
    pub http: Http,
    /// TLS below it.
    pub tls: bool,
    /// Most connections open at once. HTTP/2 spreads its streams over them.
    pub open_max: u32,
    /// Streams at once on one HTTP/2 connection.
    pub streams_max: u32,
    /// Whether a connection serves more than one request.
    pub keep_alive: bool,
}

/// The protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Http {
    /// HTTP/1.1.
    One,
    /// HTTP/2; by ALPN with TLS, with prior knowledge without.
    Two,
}

/// One caller: a user of a tenant.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Tenant, as the policy names it.
    pub tenant: String,
    /// User, as the policy names it.
    pub user: String,
    /// Index into [`Scenario::groups`].
    pub group: u16,
    /// Share of an open load that it sends, relative to the other callers. In a closed load, likewise.
    pub weight: f64,
    /// What it proves itself with.
    pub credential: Credential,
    /// Index into [`Scenario::requests`] and weight, of each kind of request that it sends.
    pub sends: Vec<(u16, f64)>,
}

/// A group of callers that were written as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// As written.
    pub name: String,
    /// Callers in it.
    pub callers: u32,
}

/// What a caller proves itself with. `Debug` hides the secrets.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// Signs every request (SDK-HMAC-SHA256) with the package's own signer.
    AkSk {
        /// The public half.
        access_key: String,
        /// The secret half.
        secret_key: String,
    },
    /// `X-Apig-AppCode`.
    AppCode(String),
    /// `Authorization: Bearer`.
    ApiKey(String),
    /// Sends none.
    None,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self {
            Credential::AkSk { .. } => "AkSk(***)",
            Credential::AppCode(_) => "AppCode(***)",
            Credential::ApiKey(_) => "ApiKey(***)",
            Credential::None => "None",
        };
        f.write_str(kind)
    }
}

/// A kind of request.
#[derive(Debug, Clone)]
pub struct Request {
    /// As reports call it.
    pub name: String,
    /// Name of the route that takes it, as the policy has it.
    pub route: String,
    /// `GET`, `POST`, ...
    pub method: http::Method,
    /// Path and query.
    pub target: String,
    /// Length of the body; what is in it depends on `body`.
    pub body_bytes: u32,
    /// What the body is made of.
    pub body: BodyKind,
    /// Whether the answer is a stream of events, and is measured as one.
    pub stream: bool,
    /// Most tokens of the answer, as a chat request asks for; None: it does not say.
    pub max_tokens: Option<u32>,
    /// Slow reader: takes at most so many bytes of the answer per second.
    pub read_bytes_per_s: Option<u32>,
    /// Leaves before the answer has ended: share of requests, and when after sending.
    pub leave: Option<Leave>,
    /// Further headers, such as `x-mock-tokens`.
    pub headers: Vec<(String, String)>,
}

/// What a body is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// No body.
    Empty,
    /// A chat request in the OpenAI form, padded to its length; `stream` as the request says.
    Chat,
    /// Bytes without meaning.
    Filler,
}

/// A caller that loses patience.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Leave {
    /// Share of requests, 0 to 1.
    pub share: f64,
    /// Time after sending.
    pub after: Duration,
}
