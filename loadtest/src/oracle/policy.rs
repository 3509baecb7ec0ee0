//! The policy as the oracle reads it: with its own eyes, and only what it judges by.
//!
//! Keys it does not know are passed over, since policies grow; a *limit* it does not understand is kept as such, so that
//! the verdict can say that it was not judged.

mod spec;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::Unreadable;
use super::limit::{Limit, rate};
use super::price::Price;
use spec::{CeilingsSpec, File, ModelSpec, RouteSpec};

/// All files of a policy, as far as they concern the oracle.
#[derive(Debug, Default)]
pub struct Policy {
    /// By name.
    pub routes: HashMap<String, Route>,
    /// By name.
    pub plans: BTreeMap<String, Vec<Limit>>,
    /// Name of the plan, by name of the tenant.
    pub tenants: HashMap<String, String>,
    /// By name.
    pub models: BTreeMap<String, Model>,
    /// Requests of one address per second, before anything else is asked.
    pub per_address: Option<u64>,
    /// Fewest completion tokens that a ceiling allows anybody; None: there is no ceiling.
    pub completion_ceiling: Option<u64>,
}

/// The name of every model that has no entry.
pub const OTHER: &str = "other";

/// A route.
#[derive(Debug)]
pub struct Route {
    /// Its own limits.
    pub limits: Vec<Limit>,
    /// Whether anybody is let in; nobody is counted by name then.
    pub open_to_all: bool,
    /// How usage is read; `plain` is no model endpoint.
    pub api: String,
    /// The model of requests that name none, or, if `model_fixed`, of all.
    pub model: Option<String>,
    /// Whatever a body says, requests are for `model`.
    pub model_fixed: bool,
    /// Where answers tell what was used, if the route says: paths of keys.
    pub usage: Vec<String>,
}

/// A model.
#[derive(Debug)]
pub struct Model {
    /// Further names in requests.
    pub matches: Vec<String>,
    /// None: it is not understood.
    pub price: Option<Price>,
    /// Its own limits.
    pub limits: Vec<Limit>,
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
        let ceilings = file.routes.iter().map(|route| &route.ceilings);
        let ceilings = ceilings.chain(file.plans.values().map(|plan| &plan.ceilings));
        let ceilings = ceilings.chain(file.models.iter().map(|model| &model.ceilings));
        let lowest = ceilings.filter_map(CeilingsSpec::lowest).min();
        self.completion_ceiling = self.completion_ceiling.into_iter().chain(lowest).min();
        self.routes.extend(file.routes.into_iter().map(RouteSpec::named));
        let plans = file.plans.into_iter();
        self.plans.extend(plans.map(|(name, plan)| (name, spec::all(plan.limits))));
        self.models.extend(file.models.into_iter().map(ModelSpec::named));
        self.tenants.extend(file.tenants.into_iter().map(|tenant| (tenant.name, tenant.plan)));
        if let Some(guard) = file.guard {
            self.per_address = rate(&guard.per_address).map(|(count, _)| count);
        }
        Ok(())
    }

    /// The model of a request on `route` whose body names `asked`; None where nothing is metered.
    pub fn model_of<'p>(&'p self, route: &'p Route, asked: Option<&str>) -> Option<&'p str> {
        let known = |asked: &str| {
            let has = |(name, model): &(&String, &Model)| {
                *name == asked || model.matches.iter().any(|m| m == asked)
            };
            self.models.iter().find(has).map_or(OTHER, |(name, _)| name.as_str())
        };
        let named = asked.filter(|_| !route.model_fixed).map(known);
        (route.api != "plain").then(|| named.or(route.model.as_deref()).unwrap_or(OTHER))
    }

    /// What its tokens cost; None if that is not understood.
    pub fn price_of(&self, model: &str) -> Option<Price> {
        self.models.get(model).map_or(Some(Price::default()), |model| model.price)
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

#[cfg(test)]
mod tests {
    use super::super::limit::{Amount, Bound, Counting, Measure, Rate};
    use super::*;

    fn read() -> Policy {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"
guard: {per_address: 200/s}
routes:
  - name: open
    match: {path: /a}
    auth: none
    limits: [{name: rps, per: route, requests: 500/s}]
  - {name: closed, api: openai, auth: [api_key], something: {new: [1]}, ceilings: {completion_tokens: 2k}}
  - {name: fixed, api: pangu, auth: [api_key], model: large, model_from: route}
models:
  - name: large
    match: [big]
    price: {prompt: 0.008, completion: 0.02, per: 1k, currency: CNY}
    limits: [{name: all, per: model, tokens: 2G/day, timezone: Asia/Shanghai}]
  - {name: dear, price: {prompt: 1, completion: 2, per: word}}
plans:
  gold:
    body_max: 8MiB
    limits:
      - &rpm {name: rpm, per: tenant, requests: 2k/min, burst: 100}
      - {name: cap, per: user, concurrent: 64}
  bronze:
    - *rpm
    - {name: w, per: tenant+route, requests: 3/h, algorithm: sliding_window, mode: shadow}
    - {name: tpm, per: tenant+model, tokens: 500k/min, counts: prompt}
    - {name: money, per: tenant, budget: 3 CNY/day, on_exhausted: cut}
    - {name: month, per: tenant, tokens: 3k/month, burst: 100}
    - {name: odd, per: tenant, requests: 3 a fortnight}
    - {name: new, per: tenant, requests: 3/s, unless: [holiday]}
    - {name: modish, per: tenant, requests: 3/s, mode: dry}
    - {name: kind, per: tenant, tokens: 3/s, counts: words}
    - {name: end, per: tenant, tokens: 3/s, on_exhausted: explode}
    - {name: two, per: tenant, tokens: 3/s, requests: 3/s}
    - {name: none, per: tenant}
tenants:
  - {name: acme, plan: gold, users: [{name: a, api_key: {env: X}}]}
"#;
        std::fs::write(dir.path().join("all.yaml"), text).unwrap();
        std::fs::write(dir.path().join("empty.yml"), "# nothing\n").unwrap();
        std::fs::write(dir.path().join(".hidden.yaml"), "{").unwrap();
        std::fs::create_dir(dir.path().join("examples")).unwrap();
        std::fs::write(dir.path().join("examples/no.yaml"), "tenants: [{name: no, plan: no}]").unwrap();
        Policy::read(dir.path()).unwrap()
    }

    #[test]
    fn what_operators_write_is_read_with_its_units() {
        let policy = read();
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
        assert_eq!(bronze[2].amount, Amount::Spend(Measure::Prompt, Bound::Bucket(tokens)));
        let daily = Bound::Calendar { most: 3_000_000_000, turns_us: 86_400_000_000 };
        assert_eq!((&bronze[3].amount, bronze[3].cuts), (&Amount::Spend(Measure::Money, daily), true));
        assert!(!bronze[2].cuts && !bronze[2].shadow);
        assert!(matches!(
            bronze[4].amount,
            Amount::Spend(Measure::Total, Bound::Calendar { most: 3_000, .. })
        ));
        for (odd, part) in
            bronze[5..].iter().zip(["fortnight", "unless", "dry", "words", "explode", "several", "none"])
        {
            assert!(matches!(&odd.amount, Amount::NotUnderstood(what) if what.contains(part)), "{odd:?}");
        }
        assert_eq!(bronze.len(), 12);
    }

    #[test]
    fn models_are_found_as_the_gateway_finds_them() {
        let policy = read();
        let model = |route: &str, asked| policy.model_of(&policy.routes[route], asked).map(ToOwned::to_owned);
        for (route, asked, expected) in [
            ("closed", Some("large"), "large"),
            ("closed", Some("big"), "large"),
            ("closed", Some("Big"), "other"),
            ("closed", None, "other"),
            ("fixed", Some("dear"), "large"),
        ] {
            assert_eq!(model(route, asked).as_deref(), Some(expected), "{route} {asked:?}");
        }
        let large = &policy.models["large"];
        let most = Bound::Calendar { most: 2_000_000_000, turns_us: 900_000_000 };
        assert_eq!(large.limits[0].amount, Amount::Spend(Measure::Total, most));
        assert_eq!(policy.price_of("large"), Some(Price { prompt: 8_000, completion: 20_000 }));
        assert_eq!(policy.price_of("other"), Some(Price::default()));
        assert_eq!(policy.price_of("dear"), None, "a price that is not understood is none");
        assert_eq!(policy.completion_ceiling, Some(2_000));
    }

    #[test]
    fn an_answer_that_may_be_cut_to_what_is_left_may_be_held_for_as_one_token() {
        let dir = tempfile::tempdir().unwrap();
        let plan = "{limits: [], ceilings: {completion_tokens: 2k, clamp_to_budget: true}}";
        std::fs::write(dir.path().join("plan.yaml"), format!("plans: {{gold: {plan}}}")).unwrap();
        assert_eq!(Policy::read(dir.path()).unwrap().completion_ceiling, Some(1));
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
