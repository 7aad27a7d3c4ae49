use std::fmt;

use super::Paint;

/// Columns for people: each as wide as its widest cell, two spaces between them, and nothing behind
/// the last.
#[derive(Debug)]
pub(crate) struct TextTable {
    paint: Paint,
    head: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
}

#[derive(Debug)]
struct Cell {
    /// How wide it is: colours are not counted.
    width: usize,
    text: String,
}

/// What a cell has where there is nothing.
const NOTHING: &str = "-";

impl TextTable {
    /// A table with these columns.
    pub(crate) fn new(paint: Paint, head: impl IntoIterator<Item = &'static str>) -> Self {
        Self {
            paint,
            head: head.into_iter().collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
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

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// How many characters are seen: none of an escape sequence, which ends with `m`.
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
