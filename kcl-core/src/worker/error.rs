use std::sync::Arc;
use std::time::Duration;

use crate::BoxError;
use crate::decide::gap::DataGap;
use crate::fetch::fan_out::NoConsumer;
use crate::lease;
use crate::model::{LeaseKey, Position, StreamName, WorkerId};
use crate::processor::ShardRef;
use crate::stream;

/// Why a worker stopped by itself. Every fatal cause comes out here; none is only logged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// `run` was called while the worker runs, or after it has run.
    #[error("a worker can run only once: build another one")]
    AlreadyRun,
    /// The worker could not start in the time that [`Settings::start_within`](super::Settings::start_within) gives it.
    #[error("the worker could not start within {within:?}: {}", source.as_ref().map_or_else(|| "no answer came".to_owned(), ToString::to_string))]
    NotStarted {
        /// The time.
        within: Duration,
        /// What kept it from starting, as it was said last; nothing when the first call was not answered.
        #[source]
        source: Option<BoxError>,
    },
    /// The lease table cannot be used.
    #[error("the lease table cannot be used")]
    LeaseTable(#[source] lease::Error),
    /// The stream cannot be read by anybody here.
    #[error("the stream cannot be read")]
    Stream(#[source] stream::Error),
    /// The stream is to be read by fan-out ([`Mode::FanOut`](super::Mode::FanOut)), and its consumer is not available.
    #[error("the stream cannot be read by fan-out")]
    NoConsumer(#[source] NoConsumer),
    /// The lease table belongs to another stream: an application name was used twice.
    #[error(
        "the leases of this application belong to the stream {found}, not to {wanted}: \
         give the application another name, or read that stream"
    )]
    OtherStream {
        /// The stream that the rows name.
        found: Arc<str>,
        /// The stream that is to be read.
        wanted: Arc<str>,
    },
    /// The leases of the stream were made by a worker that was built in another way: with the stream as its only one
    /// ([`stream`](super::Builder::stream)), or with several ([`streams`](super::Builder::streams)). The keys of their leases
    /// differ, so all of the stream would be read again, or, at `LATEST`, what is left to read would be skipped.
    #[error(
        "the stream {stream} was read by this application {}, and is to be read {} now: its leases (as `{lease}`) have other keys, and their \
         checkpoints would not count. Build the worker with `{}` as before; or give the application another name; or delete those \
         leases, if the stream may be begun anew",
        if *is_one_of_several { "as its only one" } else { "as one of several" },
        if *is_one_of_several { "as one of several" } else { "as its only one" },
        if *is_one_of_several { "stream" } else { "streams" }
    )]
    OtherMode {
        /// The ARN of the stream.
        stream: Arc<str>,
        /// One of its leases.
        lease: LeaseKey,
        /// Whether this worker was to read it as one of several.
        is_one_of_several: bool,
    },
    /// A stream was to be read by a source that reads another one: its leases and checkpoints would stand under the wrong name.
    #[error(
        "the source that was given for the stream {wanted} reads {found}: give the stream the name that its source reads, or give it \
         a source that reads {wanted}"
    )]
    WrongSource {
        /// The name or the ARN that was given.
        wanted: StreamName,
        /// The ARN of the stream that the source reads.
        found: Arc<str>,
    },
    /// The stream was deleted and made again under the same name: the checkpoints belong to records that are gone.
    #[error(
        "the stream {stream} was deleted and made again after the leases of this application: its checkpoints belong to the old one. \
         Give the application another name, or delete its leases"
    )]
    StreamReplaced {
        /// The stream.
        stream: Arc<str>,
    },
    /// Another live process works under the same worker id.
    #[error("worker id `{worker}` is already in use by another live process: use a unique id, or omit it to get a random one")]
    DuplicateWorkerId {
        /// The id.
        worker: WorkerId,
    },
    /// A handler failed, and [`OnFailure::Stop`](crate::OnFailure::Stop) was asked for.
    #[error("the handler of {shard} failed{}", at.as_ref().map_or_else(String::new, |at| format!(" at {at}")))]
    Handler {
        /// The shard.
        shard: ShardRef,
        /// Where, if the handler said so.
        at: Option<Position>,
        /// The cause.
        #[source]
        source: BoxError,
    },
    /// Records were, or may have been, lost to retention, and [`OnDataGap::Fail`](super::OnDataGap::Fail) was asked for.
    #[error("{shard}: {gap}")]
    DataGap {
        /// The shard.
        shard: ShardRef,
        /// The gap.
        gap: DataGap,
    },
    /// The system gives no thread, or a part of the worker panicked: a defect of this crate.
    #[error("the worker cannot continue: {0}")]
    Internal(String),
}
