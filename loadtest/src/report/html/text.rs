//! Text on its way into the page.

/// Escapes a text for the content of an element and for a quoted attribute.
///
/// Everything that comes from a report passes here: scenarios, groups and messages may hold any character.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // Not allowed in HTML, not even by number.
            c if c.is_control() && c != '\n' && c != '\t' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// A table that scrolls by itself where it is wider than the page.
///
/// `head` and the first cell of each row are words, the rest is set as numbers. Cells are texts, not HTML.
pub fn table(name: &str, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let head: String = head.iter().map(|cell| format!("<th scope=\"col\">{}</th>", escaped(cell))).collect();
    let rows: String = rows.into_iter().map(|row| format!("<tr>{}</tr>", cells(&row))).collect();
    scrolling(name, &format!("<thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"))
}

/// The frame of [`table`], for who brings the rows.
pub fn scrolling(name: &str, rows: &str) -> String {
    let name = escaped(name);
    format!(
        "<div class=\"scroll\" role=\"region\" aria-label=\"{name}\" tabindex=\"0\"><table>{rows}</table></div>"
    )
}

fn cells(row: &[String]) -> String {
    let Some((head, rest)) = row.split_first() else { return String::new() };
    let rest: String = rest.iter().map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
    format!("<th scope=\"row\">{}</th>{rest}", escaped(head))
}
