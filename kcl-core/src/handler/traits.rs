use std::future::Future;

use crate::BoxError;
use crate::model::{Record, ShardRef, Timestamp};

/// What an application does with one record.
///
/// One value serves all the shards of a worker, at the same time: what they share, such as a pool of connections, is a field of it.
/// A panic counts as an error.
pub trait RecordHandler: Send + Sync + 'static {
    /// Does the work of this record. `Ok` means that it is done, and need not come again.
    ///
    /// The future is dropped before it is done when the worker is dropped, and when the shard is no longer this worker's: the record
    /// then comes again, there or here. A record may come more than once in any case.
    ///
    /// # Errors
    /// Any error means that the record is not done. What follows is the worker's [`OnFailure`](crate::OnFailure): by default the record
    /// comes again after a pause.
    fn handle(&self, record: &Record, context: &RecordContext) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// What a [`RecordHandler`] is told beside the record.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RecordContext {
    /// The shard that the record came from.
    pub shard: ShardRef,
    /// How often the record has been given to this owner of the shard: 1, or more after a failure.
    pub attempt: u32,
    /// How old the newest record of its batch was against the tip of the shard when it was fetched.
    pub millis_behind_latest: Option<u64>,
    /// When the record came from the service.
    pub fetched_at: Timestamp,
}
