//! The coexistence while workers run: from the rows that are read anyway, and only ever stricter.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kcl_core::lease::Error;
use kcl_core::model::Moment;

use crate::item::Item;

use super::{Coexistence, Evidence, KclIsLeading, judge};

/// How often the additional tables of an old KCL are read: a KCL writes its metrics every 30 s, and
/// they count for 60 s.
const BESIDE_EVERY: Duration = Duration::from_secs(30);

/// Watches for Java workers in the rows that are read anyway.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    state: Mutex<WatchState>,
}

/// What was judged, and what the next judgement needs.
#[derive(Debug, Default)]
struct WatchState {
    /// The strictest one since `setup`.
    coexistence: Coexistence,
    /// The evidence that a Java fleet leads.
    what: String,
    /// What the rows of the current scan show.
    looking: Evidence,
    /// What the additional tables showed when they were last read.
    beside: Evidence,
    /// When they were last read.
    looked_beside: Option<Moment>,
    /// The version of the row `Leader` when it was last seen.
    leader: Option<String>,
    /// The `cv` of the row `Migration3.0` when it was last seen.
    migration: Option<String>,
    /// Whether the row of the change signal may exist although it must not.
    signal_has_to_go: bool,
}

impl Watch {
    /// What was judged last.
    pub(crate) fn coexistence(&self) -> Coexistence {
        self.lock().coexistence
    }

    /// The version of the row `Leader` when all rows were last read.
    pub(crate) fn leader(&self) -> Option<String> {
        self.lock().leader.clone()
    }

    /// The `cv` of the row `Migration3.0` when all rows were last read.
    pub(crate) fn migration(&self) -> Option<String> {
        self.lock().migration.clone()
    }

    /// Sets what `setup` has found.
    pub(crate) fn begin(&self, evidence: &Evidence, coexistence: Coexistence, at: Moment) {
        let mut state = self.lock();
        state.looked_beside = Some(at);
        state.coexistence = coexistence;
        state.what.clear();
        state.beside = Evidence {
            legacy_table: evidence.legacy_table,
            ..Evidence::default()
        };
        state.leader.clone_from(&evidence.leader);
        state.signal_has_to_go = coexistence != Coexistence::Exclusive;
    }

    /// Adds a page of a scan; after the last one it judges. Returns the new coexistence if it is
    /// stricter than before, with the evidence for it.
    ///
    /// It never becomes less strict: a Java worker that leaves no trace for a while may come back.
    pub(crate) fn look<'a>(
        &self,
        items: impl IntoIterator<Item = &'a Item>,
        is_first: bool,
        is_last: bool,
        now: i64,
    ) -> Option<(Coexistence, String)> {
        let mut state = self.lock();
        if is_first {
            state.looking = Evidence::default();
        }
        for item in items {
            state.looking.add(item);
        }
        if !is_last {
            return None;
        }
        let mut evidence = std::mem::take(&mut state.looking);
        state.migration.clone_from(&evidence.client_version);
        evidence.add_beside(&state.beside);
        let (coexistence, what) = judge(&evidence, now, state.leader.as_deref());
        state.leader = evidence.leader;
        if coexistence <= state.coexistence {
            return None;
        }
        state.coexistence = coexistence;
        state.what.clone_from(&what);
        state.signal_has_to_go = true;
        Some((coexistence, what))
    }

    /// Whether the additional tables of an old KCL have to be read now: a KCL may have started, or
    /// migrated to 3.x. Returns true only once for each read.
    pub(crate) fn takes_look_beside(&self, now: Moment) -> bool {
        let mut state = self.lock();
        let is_due = state
            .looked_beside
            .is_none_or(|looked| now.since(looked) >= BESIDE_EVERY);
        if is_due {
            state.looked_beside = Some(now);
        }
        is_due && state.coexistence == Coexistence::LeasesOnly
    }

    /// Sets what the additional tables show. The next scan judges it.
    pub(crate) fn see_beside(&self, evidence: Evidence) {
        self.lock().beside = evidence;
    }

    /// Whether the row of the change signal has to be removed.
    pub(crate) fn signal_has_to_go(&self) -> bool {
        self.lock().signal_has_to_go
    }

    /// Notes that the row of the change signal no longer exists.
    pub(crate) fn signal_is_gone(&self) {
        self.lock().signal_has_to_go = false;
    }

    /// The evidence that a Java fleet leads, if one does.
    pub(crate) fn led(&self) -> Option<String> {
        let state = self.lock();
        (state.coexistence == Coexistence::KclLeads).then(|| state.what.clone())
    }

    /// The error for an attempt to take a lease, if leases must not be taken now. It is
    /// `Throttled`, so the worker keeps what it holds and tries again: when the KCL has stopped, a
    /// restart of the worker is enough.
    pub(crate) fn forbids_taking(&self, table: &str) -> Option<Error> {
        let state = self.lock();
        let leading = || KclIsLeading {
            table: table.to_owned(),
            what: state.what.clone(),
        };
        (state.coexistence == Coexistence::KclLeads).then(|| Error::Throttled {
            source: Box::new(leading()),
        })
    }

    fn lock(&self) -> MutexGuard<'_, WatchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
