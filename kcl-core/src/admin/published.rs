//! What owners say in their rows about the progress of their leases: how far behind they are, and
//! what they stand still by.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::lease::{HeldLag, Standstill};
use crate::model::{LeaseKey, WorkerId};

use super::{FleetView, LeaseLag, LeaseView, Stuck};

/// A lease is [stuck](Stuck) if its holder says that it has stood still for at least this long.
/// [`Observer::stuck_after`](super::Observer::stuck_after) changes that.
///
/// It is far more than what retries and a short outage take, and twice the default of
/// [`Settings::handler_warning`](crate::worker::Settings::handler_warning).
pub const STUCK_AFTER: Duration = Duration::from_secs(60);

/// How far behind a lease is, as its holder says with its heartbeats. It is the lag of processing,
/// which the holder's own status and metrics have too; the stored checkpoint may be further behind.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PublishedLag {
    /// How far behind it is. `None` if the holder does not know that.
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "behind_seconds",
            serialize_with = "super::serialize::maybe_seconds"
        )
    )]
    pub behind: Option<Duration>,
    /// Whether it may be less far behind: a worker names the leases that are 10 s behind or stand
    /// still, at most eight of them, and says of the others how far behind they are at most.
    pub at_most: bool,
    /// What it stands still by, if the holder knows that. After 10 s at the earliest.
    pub standstill: Option<Standstill>,
    /// How long it had stood still then.
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "standstill_seconds",
            serialize_with = "super::serialize::maybe_seconds"
        )
    )]
    pub standstill_for: Option<Duration>,
    /// How long ago the holder was seen to say so. It had said it shortly before, by at most a third
    /// of its failover time. `None` if it was not seen to write since the table was first read: its
    /// row may then be of any age.
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "seen_seconds_ago",
            serialize_with = "super::serialize::maybe_seconds"
        )
    )]
    pub seen_ago: Option<Duration>,
}

impl PublishedLag {
    /// Why the lease is stuck, if its holder says so.
    pub(super) fn stuck(&self, worker: &WorkerId, stuck_after: Duration) -> Option<Stuck> {
        let (by, for_long) = self.standstill.zip(self.standstill_for)?;
        if for_long < stuck_after {
            return None;
        }
        let worker = worker.clone();
        Some(match by {
            Standstill::HandlerFails => Stuck::HandlerFails { worker, for_long },
            Standstill::HandlerBusy => Stuck::HandlerBusy { worker, for_long },
            Standstill::ReadsFail => Stuck::ReadsFail { worker, for_long },
        })
    }
}

/// Which of the leases that a worker holds its row does not name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Unnamed {
    /// All leases that it holds.
    held: usize,
    /// Those that are to be read and are not named.
    unnamed: usize,
}

/// What one worker says.
pub(super) struct Said<'a> {
    lag: &'a HeldLag,
    listed: BTreeMap<&'a LeaseKey, usize>,
    seen_ago: Option<Duration>,
    of: Unnamed,
}

impl<'a> Said<'a> {
    /// What a worker says that was last seen to write so long ago.
    pub(super) fn new(lag: &'a HeldLag, seen_ago: Option<Duration>) -> Self {
        let numbered = lag.listed.iter().enumerate();
        Self {
            lag,
            listed: numbered.map(|(at, listed)| (&listed.lease, at)).collect(),
            seen_ago,
            of: Unnamed::default(),
        }
    }

    /// Counts a lease that the table shows as this worker's.
    pub(super) fn holds(&mut self, view: &LeaseView) {
        self.of.held += 1;
        if view.waits_for.is_none() && !self.listed.contains_key(&view.lease.key) {
            self.of.unnamed += 1;
        }
    }

    /// What it says of a lease that it holds. To be asked after all of them were counted. `None` if it
    /// says nothing of this one: a child that waits for its parents, or one that has come since.
    pub(super) fn of(&self, view: &LeaseView) -> Option<PublishedLag> {
        let seen_ago = self.seen_ago;
        if let Some(at) = self.listed.get(&view.lease.key) {
            let listed = &self.lag.listed[*at];
            return Some(PublishedLag {
                behind: listed.behind,
                at_most: false,
                standstill: listed.standstill.map(|(by, _)| by),
                standstill_for: listed.standstill.map(|(_, span)| span),
                seen_ago,
            });
        }
        let is_of_them = view.waits_for.is_none() && self.of.held == self.lag.leases;
        let behind = self.lag.others.filter(|_| is_of_them)?;
        Some(PublishedLag {
            behind: Some(behind),
            at_most: self.of.unnamed > 1 && !behind.is_zero(),
            standstill: None,
            standstill_for: None,
            seen_ago,
        })
    }
}

/// How far behind an application is, as its workers say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FleetLag {
    /// The lag of the lease that is furthest behind, of those of which it is known.
    pub behind: Option<Duration>,
    /// The unfinished leases of which it is not known: nobody holds them, or their holders do not
    /// say it. Leases that wait for a parent are not among them.
    pub unknown: usize,
}

impl FleetView {
    /// How far behind the application is, as its workers say.
    #[must_use]
    pub fn published_lag(&self) -> FleetLag {
        let mut lag = FleetLag::default();
        for view in self.unfinished() {
            match view.lag.as_ref().and_then(|lag| lag.behind) {
                Some(behind) => lag.behind = lag.behind.max(Some(behind)),
                None if view.waits_for.is_none() => lag.unknown += 1,
                None => {}
            }
        }
        lag
    }
}

impl LeaseLag {
    /// How far behind a lease is by what its holder says, without asking the stream. `retention` is
    /// how long the stream keeps records, if that is known. `None` if its holder does not say, or was
    /// not seen to be alive: then [`measure_lag`](super::measure_lag) finds it out.
    #[must_use]
    pub fn published(view: &LeaseView, retention: Option<Duration>) -> Option<Self> {
        let lag = view.lag.as_ref()?;
        let (behind, seen_ago) = lag.behind.zip(lag.seen_ago)?;
        Some(Self {
            behind: Some(behind),
            at_most: lag.at_most,
            seen_ago: Some(seen_ago),
            retention_left: retention.map(|kept| kept.saturating_sub(behind)),
            retention,
            ..Self::unknown(view.lease.key.clone(), None)
        })
    }

    /// A lease of which it is not known, and the error if it could not be found out.
    #[must_use]
    pub const fn unknown(lease: LeaseKey, error: Option<String>) -> Self {
        Self {
            lease,
            behind: None,
            at_most: false,
            seen_ago: None,
            position_at: None,
            retention_left: None,
            retention: None,
            gap: None,
            error,
        }
    }
}

#[cfg(test)]
#[path = "published_test.rs"]
mod tests;
