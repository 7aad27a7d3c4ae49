//! Standard output: one answer per command, written at once.
//!
//! Nothing else of the program prints to standard output, so what a pipe receives is exactly the
//! answer.

use std::fmt;
use std::io::{self, Write as _};

use serde::Serialize;

use crate::failure::Failure;

/// What a command writes to standard output, gathered until it is complete.
///
/// A command that fails in the middle has printed nothing, so a script never reads half an answer.
/// `tail` and `watch` write one `Output` per page or drawing instead.
#[derive(Debug, Default)]
pub(crate) struct Output(String);

impl Output {
    /// Adds a line.
    pub(crate) fn line(&mut self, line: impl fmt::Display) {
        use fmt::Write as _;
        // A `String` takes everything that is written to it.
        let _ = writeln!(self.0, "{line}");
    }

    /// Adds text that ends its lines itself, such as a [`TextTable`](super::TextTable).
    pub(crate) fn text(&mut self, text: impl fmt::Display) {
        use fmt::Write as _;
        let _ = write!(self.0, "{text}");
    }

    /// What was added so far. `watch` needs it to draw line by line over the previous drawing.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Writes all of it and flushes.
    ///
    /// # Errors
    /// Standard output cannot be written to. If its reader has gone away,
    /// [`Failure::is_broken_pipe`] recognises it, and the command ends as a success.
    pub(crate) fn write(self) -> Result<(), Failure> {
        write(self.0.as_bytes())
    }

    /// Writes one JSON document, indented, with a line break at its end.
    pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
        let mut text = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::new("cannot write JSON", error))?;
        text.push('\n');
        write(text.as_bytes())
    }

    /// Writes one line immediately: for a command that goes on afterwards, such as `kcl local`,
    /// whose endpoint a script waits for.
    pub(crate) fn now(line: &str) -> Result<(), Failure> {
        write(format!("{line}\n").as_bytes())
    }
}

/// Writes and flushes. Without the flush an error would surface at the end of the process, where
/// nobody can report it any more.
fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|error| Failure::new("cannot write to standard output", error))
}
