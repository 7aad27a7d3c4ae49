//! Why a call to a stream failed, sorted by what the reader has to do.
//!
//! A service has dozens of error codes, and a reader has seven reactions. The implementation of the
//! stream translates once, and everything behind it decides by [`ErrorKind`] alone.

use crate::BoxError;

/// What a reader has to do about a failed call.
///
/// | kind | costs | the reader |
/// |---|---|---|
/// | `Expired` | nothing | opens the shard again where it was |
/// | `Throttled`, `Transient` | time | pauses, longer each time |
/// | `Busy` | time | asks again at a steady pace, because the other side ends by itself |
/// | `Unreachable` | time | the same, and in the end leaves the lease to another worker |
/// | `Gone` | perhaps the shard | lists the shards, which decides whether it has ended |
/// | `Denied` | the shard, for a while | stops, reports it, and tries again later |
/// | `Fatal` | the worker, or this one of several streams | stops |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The cursor has expired: open the shard again at the last position.
    Expired,
    /// The call was throttled: retry after a longer pause.
    Throttled,
    /// What the call needs is in use by another process, or not ready yet: retry soon and steadily.
    Busy,
    /// The shard (or the stream) does not exist any more.
    Gone,
    /// Access to this shard is denied (IAM or KMS): stop reading it and report it.
    Denied,
    /// The service failed this once: retry.
    Transient,
    /// This process could not reach the service: no connection, no response in time, or credentials
    /// that have expired or are not available. Retry; if it persists, another worker may be able to
    /// reach the service.
    Unreachable,
    /// The call cannot succeed for any shard: stop the worker.
    Fatal,
}

/// Why a call to a [`Stream`](super::Stream) failed.
///
/// # Examples
/// ```
/// use kcl_core::stream::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Throttled, "GetRecords", "rate exceeded for shard");
/// assert_eq!(error.to_string(), "GetRecords: rate exceeded for shard");
/// assert_eq!(error.kind, ErrorKind::Throttled);
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {message}")]
#[non_exhaustive]
pub struct Error {
    /// What to do about it.
    pub kind: ErrorKind,
    /// The call that failed, as the service names it (`GetRecords`).
    pub operation: &'static str,
    /// The service's message, with its error code. It contains no record data.
    pub message: String,
    /// The error code of the service (`ExpiredTokenException`), if it answered with one.
    pub code: Option<Box<str>>,
    /// The underlying cause, if there is one.
    #[source]
    pub source: Option<BoxError>,
}

impl Error {
    /// An error of this kind.
    #[must_use]
    pub fn new(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            operation,
            message: message.into(),
            code: None,
            source: None,
        }
    }

    /// The same error with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }
}
