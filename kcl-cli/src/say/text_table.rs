//! Tables for people, aligned by what is seen on the screen.
//!
//! ```text
//! LEASE                 STATE    HOLDER
//! shardId-000000000000  expired  one
//! shardId-000000000001  free     -
//! ```

use std::fmt;

use super::Paint;

/// A table for people: each column is as wide as its widest cell, with two spaces between columns
/// and none behind the last one, so that nothing wraps that need not.
#[derive(Debug)]
pub(crate) struct TextTable {
    /// For the head, which is bold on a terminal.
    paint: Paint,
    /// The names of the columns, in capitals as in `ps` and `kubectl`.
    head: Vec<&'static str>,
    /// A row may have fewer cells than the head; it then ends early.
    rows: Vec<Vec<Cell>>,
}

/// A text with its width on the screen, computed once.
#[derive(Debug)]
struct Cell {
    /// Columns on the screen. Escape sequences of colours take none.
    width: usize,
    /// With its colours.
    text: String,
}

/// Stands for an empty cell, so that a row can be split at white space: `awk '{print $4}'` works.
const NOTHING: &str = "-";

impl TextTable {
    /// A table with these columns and no row.
    pub(crate) fn new(paint: Paint, head: impl IntoIterator<Item = &'static str>) -> Self {
        Self {
            paint,
            head: head.into_iter().collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row. Cells may be coloured; an empty one is shown as `-`.
    ///
    /// A cell must not contain a line break; values that come from records are escaped before.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cell = |text: String| {
            let text = if text.is_empty() {
                NOTHING.to_owned()
            } else {
                text
            };
            Cell {
                width: width(&text),
                text,
            }
        };
        self.rows.push(cells.into_iter().map(cell).collect());
    }

    /// Whether there is no row. A command then says so instead of printing a lone head.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// The number of characters that are seen. An escape sequence, which for colours ends with `m`,
/// counts as none; counting it would push coloured rows out of their columns.
fn width(text: &str) -> usize {
    let mut escaped = false;
    let seen = |character: &char| {
        if *character == '\x1b' {
            escaped = true;
        }
        let counts = !escaped;
        escaped &= *character != 'm';
        counts
    };
    text.chars().filter(seen).count()
}

/// The head and the rows, a line each. A cell wider than its column cannot occur: widths are
/// computed from all rows first, so nothing is printed before the last row is known.
impl fmt::Display for TextTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.head.len();
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                cells
                    .map(|cell| cell.width)
                    .chain([self.head[column].len()])
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let head: Vec<Cell> = self
            .head
            .iter()
            .map(|name| Cell {
                width: name.len(),
                text: self.paint.bold(name),
            })
            .collect();
        for row in [&head].into_iter().chain(&self.rows) {
            for (column, cell) in row.iter().enumerate() {
                f.write_str(&cell.text)?;
                if column + 1 < row.len() {
                    let gap = widths[column] + 2 - cell.width;
                    write!(f, "{:gap$}", "")?;
                }
            }
            f.write_str("\n")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A coloured cell has nine more characters than it shows.
    #[test]
    fn columns_are_as_wide_as_what_is_seen_in_them() {
        let mut table = TextTable::new(Paint::of_output(), ["A", "LONG", "B"]);
        table.row([
            "\x1b[31mred\x1b[0m".to_owned(),
            String::new(),
            "x".to_owned(),
        ]);
        table.row(["a".to_owned(), "b".to_owned(), "c".to_owned()]);
        assert_eq!(
            table.to_string(),
            "A    LONG  B\n\x1b[31mred\x1b[0m  -     x\na    b     c\n"
        );
    }
}
