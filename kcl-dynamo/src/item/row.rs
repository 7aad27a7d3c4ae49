use kcl_core::lease::{ForeignRow, WorkerRow};
use kcl_core::model::Lease;

use super::attribute::*;
use super::{Broken, Reader};

/// What an item is.
#[derive(Debug)]
pub(crate) enum Row {
    /// A lease.
    Lease(Lease),
    /// A worker of ours.
    Worker(WorkerRow),
    /// The row of the change signal.
    Beacon,
    /// Somebody else's.
    Foreign(ForeignRow),
}

impl Row {
    /// Reads an item. A row without `entityType` that has a counter or a checkpoint is a lease that a KCL before 3.5 made.
    ///
    /// # Errors
    /// It is a lease or a worker of ours, and an attribute of it cannot be read.
    pub(crate) fn read(item: &Item) -> Result<Self, Broken> {
        let reader = Reader(item);
        let kind = reader.text(ENTITY_TYPE)?;
        match kind {
            Some(KIND_LEASE) => reader.lease().map(Self::Lease),
            None if reader.has(LEASE_COUNTER) || reader.has(CHECKPOINT) => reader.lease().map(Self::Lease),
            Some(KIND_WORKER) if reader.has(INCARNATION) => reader.worker().map(Self::Worker),
            Some(KIND_BEACON) if reader.key() == BEACON_KEY => Ok(Self::Beacon),
            _ => Ok(Self::Foreign(ForeignRow::new(reader.key(), kind.map(ToOwned::to_owned)))),
        }
    }
}
