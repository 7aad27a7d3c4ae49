//! When the rows by which a KCL shows itself are read between two scans.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kcl_core::model::Moment;

/// How often one of the two rows is read if scans are rare, in turn.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// For how long scans are frequent after a new leader has appeared: its worker's metrics are
/// written within seconds, and its next heartbeat comes after 30 s.
const ALARM: Duration = Duration::from_secs(60);

/// Watches for a KCL between two scans: most workers of a quiet fleet, and a lone one that does not rely
/// on heartbeats, scan only every 30 s, but a KCL that has started must be noticed before it looks at
/// the leases for the second time, 20 s after the first. A KCL in 3.x mode has a leader, and one that starts in 2.x mode writes how it
/// is configured before it looks. Either row is only judged by a scan, which follows at once.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    state: Mutex<ProbeState>,
}

/// A row that only a KCL writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum KclRow {
    /// `Leader`, of which the `recordVersionNumber` counts.
    #[default]
    Leader,
    /// `Migration3.0`, of which the `cv` counts.
    Migration,
}

/// What was seen of the rows, under one lock.
#[derive(Debug, Default)]
struct ProbeState {
    /// When the last scan ended or the last read of a row began.
    read: Option<Moment>,
    /// The row to read next.
    next: KclRow,
    /// The versions of the rows when they were last seen. A row that is missing has none.
    versions: BTreeMap<KclRow, String>,
    /// When a version was last seen to change.
    alarmed: Option<Moment>,
}

impl ProbeState {
    /// Takes in a version: one that is new or has changed belongs to a KCL that is alive.
    fn see(&mut self, row: KclRow, version: Option<&str>, at: Moment) {
        let Some(version) = version else {
            // It belonged to a KCL that has stopped.
            self.versions.remove(&row);
            return;
        };
        if self
            .versions
            .get(&row)
            .is_none_or(|before| before != version)
        {
            self.alarmed = Some(at);
        }
        self.versions.insert(row, version.to_owned());
    }
}

impl Probe {
    /// Notes that all rows were read, and that these two had these versions or did not exist.
    pub(crate) fn looked(&self, leader: Option<&str>, migration: Option<&str>, at: Moment) {
        let mut state = self.lock();
        let is_first = state.read.replace(at).is_none();
        state.see(KclRow::Leader, leader, at);
        state.see(KclRow::Migration, migration, at);
        if is_first {
            state.alarmed = None;
        }
    }

    /// The row that has to be read now, if one has. It is named only once for each read.
    pub(crate) fn due(&self, now: Moment) -> Option<KclRow> {
        let mut state = self.lock();
        let is_due = state
            .read
            .is_some_and(|read| now.since(read) >= PROBE_EVERY);
        if !is_due {
            return None;
        }
        state.read = Some(now);
        let row = state.next;
        state.next = match row {
            KclRow::Leader => KclRow::Migration,
            KclRow::Migration => KclRow::Leader,
        };
        Some(row)
    }

    /// Notes that a row was read on its own.
    pub(crate) fn see(&self, row: KclRow, version: Option<&str>, at: Moment) {
        self.lock().see(row, version, at);
    }

    /// Whether scans have to be frequent.
    pub(crate) fn is_alarmed(&self, now: Moment) -> bool {
        self.lock()
            .alarmed
            .is_some_and(|alarmed| now.since(alarmed) < ALARM)
    }

    fn lock(&self) -> MutexGuard<'_, ProbeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn the_rows_are_read_in_turn_where_scans_are_seldom() {
        let probe = Probe::default();
        assert_eq!(
            probe.due(at(0)),
            None,
            "before the first scan nothing is known"
        );
        for seconds in [2, 4, 6, 8] {
            probe.looked(None, None, at(seconds));
            assert_eq!(probe.due(at(seconds + 2)), None);
        }
        assert_eq!(probe.due(at(12)), None);
        assert_eq!(probe.due(at(13)), Some(KclRow::Leader));
        assert_eq!(probe.due(at(13)), None, "once");
        assert_eq!(probe.due(at(18)), Some(KclRow::Migration));
        assert_eq!(probe.due(at(23)), Some(KclRow::Leader));
    }

    /// A KCL that has not started before on this table shows itself by the row of its migration.
    #[test]
    fn a_migration_that_begins_or_changes_is_an_alarm_for_a_while() {
        let probe = Probe::default();
        probe.looked(None, None, at(0));
        probe.see(KclRow::Leader, None, at(5));
        assert!(!probe.is_alarmed(at(5)));
        probe.see(KclRow::Migration, Some("2X"), at(10));
        probe.see(KclRow::Migration, Some("2X"), at(20));
        assert!(probe.is_alarmed(at(69)) && !probe.is_alarmed(at(70)));
        probe.looked(None, Some("3X"), at(80));
        assert!(probe.is_alarmed(at(80)));
        let begun = Probe::default();
        begun.looked(Some("a"), Some("3X"), at(0));
        assert!(!begun.is_alarmed(at(0)), "they were there before");
    }

    /// A leader that appears or changes its row raises the alarm for a while; one that stands still
    /// or disappears does not.
    #[test]
    fn a_leader_that_comes_or_moves_is_an_alarm_for_a_while() {
        for before in [None, Some("a")] {
            let probe = Probe::default();
            probe.looked(before, None, at(0));
            probe.see(KclRow::Leader, before, at(5));
            probe.looked(before, None, at(10));
            probe.see(KclRow::Leader, None, at(12));
            assert!(!probe.is_alarmed(at(12)));
            probe.see(KclRow::Leader, Some("b"), at(15));
            probe.see(KclRow::Leader, Some("b"), at(20));
            assert!(probe.is_alarmed(at(15)) && probe.is_alarmed(at(74)));
            assert!(!probe.is_alarmed(at(75)));
        }
    }
}
