//! The store and its watch: what takes effect, when, and what does not.

use super::super::{Live, Store};
use super::*;
use crate::clock::mono_us;
use std::sync::Arc;
use std::time::Duration;

/// A policy that names no variable: the store reads the real environment.
fn policy(rate: &str) -> String {
    let digest = "0".repeat(64);
    GOOD.replace("{env: KNOWN_KEY}", &format!("{{sha256: {digest}}}"))
        .replace("20/min", rate)
        .replace("      - {name: bob, ak_sk: {access_key: AKBOB, secret_key: {env: KNOWN_SK}}}\n", "")
}

struct Dir(tempfile::TempDir);

impl Dir {
    fn with(text: &str) -> Dir {
        let dir = Dir(tempfile::tempdir().unwrap());
        dir.write(text);
        dir
    }
    fn path(&self) -> PathBuf {
        self.0.path().join("policies")
    }
    fn write(&self, text: &str) {
        std::fs::create_dir_all(self.path()).unwrap();
        std::fs::write(self.path().join("policy.yaml"), text).unwrap();
    }
}

fn open(dir: &Dir) -> Arc<Store> {
    Store::open(dir.path(), Live::default()).map_err(|problems| lines(&problems)).unwrap()
}

/// Waits until `holds`; None if it does not within 5 s. The time it took, in microseconds.
fn eventually(holds: impl Fn() -> bool) -> Option<u64> {
    let begun = mono_us();
    while mono_us() - begun < 5_000_000 {
        if holds() {
            return Some(mono_us() - begun);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    None
}

#[test]
fn a_change_takes_effect_and_the_same_again_is_none() {
    let dir = Dir::with(&policy("20/min"));
    let store = open(&dir);
    let first = store.current();
    store.reload();
    assert_eq!(store.current().version, 1, "nothing changed");
    dir.write(&policy("30/min"));
    store.reload();
    assert_eq!(store.current().version, 2);
    assert_ne!(store.current().digest, first.digest);
    assert_eq!(first.version, 1, "a request keeps the snapshot it took");
    assert_eq!(store.status().reloads, 1);
}

#[test]
fn a_bad_change_keeps_the_last_good_and_says_why() {
    let dir = Dir::with(&policy("20/min"));
    let store = open(&dir);
    for bad in ["", "routes: [", "\u{0}", &policy("0/min")] {
        dir.write(bad);
        store.reload();
        assert_eq!(store.current().version, 1);
        assert!(!store.status().problems.is_empty(), "{bad:?}");
    }
    let failures = store.status().failures;
    assert_eq!(failures, 4);
    store.reload();
    assert_eq!(store.status().failures, failures, "the same mistake counts once");
    dir.write(&policy("20/min"));
    store.reload();
    let status = store.status();
    assert_eq!(
        (status.version, status.problems.len(), status.reloads),
        (1, 0, 0),
        "back to what is in force"
    );
}

#[test]
fn a_changed_secret_file_makes_a_new_snapshot_of_the_same_digest() {
    let dir = Dir::with("");
    std::fs::write(dir.path().join("alice.sk"), "first\n").unwrap();
    dir.write(&policy("20/min").replace(&format!("{{sha256: {}}}", "0".repeat(64)), "{file: alice.sk}"));
    let store = open(&dir);
    let first = store.current();
    std::fs::write(dir.path().join("alice.sk"), "first").unwrap();
    store.reload();
    assert_eq!(store.current().version, 1, "one newline at the end does not count");
    std::fs::write(dir.path().join("alice.sk"), "second").unwrap();
    store.reload();
    assert_eq!(store.current().version, 2);
    assert_eq!(store.current().digest, first.digest, "the digest is of policy files alone");
    std::fs::remove_file(dir.path().join("alice.sk")).unwrap();
    store.reload();
    assert_eq!(store.current().version, 2);
    assert_eq!(store.status().failures, 1);
}

#[test]
fn a_write_takes_effect_soon() {
    let dir = Dir::with(&policy("20/min"));
    let store = open(&dir);
    let _watch = store.watch();
    let mut took: Vec<u64> = (0..11)
        .map(|i| {
            let version = store.current().version;
            dir.write(&policy(&format!("{}/min", 100 + i)));
            eventually(|| store.current().version > version).expect("takes effect")
        })
        .collect();
    took.sort_unstable();
    eprintln!("write to effect: median {} ms, worst {} ms", took[5] / 1000, took[10] / 1000);
    assert!(took[5] < 1_000_000);
    assert_eq!(store.status().failures, 0, "no half-written file was taken for a policy");
}

#[test]
fn editors_folders_and_files_come_and_go() {
    let dir = Dir::with(&policy("20/min"));
    let store = open(&dir);
    let _watch = store.watch();
    let in_force = |what: &str, version| {
        eventually(|| store.current().version == version)
            .unwrap_or_else(|| panic!("{what}: {:?}", store.status()));
    };

    std::fs::write(dir.path().join(".policy.yaml.new"), policy("21/min")).unwrap();
    std::fs::rename(dir.path().join(".policy.yaml.new"), dir.path().join("policy.yaml")).unwrap();
    in_force("renamed over", 2);

    std::fs::create_dir(dir.path().join("more")).unwrap();
    std::fs::write(dir.path().join("more/plan.yaml"), "plans: {silver: []}\n").unwrap();
    in_force("a file in a new folder", 3);
    std::fs::write(dir.path().join("more/plan.yaml"), "plans: {bronze: []}\n").unwrap();
    in_force("the new folder is watched", 4);

    std::fs::remove_dir_all(dir.path()).unwrap();
    eventually(|| !store.status().problems.is_empty()).expect("an empty directory is a problem");
    assert_eq!(store.current().version, 4);
    dir.write(&policy("22/min"));
    in_force("the directory was made anew", 5);
    dir.write(&policy("23/min"));
    in_force("and is watched", 6);
}

/// As kubelet does it: a new folder, a new link, and one rename.
#[test]
fn a_config_map_is_swapped_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mount = dir.path().join("policies");
    std::fs::create_dir(&mount).unwrap();
    let swap = |n: u32| {
        let stamp = format!("..2026_{n}");
        std::fs::create_dir(mount.join(&stamp)).unwrap();
        std::fs::write(mount.join(&stamp).join("policy.yaml"), policy(&format!("{n}/min"))).unwrap();
        std::os::unix::fs::symlink(&stamp, mount.join("..data_tmp")).unwrap();
        std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
        let _first = std::fs::remove_dir_all(mount.join(format!("..2026_{}", n - 1)));
    };
    swap(1);
    std::os::unix::fs::symlink("..data/policy.yaml", mount.join("policy.yaml")).unwrap();
    let store = Store::open(mount.clone(), Live::default()).map_err(|problems| lines(&problems)).unwrap();
    let _watch = store.watch();
    for n in 2..=5 {
        swap(n);
        eventually(|| store.current().version == u64::from(n)).expect("the swap takes effect");
    }
    let status = store.status();
    assert_eq!((status.failures, status.problems.len()), (0, 0), "{status:?}");
}

#[test]
fn a_secret_outside_the_directory_is_watched_too() {
    let dir = Dir::with("");
    let secret = dir.0.path().join("secrets").join("alice");
    std::fs::create_dir(secret.parent().unwrap()).unwrap();
    std::fs::write(&secret, "first").unwrap();
    let named = format!("{{file: {}}}", secret.display());
    dir.write(&policy("20/min").replace(&format!("{{sha256: {}}}", "0".repeat(64)), &named));
    let store = open(&dir);
    let _watch = store.watch();
    std::fs::write(&secret, "second").unwrap();
    eventually(|| store.current().version == 2).expect("takes effect");
}

#[test]
fn a_dropped_store_ends_and_a_dropped_watch_stops() {
    let dir = Dir::with(&policy("20/min"));
    let store = open(&dir);
    drop(store.watch());
    dir.write(&policy("21/min"));
    std::thread::sleep(Duration::from_millis(150));
    assert_eq!(store.current().version, 1);
    let watch = store.watch();
    let weak = Arc::downgrade(&store);
    drop(store);
    assert!(eventually(|| weak.upgrade().is_none()).is_some(), "the watch holds no store");
    drop(watch);
}
