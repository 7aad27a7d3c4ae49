use std::fmt;

use async_trait::async_trait;

use crate::decide::gap::DataGap;
use crate::model::{ChildShard, Moment, Record, Timestamp};
use crate::stream::Error;

use super::budget::Permit;
use super::fan_out::NoConsumer;

/// A way to read a shard: one page after the other, each with its permit.
#[async_trait]
pub(crate) trait Fetch: Send + fmt::Debug {
    /// The next page that says something: with records, the shard's end, or that its tip is reached for the first time. Waits for
    /// the pace, for memory, and through everything that trying again can cure. Dropping the future loses nothing: the place to resume from moves when it returns.
    async fn next(&mut self) -> Result<Fetched, FetchError>;
}

/// What a shard gave.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// User records, in order. Empty only at the shard's end, and where its tip is reached for the first time.
    pub(crate) records: Vec<Record>,
    pub(crate) permit: Option<Permit>,
    pub(crate) millis_behind_latest: Option<u64>,
    pub(crate) fetched: Moment,
    pub(crate) fetched_at: Timestamp,
    /// A stretch before these records that was, or may have been, lost to retention.
    pub(crate) gap: Option<DataGap>,
    /// Nothing more was there. Told once.
    pub(crate) at_tip: bool,
    pub(crate) end: Option<End>,
}

/// The shard has no more records to hand on.
#[derive(Debug)]
pub(crate) enum End {
    /// It ended; these follow, as far as the service said.
    Closed(Vec<ChildShard>),
    /// It was read up to the bound of the reading.
    Bound,
    /// The service does not know it (any more).
    Gone,
}

/// Why a shard cannot be read any further.
#[derive(Debug)]
pub(crate) enum FetchError {
    /// This shard cannot be read by this worker.
    Denied(Error),
    /// No shard can.
    Fatal(Error),
    /// No shard can, by fan-out.
    NoConsumer(NoConsumer),
}
