//! Golden files of every form, and runs at the edge: nothing sent, one second, hostile names.
//!
//! `UPDATE_GOLDEN=1` writes the files anew; read the difference before committing it.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use super::*;
use crate::measure::{Distribution, GroupReport, Report, Second, Totals, Verdict};

/// The baseline of the golden files: another commit, a faster target, a claim that did not hold.
fn before() -> Report {
    let mut report = fixture::run(7, 1.6);
    report.about.started = "2026-03-01T18:00:00Z".to_owned();
    report.about.commit = "b81e0c44d2f1".to_owned();
    if let Some(oracle) = &mut report.oracle {
        oracle.checks[2].tightest = Some(1.04);
        oracle.checks[2].violations = vec!["1.2 s to 3.2 s: 312 admitted, at most 300".to_owned()];
    }
    report
}

fn golden(name: &str, now: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/report").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, now).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == now, "{} is not current; UPDATE_GOLDEN=1 writes it. Now:\n{now}", path.display());
}

#[test]
fn every_text_form_is_as_kept() {
    let (old, new) = (before(), fixture::run(7, 1.0));
    golden("before.json", &json(&old));
    golden("run.json", &json(&new));
    golden("run.txt", &table(&new));
    golden("changes.txt", &changes(&old, &new));
}
