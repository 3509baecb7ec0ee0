//! Measure: what a run has seen, as the reports show it and the oracle judges it.
//!
//! The generator writes these values and reads no file; `report` prints them; `oracle` adds its verdict. They
//! are plain data with a stable JSON form, so that a run of last month can be the baseline of today's.

use serde::{Deserialize, Serialize};

/// A whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was run, where, of which commit.
    pub about: About,
    /// Why the figures must not be used; empty if they may. A generator that was late is a reason.
    pub void: Vec<String>,
    /// Everything together.
    pub totals: Totals,
    /// By group of callers, in the scenario's order.
    pub groups: Vec<GroupReport>,
    /// Second by second.
    pub seconds: Vec<Second>,
    /// How late requests were sent, against the time they were due. Closed loads have none.
    pub lateness: Option<Distribution>,
    /// What the oracle says, if it was asked.
    pub oracle: Option<Verdict>,
    /// What the mock counted, if the run started it.
    #[serde(default)]
    pub upstream: Option<Upstream>,
    /// Policies that were written while the load ran, if any.
    #[serde(default)]
    pub reloads: Option<Reloads>,
}

/// What the mock counted during a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Upstream {
    /// Requests that arrived.
    pub requests: u64,
    /// Answers that ended as meant.
    pub completed: u64,
    /// Requests whose caller left first.
    pub cancelled: u64,
    /// Answers broken on purpose.
    pub faulted: u64,
    /// Connections accepted.
    pub connections: u64,
    /// Tenants that were seen, by the tenant header.
    pub tenants: u64,
}

/// What became of the policies written during a run, as the gateway counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Reloads {
    /// Good ones written.
    pub good: u64,
    /// Bad ones written, on purpose.
    pub bad: u64,
    /// Took effect. Fewer than `good` if two were written so close together that they were read as one.
    pub taken: u64,
    /// Refused.
    pub refused: u64,
}

/// What was run, where, of which commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct About {
    /// Name of the scenario.
    pub scenario: String,
    /// What it shows.
    pub about: String,
    /// Where its chance started.
    pub seed: u64,
    /// `open` or `closed`.
    pub load: String,
    /// Where requests went.
    pub target: String,
    /// RFC 3339, UTC.
    pub started: String,
    /// First request due to last answer, seconds.
    pub lasted_s: f64,
    /// Version of this program.
    pub version: String,
    /// Commit of the tree it ran in, with `-dirty` if changed; empty if unknown.
    pub commit: String,
    /// Model of the processor, cores, kernel.
    pub machine: Machine,
    /// The command line, secrets are never part of it.
    pub command: String,
}

/// The machine of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Machine {
    /// As /proc/cpuinfo names it.
    pub processor: String,
    /// Usable by this process.
    pub cores: u32,
    /// Kernel release.
    pub kernel: String,
    /// One-minute load average at the start.
    pub load_average: f64,
}

/// Counts and distributions of a set of requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Totals {
    /// Requests sent.
    pub sent: u64,
    /// Answers with a status below 400 that ended as they should.
    pub ok: u64,
    /// 429.
    pub refused: u64,
    /// Every other status of 400 and above.
    pub rejected: u64,
    /// No answer, or one that broke off.
    pub failed: u64,
    /// Left by the caller on purpose.
    pub left: u64,
    /// Connections made.
    pub connections: u64,
    /// Body bytes received.
    pub bytes_in: u64,
    /// Answers by status, in order; 0 stands for none.
    pub statuses: Vec<(u16, u64)>,
    /// Time due (open load) or sent (closed) to last byte, of `ok` answers.
    pub latency: Distribution,
    /// Time sent to last byte, of `ok` answers.
    pub service: Distribution,
    /// Time due or sent to first token, of streams.
    pub first_token: Distribution,
    /// One token to the next, of streams.
    pub token_gap: Distribution,
    /// Time due or sent to the end, of streams that ended well.
    pub stream: Distribution,
    /// Why requests failed, the most frequent first, at most ten.
    pub failures: Vec<(String, u64)>,
}

/// A group of callers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupReport {
    /// As the scenario names it.
    pub name: String,
    /// Callers in it.
    pub callers: u32,
    /// What happened to its requests.
    pub totals: Totals,
}

/// One second of a run; lists are in the order of the groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Second {
    /// Requests due (open) or sent (closed) in this second.
    pub sent: Vec<u64>,
    /// Of those answered in this second: good ones.
    pub ok: Vec<u64>,
    /// Refused with 429.
    pub refused: Vec<u64>,
    /// Anything else that is not good.
    pub failed: Vec<u64>,
    /// 99th percentile of the latency of good answers that ended in this second, us; 0 if there were none.
    pub p99_us: u64,
}

/// A distribution of times, in microseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Distribution {
    /// Values recorded.
    pub count: u64,
    /// Least.
    pub min_us: u64,
    /// Mean.
    pub mean_us: f64,
    /// Greatest.
    pub max_us: u64,
    /// Percentile and value, from 0 to 100, dense enough to draw.
    pub percentiles: Vec<(f64, u64)>,
    /// The whole HDR histogram (V2 deflate, base64), as HdrHistogram tools read it; empty if nothing was recorded.
    pub hdr: String,
}

/// What the oracle found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct Verdict {
    /// What was checked, with how much evidence.
    pub checks: Vec<Check>,
}

/// One claim, and whether it held.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// The claim, such as `tenant acme: limit rpm admits at most 100 + 10/s * t`.
    pub claim: String,
    /// Requests or windows looked at; 0 means that nothing was shown.
    pub evidence: u64,
    /// How close it came: the greatest share of the bound that was used, 1 = all of it; None where it means nothing.
    pub tightest: Option<f64>,
    /// What broke it, with its window; empty if it held.
    pub violations: Vec<String>,
}

/// One request as the oracle needs it. All times are of [`crate::clock::mono_us`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sample {
    /// Its number; sent upstream in the header `x-loadtest-request`.
    pub number: u64,
    /// Index into the scenario's callers.
    pub caller: u32,
    /// Index into the scenario's requests.
    pub request: u16,
    /// Status of the answer; 0 for none.
    pub status: u16,
    /// When it was sent (its first byte handed to the connection).
    pub sent_us: u64,
    /// When the head of the answer had come, or the attempt had ended.
    pub answered_us: u64,
    /// When the last byte had come, or the attempt had ended.
    pub ended_us: u64,
    /// `retry-after-ms` of a refusal (or `Retry-After`), milliseconds; 0 if there was none.
    pub retry_after_ms: u32,
    /// Tokens of a stream that reached the caller; 0 where the answer was none.
    pub tokens: u32,
    /// The answer came to its proper end: neither broken off nor left.
    pub whole: bool,
}
