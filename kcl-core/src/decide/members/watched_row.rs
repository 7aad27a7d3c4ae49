use std::time::Duration;

use crate::lease::WorkerRow;
use crate::model::Moment;

/// The row of a worker, as one observer sees it over time.
///
/// This is the one rule by which rows are judged, by the other workers (`Members`),
/// by a process that finds its own name taken, and by a table that has no use for such rows: a
/// process is alive if it increases the counter of its row, and each judge says for how long it may
/// go without. No clock of another machine is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedRow {
    row: WorkerRow,
    /// When the row was first seen as it is, or when all ages started again.
    since: Moment,
    /// How often it was seen to change.
    moves: u32,
}

impl WatchedRow {
    /// Begins with the row as it was read at this moment.
    #[must_use]
    pub const fn new(row: WorkerRow, at: Moment) -> Self {
        Self {
            row,
            since: at,
            moves: 0,
        }
    }

    /// The newest known row.
    #[must_use]
    pub const fn row(&self) -> &WorkerRow {
        &self.row
    }

    /// Adds the row as it was read at this moment, and returns whether its process was alive since
    /// the reading before. One of the same process with no higher counter shows nothing: it is the
    /// same, or older, as reads may come back in another order. What an operator has written into it
    /// is taken in, and shows no life.
    pub fn see(&mut self, row: WorkerRow, at: Moment) -> bool {
        if row.incarnation == self.row.incarnation && row.counter <= self.row.counter {
            if row.counter == self.row.counter && row.drains > self.row.drains {
                self.row = row;
            }
            return false;
        }
        *self = Self {
            row,
            since: at,
            moves: self.moves + 1,
        };
        true
    }

    /// Since when the row has stood still, as far as its judge has watched.
    #[must_use]
    pub const fn since(&self) -> Moment {
        self.since
    }

    /// Starts its age again: its judge has not watched for a while.
    pub const fn start_anew(&mut self, at: Moment) {
        self.since = at;
    }

    /// Whether the row has not changed for so long.
    #[must_use]
    pub fn stands_still(&self, now: Moment, limit: Duration) -> bool {
        now.since(self.since) >= limit
    }

    /// Whether a live process writes the row, which is not this one.
    #[must_use]
    pub const fn is_moved_by_another(&self) -> bool {
        super::is_moved_by_another(self.moves)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn a_late_reading_of_an_older_row_shows_no_life() {
        let row = WorkerRow::new("a".into(), "process".into(), Duration::from_secs(10));
        let mut watched = WatchedRow::new(row.next(), at(0));
        assert!(!watched.see(row.clone(), at(3)));
        assert!(!watched.see(row.next(), at(6)));
        assert!(watched.stands_still(at(10), Duration::from_secs(10)));
        assert!(watched.see(row.next().next(), at(10)));
        assert!(!watched.stands_still(at(12), Duration::from_secs(10)));
        assert!(!watched.is_moved_by_another());
        let before = watched.clone();
        let drained = WorkerRow {
            drains: Some(1),
            ..watched.row().clone()
        };
        assert!(
            !watched.see(drained.clone(), at(11)),
            "an operator has written it"
        );
        assert_eq!(
            (watched.row(), watched.since()),
            (&drained, before.since()),
            "who wants to kill it must know it as it is"
        );
        assert!(!watched.see(before.row().clone(), at(11)), "an older one");
        assert!(watched.row().is_draining());
        let anew = WorkerRow {
            incarnation: "another process".into(),
            ..row
        };
        assert!(
            watched.see(anew, at(11)),
            "a process that is new has written it"
        );
        assert!(watched.is_moved_by_another());
    }
}
