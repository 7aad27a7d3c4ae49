use crate::model::Moment;

/// The records of a shard that are gathered for one call of a handler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GatheredRecords {
    pub(crate) records: usize,
    pub(crate) bytes: u64,
    /// Since when the oldest waits.
    pub(crate) since: Option<Moment>,
}
