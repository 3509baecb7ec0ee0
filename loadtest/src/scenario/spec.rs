//! Spec: a scenario file as written. Nothing outside `scenario` sees these types.
//!
//! Keys are documented in loadtest/README.md; a key that is not here is an error. What the values must be to make
//! sense together is [`check`](super::check)'s matter.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;

use crate::mock::behaviour::Behaviour;

/// A whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    pub about: String,
    #[serde(default = "one")]
    pub seed: u64,
    pub load: Spanned<LoadSpec>,
    pub time_max: Option<Spanned<Time>>,
    pub requests_max: Option<Spanned<u64>>,
    #[serde(default)]
    pub connections: Option<Spanned<ConnectionsSpec>>,
    pub tenants: Vec<Spanned<GroupSpec>>,
    pub requests: Vec<Spanned<RequestSpec>>,
    #[serde(default)]
    pub upstream: Behaviour,
    pub queue: Option<Map<String, Value>>,
    pub reload: Option<Spanned<ReloadSpec>>,
}

/// `load`. One struct for both modes, so that a key of the other mode gets a sentence of its own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadSpec {
    pub mode: Mode,
    pub arrivals: Option<ArrivalsSpec>,
    pub phases: Option<Vec<Spanned<PhaseSpec>>>,
    pub in_flight: Option<u32>,
    #[serde(rename = "for")]
    pub lasts: Option<Time>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Open,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArrivalsSpec {
    Constant,
    Poisson,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhaseSpec {
    #[serde(rename = "for")]
    pub lasts: Time,
    pub rate: Option<Rate>,
    pub from: Option<Rate>,
    pub to: Option<Rate>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionsSpec {
    #[serde(default = "one")]
    pub http: u64,
    #[serde(default)]
    pub tls: bool,
    pub open: Option<u32>,
    pub streams: Option<u32>,
    pub keep_alive: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSpec {
    pub name: String,
    #[serde(default = "one")]
    pub count: u64,
    #[serde(default = "one")]
    pub users: u64,
    #[serde(default = "even")]
    pub weight: f64,
    pub credential: CredentialSpec,
    pub sends: Sends,
    pub plan: Option<Vec<Map<String, Value>>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CredentialSpec {
    AkSk,
    AppCode,
    ApiKey,
    None,
}

/// Names of requests: a list for equal shares, or each with its weight.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "neither a list of names of requests nor a mapping of names to weights")]
pub enum Sends {
    Evenly(Vec<String>),
    Weighted(BTreeMap<String, f64>),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestSpec {
    pub name: String,
    pub route: Option<String>,
    #[serde(default = "upstream")]
    pub pool: String,
    pub api: Api,
    #[serde(default = "post")]
    pub method: String,
    pub path: String,
    pub body: Option<BodySpec>,
    pub body_bytes: Option<u32>,
    #[serde(default)]
    pub stream: bool,
    pub max_tokens: Option<u32>,
    pub read_bytes_per_s: Option<u32>,
    pub leave: Option<LeaveSpec>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub limits: Option<Vec<Map<String, Value>>>,
    pub unlimited: Option<String>,
}

/// How usage is read and how a refusal looks, as the policy calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    Pangu,
    Openai,
    Modelarts,
    Plain,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BodySpec {
    Chat,
    Filler,
    Empty,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaveSpec {
    pub share: f64,
    pub after: Time,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReloadSpec {
    pub every: Time,
}

/// A duration, written `200ms`, `1.5s`, `2m` or `1h`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Time(pub Duration);

/// Requests per second, written `200/s`, `600/min` or `1000/h`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate(pub f64);

/// Longest time that can be written: keeps every sum of a few far from overflow.
const TIME_MAX_S: f64 = 1e6;

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Time, String> {
        let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
        let (number, unit) = text.split_at(unit_at);
        let unit_s = match unit {
            "ms" => Some(0.001),
            "s" => Some(1.0),
            "m" => Some(60.0),
            "h" => Some(3600.0),
            _ => None,
        };
        positive(number)
            .zip(unit_s)
            .map(|(number, unit_s)| number * unit_s)
            .filter(|seconds| *seconds <= TIME_MAX_S)
            .map(|seconds| Time(Duration::from_secs_f64(seconds)))
            .ok_or_else(|| format!("`{text}` is not a duration; write `200ms`, `1.5s`, `2m` or `1h`"))
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Rate, String> {
        let (number, unit) = text.split_once('/').unwrap_or((text, ""));
        let unit_s = match unit {
            "s" => Some(1.0),
            "min" => Some(60.0),
            "h" => Some(3600.0),
            _ => None,
        };
        positive(number)
            .zip(unit_s)
            .map(|(number, unit_s)| Rate(number / unit_s))
            .ok_or_else(|| format!("`{text}` is not a rate; write `200/s`, `600/min` or `1000/h`"))
    }
}

fn positive(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| *number > 0.0 && number.is_finite())
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Rate, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

fn upstream() -> String {
    "upstream".to_owned()
}

fn one() -> u64 {
    1
}

fn even() -> f64 {
    1.0
}

fn post() -> String {
    "POST".to_owned()
}
