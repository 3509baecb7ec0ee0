//! The table, and its place in ARCHITECTURE.md.

use std::path::Path;

pub struct Row {
    what: &'static str,
    measured: f64,
    shown: fn(f64) -> String,
    at_most: &'static str,
}

impl Row {
    pub fn ns(what: &'static str, ns: f64) -> Row {
        let shown = |ns| if ns < 1_000.0 { format!("{ns:.0} ns") } else { format!("{:.1} us", ns / 1_000.0) };
        Row { what, measured: ns, shown, at_most: "" }
    }

    pub fn ms(what: &'static str, ms: f64) -> Row {
        Row { what, measured: ms, shown: |ms| format!("{ms:.1} ms"), at_most: "" }
    }

    pub fn bytes(what: &'static str, bytes: u64) -> Row {
        Row { what, measured: bytes as f64, shown: |bytes| format!("{bytes} B"), at_most: "" }
    }

    pub fn mb(what: &'static str, bytes: u64) -> Row {
        Row { what, measured: bytes as f64 / 1e6, shown: |mb| format!("{mb:.1} MB"), at_most: "" }
    }

    pub fn at_most(self, at_most: &'static str) -> Row {
        Row { at_most, ..self }
    }

    /// The same of two rounds, the quicker of both.
    pub fn quicker(self, other: Row) -> Row {
        assert_eq!(self.what, other.what, "rounds have the same rows");
        if other.measured < self.measured { other } else { self }
    }
}

pub fn of(rows: &[Row]) -> String {
    let mut table = format!(
        "`cargo bench --bench limit_admit` on {}. Medians are of 64 calls between two readings of the clock, tails of\n\
         single calls; time is given to the limiter. Times are those of the quickest of five rounds, some seconds apart:\n\
         what else runs on a shared machine only ever adds to them.\n\n| what | measured | at most |\n| --- | --- | --- |",
        machine()
    );
    for Row { what, measured, shown, at_most } in rows {
        table.push_str(&format!("\n| {what} | {} | {at_most} |", shown(*measured)));
    }
    table
}

/// Its processor, as Linux names it, and how many threads run at once.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map(|name| name.trim_matches([' ', '\t', ':']));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{} ({threads} threads)", name.unwrap_or(std::env::consts::ARCH))
}

/// Replaces what stands between the markers.
pub fn write(table: &str) {
    const OPEN: &str = "<!-- limits -->";
    const CLOSE: &str = "<!-- /limits -->";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ARCHITECTURE.md");
    let before = std::fs::read_to_string(&file).expect("ARCHITECTURE.md is readable");
    let (head, rest) = before.split_once(OPEN).expect("it has a line `<!-- limits -->`");
    let (_, tail) = rest.split_once(CLOSE).expect("it has a line `<!-- /limits -->` after that");
    std::fs::write(&file, format!("{head}{OPEN}\n{table}\n{CLOSE}{tail}"))
        .expect("ARCHITECTURE.md is writable");
}
