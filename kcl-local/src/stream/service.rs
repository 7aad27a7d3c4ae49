//! The state that the operations share.

use std::sync::Arc;
use std::time::Duration;

use ferrokinesis::store::Store;
use ferrokinesis::types::{Shard, Stream};
use tokio::sync::watch;

use super::consumers::Consumers;
use super::limits::Limits;
use super::records::{Logs, Origin};
use super::streams::Streams;
use super::subscriptions::Subscriptions;
use super::wire::Refusal;

/// The state of the server: streams and consumers in the emulator's store, records in this crate's
/// own logs.
pub(super) struct Service {
    /// Streams, shards, consumers, tags.
    pub(super) store: Store,
    /// Records.
    pub(super) logs: Logs,
    /// The read limits of shards.
    pub(super) reads: Limits,
    /// The write limits of shards.
    pub(super) writes: Limits,
    /// How long a shard iterator is valid.
    pub(super) iterator_lifetime: Duration,
    /// How long a subscription lasts.
    pub(super) session: Duration,
    /// A cache of streams, and the lock for changes.
    pub(super) streams: Streams,
    /// The status changes of consumers over time.
    pub(super) consumers: Consumers,
    /// The current subscriptions.
    pub(super) subscriptions: Subscriptions,
    /// How many bytes a subscription may push per second, if there is a limit.
    pub(super) pushed_a_second: Option<u64>,
    /// Becomes true when the server is stopping.
    pub(super) stopping: watch::Receiver<bool>,
}

impl Service {
    /// A stream by its name.
    ///
    /// # Errors
    ///
    /// If there is no such stream.
    pub(super) async fn stream(&self, name: &str) -> Result<Arc<Stream>, Refusal> {
        self.streams.get(&self.store, name).await
    }

    /// A shard of a stream by its id, with the origin of its sequence numbers.
    ///
    /// # Errors
    ///
    /// If the stream has no such shard.
    pub(super) fn shard<'a>(
        &self,
        stream: &'a Stream,
        id: &str,
    ) -> Result<(&'a Shard, Origin), Refusal> {
        let shard = stream.shards.iter().find(|shard| shard.shard_id == id);
        shard
            .and_then(|shard| Some((shard, Origin::of(shard)?)))
            .ok_or_else(|| {
                Refusal::shard_not_found(id, &stream.stream_name, &self.store.aws_account_id)
            })
    }
}

/// Whether a shard accepts no more records.
pub(super) fn is_closed(shard: &Shard) -> bool {
    shard.sequence_number_range.ending_sequence_number.is_some()
}

/// The oldest moment that a stream retains, in milliseconds since the Unix epoch.
pub(super) fn horizon_ms(stream: &Stream, now_ms: u64) -> u64 {
    now_ms.saturating_sub(u64::from(stream.retention_period_hours) * 3_600_000)
}
