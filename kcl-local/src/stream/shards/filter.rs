//! The `ShardFilter` of `ListShards`.

use ferrokinesis::types::Shard;
use serde::{Deserialize, Serialize};

use super::Lifetimes;

/// Which shards a listing shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::stream) enum Filter {
    /// All retained shards.
    All,
    /// Those with an id after this one.
    AfterShardId(String),
    /// Those open at the oldest retained moment.
    AtTrimHorizon,
    /// Those open now.
    AtLatest,
    /// Those open at this time, in milliseconds since the Unix epoch.
    AtTimestamp(u64),
    /// Those open at this time or later, in milliseconds since the Unix epoch.
    FromTimestamp(u64),
}

/// A filter that the service would reject.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::stream) enum FilterError {
    /// The type needs a member that is not there.
    #[error("ShardFilter of type {0} needs {1}")]
    Missing(String, &'static str),
    /// A member is there that the type does not take.
    #[error("ShardFilter of type {0} does not take {1}")]
    Unexpected(String, &'static str),
    /// There is no such type.
    #[error(
        "ShardFilter has the unknown type {0}; expected AFTER_SHARD_ID, AT_TRIM_HORIZON, FROM_TRIM_HORIZON, AT_LATEST, \
         AT_TIMESTAMP, FROM_TIMESTAMP"
    )]
    Unknown(String),
}

impl Filter {
    /// Parses the filter from the members of a request.
    ///
    /// # Errors
    ///
    /// If the type is unknown, or a member is missing or does not belong to the type.
    pub(in crate::stream) fn parse(
        kind: &str,
        shard_id: Option<String>,
        timestamp_ms: Option<u64>,
    ) -> Result<Self, FilterError> {
        let by_id = kind == "AFTER_SHARD_ID";
        let by_time = matches!(kind, "AT_TIMESTAMP" | "FROM_TIMESTAMP");
        if shard_id.is_some() && !by_id {
            return Err(FilterError::Unexpected(kind.to_owned(), "a ShardId"));
        }
        if timestamp_ms.is_some() && !by_time {
            return Err(FilterError::Unexpected(kind.to_owned(), "a Timestamp"));
        }
        let missing = |what| FilterError::Missing(kind.to_owned(), what);
        match kind {
            "AFTER_SHARD_ID" => Ok(Self::AfterShardId(
                shard_id.ok_or_else(|| missing("a ShardId"))?,
            )),
            "AT_TRIM_HORIZON" => Ok(Self::AtTrimHorizon),
            "FROM_TRIM_HORIZON" => Ok(Self::All),
            "AT_LATEST" => Ok(Self::AtLatest),
            "AT_TIMESTAMP" => Ok(Self::AtTimestamp(
                timestamp_ms.ok_or_else(|| missing("a Timestamp"))?,
            )),
            "FROM_TIMESTAMP" => Ok(Self::FromTimestamp(
                timestamp_ms.ok_or_else(|| missing("a Timestamp"))?,
            )),
            other => Err(FilterError::Unknown(other.to_owned())),
        }
    }

    /// The shards that the listing shows, in order. `horizon_ms` is the oldest retained time.
    ///
    /// A shard that was closed before that time has no records any more and is never shown.
    pub(in crate::stream) fn select<'a>(
        &self,
        shards: &'a [Shard],
        horizon_ms: u64,
    ) -> Vec<&'a Shard> {
        let lifetimes = Lifetimes::of(shards);
        let shown = |shard: &Shard| match self {
            Self::All => true,
            Self::AfterShardId(id) => shard.shard_id.as_str() > id.as_str(),
            Self::AtTrimHorizon => lifetimes.open_at(shard, horizon_ms),
            Self::AtLatest => lifetimes.closed_ms(shard).is_none(),
            Self::AtTimestamp(at_ms) => lifetimes.open_at(shard, (*at_ms).max(horizon_ms)),
            Self::FromTimestamp(at_ms) => lifetimes.open_since(shard, *at_ms),
        };
        shards
            .iter()
            .filter(|shard| lifetimes.open_since(shard, horizon_ms) && shown(shard))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use ferrokinesis::types::{HashKeyRange, SequenceNumberRange};

    use super::*;
    use crate::stream::records::Origin;

    /// 0 and 1 from the start; 0 was split into 2 and 3 at 1,000 s; 1 and 3 were merged into 4 at
    /// 2,000 s.
    fn shards() -> Vec<Shard> {
        [
            (0, None, None, Some(1_000)),
            (1, None, None, Some(2_000)),
            (2, Some(0), None, None),
            (3, Some(0), None, Some(2_000)),
            (4, Some(3), Some(1), None),
        ]
        .into_iter()
        .map(
            |(shard, parent, adjacent, closed): (i64, Option<i64>, Option<i64>, Option<u64>)| {
                let origin = Origin {
                    shard,
                    created_ms: 500_000,
                };
                let id = ferrokinesis::sequence::shard_id_name;
                Shard {
                    shard_id: id(shard),
                    hash_key_range: HashKeyRange::new("0".to_owned(), "1".to_owned()),
                    sequence_number_range: SequenceNumberRange {
                        starting_sequence_number: origin.sequence(0, 0),
                        ending_sequence_number: closed
                            .map(|at| origin.sequence(1 << 62, at * 1_000)),
                    },
                    parent_shard_id: parent.map(id),
                    adjacent_parent_shard_id: adjacent.map(id),
                }
            },
        )
        .collect()
    }

    fn selected(filter: &Filter, horizon_ms: u64) -> Vec<usize> {
        let shards = shards();
        let shown = filter.select(&shards, horizon_ms);
        (0..shards.len())
            .filter(|&at| shown.contains(&&shards[at]))
            .collect()
    }

    #[test]
    fn at_a_moment_the_open_shards_are_shown() {
        assert_eq!(selected(&Filter::AtTimestamp(999_999), 0), [0, 1]);
        assert_eq!(selected(&Filter::AtTimestamp(1_001_000), 0), [1, 2, 3]);
        assert_eq!(selected(&Filter::AtTimestamp(2_001_000), 0), [2, 4]);
        assert_eq!(selected(&Filter::AtLatest, 0), [2, 4]);
        assert_eq!(selected(&Filter::AtTrimHorizon, 0), [0, 1]);
        assert_eq!(selected(&Filter::AtTrimHorizon, 1_500_000), [1, 2, 3]);
    }

    /// For a time within the second of a reshard, the listing shows the parent, which may still
    /// have later records.
    #[test]
    fn a_moment_in_the_second_of_a_reshard_shows_the_parent() {
        for at_ms in [1_000_000, 1_000_998] {
            assert_eq!(selected(&Filter::AtTimestamp(at_ms), 0), [0, 1]);
            assert_eq!(selected(&Filter::FromTimestamp(at_ms), 0), [0, 1, 2, 3, 4]);
            assert_eq!(
                selected(&Filter::All, at_ms),
                [0, 1, 2, 3, 4],
                "its last records are retained"
            );
        }
    }

    #[test]
    fn a_moment_before_the_oldest_retained_is_the_oldest_retained() {
        assert_eq!(selected(&Filter::AtTimestamp(1), 1_500_000), [1, 2, 3]);
    }

    /// From a time on, every shard that was open then or later is shown.
    #[test]
    fn every_shard_open_at_a_moment_or_later_is_shown() {
        assert_eq!(
            selected(&Filter::FromTimestamp(1_000_000), 0),
            [0, 1, 2, 3, 4]
        );
        assert_eq!(selected(&Filter::FromTimestamp(1_001_000), 0), [1, 2, 3, 4]);
        assert_eq!(selected(&Filter::All, 0), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_shard_whose_records_are_all_expired_is_shown_by_no_filter() {
        assert_eq!(selected(&Filter::All, 1_500_000), [1, 2, 3, 4]);
        assert_eq!(selected(&Filter::FromTimestamp(0), 2_001_000), [2, 4]);
        assert_eq!(
            selected(
                &Filter::AfterShardId("shardId-000000000000".to_owned()),
                2_001_000
            ),
            [2, 4]
        );
    }

    #[test]
    fn a_filter_takes_the_members_of_its_type_and_no_other() {
        assert_eq!(
            Filter::parse("AT_TIMESTAMP", None, Some(5)),
            Ok(Filter::AtTimestamp(5))
        );
        assert!(matches!(
            Filter::parse("AT_TIMESTAMP", None, None),
            Err(FilterError::Missing(..))
        ));
        assert!(matches!(
            Filter::parse("AT_LATEST", None, Some(5)),
            Err(FilterError::Unexpected(..))
        ));
        assert!(matches!(
            Filter::parse("AT_LATEST", Some("s".to_owned()), None),
            Err(FilterError::Unexpected(..))
        ));
        assert!(matches!(
            Filter::parse("AT_NOON", None, None),
            Err(FilterError::Unknown(_))
        ));
    }
}
