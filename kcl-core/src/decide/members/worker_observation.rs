//! One worker over time, from its row and from its leases. Either is enough: a worker without
//! leases has only the row, and a KCL worker has only leases.

use std::time::Duration;

use crate::lease::{KeepAlive, WorkerRow};
use crate::model::Moment;

use super::watched_row::WatchedRow;

/// A worker, as an observer has seen it.
#[derive(Clone, Debug, Default)]
pub(super) struct WorkerObservation {
    /// Its row, or `None` while it has none. A KCL worker never has one.
    pub(super) row: Option<WatchedRow>,
    /// When its row was first seen to be of this incarnation, or to be missing; or when all ages
    /// started again.
    pub(super) incarnation_since: Moment,
    /// The failover time that it last declared. It stays when the row is gone: leases that it still
    /// names are judged by it.
    pub(super) failover: Option<Duration>,
    /// Whether its last evidence of life was a lease written without knowledge of tokens.
    pub(super) foreign: bool,
    /// When it was last seen alive.
    pub(super) life: Option<Moment>,
    /// From when its silence counts: when it was last seen alive, or when all ages started again.
    /// The two differ after a pause of the observer: it has not seen anybody live in that time, and
    /// cannot hold it against them.
    pub(super) since: Option<Moment>,
    /// When its row was last looked for. Whether it was there or not. A request is judged without
    /// another read of the row if that is recent.
    pub(super) read: Option<Moment>,
    /// Whether this observer has its row deleted. A reading that shows the row takes that back.
    pub(super) is_reaped: bool,
}

impl WorkerObservation {
    /// Notes that it was seen alive.
    pub(super) fn lives(&mut self, at: Moment) {
        self.life = Some(at);
        self.since = Some(at);
    }

    /// Adds a reading of its row, and returns whether the worker is new, its leaving mark has changed,
    /// or an operator has begun or ended to drain it. A row that is as it was, and was last read
    /// longer than `attention` ago, begins to stand still now: nobody has watched it meanwhile.
    pub(super) fn see(&mut self, row: &WorkerRow, at: Moment, attention: Option<Duration>) -> bool {
        if attention.is_some_and(|span| !self.is_watched(span, at)) {
            self.start_anew(at);
        }
        (self.read, self.is_reaped) = (Some(at), false);
        let before = self
            .row
            .as_ref()
            .map(|before| (marks(before.row()), before.row().incarnation.clone()));
        let has_moved = match &mut self.row {
            Some(before) => before.see(row.clone(), at),
            None => {
                self.row = Some(WatchedRow::new(row.clone(), at));
                true
            }
        };
        let is_marked = |now: &Self| {
            let now = now.row.as_ref().map(|now| marks(now.row()));
            before.as_ref().map(|(marks, _)| *marks) != now
        };
        if !has_moved {
            return is_marked(self);
        }
        self.failover = Some(row.failover);
        if before.as_ref().map(|(_, of)| of) != Some(&row.incarnation) {
            self.incarnation_since = at;
        }
        if row.keep_alive == KeepAlive::Killed {
            // Another worker has written it.
            (self.life, self.since) = (None, None);
        } else {
            self.lives(at);
        }
        is_marked(self)
    }

    /// Notes that its row was looked for and does not exist: a worker that had a row has left, or
    /// its row was deleted. Returns whether that was not known before. Its life is forgotten, too.
    /// If it comes back, it is a new worker.
    pub(super) fn see_none(&mut self, at: Moment) -> bool {
        self.read = Some(at);
        let left = self.row.take().is_some();
        if left {
            (self.life, self.since) = (None, None);
            self.incarnation_since = at;
        }
        left
    }

    /// Whether its row was looked for less than `attention` ago, or half its own failover time, if that
    /// is longer: it is judged by that one.
    pub(super) fn is_watched(&self, attention: Duration, at: Moment) -> bool {
        let read = self.read.map(|read| at.since(read));
        read.is_some_and(|ago| ago < self.attention(attention))
    }

    fn attention(&self, attention: Duration) -> Duration {
        attention.max(self.failover.unwrap_or_default() / 2)
    }

    /// Until when it is known to be silent: as long as nobody has read its row again, it may have
    /// moved. Of a worker without a row, other evidence is watched for.
    pub(super) fn known_until(&self, now: Moment, attention: Duration) -> Moment {
        match (&self.row, self.read) {
            (Some(_), Some(read)) => now.min(read + self.attention(attention)),
            _ => now,
        }
    }

    /// Starts its ages again. `life` stays: it tells when, not for how long.
    pub(super) fn start_anew(&mut self, at: Moment) {
        self.since = self.since.map(|_| at);
        self.incarnation_since = at;
        if let Some(row) = &mut self.row {
            row.start_anew(at);
        }
    }
}

/// What a row says of whether its worker takes leases.
const fn marks(row: &WorkerRow) -> (bool, bool) {
    (row.leaving, row.is_draining())
}
