use std::future::Future;

use crate::BoxError;
use crate::model::{Record, ShardRef, Timestamp};

/// What an application does with one record.
///
/// One value serves all the shards of a worker concurrently: what they share, such as a connection
/// pool, is a field of it. A panic counts as an error.
pub trait RecordHandler: Send + Sync + 'static {
    /// Processes this record. `Ok` means that it is processed and need not be delivered again.
    ///
    /// The future is dropped unfinished when the worker is dropped, or when the worker loses the
    /// shard, or gives it up and the record takes longer than the drain limit: the record is then
    /// delivered again, there or here. A record may be delivered more than once in any case.
    ///
    /// A call that never returns never counts as an attempt, unless there is an
    /// [`attempt_limit`](super::Retries::attempt_limit): no retry and no dead letter follows it. It
    /// costs the lease after the worker's
    /// [`handler_budget`](crate::worker::Settings::handler_budget), and hangs again at the next
    /// owner. Put a limit of its own around whatever may hang.
    ///
    /// # Errors
    /// Any error means that the record is not processed. [`Retries`](super::Retries) decide what
    /// happens, or otherwise the worker's [`OnFailure`](crate::OnFailure): by default the record is
    /// delivered again after a pause.
    fn handle(
        &self,
        record: &Record,
        context: &RecordContext,
    ) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// What a [`RecordHandler`] receives along with the record.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecordContext {
    /// The shard that the record came from.
    pub shard: ShardRef,
    /// How often the record has been delivered to this owner of the shard, with this time: 1, or
    /// more after a failure.
    pub attempt: u32,
    /// How far the newest record of its batch was behind the tip of the shard when it was fetched.
    pub millis_behind_latest: Option<u64>,
    /// When the record arrived from the service.
    pub fetched_at: Timestamp,
}
