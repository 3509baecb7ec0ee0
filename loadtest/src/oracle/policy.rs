//! The policy as the oracle reads it: with its own eyes, and only what it judges by.
//!
//! Keys it does not know are passed over, since policies grow; a *limit* it does not understand is kept as such, so that
//! the verdict can say that it was not judged.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor, value};

use super::Unreadable;

/// All files of a policy, as far as they concern the oracle.
#[derive(Debug, Default)]
pub struct Policy {
    /// By name.
    pub routes: HashMap<String, Route>,
    /// By name.
    pub plans: BTreeMap<String, Vec<Limit>>,
    /// Name of the plan, by name of the tenant.
    pub tenants: HashMap<String, String>,
    /// Requests of one address per second, before anything else is asked.
    pub per_address: Option<u64>,
}

/// A route.
#[derive(Debug)]
pub struct Route {
    /// Its own limits.
    pub limits: Vec<Limit>,
    /// Whether anybody is let in; nobody is counted by name then.
    pub open_to_all: bool,
}

/// A limit of a plan or of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    /// As written.
    pub name: String,
    /// What is counted separately, as written.
    pub per: String,
    /// How much it lets through.
    pub amount: Amount,
    /// It counts, and refuses nobody.
    pub shadow: bool,
}

/// How much a limit lets through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Amount {
    /// Requests in every period.
    Requests(Rate, Counting),
    /// Requests at the same time.
    Concurrent(u64),
    /// Tokens in every period.
    Tokens(Rate),
    /// None of these; what is wrong with it.
    NotUnderstood(String),
}

/// So many in every period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Per period.
    pub count: u64,
    /// Length of the period.
    pub period_us: u64,
    /// At once.
    pub burst: u64,
}

/// How requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// At most `burst + rate * t` in any stretch of `t`.
    Bucket,
    /// At most the number in a window that opens with its first request and lasts a period.
    Fixed,
    /// At most the number in any period.
    Sliding,
}

impl Policy {
    /// Reads every `*.yaml` and `*.yml` below `dir`; hidden files and a folder `examples` are no policy.
    ///
    /// # Errors
    /// A file cannot be read, or is not YAML of the policy's shape.
    pub fn read(dir: &Path) -> Result<Policy, Unreadable> {
        let mut paths = Vec::new();
        find(dir, &mut paths)?;
        paths.sort();
        let mut policy = Policy::default();
        for path in paths {
            policy.add(&path)?;
        }
        Ok(policy)
    }

    fn add(&mut self, path: &Path) -> Result<(), Unreadable> {
        let text = std::fs::read_to_string(path).map_err(|e| Unreadable::file(path, e))?;
        let options = serde_saphyr::options! { budget: None }; // an operator's own file, of any length
        let file: Option<File> = serde_saphyr::from_str_with_options(&text, options).map_err(|e| {
            // The message alone: a snippet of the file might show what is nobody's business.
            let at = e.location().map_or(String::new(), |at| format!("line {}: ", at.line()));
            Unreadable::Policy { path: path.to_owned(), what: format!("{at}{}", e.without_snippet()) }
        })?;
        let Some(file) = file else { return Ok(()) };
        self.routes.extend(file.routes.into_iter().map(RouteSpec::named));
        let plans = file.plans.into_iter();
        self.plans.extend(plans.map(|(name, plan)| (name, plan.0.into_iter().map(Limit::from).collect())));
        self.tenants.extend(file.tenants.into_iter().map(|tenant| (tenant.name, tenant.plan)));
        if let Some(guard) = file.guard {
            self.per_address = rate(&guard.per_address).map(|(count, _)| count);
        }
        Ok(())
    }
}

fn find(dir: &Path, paths: &mut Vec<PathBuf>) -> Result<(), Unreadable> {
    for entry in std::fs::read_dir(dir).map_err(|e| Unreadable::file(dir, e))? {
        let path = entry.map_err(|e| Unreadable::file(dir, e))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            if name != "examples" {
                find(&path, paths)?;
            }
        } else if name.ends_with(".yaml") || name.ends_with(".yml") {
            paths.push(path);
        }
    }
    Ok(())
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    routes: Vec<RouteSpec>,
    #[serde(default)]
    plans: BTreeMap<String, PlanSpec>,
    #[serde(default)]
    tenants: Vec<TenantSpec>,
    guard: Option<GuardSpec>,
}

#[derive(Deserialize)]
struct GuardSpec {
    per_address: String,
}

#[derive(Deserialize)]
struct TenantSpec {
    name: String,
    plan: String,
}

#[derive(Deserialize)]
struct RouteSpec {
    name: String,
    #[serde(default)]
    auth: Words,
    #[serde(default)]
    limits: Vec<LimitSpec>,
}

/// A limit as written. What may come later is read as text, never refused.
#[derive(Deserialize)]
struct LimitSpec {
    name: String,
    per: String,
    requests: Option<String>,
    burst: Option<String>,
    algorithm: Option<String>,
    concurrent: Option<String>,
    tokens: Option<String>,
    #[serde(default)]
    shadow: bool,
}

impl RouteSpec {
    fn named(self) -> (String, Route) {
        let limits = self.limits.into_iter().map(Limit::from).collect();
        (self.name, Route { limits, open_to_all: self.auth.0.iter().any(|word| word == "none") })
    }
}

impl From<LimitSpec> for Limit {
    fn from(spec: LimitSpec) -> Limit {
        let amount = spec.amount().unwrap_or_else(Amount::NotUnderstood);
        Limit { name: spec.name, per: spec.per, amount, shadow: spec.shadow }
    }
}

impl LimitSpec {
    fn amount(&self) -> Result<Amount, String> {
        match (&self.requests, &self.concurrent, &self.tokens) {
            (Some(requests), None, None) => Ok(Amount::Requests(self.rate(requests)?, self.counting()?)),
            (None, Some(most), None) => Ok(Amount::Concurrent(
                number(most).ok_or_else(|| format!("`concurrent: {most}` is no number"))?,
            )),
            (None, None, Some(tokens)) => Ok(Amount::Tokens(self.rate(tokens)?)),
            _ => Err("it counts none of requests, concurrent and tokens, or several".to_owned()),
        }
    }

    fn rate(&self, text: &str) -> Result<Rate, String> {
        let (count, period_us) =
            rate(text).ok_or_else(|| format!("`{text}` is no number per s, min, h or day"))?;
        let burst = match &self.burst {
            None => count,
            Some(burst) => number(burst).ok_or_else(|| format!("`burst: {burst}` is no number"))?,
        };
        Ok(Rate { count, period_us, burst })
    }

    fn counting(&self) -> Result<Counting, String> {
        match self.algorithm.as_deref() {
            None | Some("token_bucket") => Ok(Counting::Bucket),
            Some("fixed_window") => Ok(Counting::Fixed),
            Some("sliding_window") => Ok(Counting::Sliding),
            Some(other) => Err(format!("algorithm `{other}` is not known")),
        }
    }
}

/// `500/s`, `2k/min`, `1M/day`: the number, and the period in microseconds.
fn rate(text: &str) -> Option<(u64, u64)> {
    let (count, unit) = text.split_once('/')?;
    let seconds = match unit.trim() {
        "s" => 1,
        "min" => 60,
        "h" => 3_600,
        "day" => 86_400,
        _ => return None,
    };
    let count = number(count).filter(|&count| count > 0)?;
    Some((count, seconds * 1_000_000))
}

/// `64`, `2k`, `1M`.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let (digits, factor) = match text.strip_suffix(['k', 'M']) {
        Some(digits) if text.ends_with('k') => (digits, 1_000),
        Some(digits) => (digits, 1_000_000),
        None => (text, 1),
    };
    let number: u64 = digits.trim_end().parse().ok()?;
    number.checked_mul(factor).filter(|&number| number <= u64::from(u32::MAX))
}

/// A plan: a list of limits, or a mapping with the list in `limits`.
struct PlanSpec(Vec<LimitSpec>);

impl<'de> Deserialize<'de> for PlanSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PlanSpec, D::Error> {
        #[derive(Deserialize)]
        struct Mapping {
            limits: Vec<LimitSpec>,
        }
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = PlanSpec;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of limits, or a mapping with `limits`")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<PlanSpec, A::Error> {
                Vec::deserialize(value::SeqAccessDeserializer::new(list)).map(PlanSpec)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<PlanSpec, A::Error> {
                Mapping::deserialize(value::MapAccessDeserializer::new(map)).map(|plan| PlanSpec(plan.limits))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// One word, or a list of words.
#[derive(Default)]
struct Words(Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Words, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Words;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word, or a list of words")
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Words, E> {
                Ok(Words(vec![word.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Words, A::Error> {
                Vec::deserialize(value::SeqAccessDeserializer::new(list)).map(Words)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_operators_write_is_read_with_its_units() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"
guard: {per_address: 200/s}
routes:
  - name: open
    match: {path: /a}
    auth: none
    limits: [{name: rps, per: route, requests: 500/s}]
  - {name: closed, auth: [api_key], something: {new: [1]}}
plans:
  gold:
    body_max: 8MiB
    limits:
      - &rpm {name: rpm, per: tenant, requests: 2k/min, burst: 100}
      - {name: cap, per: user, concurrent: 64}
  bronze:
    - *rpm
    - {name: w, per: tenant+route, requests: 3/h, algorithm: sliding_window, shadow: true}
    - {name: tpm, per: tenant+model, tokens: 500k/min}
    - {name: money, per: tenant, budget: 3 CNY/day}
    - {name: odd, per: tenant, requests: 3 a fortnight}
tenants:
  - {name: acme, plan: gold, users: [{name: a, api_key: {env: X}}]}
"#;
        std::fs::write(dir.path().join("all.yaml"), text).unwrap();
        std::fs::write(dir.path().join("empty.yml"), "# nothing\n").unwrap();
        std::fs::write(dir.path().join(".hidden.yaml"), "{").unwrap();
        std::fs::create_dir(dir.path().join("examples")).unwrap();
        std::fs::write(dir.path().join("examples/no.yaml"), "tenants: [{name: no, plan: no}]").unwrap();
        let policy = Policy::read(dir.path()).unwrap();

        assert_eq!(policy.per_address, Some(200));
        assert_eq!((policy.routes["open"].open_to_all, policy.routes["closed"].open_to_all), (true, false));
        assert_eq!(policy.tenants, HashMap::from([("acme".to_owned(), "gold".to_owned())]));
        let gold = &policy.plans["gold"];
        let rpm = Rate { count: 2_000, period_us: 60_000_000, burst: 100 };
        assert_eq!(gold[0].amount, Amount::Requests(rpm, Counting::Bucket));
        assert_eq!(gold[1].amount, Amount::Concurrent(64));
        let bronze = &policy.plans["bronze"];
        assert_eq!(bronze[0], gold[0]);
        let hourly = Rate { count: 3, period_us: 3_600_000_000, burst: 3 };
        assert_eq!(
            (&bronze[1].amount, bronze[1].shadow),
            (&Amount::Requests(hourly, Counting::Sliding), true)
        );
        let tokens = Rate { count: 500_000, period_us: 60_000_000, burst: 500_000 };
        assert_eq!(bronze[2].amount, Amount::Tokens(tokens));
        for odd in &bronze[3..] {
            assert!(matches!(odd.amount, Amount::NotUnderstood(_)), "{odd:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_where_and_does_not_show_it() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("bad.yaml"), "tenants:\n  - {name: a, plan: [hunter2]}\n").unwrap();
        let problem = Policy::read(dir.path()).unwrap_err().to_string();
        assert!(problem.contains("bad.yaml") && problem.contains("line 2"), "{problem}");
        assert!(!problem.contains("hunter2"), "{problem}");
        assert!(Policy::read(&dir.path().join("nowhere")).is_err());
    }
}
