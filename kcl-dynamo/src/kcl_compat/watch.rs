use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kcl_core::lease::Error;
use kcl_core::model::Moment;

use crate::item::Item;

use super::{Coexistence, Evidence, KclIsLeading, judge};

/// How often the tables beside this one are read: a KCL writes its metrics each 30 s, and they
/// count for 60 s.
const BESIDE_EVERY: Duration = Duration::from_secs(30);

/// Watches for Java workers in what is read of the table anyway.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    state: Mutex<WatchState>,
}

#[derive(Debug, Default)]
struct WatchState {
    coexistence: Coexistence,
    /// What showed that a Java fleet leads.
    what: String,
    /// The rows of the scan that is going on.
    looking: Evidence,
    /// What was found beside the table when it was looked for last.
    beside: Evidence,
    /// When that was.
    looked_beside: Option<Moment>,
    /// The version of the row `Leader` when it was seen last.
    leader: Option<String>,
    /// The row of the change signal may be there and should not.
    signal_has_to_go: bool,
}

impl Watch {
    pub(crate) fn coexistence(&self) -> Coexistence {
        self.lock().coexistence
    }

    /// The version of the row `Leader` when all rows were read last.
    pub(crate) fn leader(&self) -> Option<String> {
        self.lock().leader.clone()
    }

    /// What a set-up found.
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

    /// Adds a page of a scan; the last one decides. Gives what is stricter than before, and what
    /// showed it.
    ///
    /// It never becomes less strict by itself: a neighbour that shows nothing for a while has not
    /// gone for good.
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

    /// Whether the tables beside this one are to be read now, which an old KCL keeps that lives:
    /// one may go over to 3.x, or have come. Says so once.
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

    /// What the tables beside this one show. The next scan judges it.
    pub(crate) fn see_beside(&self, evidence: Evidence) {
        self.lock().beside = evidence;
    }

    /// Whether the row of the change signal has to be removed.
    pub(crate) fn signal_has_to_go(&self) -> bool {
        self.lock().signal_has_to_go
    }

    /// The row of the change signal is not there any more.
    pub(crate) fn signal_is_gone(&self) {
        self.lock().signal_has_to_go = false;
    }

    /// What showed that a Java fleet leads, if one does.
    pub(crate) fn led(&self) -> Option<String> {
        let state = self.lock();
        (state.coexistence == Coexistence::KclLeads).then(|| state.what.clone())
    }

    /// Why no lease may be taken now, if none may.
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
