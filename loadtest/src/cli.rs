//! Arguments: what the program can be asked to do.

mod agree;
mod compare;
mod footprint;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

pub use agree::AgreeArgs;
pub use compare::CompareArgs;
pub use footprint::FootprintArgs;
use pangu_loadtest::mock::Options;
use pangu_loadtest::mock::behaviour::{Behaviour, Span};
use pangu_loadtest::mock::fault::{self, UnknownFault};
use pangu_loadtest::scenario::{self, Adjust};

/// Load and test tools for pangu-gateway.
#[derive(Debug, Parser)]
#[command(name = "pangu-loadtest", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Play a scenario against a gateway, and say how fast and how exact it was
    Run(RunArgs),
    /// List the scenarios that are built in
    Scenarios,
    /// Write the policy that lets the callers of a scenario in, to load into a gateway of your own
    Policy(PolicyArgs),
    /// Serve mock model endpoints: Pangu V1 and V2, MaaS (OpenAI), ModelArts real-time services
    Mock(MockArgs),
    /// Print the SHA-256 of a string, the form in which policies store AppCodes and API keys
    Hash {
        /// The string, without a newline
        string: String,
    },
    /// Print the headers of a request signed with a Huawei AK/SK or an AppKey/AppSecret
    Sign(SignArgs),
    /// Compare the gateway with nginx, haproxy, envoy and a proxy on pingora
    Compare(CompareArgs),
    /// Pass the bytes of TCP connections on and do nothing else: what any proxy costs at least
    Relay {
        /// Where to listen
        #[arg(value_name = "ADDRESS")]
        listen: SocketAddr,
        /// Where the bytes go
        #[arg(value_name = "ADDRESS")]
        origin: SocketAddr,
    },
    /// Show that this load generator sees what wrk and h2load see on the same target
    Agree(AgreeArgs),
    /// Measure what the gateway holds in memory, and how soon a change of its policy takes effect
    Footprint(FootprintArgs),
    /// Show a run that was kept as JSON: as a table, as an HTML page, and against an earlier run
    Report(ReportArgs),
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// A built-in scenario (see `pangu-loadtest scenarios`), or a file
    #[arg(value_name = "NAME|FILE")]
    pub scenario: String,
    #[command(flatten)]
    pub adjust: AdjustArgs,
    /// Drive this instead of a gateway started for the run
    #[arg(long, value_name = "URL")]
    pub target: Option<String>,
    /// PEM file of the authority to trust, for https targets
    #[arg(long, value_name = "FILE", requires = "target")]
    pub ca: Option<PathBuf>,
    /// Directory of the target's policy, for the oracle
    #[arg(long, value_name = "DIR", requires = "mock_control")]
    pub policy: Option<PathBuf>,
    /// Control address of the mock behind the target, for the oracle; it must keep a journal
    #[arg(long, value_name = "ADDRESS", requires = "policy", requires = "target", value_parser = control)]
    pub mock_control: Option<SocketAddr>,
    /// Gateway to start [default: pangu-gateway beside this program]
    #[arg(long, value_name = "PROGRAM", conflicts_with = "target")]
    pub gateway: Option<PathBuf>,
    /// Its worker threads
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "target",
          value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: u16,
    /// Directory for its settings, policy and logs, kept afterwards [default: a temporary one]
    #[arg(long, value_name = "DIR", conflicts_with = "target")]
    pub keep: Option<PathBuf>,
    /// Threads that send
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the report as one HTML page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Report of an earlier run (JSON) to compare with
    #[arg(long, value_name = "OLD.json")]
    pub baseline: Option<PathBuf>,
}

/// Arguments of `policy`.
#[derive(Debug, Args)]
pub struct PolicyArgs {
    /// A built-in scenario, or a file
    #[arg(value_name = "NAME|FILE")]
    pub scenario: String,
    /// Where the gateway sends requests, such as a mock's http://127.0.0.1:18080
    #[arg(long, value_name = "URL")]
    pub pool: String,
    /// Directory to write; must be empty or not there
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Another seed than the scenario's: other credentials
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// What a run changes about its scenario.
#[derive(Debug, Args)]
pub struct AdjustArgs {
    /// Another seed than the scenario's
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Last so long, phases in proportion: 3s, 500ms, 2m
    #[arg(long = "for", value_name = "TIME", value_parser = scenario::duration)]
    lasts: Option<Duration>,
    /// Multiply rates, or the requests under way of a closed load
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = factor)]
    rate_factor: f64,
}

impl AdjustArgs {
    /// As the scenario takes it.
    pub fn adjust(&self) -> Adjust {
        Adjust { seed: self.seed, lasts: self.lasts, rate_factor: self.rate_factor }
    }
}

/// Arguments of `mock`.
#[derive(Debug, Args)]
pub struct MockArgs {
    /// Address of the endpoints; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:18080")]
    listen: SocketAddr,
    /// Address of the control API; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    control: SocketAddr,
    /// Address of a TCP echo; port 0 takes a free one [default: none]
    #[arg(long, value_name = "ADDRESS")]
    tcp: Option<SocketAddr>,
    /// Worker threads; several share the port
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// Record no requests, only count them
    #[arg(long)]
    no_record: bool,
    /// Requests recorded at most; the oldest make room
    #[arg(long, value_name = "N", default_value_t = 4096)]
    record_max: usize,
    /// Keep a journal of at most N requests for /mock/journal; 0 keeps none
    #[arg(long, value_name = "N", default_value_t = 0)]
    journal_max: u64,
    /// Header whose values are counted as tenants
    #[arg(long, value_name = "NAME", default_value = "x-tenant")]
    tenant_header: String,
    /// Where all chance starts
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Wait before the head of each answer, in milliseconds: 20, or 5..20
    #[arg(long, value_name = "SPAN", default_value = "0")]
    latency_ms: Span,
    /// Wait from the head to the first token, in milliseconds
    #[arg(long, value_name = "SPAN", default_value = "0")]
    ttft_ms: Span,
    /// Wait between tokens, in milliseconds
    #[arg(long, value_name = "SPAN", default_value = "0")]
    token_every_ms: Span,
    /// The same as a rate: tokens per second of one answer
    #[arg(long, value_name = "N", conflicts_with = "token_every_ms", value_parser = rate)]
    tokens_per_second: Option<f64>,
    /// Tokens of each answer [default: min(max_tokens, 32)]
    #[arg(long, value_name = "N")]
    tokens: Option<u32>,
    /// Send bodies in pieces of at most so many bytes; 0 leaves them whole
    #[arg(long, value_name = "N", default_value_t = 0)]
    chunk_bytes: usize,
    /// What may go wrong: KIND[:ARGUMENT...][@PROBABILITY], several joined by commas
    ///
    /// status:CODE[:RETRY_AFTER_S], reset-head, hang-head, reset-mid, hang-mid, truncate,
    /// drip[:BYTES[:MS]], close, close-quiet
    #[arg(long, value_name = "FAULTS")]
    fault: Vec<String>,
}

/// Arguments of `sign`.
#[derive(Debug, Args)]
pub struct SignArgs {
    /// Method
    #[arg(long, default_value = "POST")]
    pub method: String,
    /// Absolute URL, percent-encoded as it will be sent
    #[arg(long)]
    pub url: String,
    /// AK, or AppKey
    #[arg(long, value_name = "AK")]
    pub access_key: String,
    /// Name of the environment variable that holds the secret key
    #[arg(long, value_name = "VAR")]
    pub secret_key_env: String,
    /// A header to send and sign, `Name: value`; may be repeated
    #[arg(long, value_name = "K:V")]
    pub header: Vec<String>,
    /// File with the body [default: no body]
    #[arg(long, value_name = "FILE")]
    pub body_file: Option<PathBuf>,
    /// Signing date, such as 20240115T083000Z [default: now]
    #[arg(long)]
    pub date: Option<String>,
    /// Sign V11-HMAC-SHA256 for REGION/SERVICE instead of SDK-HMAC-SHA256
    #[arg(long, value_name = "REGION/SERVICE")]
    pub v11: Option<String>,
    /// Print -H arguments for curl, quoted for a shell
    #[arg(long)]
    pub curl: bool,
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The run, as `run --json` wrote it
    #[arg(value_name = "RUN.json")]
    pub run: PathBuf,
    /// Write it as one self-contained HTML page
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// An earlier run to say what changed since
    #[arg(long, value_name = "OLD.json")]
    pub baseline: Option<PathBuf>,
}

impl MockArgs {
    /// Turns the arguments into options.
    ///
    /// # Errors
    /// A fault is misspelt.
    pub fn options(&self) -> Result<Options, UnknownFault> {
        let token_every_ms = self.tokens_per_second.map_or(self.token_every_ms, |n| Span::fixed(1000.0 / n));
        let behaviour = Behaviour {
            seed: self.seed,
            latency_ms: self.latency_ms,
            ttft_ms: self.ttft_ms,
            token_every_ms,
            tokens: self.tokens,
            chunk_bytes: self.chunk_bytes,
            faults: fault::parse_rules(&self.fault.join(","))?,
            ..Behaviour::default()
        };
        Ok(Options {
            listen: self.listen,
            control: self.control,
            tcp: self.tcp,
            workers: self.workers.into(),
            record: (!self.no_record).then_some(self.record_max),
            journal: (self.journal_max > 0).then_some(self.journal_max),
            tenant_header: self.tenant_header.clone(),
            behaviour,
        })
    }
}

fn factor(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor: &f64| (0.001..=1000.0).contains(factor));
    factor.ok_or_else(|| "write a number from 0.001 to 1000, such as 0.2".to_owned())
}

/// The mock prints a URL; an address is enough.
fn control(text: &str) -> Result<SocketAddr, String> {
    let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/').parse();
    address.map_err(|_| "write ADDRESS:PORT, as the mock prints it".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| (0.001..=1e9).contains(rate));
    rate.ok_or_else(|| "write a number of tokens per second above 0".to_owned())
}
