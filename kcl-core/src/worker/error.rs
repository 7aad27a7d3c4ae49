use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::BoxError;
use crate::decide::gap::DataGap;
use crate::fetch::fan_out::NoConsumer;
use crate::lease::{self, with_causes};
use crate::model::{LeaseKey, Position, StreamName, WorkerId};
use crate::processor::ShardRef;
use crate::stream;

/// Why a worker stopped by itself. Every fatal cause is returned here; none is only logged. The
/// text contains everything, including the service's message; each cause is also available through
/// [`source`](std::error::Error::source). The `Debug` output is the same text, because that is what
/// a `main` that returns the error prints.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// `run` was called while the worker was running, or after it had run.
    #[error("a worker can run only once: build another one")]
    AlreadyRun,
    /// The worker could not start within [`Settings::start_within`](super::Settings::start_within).
    #[error("the worker could not start within {within:?}: {}", source.as_ref().map_or_else(|| "no answer was received".to_owned(), |source| with_causes(&**source)))]
    NotStarted {
        /// The time that it had.
        within: Duration,
        /// The last error that kept it from starting; `None` if the first call was not answered.
        #[source]
        source: Option<BoxError>,
    },
    /// The lease table cannot be used.
    #[error("{}", with_causes(.0))]
    LeaseTable(#[source] lease::Error),
    /// No shard of the stream can be read by this worker.
    #[error("the stream cannot be read: {}", with_causes(.0))]
    Stream(#[source] stream::Error),
    /// The stream should be read by fan-out ([`Mode::FanOut`](super::Mode::FanOut)), but its
    /// consumer is not available.
    #[error("the stream cannot be read by fan-out: {}", with_causes(.0))]
    NoConsumer(#[source] NoConsumer),
    /// The lease table belongs to another stream: an application name was used twice.
    #[error(
        "the leases of this application belong to the stream {found}, not to {wanted}: \
         give the application another name, or read that stream"
    )]
    OtherStream {
        /// The stream that the leases name.
        found: Arc<str>,
        /// The stream that this worker reads.
        wanted: Arc<str>,
    },
    /// The leases of the stream were created by a worker that was built in another way: with a
    /// single stream ([`stream`](super::Builder::stream)) or with several
    /// ([`streams`](super::Builder::streams)). The lease keys differ, so the whole stream would be
    /// read again or, at `LATEST`, the records that are not yet processed would be skipped.
    #[error(
        "this application has read the stream {stream} {} before, but this worker is built to read it {}: the keys of its leases (such \
         as `{lease}`) would differ, and their checkpoints would be ignored. Build the worker with `{}` as before, give the application \
         another name, or delete those leases if the stream may be read from its initial position again",
        if *is_one_of_several { "as its only one" } else { "as one of several" },
        if *is_one_of_several { "as one of several" } else { "as its only one" },
        if *is_one_of_several { "stream" } else { "streams" }
    )]
    OtherMode {
        /// The ARN of the stream.
        stream: Arc<str>,
        /// One of its leases.
        lease: LeaseKey,
        /// Whether this worker was built to read it as one of several.
        is_one_of_several: bool,
    },
    /// The source that was given for a stream reads another stream: leases and checkpoints would be
    /// stored under the wrong name.
    #[error(
        "the source of the stream {wanted} reads {found}: expected a source that reads {wanted}, \
         or a stream named after its source"
    )]
    WrongSource {
        /// The name or the ARN that was given.
        wanted: StreamName,
        /// The ARN of the stream that the source reads.
        found: Arc<str>,
    },
    /// The stream was deleted and created again under the same name: the checkpoints belong to
    /// records that no longer exist.
    #[error(
        "the stream {stream} was deleted and created again after this application created its leases: the checkpoints belong to the old stream. \
         Give the application another name, or stop all its workers and delete its leases (docs/operations.md says how)"
    )]
    StreamReplaced {
        /// The stream.
        stream: Arc<str>,
    },
    /// Another live process uses the same worker id.
    #[error(
        "worker id `{worker}` is already in use by another live process: use a unique id, or omit \
         it to get a random one"
    )]
    DuplicateWorkerId {
        /// The id.
        worker: WorkerId,
    },
    /// A handler failed, and [`OnFailure::Stop`](crate::OnFailure::Stop) is set; or processors of
    /// [`handler`](crate::handler) are combined in a way that would lose records.
    #[error("the handler of {shard} failed{}: {}", at.as_ref().map_or_else(String::new, |at| format!(" at {at}")), with_causes(&**source))]
    Handler {
        /// The shard.
        shard: ShardRef,
        /// The record that failed, if the handler named it.
        at: Option<Position>,
        /// The cause.
        #[source]
        source: BoxError,
    },
    /// Records were, or may have been, lost to retention, and
    /// [`OnDataGap::Fail`](super::OnDataGap::Fail) is set.
    #[error("{shard}: {gap}")]
    DataGap {
        /// The shard.
        shard: ShardRef,
        /// The gap.
        gap: DataGap,
    },
    /// The system could not create a thread, or a part of the worker panicked, which is a bug in
    /// this crate.
    #[error("the worker cannot continue: {0}")]
    Internal(String),
}

// A `main` that returns an error prints its `Debug` output, which should be the message and not the
// fields.
impl fmt::Debug for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::ErrorKind;

    /// What a call came to: `dispatch failure`, and beneath it that nothing listens.
    fn refused() -> BoxError {
        #[derive(Debug, thiserror::Error)]
        #[error("dispatch failure")]
        struct Dispatch(#[source] std::io::Error);
        Dispatch(std::io::Error::other("connection refused")).into()
    }

    #[test]
    fn every_error_says_what_lies_beneath_it_and_says_it_once() {
        let stream =
            || stream::Error::new(ErrorKind::Fatal, "GetRecords", "no answer").caused_by(refused());
        let shard = ShardRef::new(
            "orders".parse().unwrap(),
            LeaseKey::single("shard-1"),
            "shard-1".into(),
        );
        let errors = [
            RunError::LeaseTable(lease::Error::Throttled { source: refused() }),
            RunError::LeaseTable(lease::Error::Fatal {
                message: "DescribeTable".to_owned(),
                source: Some(refused()),
            }),
            RunError::Stream(stream()),
            RunError::Handler {
                shard,
                at: None,
                source: refused(),
            },
            RunError::NotStarted {
                within: Duration::from_secs(1),
                source: Some(lease::Error::Throttled { source: refused() }.into()),
            },
        ];
        for error in errors {
            let said = error.to_string();
            assert!(
                said.ends_with("dispatch failure: connection refused"),
                "{said}"
            );
            assert_eq!(said.matches("dispatch failure").count(), 1, "{said}");
            assert_eq!(with_causes(&error), said, "nothing is said twice");
            assert_eq!(format!("{error:?}"), said, "what `main` prints");
        }
    }
}
