//! Error messages and exit codes of a program.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use kcl_core::worker::SettingError;

/// The exit code after an error at run time.
pub const FAILED: u8 = 1;
/// The exit code for an invalid command line, the same as clap's.
pub const USAGE: u8 = 2;

/// Prints the error on standard error, and returns the exit code for it.
#[must_use]
pub fn failure(error: &(dyn Error + Send + Sync + 'static)) -> u8 {
    eprintln!("error: {}", Chain(error));
    // The worker's builder checks the values of options.
    if error.is::<SettingError>() {
        USAGE
    } else {
        FAILED
    }
}

/// The exit code for the outcome of a program.
#[must_use]
pub fn code(ended: Result<u8, Box<dyn Error + Send + Sync>>) -> ExitCode {
    ended.unwrap_or_else(|error| failure(&*error)).into()
}

/// Displays an error with all its causes on one line: `what: why: why that`.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        let mut all = said.clone();
        f.write_str(&said)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            // Many errors repeat their cause in their own text, and some causes repeat the error
            // that they caused.
            if let Some(more) = text.strip_prefix(&said) {
                f.write_str(more)?;
                all.push_str(more);
            } else if !all.contains(&text) {
                write!(f, ": {text}")?;
                all.push_str(&text);
            }
            said = text;
            next = cause.source();
        }
        Ok(())
    }
}
