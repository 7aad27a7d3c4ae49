//! What people read: tables, colours, spans of time, progress.

pub(crate) mod log;
mod output;
mod paint;
mod progress;
mod span;
mod text_table;

pub(crate) use output::Output;
pub(crate) use paint::Paint;
pub(crate) use progress::Progress;
pub(crate) use span::span;
pub(crate) use text_table::TextTable;

/// `1 lease`, `2 leases`.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
