use crate::BoxError;
use crate::decide::checkpoint::Refused;
use crate::lease::with_causes;
use crate::model::Position;
use crate::tenancy::held::OrderError;

/// Why a checkpoint was not stored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// It would pass the last delivered record, or go back. Nothing was written.
    #[error(transparent)]
    OutOfRange(#[from] Refused),
    /// Another worker owns the shard, or the shard is completed. Nothing was written, and nothing can be any more: records after
    /// the stored checkpoint are delivered again to the new owner.
    #[error("the lease of this shard is lost: its new owner goes on from the last stored checkpoint")]
    LeaseLost,
    /// The lease table is busy or did not respond: the checkpoint may or may not be stored. Retrying is safe.
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
    pub(super) fn from_order(error: OrderError, wanted: &Position, delivered: Option<Position>) -> Self {
        match error {
            OrderError::Lost => Self::LeaseLost,
            OrderError::Behind { stored } => {
                Self::OutOfRange(Refused::BehindStored { wanted: wanted.clone(), stored, delivered })
            }
            OrderError::Throttled(source) => Self::Throttled { source },
            OrderError::Broken(source) => Self::Unusable { source },
        }
    }
}
