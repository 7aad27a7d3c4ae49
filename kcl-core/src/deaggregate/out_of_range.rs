/// What happens to a user record whose hash key is outside the range of the shard that it was read from.
///
/// An aggregate that was in flight over a split or a merge may hold such records: it was packed for a shard that is gone. The KPL
/// sees from the answer which user records went to the wrong shard, and sends those again; other producers do not. The KCL drops
/// the whole aggregate when one of its records is outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OutOfRange {
    /// It is handed on like any other and flagged ([`Record::out_of_range`](crate::model::Record::out_of_range)). Nothing is lost; what
    /// a KPL sends again comes twice.
    #[default]
    HandOn,
    /// It is dropped, it alone. For streams whose only producers are KPLs; from others this loses records.
    Drop,
}
