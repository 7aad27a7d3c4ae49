use crate::BoxError;
use crate::decide::checkpoint::Refused;
use crate::lease::with_causes;
use crate::model::{LossReason, Position};
use crate::tenancy::held::OrderError;

/// Why a checkpoint was not stored.
///
/// In `process_records`, `input.checkpointer.checkpoint().await?` makes it a
/// [`Failure`](crate::Failure) that names no record, and the worker's
/// [`OnFailure`](crate::OnFailure) decides as for any other:
///
/// - `Retry`: the batch is delivered again after a pause, though its side effects have happened;
/// - `Stop`: the worker ends with the error, also where trying again would have helped;
/// - `Skip`: as `Retry`, because no record is named. None is skipped.
///
/// After [`LeaseLost`](Self::LeaseLost) nothing more of the shard is delivered here, whatever the
/// policy.
///
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// It would pass the last delivered record, or go back. Nothing was written.
    #[error(transparent)]
    OutOfRange(#[from] Refused),
    /// Another worker owns the shard, or the shard is completed. Nothing was written, and nothing
    /// can be any more: records after the stored checkpoint are delivered again to the new owner.
    #[error(
        "the lease of this shard is lost{}: its new owner goes on from the last stored checkpoint",
        reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"))
    )]
    LeaseLost {
        /// Why it was lost, if that is known.
        reason: Option<LossReason>,
    },
    /// The lease table is busy or did not respond: the checkpoint may or may not be stored.
    /// Retrying is safe.
    #[error("the checkpoint may or may not be stored, and can be tried again: {}", with_causes(&**source))]
    Throttled {
        /// The error of the table.
        #[source]
        source: BoxError,
    },
    /// The lease table cannot be used; the worker stops.
    #[error("the checkpoint is not stored: {}", with_causes(&**source))]
    Unusable {
        /// The error of the table.
        #[source]
        source: BoxError,
    },
}

impl CheckpointError {
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
