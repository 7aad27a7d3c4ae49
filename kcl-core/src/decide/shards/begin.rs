use std::collections::BTreeSet;

use crate::model::{Checkpoint, InitialPosition, Shard, ShardId, Timestamp};
use crate::stream::ShardFilter;

use super::{Leases, ShardGraph};

/// Which listing [`leases_to_create`](super::leases_to_create) needs.
///
/// On an empty table the shards that were open at the initial position are enough, and the service
/// gives exactly those: the open shards for `LATEST`, those at the trim horizon for `TRIM_HORIZON`,
/// those at the time for `AT_TIMESTAMP`. Their descendants get their leases when they end. Once
/// there are leases, all shards are needed to see how the ones without a lease came about.
#[must_use]
pub fn listing_for(initial: InitialPosition, table_is_empty: bool) -> ShardFilter {
    if !table_is_empty {
        return ShardFilter::All;
    }
    match initial {
        InitialPosition::TrimHorizon => ShardFilter::AtTrimHorizon,
        InitialPosition::Latest => ShardFilter::AtLatest,
        InitialPosition::AtTimestamp(at) => ShardFilter::AtTimestamp(at),
    }
}

/// What the initial position means for a shard that no lease leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Everything that is retained: the oldest listed shards, from their first record on.
    TrimHorizon,
    /// What arrives from `at`, the service's present time, on: the shards that have no children.
    Latest {
        /// The service's time, when it answered the listing.
        at: Timestamp,
    },
    /// What arrived from `at` on: the shards that were open then.
    Since {
        /// The time.
        at: Timestamp,
        /// What the row says: the sentinel of the configured position.
        checkpoint: Checkpoint,
        /// The shards that were open at that time, if that was listed. Without it the oldest listed
        /// shards are taken: those that were closed by then hold nothing of that time or later and
        /// end at once, but their descendants are read from their first records, which may be older
        /// than `at`.
        open_then: Option<BTreeSet<ShardId>>,
    },
}

impl Begin {
    /// What the configured position means where these are the leases that there are, at `now`, the
    /// service's time when it answered the listing.
    ///
    /// `LATEST` is "now" only for an application without any lease. Where there are leases, it has
    /// begun before, and what arrived since then is its to read: the time that the leases keep from
    /// their making counts (the earliest one). If none keeps a time (all that began at one are
    /// deleted by now, or another framework made them), nothing tells which records were seen, and
    /// all that is retained is read. The KCL begins at "now" in both cases and skips what lies
    /// between.
    #[must_use]
    pub fn new(initial: InitialPosition, leases: &Leases<'_>, now: Timestamp) -> Self {
        match initial {
            InitialPosition::TrimHorizon => Self::TrimHorizon,
            InitialPosition::AtTimestamp(at) => Self::Since {
                at,
                checkpoint: initial.into(),
                open_then: None,
            },
            InitialPosition::Latest if leases.is_empty() => Self::Latest { at: now },
            InitialPosition::Latest => leases
                .values()
                .filter_map(|lease| lease.facts.first_time())
                .min()
                .map_or(Self::TrimHorizon, |at| Self::Since {
                    at,
                    checkpoint: initial.into(),
                    open_then: None,
                }),
        }
    }

    /// A second listing that makes the leases begin exactly: worth taking when there are leases to
    /// create next to existing ones. Give its shards to [`with_open_then`](Self::with_open_then)
    /// and decide again.
    #[must_use]
    pub const fn second_listing(&self) -> Option<ShardFilter> {
        match self {
            Self::Since {
                at,
                open_then: None,
                ..
            } => Some(ShardFilter::AtTimestamp(*at)),
            Self::Since {
                open_then: Some(_), ..
            }
            | Self::TrimHorizon
            | Self::Latest { .. } => None,
        }
    }

    /// The same with the shards that the [second listing](Self::second_listing) gave.
    #[must_use]
    pub fn with_open_then(self, shards: impl IntoIterator<Item = ShardId>) -> Self {
        match self {
            Self::Since { at, checkpoint, .. } => Self::Since {
                at,
                checkpoint,
                open_then: Some(shards.into_iter().collect()),
            },
            other => other,
        }
    }

    /// The sentinel and the time of a lease that begins here.
    pub(super) fn start(&self) -> (Checkpoint, Option<Timestamp>) {
        match self {
            Self::TrimHorizon => (Checkpoint::TrimHorizon, None),
            Self::Latest { at } => (Checkpoint::Latest, Some(*at)),
            Self::Since { at, checkpoint, .. } => (checkpoint.clone(), Some(*at)),
        }
    }

    /// Whether a shard that no lease leads to is one to begin with. Otherwise its parents are
    /// asked.
    pub(super) fn begins_at(&self, graph: &ShardGraph, shard: &Shard) -> bool {
        match self {
            Self::Latest { .. } => true,
            Self::TrimHorizon
            | Self::Since {
                open_then: None, ..
            } => graph.parents(&shard.id).next().is_none(),
            // A shard that was closed in that very millisecond counts as open, like its children.
            Self::Since {
                open_then: Some(open),
                ..
            } => {
                graph.parents(&shard.id).next().is_none()
                    || (open.contains(&shard.id)
                        && !graph
                            .parents(&shard.id)
                            .any(|parent| open.contains(&parent.id)))
            }
        }
    }
}
