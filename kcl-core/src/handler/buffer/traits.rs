use std::future::Future;

use crate::model::{Key, Record, ShardRef};
use crate::processor::Failure;

pub use crate::decide::buffers::FlushCause;

/// What an application does with records that were gathered for it.
///
/// One value serves all the shards of a worker concurrently. A panic counts as an error.
pub trait BufferHandler: Send + Sync + 'static {
    /// Processes these records, in the order of the shard; never none. `Ok` means that all of them
    /// are processed and need not be delivered again: only then does the checkpoint pass them.
    ///
    /// The future is dropped unfinished in the same cases as that of
    /// [`RecordHandler::handle`](crate::RecordHandler::handle), and when it takes longer than
    /// [`Retries::attempt_limit`](crate::handler::Retries::attempt_limit). Records may be delivered
    /// more than once in any case.
    ///
    /// # Errors
    /// [`Failure::at`] says that the records before that one are processed. After any other error
    /// none is, and the next call is given half of them: see
    /// [`Retries`](crate::handler::Retries).
    fn flush(
        &self,
        records: &[Record],
        context: &FlushContext,
    ) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// What a [`BufferHandler`] receives along with the records.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FlushContext {
    /// The shard that the records came from.
    pub shard: ShardRef,
    /// The partition key that the records have in common. Nothing where the buffer is that of a
    /// shard.
    pub key: Option<Key>,
    /// Why the buffer is flushed now.
    pub cause: FlushCause,
    /// 1, or more after failures: how many calls for these records, or for some of them, have failed
    /// in a row before this one, and one.
    pub attempt: u32,
}
