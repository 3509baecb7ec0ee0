//! Versions of a pool, each in a line for people, and who gets which.

use crate::policy::check::{Pool, Version};
use crate::upstream::{Subject, When};
use std::fmt;

/// `v1: 90 of 100 users, 2 backends`; none of a pool without versions.
pub fn lines(pool: &Pool) -> Vec<String> {
    let total: u32 = pool.versions.iter().map(|version| version.weight).sum();
    let whom = match &pool.split.by {
        None => "requests".into(),
        Some(Subject::Tenant) => "tenants".into(),
        Some(Subject::User) => "users".into(),
        Some(Subject::Header(name)) => format!("values of `{name}`"),
        Some(Subject::Prompt { .. }) => "beginnings of prompts".into(),
    };
    let line = |version: &Version| {
        let part = match version.weight {
            0 => "nobody by weight".into(),
            weight => format!("{weight} of {total} {whom}"),
        };
        Some(format!("{}: {part}, {}", version.name.as_ref()?, backends(pool, version)))
    };
    pool.versions.iter().filter_map(line).collect()
}

/// `tenant testers: v2`, in the order in which they are asked.
pub fn rules(pool: &Pool) -> Vec<String> {
    let rules = pool.split.rules.iter();
    let line = rules.map(|rule| {
        let version = pool.versions[rule.version].name.as_deref().unwrap_or_default();
        match &rule.when {
            When::Tenant(tenant) => format!("tenant {tenant}: {version}"),
            When::Header(name, value) => {
                format!("`{name}: {}`: {version}", String::from_utf8_lossy(value).escape_debug())
            }
        }
    });
    line.collect()
}

/// Both of these below the name of a route or stream.
pub fn write(f: &mut fmt::Formatter<'_>, versions: &[String], rules: &[String]) -> fmt::Result {
    for version in versions {
        writeln!(f, "  version         {version}")?;
    }
    for rule in rules {
        writeln!(f, "  version by rule {rule}")?;
    }
    Ok(())
}

fn backends(pool: &Pool, version: &Version) -> String {
    let found = pool.discovers.iter().filter(|discover| version.backends.contains(&discover.at)).count();
    let written = match version.backends.len() - found {
        1 => "1 backend".into(),
        many => format!("{many} backends"),
    };
    match found {
        0 => written,
        _ if written.starts_with('0') => "backends that are found out".into(),
        _ => format!("{written} and those that are found out"),
    }
}
