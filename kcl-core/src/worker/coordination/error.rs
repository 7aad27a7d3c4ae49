use std::error::Error as _;
use std::fmt;
use std::sync::Arc;

use crate::BoxError;
use crate::decide::shards::Inconsistent;
use crate::lease::{Error, with_causes};
use crate::stream::{self, ErrorKind};
use crate::worker::error::RunError;
use crate::worker::streams::ReadStream;

/// Why something of the coordination did not work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CoordinationError {
    /// A call of the lease table failed.
    #[error(transparent)]
    Table(#[from] Error),
    /// A call of a stream failed.
    #[error(transparent)]
    Stream(#[from] stream::Error),
    /// The listing contradicts itself: it was taken while the stream was resharded. Another one is
    /// asked for.
    #[error(transparent)]
    Listing(#[from] Inconsistent),
    /// The worker has to end, and this is what its `run` returns.
    #[error(transparent)]
    Fatal(RunError),
}

impl CoordinationError {
    /// The same of one stream of several: that it cannot be listed is no reason to stop reading the
    /// others.
    pub(super) fn of_stream(self, of: &ReadStream) -> Self {
        match self {
            Self::Stream(error)
                if of.is_one_of_several()
                    && matches!(error.kind, ErrorKind::Fatal | ErrorKind::Denied) =>
            {
                Self::Stream(stream::Error {
                    kind: ErrorKind::Unreachable,
                    ..error
                })
            }
            other => other,
        }
    }

    /// What it is to a reader, if the stream said it.
    pub(super) const fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Stream(error) => Some(error.kind),
            Self::Table(_) | Self::Listing(_) | Self::Fatal(_) => None,
        }
    }

    /// The cause, if trying again does not help.
    pub(super) fn fatal(self) -> Result<RunError, Self> {
        match self {
            Self::Fatal(error) => Ok(error),
            // That row alone: it is told of where it is seen.
            Self::Table(Error::Malformed(_)) => Err(self),
            Self::Table(error) if !error.is_transient() => Ok(RunError::LeaseTable(error)),
            Self::Stream(error)
                if matches!(
                    error.kind,
                    ErrorKind::Fatal | ErrorKind::Denied | ErrorKind::Gone
                ) =>
            {
                Ok(RunError::Stream(error))
            }
            other => Err(other),
        }
    }

    /// The stream is not there, or has no answer yet: that may change any moment.
    pub(super) fn is_not_yet(&self) -> bool {
        matches!(self, Self::Stream(error) if matches!(error.kind, ErrorKind::Gone | ErrorKind::Transient))
    }

    /// The same once more, for each of those who have asked for what did not work.
    pub(super) fn again(this: &Arc<Self>) -> Self {
        match &**this {
            Self::Table(error) => Self::Table(table_again(error, || Cause::of(this))),
            Self::Stream(error) => {
                let same = stream::Error::new(error.kind, error.operation, error.message.clone());
                Self::Stream(if error.source.is_some() {
                    same.caused_by(Cause::of(this))
                } else {
                    same
                })
            }
            Self::Listing(error) => Self::Listing(error.clone()),
            Self::Fatal(error) => Self::Fatal(RunError::Internal(with_causes(error))),
        }
    }
}

/// The error of a call of the lease table once more, for each of those who have shared the call.
pub(super) fn shared(this: &Arc<Error>) -> Error {
    table_again(this, || Cause::of(this))
}

/// The same error, with what is beneath it made anew.
fn table_again(error: &Error, cause: impl FnOnce() -> BoxError) -> Error {
    match error {
        Error::Conflict { row } => Error::Conflict { row: row.clone() },
        Error::Unknown { .. } => Error::Unknown { source: cause() },
        Error::Throttled { .. } => Error::Throttled { source: cause() },
        Error::Malformed(row) => Error::Malformed(row.clone()),
        Error::Denied { message } => Error::Denied {
            message: message.clone(),
        },
        Error::Fatal { message, source } => Error::Fatal {
            message: message.clone(),
            source: source.as_ref().map(|_| cause()),
        },
    }
}

/// What is beneath a trouble that several have.
#[derive(Debug)]
struct Cause<E>(Arc<E>);

impl<E: std::error::Error + Send + Sync + 'static> Cause<E> {
    /// The cause for one of those who have asked. Errors cannot be cloned, so all of them share the
    /// one that there is.
    fn of(trouble: &Arc<E>) -> BoxError {
        Box::new(Self(Arc::clone(trouble)))
    }
}

impl<E: std::error::Error> fmt::Display for Cause<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .source()
            .map_or(Ok(()), |cause| fmt::Display::fmt(cause, f))
    }
}

impl<E: std::error::Error> std::error::Error for Cause<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source().and_then(std::error::Error::source)
    }
}

#[cfg(test)]
#[path = "error_test.rs"]
mod tests;
