use crate::model::Moment;

/// The records of a shard that are gathered for one call of a handler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GatheredRecords {
    /// How many user records.
    pub(crate) records: usize,
    /// Their payloads and keys together, as the limits of a buffer count them.
    pub(crate) bytes: u64,
    /// Since when the oldest waits.
    pub(crate) since: Option<Moment>,
}
