//! How a command ends, and what the shell learns of it.
//!
//! | exit code | source |
//! |---|---|
//! | 0 | [`Ended::Well`], or a reader of the output that has gone away |
//! | 1 | [`Ended::WithFindings`] |
//! | 2 | clap: the command line is invalid |
//! | 3 | a [`Failure`] |
//!
//! Scripts and monitors rely on the difference between 1 and 3: with 1 the answer is on standard
//! output, with 3 there is none.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use kcl_core::BoxError;

/// How a command ended that did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Nothing needs attention: exit code 0.
    Well,
    /// Exit code 1: `check` found a problem, `lag` a lease beyond `--max`, or `export` or `import`
    /// refused and has already said on standard error why.
    WithFindings,
}

/// The error of a command that could not do its work: exit code 3.
///
/// It is for people only. Nothing in the program decides by it, so it has no kinds: a text that
/// says what was wrong, and the cause below it.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct Failure {
    /// What was wrong, what was got and what is expected, without a full stop: the causes follow
    /// it.
    what: String,
    /// The cause, whose own chain is printed too. None if the command line itself is at fault.
    #[source]
    source: Option<BoxError>,
}

/// The exit code of [`Ended::WithFindings`], as `diff` has it for two files that differ.
const FINDINGS: u8 = 1;
/// The exit code of a [`Failure`]. 2 is taken: clap uses it for an invalid command line.
const FAILED: u8 = 3;

impl Failure {
    /// A failure with a cause: `what` says what could not be done.
    pub(crate) fn new(what: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self {
            what: what.into(),
            source: Some(source.into()),
        }
    }

    /// A failure without a cause: `what` says what was wrong, what was got and what is expected.
    pub(crate) fn of(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            source: None,
        }
    }

    /// Whether the reader of the output has gone away, as `head` does in `kcl leases billing |
    /// head`. That is how the user wanted it: there is no message, and the exit code is 0.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        let source = self.source.as_ref();
        source
            .and_then(|source| source.downcast_ref::<io::Error>())
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The failure and all its causes on one line, `what: cause: cause of the cause`.
    ///
    /// A cause is left out if the text so far already contains it. The errors of the SDK and of
    /// this workspace both repeat their causes in part, and the same sentence twice hides the one
    /// that helps.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.what.clone();
        let mut cause = self.source();
        while let Some(error) = cause {
            let said = error.to_string();
            // Many errors repeat their cause in their own text.
            if !text.contains(&said) {
                text = format!("{text}: {said}");
            }
            cause = error.source();
        }
        text
    }
}

/// The exit code of a command. A failure is printed on standard error first.
pub(crate) fn code(ended: Result<Ended, Failure>) -> ExitCode {
    match ended {
        Ok(Ended::Well) => ExitCode::SUCCESS,
        Ok(Ended::WithFindings) => FINDINGS.into(),
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {}", failure.chain());
            FAILED.into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `cannot read: no table: no table` was what a user saw before.
    #[test]
    fn a_failure_says_its_causes_once() {
        let failure = Failure::new("cannot read", io::Error::other("no table"));
        assert_eq!(failure.chain(), "cannot read: no table");
        let failure = Failure::new("cannot read: no table", io::Error::other("no table"));
        assert_eq!(failure.chain(), "cannot read: no table");
    }
}
