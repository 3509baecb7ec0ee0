//! Reads a list of backends that another program writes: YAML or JSON.
//!
//! `- {address: "10.0.0.11:8080", weight: 2}`; a weight is 1 unless it is written. A file that is half written, or no such
//! list, is refused whole, and read again a second later.

use super::{Found, shown, whole};
use serde::Deserialize;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;

/// The longest file, in bytes.
const FILE_MAX: u64 = 1 << 20;
const WEIGHT_MAX: u32 = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    address: String,
    weight: Option<u32>,
}

/// The backends in the file at `path`; at least one.
///
/// # Errors
/// One sentence.
pub fn load(path: &Path) -> Result<Vec<Found>, String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| format!("cannot be opened: {error}"))?;
    if !file.metadata().is_ok_and(|meta| meta.is_file()) {
        return Err("not a regular file".into()); // a pipe would be waited for
    }
    file.take(FILE_MAX + 1).read_to_string(&mut text).map_err(|error| format!("cannot be read: {error}"))?;
    read(&text)
}

fn read(text: &str) -> Result<Vec<Found>, String> {
    if text.len() as u64 > FILE_MAX {
        return Err(format!("longer than {FILE_MAX} bytes"));
    }
    let entries: Vec<Entry> = serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().map(|at| format!(" (line {})", at.line())).unwrap_or_default();
        format!("not a list such as `- {{address: \"10.0.0.11:8080\", weight: 1}}`{line}")
    })?;
    if entries.is_empty() {
        return Err("an empty list; remove the pool's routes to take all of its backends away".into());
    }
    whole(entries.into_iter().map(backend).collect::<Result<_, _>>()?)
}

fn backend(entry: Entry) -> Result<Found, String> {
    let address = entry.address.parse::<SocketAddr>().ok().filter(|address| address.port() > 0);
    let address =
        address.ok_or_else(|| format!("{} is not an address with a port", shown(&entry.address)))?;
    match entry.weight.unwrap_or(1) {
        weight @ 1..=WEIGHT_MAX => Ok(Found::at(address.ip(), Some(address.port()), weight)),
        weight => Err(format!("a weight of {weight}; 1 to {WEIGHT_MAX} are possible")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seen(text: &str) -> Vec<(String, u32)> {
        let shown = |one: &Found| (SocketAddr::new(one.ip, one.port.unwrap_or(0)).to_string(), one.weight);
        read(text).unwrap().iter().map(shown).collect()
    }

    #[test]
    fn yaml_and_json_are_read() {
        let wanted = [("10.0.0.1:80".to_owned(), 1), ("[fd00::1]:8080".to_owned(), 3)];
        assert_eq!(seen("- address: 10.0.0.1:80\n- {address: \"[fd00::1]:8080\", weight: 3}\n"), wanted);
        assert_eq!(seen(r#"[{"address":"[fd00::1]:8080","weight":3},{"address":"10.0.0.1:80"}]"#), wanted);
    }

    #[test]
    fn all_else_is_refused_and_told() {
        for (text, told) in [
            ("", "list"),
            ("[]", "an empty list"),
            ("- address: 10.0.0.1", "not an address with a port"),
            ("- address: models.example.com:80", "not an address with a port"),
            ("- address: 10.0.0.1:0", "not an address with a port"),
            ("- {address: 10.0.0.1:80, weight: 0}", "a weight of 0"),
            ("- {address: 10.0.0.1:80, weigth: 2}", "not a list"),
            ("- {address: \"10.0.0.1:80\", weig", "not a list"),
            ("{a: 1}", "not a list"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC*", listed in proptest::collection::vec("[ -~]{0,40}", 0..8)) {
            let list: String = listed.iter().map(|line| format!("- {line}\n")).collect();
            for text in [text, list] {
                if let Ok(found) = read(&text) {
                    prop_assert!(!found.is_empty() && found.len() <= 1_000);
                }
            }
        }
    }
}
