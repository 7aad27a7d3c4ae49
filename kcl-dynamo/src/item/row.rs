//! Of which kind an item is.
//!
//! One table holds leases, workers, the change signal and what a KCL adds, all under one key.
//! Taking a row for the wrong kind would be costly in both directions: a lease that is taken for
//! foreign is created anew, and a foreign row that is taken for a lease is reported as malformed
//! for ever.

use kcl_core::lease::{MalformedRow, WorkerRow};
use kcl_core::model::Lease;

use super::Reader;
use super::attribute::*;

/// The kind of an item, with its contents.
#[derive(Debug)]
pub(crate) enum Row {
    /// A lease.
    Lease(Lease),
    /// A worker of this framework.
    Worker(WorkerRow),
    /// The row of the change signal.
    Signal,
    /// A row of another program.
    Foreign {
        /// Its kind (the KCL's `entityType`), if it has one.
        kind: Option<String>,
    },
}

impl Row {
    /// Reads an item. A row without `entityType` that has a counter or a checkpoint is a lease that
    /// a KCL before 3.5 created.
    ///
    /// # Errors
    /// If it is a lease or a worker of this framework, and one of its attributes cannot be read.
    pub(crate) fn read(item: &Item) -> Result<Self, MalformedRow> {
        let reader = Reader(item);
        let kind = reader.text(ENTITY_TYPE)?;
        match kind {
            Some(KIND_LEASE) => reader.lease().map(Self::Lease),
            None if reader.has(LEASE_COUNTER)
                || reader.has(CHECKPOINT)
                || is_key_of_lease(reader.key()) =>
            {
                reader.lease().map(Self::Lease)
            }
            Some(KIND_WORKER) if reader.is_our_worker() => reader.worker().map(Self::Worker),
            Some(KIND_SIGNAL) if reader.key() == SIGNAL_KEY => Ok(Self::Signal),
            // A kind that no KCL knows, under the key of a shard: the row was edited.
            Some(kind)
                if ![KIND_WORKER, KIND_LEADER, KIND_SIGNAL].contains(&kind)
                    && is_key_of_lease(reader.key()) =>
            {
                Err(reader.malformed(ENTITY_TYPE, Some(kind), "LEASE in the row of a lease"))
            }
            _ => Ok(Self::Foreign {
                kind: kind.map(ToOwned::to_owned),
            }),
        }
    }
}

/// Whether only a lease can have such a key: it looks like a shard id of Kinesis. So a lease whose
/// kind, counter and checkpoint somebody has deleted is still known to be one, and is not created
/// again.
fn is_key_of_lease(key: &str) -> bool {
    key.rsplit(':')
        .next()
        .is_some_and(|shard| shard.starts_with("shardId-"))
}
