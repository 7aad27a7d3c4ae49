use crate::lease::WorkerRow;

/// The call that is under way, with what its answer is compared with.
#[derive(Debug)]
pub(super) enum RowCall {
    /// To create the row.
    Create(Joining),
    /// To read the row that is there already.
    ReadToJoin(Joining),
    /// To replace the row of a former process that has left.
    Succeed(Joining),
    /// A heartbeat: this row.
    Beat(WorkerRow),
    /// To read what is there in place of the own row, after a write of `wrote` was refused.
    FindOwn { wrote: WorkerRow },
    /// To read the row that is watched.
    Watch,
    /// To replace the row of a former process that is dead by this one.
    Adopt(WorkerRow),
    /// To set the leaving mark: this row.
    Mark(WorkerRow),
    /// To delete the row.
    Delete,
    /// To read what is there in place of the row that was to be deleted.
    ReadToDelete,
}

impl RowCall {
    /// Whether it changes the table.
    pub(super) const fn is_write(&self) -> bool {
        match self {
            Self::Create(_)
            | Self::Succeed(_)
            | Self::Beat(_)
            | Self::Adopt(_)
            | Self::Mark(_)
            | Self::Delete => true,
            Self::ReadToJoin(_) | Self::FindOwn { .. } | Self::Watch | Self::ReadToDelete => false,
        }
    }
}

/// An attempt to make the row.
#[derive(Clone, Debug)]
pub(super) struct Joining {
    /// The row as this process wants it.
    pub(super) fresh: WorkerRow,
    /// How many tries are left.
    pub(super) left: u32,
}
