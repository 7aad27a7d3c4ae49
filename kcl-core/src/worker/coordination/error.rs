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

    /// The error of a call of the lease table.
    pub(super) fn of_table(self) -> Error {
        match self {
            Self::Table(error) => error,
            other => Error::Fatal {
                message: "it could not be read".to_owned(),
                source: Some(other.into()),
            },
        }
    }

    /// The same once more, for each of those who have asked for what did not work.
    pub(super) fn again(this: &Arc<Self>) -> Self {
        match &**this {
            Self::Table(Error::Conflict { row }) => {
                Self::Table(Error::Conflict { row: row.clone() })
            }
            Self::Table(Error::Unknown { .. }) => Self::Table(Error::Unknown {
                source: Cause::of(this),
            }),
            Self::Table(Error::Throttled { .. }) => Self::Table(Error::Throttled {
                source: Cause::of(this),
            }),
            Self::Table(Error::Malformed(row)) => Self::Table(Error::Malformed(row.clone())),
            Self::Table(Error::Denied { message }) => Self::Table(Error::Denied {
                message: message.clone(),
            }),
            Self::Table(Error::Fatal { message, source }) => Self::Table(Error::Fatal {
                message: message.clone(),
                source: source.as_ref().map(|_| Cause::of(this)),
            }),
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

/// What is beneath a trouble that several have.
#[derive(Debug)]
struct Cause(Arc<CoordinationError>);

impl Cause {
    /// The cause for one of those who have asked. Errors cannot be cloned, so all of them share the
    /// one that there is.
    fn of(trouble: &Arc<CoordinationError>) -> BoxError {
        Box::new(Self(Arc::clone(trouble)))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .source()
            .map_or(Ok(()), |cause| fmt::Display::fmt(cause, f))
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source().and_then(std::error::Error::source)
    }
}

#[cfg(test)]
#[path = "error_test.rs"]
mod tests;
