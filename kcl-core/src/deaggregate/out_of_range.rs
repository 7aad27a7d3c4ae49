/// What happens to a user record whose hash key is outside the range of the shard that it was read
/// from.
///
/// An aggregate that was in flight during a split or merge may contain such records: it was packed
/// for a shard that has closed. The KPL learns from the response which user records went to the
/// wrong shard, and sends those again; other producers do not. The KCL drops the whole aggregate if
/// one of its records is outside the range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutOfRange {
    /// It is delivered like any other record, with a flag
    /// ([`Record::out_of_range`](crate::model::Record::out_of_range)). Nothing is lost, but records
    /// that a KPL sends again arrive twice.
    #[default]
    HandOn,
    /// Only that record is dropped. Use this only if every producer is a KPL: with other producers,
    /// it loses records.
    Drop,
}
