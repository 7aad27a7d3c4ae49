use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::decide::drain::drain_until;
use crate::model::Moment;
use crate::watermark::Watermark;

/// The stop of a worker, as its shards see it: whether it was requested, and how long records in
/// progress may continue.
#[derive(Clone, Debug, Default)]
pub(crate) struct WorkerStop(Arc<StopShared>);

#[derive(Debug, Default)]
struct StopShared {
    /// How many times the stop was requested or given an earlier deadline.
    asked: Watermark,
    /// The deadline and what follows from it. Set before `asked` is raised, so that who is woken
    /// finds it.
    order: Mutex<Option<StopOrder>>,
}

#[derive(Clone, Copy, Debug)]
struct StopOrder {
    /// When the worker ends, whatever is still going on.
    deadline: Moment,
    /// Until when records in progress may continue.
    drain: Moment,
}

impl WorkerStop {
    /// Requests the stop; everything ends at the deadline. Of several deadlines, the earliest
    /// counts.
    pub(crate) fn ask(&self, now: Moment, deadline: Moment) {
        {
            let mut order = self.order();
            if order.is_some_and(|order| order.deadline <= deadline) {
                return;
            }
            *order = Some(StopOrder {
                deadline,
                drain: drain_until(now, deadline),
            });
        }
        self.0.asked.raise_by_one();
    }

    /// Whether the stop was requested.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.asked.now() > 0
    }

    /// Waits until the stop is requested. Cancel safe.
    pub(crate) async fn asked(&self) {
        self.0.asked.reaches(1).await;
    }

    /// Until when records in progress may continue. `None` until the stop is requested.
    pub(crate) fn drain_until(&self) -> Option<Moment> {
        self.order().map(|order| order.drain)
    }

    /// How many times the request has changed.
    pub(crate) fn changes(&self) -> u64 {
        self.0.asked.now()
    }

    /// Waits until the request has changed more than `seen` times. Cancel safe.
    pub(crate) async fn changes_beyond(&self, seen: u64) {
        self.0.asked.reaches(seen + 1).await;
    }

    /// What was requested last.
    fn order(&self) -> MutexGuard<'_, Option<StopOrder>> {
        // A poisoned lock is safe to use: the value is always replaced as a whole.
        self.0.order.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn second(seconds: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn the_earliest_deadline_counts() {
        let stop = WorkerStop::default();
        assert_eq!((stop.is_asked(), stop.drain_until()), (false, None));
        stop.ask(second(0), second(30));
        assert_eq!(
            (stop.is_asked(), stop.drain_until()),
            (true, Some(second(27)))
        );
        stop.ask(second(1), second(40));
        assert_eq!((stop.changes(), stop.drain_until()), (1, Some(second(27))));
        stop.ask(second(20), second(22));
        assert_eq!((stop.changes(), stop.drain_until()), (2, Some(second(21))));
    }
}
