//! One worker over time, from its row and from its leases. Either is enough: a worker without
//! leases has only the row, and a KCL worker has only leases.

use std::time::Duration;

use crate::lease::WorkerRow;
use crate::model::{Moment, Token};

/// A worker, as an observer has seen it.
#[derive(Clone, Debug, Default)]
pub(super) struct WorkerObservation {
    /// Its row, or `None` while it has none. A KCL worker never has one.
    pub(super) row: Option<RowObservation>,
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
}

/// The row of a worker, as an observer has seen it.
#[derive(Clone, Debug)]
pub(super) struct RowObservation {
    /// Which process wrote it. A restarted one begins its counter anew.
    incarnation: Token,
    /// Its last value in this incarnation.
    counter: u64,
    /// The mark with which a worker says that it gives up its leases. From then on it gets none.
    pub(super) leaving: bool,
}

impl WorkerObservation {
    /// Notes that it was seen alive.
    pub(super) fn lives(&mut self, at: Moment) {
        self.life = Some(at);
        self.since = Some(at);
    }

    /// Adds a reading of its row, and returns whether the worker is new or its leaving mark has
    /// changed. A reading that is older than what was seen before is ignored.
    pub(super) fn see(&mut self, row: &WorkerRow, at: Moment) -> bool {
        self.read = Some(at);
        let before = self.row.as_ref();
        let same_process = before.filter(|before| before.incarnation == row.incarnation);
        if same_process.is_some_and(|before| row.counter <= before.counter) {
            return false;
        }
        let came_or_leaves = before.is_none_or(|before| before.leaving != row.leaving);
        self.failover = Some(row.failover);
        self.row = Some(RowObservation {
            incarnation: row.incarnation.clone(),
            counter: row.counter,
            leaving: row.leaving,
        });
        self.lives(at);
        came_or_leaves
    }

    /// Notes that its row was looked for and does not exist: a worker that had a row has left, or
    /// its row was deleted. Returns whether that was not known before. Its life is forgotten, too.
    /// If it comes back, it is a new worker.
    pub(super) fn see_none(&mut self, at: Moment) -> bool {
        self.read = Some(at);
        let left = self.row.take().is_some();
        if left {
            (self.life, self.since) = (None, None);
        }
        left
    }

    /// Starts its ages again. `life` stays: it tells when, not for how long.
    pub(super) fn start_anew(&mut self, at: Moment) {
        self.since = self.since.map(|_| at);
    }
}
