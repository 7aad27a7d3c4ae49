//! What a reader of a shard gives, whichever way it reads.
//!
//! [`Fetch`] has two implementations, by polling and by subscriptions. Everything behind it, from
//! the prefetcher to the processor, is the same for both and does not know which one it is.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::decide::gap::DataGap;
use crate::model::{ChildShard, Moment, Record, Timestamp};
use crate::stream::Error;

use super::budget::Permit;
use super::fan_out::NoConsumer;

/// A way to read a shard: one page after the other, each with its permit.
#[async_trait]
pub(crate) trait Fetch: Send + fmt::Debug {
    /// The next page that says something: with records, the shard's end, or that its tip is reached
    /// for the first time. Waits for the pace, for memory, and through everything that trying again
    /// can cure. Dropping the future loses nothing: the place to resume from moves when it returns.
    async fn next(&mut self) -> Result<Fetched, FetchError>;

    /// The end that was read last is none, or not a certain one: the shard is opened again where it
    /// was, as told.
    ///
    /// It returns when the pause of `how` is over; the call itself is made by the next `next`.
    async fn open_again(&mut self, how: OpenAgain);
}

/// What a shard gave.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// User records, in order. Empty only at the shard's end, and where its tip is reached for the
    /// first time.
    pub(crate) records: Vec<Record>,
    /// The memory that the records take. None if there are no records.
    pub(crate) permit: Option<Permit>,
    /// How far behind the tip the answer was, in milliseconds, as far as it can be believed.
    pub(crate) millis_behind_latest: Option<u64>,
    /// When it was taken in, for the time that it waits for its handler.
    pub(crate) fetched: Moment,
    /// The same as wall-clock time, for the age of the records.
    pub(crate) fetched_at: Timestamp,
    /// A stretch before these records that was, or may have been, lost to retention.
    pub(crate) gap: Option<DataGap>,
    /// Nothing more was there. Told once.
    pub(crate) at_tip: bool,
    /// Why no more records follow, if that is so.
    pub(crate) end: Option<End>,
}

/// The shard has no more records to hand on.
///
/// Only the listing of the shards says whether it is one: an emulator, a proxy or a stale answer
/// may say so of an open shard.
#[derive(Debug)]
pub(crate) enum End {
    /// The answer says that it has ended.
    Closed(ReadEnd),
    /// It was read up to the bound of the reading.
    Bound,
    /// The service does not know it (any more).
    Gone,
}

/// The end of a shard, as an answer tells it: whether it has ended is for the listing to say.
#[derive(Clone, Debug)]
pub(crate) struct ReadEnd {
    /// The shards that follow, as far as the answer named them.
    pub(crate) children: Vec<ChildShard>,
    /// What was, or may have been, lost to retention before the end, if it is one.
    pub(crate) gap: Option<DataGap>,
}

/// How a shard is opened again whose end was read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OpenAgain {
    /// How long to wait before. The listing that has to confirm the end may lag behind by seconds.
    pub(crate) after: Duration,
    /// The shard is closed: it is only to be seen whether more answers say the same.
    pub(crate) is_closed: bool,
}

/// Why a shard cannot be read any further.
#[derive(Debug)]
pub(crate) enum FetchError {
    /// This shard cannot be read by this worker: access is denied, or its key in KMS.
    Denied(Error),
    /// No shard can be read: the stream does not exist, or the worker was set up wrongly.
    Fatal(Error),
    /// No shard can be read by fan-out: the worker may poll instead.
    NoConsumer(NoConsumer),
}
