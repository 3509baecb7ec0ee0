//! Memory: the resident set of a process, as the kernel sums it up over all mappings.

use std::fs;
use std::io;

/// Bytes in memory now, file pages that others share included.
///
/// # Errors
/// The process has ended, or belongs to somebody else.
pub fn resident(process: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/smaps_rollup"))?;
    parse(&text).ok_or_else(|| io::Error::other("what the kernel says is in no known form"))
}

/// The line `Rss:   5264 kB`; the kernel's kB are of 1,024 bytes.
fn parse(text: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    let kib: u64 = value.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resident_set_is_found_among_the_sums() {
        let text = "55d0-7ffc ---p 00000000 00:00 0   [rollup]\nRss:                5264 kB\nPss:                1187 kB\n\
                    Pss_Anon:            548 kB\nSwap:                  0 kB\n";
        assert_eq!(parse(text), Some(5264 * 1024));
        for odd in ["", "Pss: 1 kB\n", "Rss: 1 MB\n", "Rss: kB\n"] {
            assert_eq!(parse(odd), None, "{odd:?}");
        }
    }

    #[test]
    fn what_is_touched_is_resident() {
        let before = resident(std::process::id()).unwrap();
        let touched = vec![1_u8; 64 << 20];
        let after = resident(std::process::id()).unwrap();
        assert!(after >= before + (32 << 20), "{before} and {after}");
        assert_eq!(std::hint::black_box(&touched).len(), 64 << 20);
    }
}
