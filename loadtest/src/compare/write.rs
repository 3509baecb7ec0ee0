//! Write: puts a result between the markers of a file, and nowhere else.

use std::path::Path;

use super::problem::{Context, Problem};

/// Replaces what stands between `<!-- marker -->` and `<!-- /marker -->` in a file.
///
/// # Errors
/// The file cannot be read or written, or does not have both, once each and in this order.
pub fn write(file: &Path, marker: &str, text: &str) -> Result<(), Problem> {
    let name = file.display();
    let before = std::fs::read_to_string(file).while_doing(format!("read {name}"))?;
    let missing = || Problem::NoPlace { file: name.to_string(), marker: marker.to_owned() };
    let after = replaced(&before, marker, text).ok_or_else(missing)?;
    std::fs::write(file, after).while_doing(format!("write {name}"))
}

fn replaced(before: &str, marker: &str, text: &str) -> Option<String> {
    let (open, close) = (format!("<!-- {marker} -->"), format!("<!-- /{marker} -->"));
    let (head, rest) = before.split_once(&open)?;
    let (_, tail) = rest.split_once(&close)?;
    let alone = !head.contains(&close) && !tail.contains(&open) && !tail.contains(&close);
    alone.then(|| format!("{head}{open}\n{text}\n{close}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_the_markers_changes() {
        let before = "a\n<!-- bench -->\nold\n<!-- /bench -->\nb\n";
        let after = "a\n<!-- bench -->\nnew\n<!-- /bench -->\nb\n";
        assert_eq!(replaced(before, "bench", "new").as_deref(), Some(after));
        assert_eq!(replaced(after, "bench", "new").as_deref(), Some(after), "twice is once");
    }

    #[test]
    fn a_file_without_a_place_is_left_alone() {
        for text in [
            "",
            "<!-- bench -->",
            "<!-- /bench --> <!-- bench -->",
            "<!-- bench:other --><!-- /bench:other -->",
            "<!-- bench --><!-- /bench --><!-- bench --><!-- /bench -->",
        ] {
            assert_eq!(replaced(text, "bench", "new"), None, "{text}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        let said = write(file.path(), "bench", "new").unwrap_err().to_string();
        assert!(said.contains("has no place for the result; put a line `<!-- bench -->`"), "{said}");
    }
}
