use std::error::Error;
use std::io;
use std::process::ExitCode;

use kcl_core::BoxError;

/// How a command ended that did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// All is as it should be.
    Well,
    /// Something was found that it was to look for, or it refused to do what it was asked to.
    WithFindings,
}

/// A command could not do its work.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub(crate) struct Failure {
    what: String,
    #[source]
    source: Option<BoxError>,
}

const FINDINGS: u8 = 1;
/// 2 is clap's, for a command line that cannot be.
const FAILED: u8 = 3;

impl Failure {
    /// What could not be done, and why.
    pub(crate) fn new(what: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self {
            what: what.into(),
            source: Some(source.into()),
        }
    }

    /// What was wrong, what was got and what is expected.
    pub(crate) fn of(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            source: None,
        }
    }

    /// Nobody reads the output any more, as in `kcl leases billing | head`.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        let source = self.source.as_ref();
        source
            .and_then(|source| source.downcast_ref::<io::Error>())
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// The failure and all that lies beneath it, in one line.
    fn chain(&self) -> String {
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

/// The exit code; a failure is said on standard error.
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

    #[test]
    fn a_failure_says_its_causes_once() {
        let failure = Failure::new("cannot read", io::Error::other("no table"));
        assert_eq!(failure.chain(), "cannot read: no table");
        let failure = Failure::new("cannot read: no table", io::Error::other("no table"));
        assert_eq!(failure.chain(), "cannot read: no table");
    }
}
