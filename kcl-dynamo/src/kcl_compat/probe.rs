use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kcl_core::model::Moment;

/// How often the row of the KCL's leader is read where scans are seldom.
const PROBE_EVERY: Duration = Duration::from_secs(5);
/// For how long scans are frequent once a leader is there that was not before: its worker's metrics
/// come within seconds, and its next heartbeat after 30 s.
const ALARM: Duration = Duration::from_secs(60);

/// Watches for a leader of the KCL between two scans: a worker that is alone and holds every lease
/// scans each 30 s, and a leader that has begun to give leases away is to be known sooner.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    state: Mutex<ProbeState>,
}

#[derive(Debug, Default)]
struct ProbeState {
    /// When the last scan ended, or the last reading of the row was begun.
    read: Option<Moment>,
    /// Its version when it was seen last.
    version: Option<String>,
    /// When another version was seen than before.
    alarmed: Option<Moment>,
}

impl ProbeState {
    fn see(&mut self, version: Option<&str>, at: Moment) {
        // One that goes is of a leader that stops.
        if version.is_some() && version != self.version.as_deref() {
            self.alarmed = Some(at);
        }
        self.version = version.map(ToOwned::to_owned);
    }
}

impl Probe {
    /// All rows were read, and the row of the leader was there in this version, or not.
    pub(crate) fn looked(&self, version: Option<&str>, at: Moment) {
        let mut state = self.lock();
        if state.read.replace(at).is_some() {
            state.see(version, at);
        } else {
            state.version = version.map(ToOwned::to_owned);
        }
    }

    /// Whether the row is to be read now. Says so once.
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

    /// The row was read by itself.
    pub(crate) fn see(&self, version: Option<&str>, at: Moment) {
        self.lock().see(version, at);
    }

    /// Whether scans are to be frequent.
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

    /// A leader that comes or moves is an alarm for a while and one that stands or goes is none.
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
