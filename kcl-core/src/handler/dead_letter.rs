use std::fmt;
use std::future::Future;

use async_trait::async_trait;

use crate::BoxError;
use crate::model::{Record, ShardRef};
use crate::processor::Failure;

pub use crate::decide::retries::Discarded;

/// Where records go that are given up.
///
/// The checkpoint passes a record only after it was taken here: while it is not, the record is
/// tried again, the handler first. A letter may come more than once, as a record may.
pub trait DeadLetter: Send + Sync + 'static {
    /// Keeps the letter. `Ok` means that it is kept for good: the worker keeps no other copy.
    ///
    /// A delivery that takes longer than
    /// [`handler_budget`](crate::worker::Settings::handler_budget) costs the lease of the shard, and
    /// its future is dropped when the lease is lost: the record comes again at the next owner.
    ///
    /// # Errors
    /// Any error means that it may not be kept. The record is tried again after a pause, and comes
    /// here again if it fails again.
    fn deliver(&self, letter: Letter<'_>) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// What is known of a record that is given up.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Letter<'a> {
    /// The shard that it came from, with its stream.
    pub shard: &'a ShardRef,
    /// The record itself, with its position, its key and its content.
    pub record: &'a Record,
    /// Why it is given up.
    pub why: Discarded,
    /// How often the handler of this owner of the shard was called with it. 0 for a record that was
    /// too old when it came.
    pub attempts: u32,
    /// What the last attempt said. Nothing where there was none.
    pub error: Option<&'a str>,
}

impl Letter<'_> {
    /// The failure of a worker that stops at the record.
    pub(super) fn failure(&self) -> Failure {
        let error = self
            .error
            .unwrap_or("it was too old before its first attempt");
        Failure::at(self.record, error)
    }
}

impl fmt::Debug for Letter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter")
            .field("shard", self.shard)
            .field("record", self.record)
            .field("why", &self.why)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

/// A [`DeadLetter`] whose type nobody needs to know.
#[async_trait]
pub(super) trait ErasedDeadLetter: Send + Sync {
    async fn deliver(&self, letter: Letter<'_>) -> Result<(), BoxError>;
}

#[async_trait]
impl<D: DeadLetter> ErasedDeadLetter for D {
    async fn deliver(&self, letter: Letter<'_>) -> Result<(), BoxError> {
        DeadLetter::deliver(self, letter).await
    }
}
