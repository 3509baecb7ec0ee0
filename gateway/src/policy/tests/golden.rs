//! Every mistake in `tests/golden/policy` is answered with exactly the text beside it.
//!
//! `UPDATE_GOLDEN=1` writes the texts anew; read the difference before committing it.

use super::super::{reference, schema};
use super::*;

#[test]
fn every_mistake_gets_its_text() {
    let root = repository("tests/golden/policy");
    let mut cases: Vec<PathBuf> =
        std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 25, "only {} cases in {}", cases.len(), root.display());
    let mut wrong = String::new();
    for case in &cases {
        let problems = match load_dir(case) {
            Ok(_) => "it loads\n".to_string(),
            Err(problems) => lines(&problems).replace(&format!("{}/", case.display()), ""),
        };
        let problems = problems.replace(&case.display().to_string(), "(directory)");
        assert!(!problems.contains("canary"), "a secret in {}:\n{problems}", case.display());
        let expected = case.join("expected.txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&expected, &problems).unwrap();
        }
        let expected = std::fs::read_to_string(&expected).unwrap_or_default();
        if problems != expected {
            wrong += &format!("--- {}\nexpected:\n{expected}got:\n{problems}", case.display());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn the_schema_in_the_repository_is_current() {
    let path = repository("policies/schema.json");
    let now = format!("{:#}\n", schema());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == now,
        "policies/schema.json is not what `pangu-gateway schema` prints; UPDATE_GOLDEN=1 writes it"
    );
}

/// The README carries the table as it is made from the keys, between two marks.
#[test]
fn the_readme_has_the_table_of_keys() {
    const BEGIN: &str = "<!-- keys -->\n";
    const END: &str = "<!-- end of keys -->";
    let path = repository("policies/README.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the mark before the table");
    let (table, after) = rest.split_once(END).expect("the mark after the table");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{}{END}{after}", reference())).unwrap();
        return;
    }
    assert!(
        table == reference(),
        "the table in policies/README.md is not current; UPDATE_GOLDEN=1 writes it"
    );
}

#[test]
fn the_readme_mentions_every_key_of_the_schema() {
    fn keys(schema: &serde_json::Value, found: &mut Vec<String>) {
        match schema {
            serde_json::Value::Object(map) => {
                if let Some(serde_json::Value::Object(properties)) = map.get("properties") {
                    found.extend(properties.keys().cloned());
                }
                map.values().for_each(|value| keys(value, found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|value| keys(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    keys(&schema(), &mut found);
    assert!(found.len() > 50, "{found:?}");
    let readme = std::fs::read_to_string(repository("policies/README.md")).unwrap();
    for key in found {
        assert!(
            readme.contains(&format!("`{key}`")) || readme.contains(&format!(".{key}`")),
            "`{key}` is not in policies/README.md"
        );
    }
}
