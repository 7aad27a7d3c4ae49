//! How a program says that it failed.

use std::error::Error;
use std::fmt;

/// The exit code after an error while it worked.
pub const FAILED: u8 = 1;
/// The exit code when the command line cannot be; clap's own.
pub const USAGE: u8 = 2;

/// An error with all its causes, one line: `what: why: why that`.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            // Many errors repeat their cause in their own words.
            if !said.contains(&text) {
                write!(f, ": {text}")?;
            }
            said = text;
            next = cause.source();
        }
        Ok(())
    }
}
