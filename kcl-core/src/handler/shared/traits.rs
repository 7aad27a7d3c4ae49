use std::future::Future;

use crate::BoxError;
use crate::handler::FlushCause;
use crate::model::{Record, ShardRef};
use crate::processor::Failure;

/// What an application does with records of several shards that were gathered for it.
///
/// A panic counts as an error.
pub trait SharedBufferHandler: Send + Sync + 'static {
    /// Processes these records; never none. Those of a shard are in its order. `Ok` means that all of
    /// them are processed and need not be delivered again: only then do the checkpoints of their
    /// shards pass them.
    ///
    /// The future is dropped unfinished when the worker is dropped, when none of the shards in it is
    /// held any more, and when it takes longer than
    /// [`Retries::attempt_limit`](crate::handler::Retries::attempt_limit). When the lease of one of
    /// several shards is lost, it goes on for the others: the records of that shard are delivered
    /// again to its next owner, whatever it returns.
    ///
    /// # Errors
    /// [`ShardRecord::failed`] says that the records before that one, in the order in which they are
    /// given, are processed. After any other error none is, and the next call is given half of them:
    /// see [`Retries`](crate::handler::Retries). ([`Failure::at`] names a record too, unless one of
    /// another shard has the same position, as it may be between streams.)
    fn flush(
        &self,
        records: &[ShardRecord],
        context: &SharedFlushContext,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// A record with the shard that it came from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShardRecord {
    /// The shard, with its stream.
    pub shard: ShardRef,
    /// The record.
    pub record: Record,
}

impl ShardRecord {
    /// The call failed at this record. All records before it have been processed.
    pub fn failed(&self, source: impl Into<BoxError>) -> Failure {
        Failure::at(&self.record, source).of_shard(self.shard.lease.clone())
    }
}

/// What a [`SharedBufferHandler`] receives along with the records.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SharedFlushContext {
    /// Why the buffer is flushed now.
    pub cause: FlushCause,
    /// 1, or more after failures: how many calls for these records, or for some of them, have failed
    /// in a row before this one, and one.
    pub attempt: u32,
}
