//! What a request costs, in instructions of the gateway's own: the price of a change, seen before it lands.
//!
//! `make instructions` builds the gateway by the profile `instructions` and runs this. The gateway runs under
//! callgrind; requests go one after the other over one connection; what it executed in user mode, in all threads,
//! less what it executes without requests, is divided by their number and compared with `tests/golden/instructions.json`. A case that costs more than its
//! margin fails, and one that costs clearly less fails too, so that what was gained is written down and kept.
//! `UPDATE_GOLDEN=1 make instructions` writes the counts of this machine down.
//!
//! *Accuracy.* On a 2-core machine that had seven busy processes, runs of one binary lay within 1.1 % of one another,
//! `stream_chunk` within 3.5 %; it therefore has twice the margin. What wobbles is how often a socket is looked at in
//! vain and how many ticks fall into a run; the median of five rounds counts. Less than a minute on a busy machine.
//!
//! *What it cannot see.* The kernel, waiting, cache misses: `make bench` measures those. The counts belong to the
//! profile, not to a release, and depend a little on the machine: memory is copied and digests are made by code
//! that is chosen by what the processor can do, within what valgrind offers (AVX2 at most, no SHA extensions).

mod callgrind;
mod cases;
mod expected;
mod lockstep;

use callgrind::Counted;
use cases::{HOST, SPENT_APP_CODE, count_all};
use expected::Expected;
use harness::certs::Authority;
use harness::{Mock, Setup};
use lockstep::Lockstep;
use std::fs;
use std::path::{Path, PathBuf};

/// Above a size that depends on the processor, glibc copies with one `rep movsb`, which callgrind counts as one
/// instruction per byte. It is some hundred times cheaper than that; vector code is counted as it costs.
const NO_STRING_INSTRUCTIONS: &str =
    "glibc.cpu.x86_rep_movsb_threshold=0x10000000:glibc.cpu.x86_rep_stosb_threshold=0x10000000";

/// Path of the gateway to count, set by `make instructions`.
const PROGRAM: &str = "PANGU_INSTRUCTIONS_OF";

#[test]
fn a_request_costs_what_it_did() {
    let program = std::env::var_os(PROGRAM).map(PathBuf::from);
    let program = program.unwrap_or_else(|| panic!("{PROGRAM} is not set; run `make instructions`"));
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/instructions.json");

    let (mock, lockstep) = (Mock::start(), Lockstep::start());
    let policy = include_str!("policy.yaml").replace("127.0.0.1:9200", &lockstep.address.to_string());
    let authority = Authority::new();
    let setup = Setup::new(&mock)
        .https()
        .policy(&policy)
        .env("SPENT_APP_CODE", SPENT_APP_CODE)
        .env("GLIBC_TUNABLES", NO_STRING_INSTRUCTIONS);
    authority.issue("one", &[HOST]).write(&setup.certs(), "gateway");
    let mut counted = Counted::start(setup, &program, profiles());
    println!("{:.0} instructions a second without requests, taken off", counted.idle_per_s);
    let costs = count_all(&mut counted, &authority, &lockstep);

    let mut expected = Expected::read(&golden);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        expected.replace(&costs);
        expected.write(&golden);
    }
    let faults: Vec<String> = costs.iter().filter_map(|cost| expected.fault(cost)).collect();
    let mut known: Vec<&str> = costs.iter().map(|cost| cost.case).collect();
    known.sort_unstable();
    assert!(expected.cases().eq(known), "golden/instructions.json: {HOW_TO_UPDATE}");
    assert!(faults.is_empty(), "\n{}\n{HOW_TO_LOOK}\n{HOW_TO_UPDATE}", faults.join("\n"));
}

const HOW_TO_LOOK: &str = "what it is spent on: callgrind_annotate <profile> | head -60; \
     compare with the profile of the commit before";
const HOW_TO_UPDATE: &str = "if it is meant, UPDATE_GOLDEN=1 make instructions writes the counts down; \
     the commit says why";

/// Where profiles are kept, for a look after the test.
fn profiles() -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("instructions");
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("the target directory is ours");
    dir.join("callgrind.out")
}
