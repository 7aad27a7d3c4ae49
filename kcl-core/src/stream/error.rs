use crate::BoxError;

/// What a reader has to do about a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The cursor is no good any more: open the shard again at the last position.
    Expired,
    /// Too much was asked: try again after a longer pause.
    Throttled,
    /// Somebody else has it, or it is not ready yet: try again soon and steadily.
    Busy,
    /// The shard (or the stream) is not there any more.
    Gone,
    /// Access to this shard is denied (IAM or KMS): stop reading it and report it.
    Denied,
    /// The service failed this time: try again.
    Transient,
    /// This process did not get through to the service: no connection, no answer in time, credentials that have expired or are not to
    /// be had. Try again; if it lasts, another worker may do better.
    Unreachable,
    /// It cannot work for any shard: stop the worker.
    Fatal,
}

/// Why a call of a [`Stream`](super::Stream) gave no result.
#[derive(Debug, thiserror::Error)]
#[error("{operation}: {message}")]
#[non_exhaustive]
pub struct Error {
    /// What has to be done about it.
    pub kind: ErrorKind,
    /// The call that failed, as the service names it (`GetRecords`).
    pub operation: &'static str,
    /// What the service said, with its error code; no content of records.
    pub message: String,
    /// The cause, if there is one beneath.
    #[source]
    pub source: Option<BoxError>,
}

impl Error {
    /// An error of this kind.
    #[must_use]
    pub fn new(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        Self { kind, operation, message: message.into(), source: None }
    }

    /// The same error with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }
}
