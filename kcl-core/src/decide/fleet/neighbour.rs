//! The one worker whose row this worker watches while the fleet is quiet.
//!
//! ```text
//!   workers by name     a -> b -> c -> d -> a        each watches the next one
//!
//!   the beats of b      |      |      |      |
//!   a reads its row  r r r      r      r r     r      often until it has seen a beat; then once a
//!                                                     beat, and soon again if the row has not moved
//! ```
//!
//! A reading that follows a beat within a fifth of the time between two beats sees the row begin to
//! stand still nearly at once, so a death is found as soon as if the row were read all the time. The next
//! reading comes a little earlier than the next beat after that: so it stays behind the beats by no
//! more, however clocks and calls drift.

use std::time::Duration;

use crate::lease::WorkerRow;
use crate::model::{Moment, WorkerId};

/// Into how many parts the time between two beats is divided: so much later is a row read again that
/// has not moved.
const PARTS: u32 = 5;
/// How much of the time between two beats, in percent, the reading after next comes later.
const NEARLY: u32 = 98;
/// The shortest time between two readings, whatever the row says of its beats.
const SHORTEST: Duration = Duration::from_millis(100);

/// The worker that is watched, and when its row is read next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    worker: WorkerId,
    /// The time between two heartbeats of it.
    beats_every: Duration,
    /// The counter that was read last.
    counter: Option<u64>,
    next: Moment,
    is_being_read: bool,
}

impl Neighbour {
    /// Begins to watch this worker, by its row as it is known.
    pub(super) fn new(row: &WorkerRow, now: Moment) -> Self {
        Self {
            worker: row.worker.clone(),
            beats_every: row.failover / 3,
            counter: None,
            next: now,
            is_being_read: false,
        }
    }

    /// The worker that comes after `me` by name, and after the last one the first. `None` if there is
    /// no other.
    pub(super) fn of<'a>(
        me: &WorkerId,
        mut by_name: impl Iterator<Item = &'a WorkerRow>,
    ) -> Option<&'a WorkerRow> {
        let first = by_name.next()?;
        if first.worker > *me {
            return Some(first);
        }
        let after = by_name.find(|row| row.worker > *me);
        after.or_else(|| Some(first).filter(|first| first.worker != *me))
    }

    /// The worker.
    #[must_use]
    pub const fn worker(&self) -> &WorkerId {
        &self.worker
    }

    /// When its row is to be read, unless it is being read.
    pub(super) fn next(&self) -> Option<Moment> {
        (!self.is_being_read).then_some(self.next)
    }

    /// Notes that its row is being read.
    pub(super) const fn is_asked(&mut self) {
        self.is_being_read = true;
    }

    /// Takes in its row as it was read at this moment; `None` if it could not be read.
    pub(super) fn was_read(&mut self, row: Option<&WorkerRow>, at: Moment) {
        self.is_being_read = false;
        let counter = row.map(|row| row.counter);
        // The first reading does not show when it has moved.
        let has_moved =
            self.counter.is_some() && counter.is_some_and(|read| self.counter != Some(read));
        self.counter = counter.or(self.counter);
        if let Some(row) = row {
            self.beats_every = row.failover / 3;
        }
        let wait = if has_moved {
            self.beats_every * NEARLY / 100
        } else {
            self.beats_every / PARTS
        };
        self.next = at + wait.max(SHORTEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(worker: &str, counter: u64) -> WorkerRow {
        WorkerRow {
            counter,
            ..WorkerRow::new(worker.into(), "t".into(), Duration::from_secs(15))
        }
    }

    fn at(millis: u64) -> Moment {
        Moment::from_origin(Duration::from_millis(millis))
    }

    #[test]
    fn each_watches_the_next_by_name_and_the_last_one_the_first() {
        let rows: Vec<WorkerRow> = ["a", "b", "c"].map(|worker| row(worker, 1)).to_vec();
        let of = |me: &str| Some(Neighbour::of(&me.into(), rows.iter())?.worker.to_string());
        assert_eq!(of("a").as_deref(), Some("b"));
        assert_eq!(of("b").as_deref(), Some("c"));
        assert_eq!(of("c").as_deref(), Some("a"));
        assert_eq!(
            of("bb").as_deref(),
            Some("c"),
            "one that is not seen itself yet"
        );
        assert_eq!(Neighbour::of(&"a".into(), rows[..1].iter()), None);
    }

    #[test]
    fn a_row_is_read_after_the_next_beat_or_soon_if_it_stands_still() {
        let mut neighbour = Neighbour::new(&row("b", 7), at(0));
        assert_eq!(neighbour.next(), Some(at(0)));
        neighbour.is_asked();
        assert_eq!(neighbour.next(), None, "one reading at a time");
        neighbour.was_read(Some(&row("b", 7)), at(100));
        assert_eq!(neighbour.next(), Some(at(1_100)), "when did it beat?");
        neighbour.was_read(Some(&row("b", 8)), at(1_100));
        assert_eq!(neighbour.next(), Some(at(6_000)));
        neighbour.was_read(Some(&row("b", 8)), at(6_000));
        assert_eq!(neighbour.next(), Some(at(7_000)), "the beat comes late");
        neighbour.was_read(Some(&row("b", 9)), at(7_000));
        assert_eq!(neighbour.next(), Some(at(11_900)));
        neighbour.was_read(None, at(11_900));
        assert_eq!(neighbour.next(), Some(at(12_900)), "not to be read");
        neighbour.was_read(Some(&row("b", 10)), at(12_900));
        assert_eq!(neighbour.next(), Some(at(17_800)));
        let hasty = WorkerRow {
            failover: Duration::ZERO,
            ..row("b", 11)
        };
        neighbour.was_read(Some(&hasty), at(17_800));
        assert_eq!(neighbour.next(), Some(at(17_900)));
    }

    /// It beats each 5 s and a bit, and each reading takes a moment.
    #[test]
    fn readings_stay_close_behind_the_beats() {
        let mut neighbour = Neighbour::new(&row("b", 0), at(2_700));
        let (mut readings, mut worst) = (0, Duration::ZERO);
        while let Some(now) = neighbour.next().filter(|now| *now < at(600_000)) {
            let read = now + Duration::from_millis(20);
            let beats = read.since_origin().as_millis() / 5_013;
            let beat = at(u64::try_from(beats * 5_013).unwrap());
            let counter = u64::try_from(beats).unwrap();
            let is_new = neighbour.counter.is_some_and(|before| before != counter);
            neighbour.was_read(Some(&row("b", counter)), read);
            readings += 1;
            if is_new {
                worst = worst.max(read.since(beat));
            }
        }
        assert!(worst <= Duration::from_millis(1_040), "{worst:?}");
        assert!((119..=150).contains(&readings), "{readings} for 119 beats");
    }
}
