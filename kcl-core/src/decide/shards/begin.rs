//! What the initial position means, for the first leases of an application and for those that are
//! found missing later.
//!
//! ```text
//!                     TRIM_HORIZON      AT_TIMESTAMP           LATEST
//!   stream  ------|-----------------------|----------------------|------> time
//!              oldest record          the time given       the service's now
//! ```
//!
//! `LATEST` is the dangerous one: it means another moment each time that somebody asks. So it is
//! turned into a time once, when the first leases are created, and that time is kept in the rows.

use std::collections::BTreeSet;

use crate::model::{Checkpoint, InitialPosition, Shard, ShardId, Timestamp};
use crate::stream::ShardFilter;

use super::{Leases, ShardGraph};

/// Which shard listing [`leases_to_create`](super::leases_to_create) needs.
///
/// For an empty table, the shards that were open at the initial position are enough, and the
/// service can list exactly those: the open shards for `LATEST`, those at the trim horizon for
/// `TRIM_HORIZON`, those at the time for `AT_TIMESTAMP`. Their descendants get leases when they
/// end. Once there are leases, all shards are needed to see where the ones without a lease come
/// from. A filtered listing also keeps a stream with years of reshards from being read shard by
/// shard.
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

/// What the initial position means for a shard to which no lease leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Everything that is retained: start with the oldest listed shards, at their first record.
    TrimHorizon,
    /// Everything from `at`, the service's current time, on: start with the shards that have no
    /// children.
    Latest {
        /// The service's time when it answered the listing. The service's clock and not this
        /// machine's: the service compares it with the arrival times of records.
        at: Timestamp,
    },
    /// Everything that arrived from `at` on: start with the shards that were open then.
    Since {
        /// The time.
        at: Timestamp,
        /// The checkpoint in the row: the sentinel of the configured position.
        checkpoint: Checkpoint,
        /// The shards that were open at that time, if they were listed. Without them, reading
        /// starts with the oldest listed shards. Those that were closed by then have no records
        /// from that time on and end immediately, but their descendants are read from their first
        /// records, which may be older than `at`.
        open_then: Option<BTreeSet<ShardId>>,
    },
}

impl Begin {
    /// What the configured position means, given the existing leases. `now` is the service's time
    /// when it answered the listing.
    ///
    /// `LATEST` means "now" only for an application without any lease. If there are leases, the
    /// application has begun earlier and must read what has arrived since then: the earliest time
    /// that the leases have stored at their creation counts. If none has a time (those that had one
    /// have been deleted, or another framework created them), it is unknown which records were
    /// seen, and everything retained is read. The KCL begins at "now" in both cases and skips the
    /// records in between.
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

    /// A second listing with which the new leases begin exactly at the time. It is worth making if
    /// there are leases to create next to existing ones. Pass its shards to
    /// [`with_open_then`](Self::with_open_then) and decide again.
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

    /// The same, with the shards of the [second listing](Self::second_listing).
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

    /// Whether reading begins with this shard, to which no lease leads. Otherwise its parents are
    /// considered.
    ///
    /// A shard with retained parents begins in them, so that records of one key stay in order. Only
    /// for `LATEST` parents do not matter, because nothing that they hold is wanted.
    pub(super) fn begins_at(&self, graph: &ShardGraph, shard: &Shard) -> bool {
        match self {
            Self::Latest { .. } => true,
            Self::TrimHorizon
            | Self::Since {
                open_then: None, ..
            } => graph.parents(&shard.id).next().is_none(),
            // A shard that was closed in exactly that millisecond counts as open, as do its
            // children.
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
