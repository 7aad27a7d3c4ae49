use crate::lease::{LeaseTable, Write};
use crate::model::{Checkpoint, InitialPosition, Lease, Timestamp};

use super::pauses::{SteerError, announce, refused};
use super::settled::settled;

/// Sets where a shard is read on. `free` is its row as it was read, and nobody may hold the lease:
/// [`pause`](super::pause) it before, and [`resume`](super::resume) it afterwards. `now` is the time
/// that `LATEST` stands for: the shard is then opened at it, so that nothing that arrives from now on
/// is skipped, however late it is opened.
///
/// Its records from there on are given to the processor again, or those up to there never:
/// [`plan_seek`](super::plan_seek) says which. A prepared checkpoint is dropped.
///
/// Not cancel safe: the checkpoint may be set then. It may be called again with the row as it is.
///
/// # Errors
/// [`SteerError::Changed`] if the row is not as it was read, or somebody holds the lease; nothing is
/// written then. [`SteerError::Table`] if the table fails.
pub async fn seek(
    table: &dyn LeaseTable,
    free: &Lease,
    to: InitialPosition,
    now: Timestamp,
) -> Result<Lease, SteerError> {
    if free.checkpoint.is_shard_end() {
        return Err(SteerError::Ended(free.key.clone()));
    }
    let (checkpoint, start_at) = match to {
        InitialPosition::TrimHorizon => (Checkpoint::TrimHorizon, None),
        InitialPosition::Latest => (Checkpoint::Latest, Some(now)),
        InitialPosition::AtTimestamp(at) => (Checkpoint::AtTimestamp, Some(at)),
    };
    let write = Write::seek(free, checkpoint, start_at);
    let row = settled(table, &free.key, &write)
        .await
        .map_err(|error| refused(&free.key, error))?;
    announce(table, std::slice::from_ref(&row)).await;
    Ok(row)
}
