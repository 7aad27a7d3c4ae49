use crate::BoxError;
use crate::decide::checkpoint::Refused;
use crate::lease::with_causes;
use crate::model::{LossReason, Position};
use crate::tenancy::held::OrderError;

/// Why a checkpoint was not stored.
///
/// In `process_records`, `input.checkpointer.checkpoint().await?` turns it into a
/// [`Failure`](crate::Failure) that names no record, and the worker's
/// [`OnFailure`](crate::OnFailure) applies as to any other failure:
///
/// - `Retry`: the batch is delivered again after a pause, though its side effects have happened;
/// - `Stop`: the worker ends with the error, even if trying again would have helped;
/// - `Skip`: as with `Retry`, because no record is named. No record is skipped.
///
/// After [`LeaseLost`](Self::LeaseLost), this worker delivers no more records of the shard,
/// whatever the policy.
///
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The position is beyond the last delivered record, or before the stored checkpoint. Nothing
    /// was written.
    #[error(transparent)]
    OutOfRange(#[from] Refused),
    /// Another worker owns the shard, or the shard is completed. Nothing was written, and this
    /// processor can store nothing any more: records after the stored checkpoint are delivered
    /// again to the new owner.
    #[error(
        "the lease of this shard is lost{}: its next owner continues from the last stored \
         checkpoint",
        reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"))
    )]
    LeaseLost {
        /// Why it was lost, if known.
        reason: Option<LossReason>,
    },
    /// The lease table is busy or did not answer: the checkpoint may or may not be stored. Retrying
    /// is safe.
    #[error("the checkpoint may or may not be stored, and can be tried again: {}", with_causes(&**source))]
    Throttled {
        /// The table's error.
        #[source]
        source: BoxError,
    },
    /// The lease table cannot be used, and the worker stops.
    #[error("the checkpoint was not stored: {}", with_causes(&**source))]
    Unusable {
        /// The table's error.
        #[source]
        source: BoxError,
    },
}

impl CheckpointError {
    /// The answer of the lease's writer in the terms of an application.
    pub(super) fn from_order(
        error: OrderError,
        wanted: &Position,
        delivered: Option<Position>,
    ) -> Self {
        match error {
            OrderError::Lost(reason) => Self::LeaseLost { reason },
            OrderError::Behind { stored } => Self::OutOfRange(Refused::BehindStored {
                wanted: wanted.clone(),
                stored,
                delivered,
            }),
            OrderError::Throttled(source) => Self::Throttled { source },
            OrderError::Broken(source) => Self::Unusable { source },
        }
    }
}
