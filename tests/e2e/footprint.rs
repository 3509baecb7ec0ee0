//! `pangu-loadtest footprint` against the real gateway, small: that every part comes to its end and has seen what it
//! reports. Never a size or a time: those are for `make bench`.

use harness::process::Process;
use serde_json::Value;
use std::fs;
use std::time::Duration;

/// Longer than any run here, also beside other tests.
const END: Duration = Duration::from_secs(120);

#[test]
fn every_part_is_measured() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("footprint.json");
    let sizes = ["--tenants", "200", "--connections", "50", "--reloads", "5"];
    let (code, said) = run(&[&sizes[..], &["--json", file.to_str().unwrap()]].concat());
    assert_eq!(code, 0, "{said}");

    let json: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let number = |pointer: &str| json.pointer(pointer).and_then(Value::as_f64).unwrap_or(-1.0);
    assert!(number("/idle/bytes") > 1e6, "{json}");
    assert!(number("/tenants/reloaded_bytes") > 1e6 && number("/tenants/effect_ms") > 0.0, "{json}");
    assert!(number("/connections/after_bytes") >= number("/connections/before_bytes"), "{json}");
    assert_eq!((number("/reloads/made"), number("/reloads/failed")), (5.0, 0.0), "{json}");
    assert!(number("/reloads/effect_median_ms") > 0.0, "{json}");
    assert!(number("/reloads/requests") > 500.0 && number("/reloads/streams") > 20.0, "{json}");
    for line in ["| bar | at most | measured | met |", "| requests failed by 5 reloads | 0 | 0 | yes |"] {
        assert!(said.lines().any(|is| is == line), "{line}\nis not in\n{said}");
    }
}

#[test]
fn a_part_can_be_chosen_and_the_gateway_must_be_there() {
    let (code, said) = run(&["--part", "idle"]);
    assert!(code == 0 && said.contains("| memory, idle, MiB | 20 |"), "{code}: {said}");
    assert!(!said.contains("tenants"), "{said}");
    let (code, said) = run(&["--part", "idle", "--gateway", "nowhere"]);
    assert!(code == 1 && said.contains("nowhere is not a program; build it, or name it"), "{code}: {said}");
    let (code, said) = run(&["--part", "idel"]);
    assert!(code == 1 && said.contains("write one of idle, tenants, connections, reloads"), "{code}: {said}");
}

/// Runs it to its end: exit code, and what it said.
fn run(args: &[&str]) -> (i32, String) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let args: Vec<&str> = [&["footprint"], args].concat();
    let mut process = Process::start("pangu-loadtest", &args, &[], dir.path());
    let status = process.wait(END).unwrap_or_else(|| panic!("{args:?} does not end:\n{}", process.stderr()));
    (status.code().unwrap_or(-1), process.stdout() + &process.stderr())
}
