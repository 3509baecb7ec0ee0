//! The store under restarts, kills, and files that are not what they should be.

use super::*;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

fn entry(serial: u32, used: u64) -> Entry {
    Entry { serial, used }
}

fn stored(store: &mut Store) -> BTreeMap<String, Entry> {
    store.load().unwrap().collect()
}

/// Why the directory cannot be opened.
fn refusal(dir: &Path) -> String {
    Store::open(dir).expect_err("opened").to_string()
}

fn named<'a>(entries: impl IntoIterator<Item = (&'a str, Entry)>) -> BTreeMap<String, Entry> {
    entries.into_iter().map(|(name, entry)| (name.to_string(), entry)).collect()
}

#[test]
fn what_was_saved_is_there_when_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("made/on/the/way");
    let (daily, monthly, other) =
        ("tenant/acme/daily", "tenant/acme/monthly", "tenant/acme/model/盘古/daily");
    let mut store = Store::open(&dir).unwrap();
    assert_eq!(stored(&mut store), BTreeMap::new());
    store.save([(daily, entry(20_779, 5)), (monthly, entry(682, u64::MAX))]).unwrap();
    store
        .save([(other, entry(u32::MAX, 1)), (daily, entry(20_780, 1)), (other, entry(u32::MAX, 0))])
        .unwrap();
    store.save([]).unwrap();
    drop(store);

    let mut store = Store::open(&dir).unwrap();
    let expected = [(daily, entry(20_780, 1)), (monthly, entry(682, u64::MAX)), (other, entry(u32::MAX, 0))];
    assert_eq!(stored(&mut store), named(expected));
    store.forget([daily, other, "tenant/nobody/daily"]).unwrap();
    drop(store);
    assert_eq!(stored(&mut Store::open(&dir).unwrap()), named([(monthly, entry(682, u64::MAX))]));
}

#[test]
fn a_directory_belongs_to_one_gateway() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let text = format!("{} is in use by another gateway", dir.path().display());
    assert!(refusal(dir.path()).starts_with(&text), "{}", refusal(dir.path()));
    drop(store);
    Store::open(dir.path()).unwrap();
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::NamedTempFile::new().unwrap();
    let dir = dir.path().join("below-a-file");
    let text = format!("cannot use the state directory {}: ", dir.display());
    assert!(refusal(&dir).starts_with(&text), "{}", refusal(&dir));
}

/// Saves `n` budgets, of each of which `used` is spent.
fn save_all(store: &mut Store, n: usize, used: u64) {
    let names: Vec<String> = (0..n).map(|i| format!("tenant/t{:06}/daily", i * 7_919 % n)).collect();
    store.save(names.iter().map(|name| (name.as_str(), entry(20_779, used)))).unwrap();
}

/// The bytes of a store of 500 budgets, closed.
fn written(dir: &Path) -> Vec<u8> {
    save_all(&mut Store::open(dir).unwrap(), 500, 7);
    fs::read(dir.join("state.redb")).unwrap()
}

#[test]
fn a_file_that_is_not_a_store_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let whole = written(dir.path());
    let file = dir.path().join("state.redb");
    let halves = whole[..whole.len() / 2].to_vec();
    for wrong in [
        Vec::new(),
        b"budgets: {}\n".to_vec(),
        vec![0; 4096],
        vec![0; whole.len()],
        halves,
        whole[..20].to_vec(),
    ] {
        fs::write(&file, &wrong).unwrap();
        let text = refusal(dir.path());
        assert!(text.contains("state.redb is damaged (") && text.contains("move it away"), "{text}");
        assert!(fs::read(&file).unwrap() == wrong, "changed");
    }
}

#[test]
fn a_store_of_another_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let transaction = store.database.as_ref().unwrap().begin_write().unwrap();
    transaction.open_table(ABOUT).unwrap().insert("version", 7).unwrap();
    transaction.commit().unwrap();
    drop(store);
    let text = refusal(dir.path());
    assert!(text.contains("written by another version of the gateway (format 7)"), "{text}");
}

#[test]
fn another_programs_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(Database::create(dir.path().join("state.redb")).unwrap());
    let text = refusal(dir.path());
    assert!(text.contains("is damaged (Table 'about' does not exist)"), "{text}");
}

#[test]
fn a_flipped_byte_is_noticed_or_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let whole = written(dir.path());
    let before = stored(&mut Store::open(dir.path()).unwrap());
    let file = dir.path().join("state.redb");
    let mut noticed = 0;
    for i in 0..200 {
        let mut bytes = whole.clone();
        let at = i * 7_919 % bytes.len();
        bytes[at] ^= 0x5a;
        fs::write(&file, &bytes).unwrap();
        match Store::open(dir.path()).map(|mut store| stored(&mut store)) {
            Ok(after) => assert!(after == before, "byte {at} was used unseen"),
            Err(Problem::Damaged { .. }) => noticed += 1,
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
    assert!(noticed > 40, "only {noticed} of 200; half of the file is in use");
}

#[test]
fn what_was_left_by_a_start_that_was_killed_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("state.redb.new"), vec![0; 100_000]).unwrap();
    written(dir.path());
    assert!(!dir.path().join("state.redb.new").exists());
}

#[test]
fn a_file_that_is_gone_or_another_takes_no_saves_until_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let (at, away) = (dir.path().join("state"), dir.path().join("away"));
    let (file, elsewhere) = (at.join("state.redb"), away.join("state.redb"));
    let mut store = Store::open(&at).unwrap();
    save_all(&mut store, 1, 1);
    let mut refused = || {
        let nothing = store.save([]).expect_err("saved").to_string();
        let one = store.save([("tenant/acme/daily", entry(20_779, 2))]).expect_err("saved").to_string();
        assert!(nothing == one && one.contains("state.redb was moved, removed or replaced"), "{one}");
    };
    fs::rename(&at, &away).unwrap();
    refused();
    fs::create_dir(&at).unwrap();
    fs::copy(&elsewhere, &file).unwrap();
    refused();
    fs::remove_file(&file).unwrap();
    refused();
    fs::rename(&elsewhere, &file).unwrap();
    store.save([("tenant/acme/daily", entry(20_779, 3))]).unwrap();
    drop(store);
    assert_eq!(stored(&mut Store::open(&at).unwrap())["tenant/acme/daily"], entry(20_779, 3));
}

#[test]
fn a_link_is_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, at) = (dir.path().join("disk"), dir.path().join("state"));
    drop(Store::open(&disk).unwrap());
    fs::create_dir(&at).unwrap();
    std::os::unix::fs::symlink(disk.join("state.redb"), at.join("state.redb")).unwrap();
    save_all(&mut Store::open(&at).unwrap(), 1, 7);
    assert_eq!(stored(&mut Store::open(&disk).unwrap()).len(), 1);

    fs::rename(&disk, dir.path().join("not-mounted")).unwrap();
    let text = refusal(&at);
    assert!(text.contains("state.redb: No such file"), "{text}");
    assert!(fs::symlink_metadata(at.join("state.redb")).unwrap().is_symlink());
}

/// Names the directory to save to, in the program that is to be killed.
const VICTIM: &str = "PANGU_GATEWAY_TEST_SAVES_TO";

#[test]
fn what_was_saved_last_is_there_after_a_kill_at_any_moment() {
    let dir = tempfile::tempdir().unwrap();
    let mut last = 0;
    for round in 0..12 {
        let mut victim = Victim::start(dir.path());
        let saved = victim.saves();
        let first = saved.recv_timeout(Duration::from_secs(60)).expect("the victim saves");
        std::thread::sleep(Duration::from_millis(3 + round * 7)); // wherever it is then
        victim.kill();
        let told = saved.iter().last().unwrap_or(first);

        let entries = stored(&mut Store::open(dir.path()).unwrap());
        assert_eq!(entries.len(), 300);
        last = entries.values().next().map_or(0, |entry| entry.used);
        assert!(entries.values().all(|entry| entry.used == last), "a save in parts: {entries:?}");
        assert!(last == told || last == told + 1, "{told} was told, {last} is stored");
    }
    assert!(last > 20, "{last} saves in all: too few to prove anything");
}

#[test]
fn a_first_start_killed_at_any_moment_does_not_stop_the_next() {
    for delay_ms in 0..25 {
        let dir = tempfile::tempdir().unwrap();
        let mut victim = Victim::start(dir.path());
        std::thread::sleep(Duration::from_millis(delay_ms));
        victim.kill();
        Store::open(dir.path()).unwrap();
    }
}

/// This program once more, which saves without end.
struct Victim(Child);

impl Victim {
    fn start(dir: &Path) -> Victim {
        let test = "state::tests::victim_saves_until_it_is_killed";
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", test, "--nocapture"]).env(VICTIM, dir).stdout(Stdio::piped());
        Victim(command.spawn().unwrap())
    }

    /// The numbers of its saves, each told once the save is complete.
    fn saves(&mut self) -> Receiver<u64> {
        let stdout = self.0.stdout.take().unwrap();
        let (tell, told) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.filter_map(|line| line.strip_prefix("saved ")?.parse().ok()).try_for_each(|n| tell.send(n))
        });
        told
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn victim_saves_until_it_is_killed() {
    let Some(dir) = std::env::var_os(VICTIM) else { return };
    let mut store = Store::open(Path::new(&dir)).unwrap();
    let before = stored(&mut store).values().next().map_or(0, |entry| entry.used);
    for used in before + 1..before + 100_000 {
        save_all(&mut store, 300, used);
        println!("saved {used}");
    }
}

#[test]
#[allow(clippy::disallowed_methods)] // measures, and decides nothing
fn a_hundred_thousand_budgets_are_saved_in_seconds() {
    let n = if cfg!(debug_assertions) { 10_000 } else { 100_000 }; // a tenth of the speed, a tenth of the work
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let mut clock = std::time::Instant::now();
    let mut lap = || std::mem::replace(&mut clock, std::time::Instant::now()).elapsed();
    save_all(&mut store, n, 1);
    let first = lap();
    save_all(&mut store, n, 2);
    let again = lap();
    save_all(&mut store, 1, 3);
    let one = lap();
    drop(store);
    lap();
    let mut store = Store::open(dir.path()).unwrap();
    let open = lap();
    assert_eq!(store.load().unwrap().count(), n);
    println!(
        "{n} budgets: saved {first:.0?}, again {again:.0?}, one {one:.0?}; opened {open:.0?}, read {:.0?}",
        lap()
    );
    assert!(first.max(again) < Duration::from_secs(15), "{first:?}, {again:?}");
}
