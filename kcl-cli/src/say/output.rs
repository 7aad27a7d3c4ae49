use std::fmt;
use std::io::{self, Write as _};

use serde::Serialize;

use crate::failure::Failure;

/// What a command writes to standard output, all at once.
#[derive(Debug, Default)]
pub(crate) struct Output(String);

impl Output {
    /// A line.
    pub(crate) fn line(&mut self, line: impl fmt::Display) {
        use fmt::Write as _;
        // A `String` takes everything that is written to it.
        let _ = writeln!(self.0, "{line}");
    }

    /// Text that ends its lines itself.
    pub(crate) fn text(&mut self, text: impl fmt::Display) {
        use fmt::Write as _;
        let _ = write!(self.0, "{text}");
    }

    /// What was written so far.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Writes it.
    pub(crate) fn write(self) -> Result<(), Failure> {
        write(self.0.as_bytes())
    }

    /// Writes one JSON document.
    pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
        let mut text = serde_json::to_string_pretty(value)
            .map_err(|error| Failure::new("cannot write JSON", error))?;
        text.push('\n');
        write(text.as_bytes())
    }

    /// Writes a line now.
    pub(crate) fn now(line: &str) -> Result<(), Failure> {
        write(format!("{line}\n").as_bytes())
    }
}

fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)
        .and_then(|()| out.flush())
        .map_err(|error| Failure::new("cannot write to standard output", error))
}
