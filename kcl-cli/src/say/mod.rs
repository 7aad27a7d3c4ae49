//! What people read: tables, colours, lengths of time, progress.
//!
//! A command collects its whole answer in an [`Output`] and writes it at once, so that an error in
//! the middle leaves no half answer behind. [`Paint`] is asked for every colour and says no when
//! standard output is not a terminal; a command never decides that itself.

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

/// A number with its noun: `1 lease`, `2 leases`. The plural is given, because English has too many
/// exceptions to compute it.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
