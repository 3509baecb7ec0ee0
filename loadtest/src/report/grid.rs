//! Text in columns, for terminals.

/// Rows of cells that become lines with aligned columns.
#[derive(Debug)]
pub struct Grid {
    left: usize,
    rows: Vec<Vec<String>>,
}

impl Grid {
    /// A grid whose first `left` columns are words, set to the left; numbers follow, set to the right.
    pub fn new(left: usize) -> Grid {
        Grid { left, rows: Vec::new() }
    }

    /// Adds a line.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell.into())).collect());
    }

    /// The lines, each `indent` spaces in and with a newline.
    pub fn lines(&self, indent: usize) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|i| {
                self.rows.iter().filter_map(|row| row.get(i)).map(|c| c.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(indent);
            for (i, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let fill = " ".repeat(width - cell.chars().count());
                let gap = if i > 0 { "  " } else { "" };
                let (before, after) = if i < self.left { ("", &*fill) } else { (&*fill, "") };
                line += &format!("{gap}{before}{cell}{after}");
            }
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}

/// The text without what a terminal would obey: names and messages come from files and from the wire.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
