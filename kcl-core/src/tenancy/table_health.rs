use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::decide::outage::{Outage, Outages, TableCall};
use crate::lease::{Error, with_causes};
use crate::model::Moment;

/// How the calls of the lease table go, as every part of a worker sees it. Clones are the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct TableHealth(Arc<Mutex<(Outages, Option<Arc<str>>)>>);

impl TableHealth {
    /// Takes in what a call that ended at `now` came to.
    /// A refused condition and a malformed row are answers of a table that works.
    pub(crate) fn note<T>(&self, call: TableCall, answer: &Result<T, Error>, now: Moment) {
        let mut known = self.lock();
        match answer {
            Ok(_) | Err(Error::Conflict { .. } | Error::Malformed(_)) => known.0.answered(call),
            Err(error) => {
                known.0.failed(call, now);
                known.1 = Some(with_causes(error).into());
            }
        }
    }

    /// How calls fail at present, if they do, and what the last one that failed came to.
    pub(crate) fn failing(&self) -> Option<(Outage, Arc<str>)> {
        let known = self.lock();
        known
            .0
            .worst()
            .map(|outage| (outage, known.1.clone().unwrap_or_default()))
    }

    /// For how long calls have failed; zero when they do not.
    pub(crate) fn lasting(&self, now: Moment) -> Duration {
        self.lock().0.lasting(now)
    }

    /// Nothing is left half done where it is held.
    fn lock(&self) -> MutexGuard<'_, (Outages, Option<Arc<str>>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
