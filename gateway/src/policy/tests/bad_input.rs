//! Input that is no policy: always problems, soon, and never a panic.

use super::*;
use crate::clock::mono_us;
use proptest::prelude::*;

/// In an optimised build a hostile file is refused within a second; without optimisation nobody promises.
const HOSTILE_US_MAX: u64 = if cfg!(debug_assertions) { 30_000_000 } else { 1_000_000 };

fn refused_in_time(text: impl AsRef<[u8]>) -> Vec<Problem> {
    let begun = mono_us();
    let problems = load_text(text).err().expect("refused");
    let took = mono_us() - begun;
    assert!(took < HOSTILE_US_MAX, "took {} ms", took / 1000);
    assert!(!problems.is_empty());
    problems
}

#[test]
fn a_policy_cut_anywhere_compiles_or_gives_problems() {
    let whole: String = ["routes", "pools", "plans", "tenants"]
        .map(|name| std::fs::read_to_string(repository(&format!("policies/{name}.yaml"))).unwrap())
        .concat();
    assert!(load_text(&whole).is_ok());
    let mut refused = 0;
    for end in (0..whole.len()).step_by(97) {
        if let Err(problems) = load_text(&whole.as_bytes()[..end]) {
            assert!(!problems.is_empty(), "cut at {end}");
            refused += 1;
        }
    }
    assert!(refused > 20, "{refused}");
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut bomb = "plans:\n  a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_string();
    for (from, to) in ('a'..='y').zip('b'..='z') {
        bomb += &format!("  {to}: &{to} [{}]\n", vec![format!("*{from}"); 10].join(", "));
    }
    let problems = refused_in_time(bomb);
    assert!(problems[0].what.contains("aliases"), "{}", problems[0]);
}

#[test]
fn ten_megabytes_of_anything_are_refused() {
    let bytes = if cfg!(debug_assertions) { 1_000_000 } else { 10_000_000 };
    let megabytes = |part: &str| part.repeat(bytes / part.len());
    for hostile in [
        megabytes("["),
        megabytes("{a: "),
        megabytes("- "),
        megabytes("a: 1\n"),
        megabytes("- name: x\n"),
        megabytes("&a "),
        megabytes("? "),
        megabytes("x"),
        format!("routes:\n{}", megabytes("  - {name: x}\n")),
        format!("tenants:\n{}", megabytes("  - {name: x, plan: y, users: []}\n")),
        format!("a: \"{}", megabytes("x")),
        format!("plans: {{{}", megabytes("k: [],")),
    ] {
        refused_in_time(hostile);
    }
}

#[test]
fn more_than_the_whole_may_hold_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for i in 0..=1_000 {
        std::fs::write(dir.path().join(format!("{i}.yaml")), "plans: {}\n").unwrap();
    }
    let said = lines(&load_dir(dir.path()).err().unwrap());
    assert!(said.contains("more than 1000 policy files"), "{said}");

    let dir = tempfile::tempdir().unwrap();
    let large = std::fs::File::create(dir.path().join("large.yaml")).unwrap();
    large.set_len(65 << 20).unwrap();
    let said = lines(&load_dir(dir.path()).err().unwrap());
    assert!(said.contains("larger than 64 MiB"), "{said}");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("policy.yaml"), GOOD).unwrap();
    std::os::unix::fs::symlink("nowhere", dir.path().join("dangling.yaml")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", dir.path().join("device.yaml")).unwrap();
    std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
    let said = lines(&load_dir(dir.path()).err().unwrap());
    assert!(said.contains("dangling.yaml: cannot be read"), "{said}");
    assert!(said.contains("device.yaml: not a regular file"), "{said}");
    assert_eq!(said.matches("error:").count(), 2, "{said}");
    assert!(load_dir(Path::new("/no/such/directory")).is_err());
}

#[test]
fn hidden_files_and_examples_are_no_policy() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("policy.yaml"), GOOD).unwrap();
    std::fs::write(dir.path().join(".policy.yaml.swp.yaml"), "garbage: [").unwrap();
    std::fs::write(dir.path().join("notes.txt"), "garbage: [").unwrap();
    for folder in ["examples", "..2026_01_01", ".git"] {
        std::fs::create_dir(dir.path().join(folder)).unwrap();
        std::fs::write(dir.path().join(folder).join("x.yaml"), "garbage: [").unwrap();
    }
    assert!(load_dir(dir.path()).is_ok());
    assert!(load_dir(&dir.path().join("examples")).is_err(), "opened itself, it is read");
}

proptest! {
    #![proptest_config(crate::proptests::cases(300))]

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = load_text(bytes);
    }

    #[test]
    fn no_flipped_byte_panics(at in 0..GOOD.len(), byte in any::<u8>()) {
        let mut bytes = GOOD.as_bytes().to_vec();
        bytes[at] = byte;
        if let Err(problems) = load_text(bytes) {
            prop_assert!(!problems.is_empty());
        }
    }

    #[test]
    fn no_line_left_out_panics(line in 0..GOOD.lines().count(), width in 1usize..4) {
        let kept = GOOD.lines().enumerate().filter(|(i, _)| !(line..line + width).contains(i));
        let text: String = kept.map(|(_, line)| format!("{line}\n")).collect();
        if let Err(problems) = load_text(text) {
            prop_assert!(!problems.is_empty());
        }
    }

    #[test]
    fn a_secret_written_out_is_never_repeated(secret in "[A-Za-z0-9]{12,40}") {
        for place in ["{env: KNOWN_KEY}", "{env: KNOWN_SK}"] {
            for written in [secret.clone(), format!("{{{secret}: x}}"), format!("[{secret}]"), format!("{{sha256: {secret}}}"), format!("\"{secret}")] {
                let problems = load_text(GOOD.replace(place, &written)).err().expect("refused");
                prop_assert!(!lines(&problems).contains(&secret));
            }
        }
    }
}
