//! When the KCL leader's row is read between two scans.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kcl_core::model::Moment;

/// How often the KCL leader's row is read if scans are rare.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// For how long scans are frequent after a new leader has appeared: its worker's metrics are
/// written within seconds, and its next heartbeat comes after 30 s.
const ALARM: Duration = Duration::from_secs(60);

/// Watches for a KCL leader between two scans: a lone worker that holds every lease scans only
/// every 30 s, but a leader that has started to assign leases must be noticed sooner.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    state: Mutex<ProbeState>,
}

/// What was seen of the row, under one lock.
#[derive(Debug, Default)]
struct ProbeState {
    /// When the last scan ended or the last read of the row began.
    read: Option<Moment>,
    /// The version of the row when it was last seen.
    version: Option<String>,
    /// When the version was last seen to change.
    alarmed: Option<Moment>,
}

impl ProbeState {
    /// Takes in a version: one that is new or has changed belongs to a live leader.
    fn see(&mut self, version: Option<&str>, at: Moment) {
        // A row that disappears belongs to a leader that has stopped.
        if version.is_some() && version != self.version.as_deref() {
            self.alarmed = Some(at);
        }
        self.version = version.map(ToOwned::to_owned);
    }
}

impl Probe {
    /// Notes that all rows were read, and that the leader's row had this version or did not exist.
    pub(crate) fn looked(&self, version: Option<&str>, at: Moment) {
        let mut state = self.lock();
        if state.read.replace(at).is_some() {
            state.see(version, at);
        } else {
            state.version = version.map(ToOwned::to_owned);
        }
    }

    /// Whether the row has to be read now. Returns true only once for each read.
    pub(crate) fn is_due(&self, now: Moment) -> bool {
        let mut state = self.lock();
        let due = state
            .read
            .is_some_and(|read| now.since(read) >= PROBE_EVERY);
        if due {
            state.read = Some(now);
        }
        due
    }

    /// Notes that the row was read on its own.
    pub(crate) fn see(&self, version: Option<&str>, at: Moment) {
        self.lock().see(version, at);
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
    fn the_row_is_read_where_looks_are_seldom() {
        let probe = Probe::default();
        assert!(
            !probe.is_due(at(0)),
            "before the first scan nothing is known"
        );
        for seconds in [2, 4, 6, 8] {
            probe.looked(None, at(seconds));
            assert!(!probe.is_due(at(seconds + 2)));
        }
        assert!(!probe.is_due(at(12)));
        assert!(probe.is_due(at(13)));
        assert!(!probe.is_due(at(13)), "once");
        assert!(probe.is_due(at(18)));
    }

    /// A leader that appears or changes its row raises the alarm for a while; one that stands still
    /// or disappears does not.
    #[test]
    fn a_leader_that_comes_or_moves_is_an_alarm_for_a_while() {
        for before in [None, Some("a")] {
            let probe = Probe::default();
            probe.looked(before, at(0));
            probe.see(before, at(5));
            probe.looked(before, at(10));
            probe.see(None, at(12));
            assert!(!probe.is_alarmed(at(12)));
            probe.see(Some("b"), at(15));
            probe.see(Some("b"), at(20));
            assert!(probe.is_alarmed(at(15)) && probe.is_alarmed(at(74)));
            assert!(!probe.is_alarmed(at(75)));
        }
    }
}
