use std::time::Duration;

use crate::lease::WorkerRow;
use crate::model::{Moment, Token};

/// One worker as an observer has seen it.
#[derive(Clone, Debug, Default)]
pub(super) struct WorkerObservation {
    /// Its row, while it has one.
    pub(super) row: Option<RowObservation>,
    /// The failover time that it declared last.
    pub(super) failover: Option<Duration>,
    /// It last showed life by a lease of those who know no tokens.
    pub(super) foreign: bool,
    /// When it last showed life.
    pub(super) life: Option<Moment>,
    /// From when its silence counts: its last life, or when all ages started anew.
    pub(super) since: Option<Moment>,
    /// When its row was last looked for.
    pub(super) read: Option<Moment>,
}

/// The row of a worker as an observer has seen it.
#[derive(Clone, Debug)]
pub(super) struct RowObservation {
    incarnation: Token,
    counter: u64,
    pub(super) leaving: bool,
}

impl WorkerObservation {
    /// It has shown life.
    pub(super) fn lives(&mut self, at: Moment) {
        self.life = Some(at);
        self.since = Some(at);
    }

    /// A reading of its row: whether the worker was not there before, or its mark has changed. One
    /// that is older than what was seen before shows nothing.
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

    /// Its row was looked for and is not there. One that had a row has left, or was reaped. Whether
    /// that is news.
    pub(super) fn see_none(&mut self, at: Moment) -> bool {
        self.read = Some(at);
        let left = self.row.take().is_some();
        if left {
            (self.life, self.since) = (None, None);
        }
        left
    }

    /// All ages start anew.
    pub(super) fn start_anew(&mut self, at: Moment) {
        self.since = self.since.map(|_| at);
    }
}
