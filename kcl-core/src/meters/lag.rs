use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{Gauge, Label};

use crate::decide::lag::ReadProgress;
use crate::model::Moment;

use super::{figures, with};

/// How far behind a shard is: what the fetching side and the consumer know of it together, and the
/// gauges that say so.
///
/// One mutex for both: once the lease is given up, no late answer brings a gauge back to life.
#[derive(Clone)]
pub(crate) struct Lag(Arc<Mutex<LagState>>);

struct LagState {
    /// Nothing before the shard is to be read.
    seen: Option<ReadProgress>,
    behind: Gauge,
    undone: Gauge,
    in_call: Gauge,
    /// Of the handler, and of reading.
    failing: [Gauge; 2],
    held: Gauge,
    is_over: bool,
}

impl Lag {
    /// Of a shard whose lease is held from now on.
    pub(super) fn new(labels: &[Label]) -> Self {
        let known = LagState {
            seen: None,
            behind: figures::LAG.gauge(labels),
            undone: figures::UNDONE.gauge(labels),
            in_call: figures::IN_CALL.gauge(labels),
            failing: ["handler", "reading"]
                .map(|what| figures::FAILING.gauge(&with(labels, "what", what))),
            held: figures::HELD.gauge(labels),
            is_over: false,
        };
        known.held.set(1.0);
        Self(Arc::new(Mutex::new(known)))
    }

    /// The shard is to be read, by a way on which this much silence is usual.
    pub(crate) fn is_to_be_read(&self, now: Moment, usual: Duration) {
        let mut known = self.known();
        let seen = known.seen.get_or_insert(ReadProgress {
            since: now,
            answered: None,
            usual,
            undone: None,
        });
        seen.usual = usual;
    }

    /// The stream has answered, this far from its tip if it said so.
    pub(crate) fn answered(&self, now: Moment, behind: Option<u64>) {
        self.change(now, |seen| {
            // An answer that says nothing of the tip does not take back what the one before said.
            let before = seen.answered.and_then(|(_, told)| told);
            seen.answered = Some((now, behind.map(Duration::from_millis).or(before)));
        });
    }

    /// The oldest record that is not done was that old at that moment.
    pub(crate) fn has_undone(&self, now: Moment, age: Duration, then: Moment) {
        self.change(now, |seen| seen.undone = Some((age, then)));
    }

    /// What was fetched is done.
    pub(crate) fn is_done(&self, now: Moment) {
        self.change(now, |seen| seen.undone = None);
    }

    /// The present call of the handler has taken so long, if that is long.
    pub(crate) fn is_in_call(&self, long: Option<Duration>) {
        let known = self.known();
        if !known.is_over {
            known.in_call.set(long.unwrap_or_default().as_secs_f64());
        }
    }

    /// For so long every call has failed, to read the shard and of the handler.
    pub(crate) fn fails(&self, reading: Option<Duration>, handler: Option<Duration>) {
        let known = self.known();
        if !known.is_over {
            for (gauge, span) in known.failing.iter().zip([handler, reading]) {
                gauge.set(span.unwrap_or_default().as_secs_f64());
            }
        }
    }

    /// Tells the gauges how late it is.
    pub(crate) fn refresh(&self, now: Moment) {
        self.change(now, |_| {});
    }

    /// The lag and the age of the oldest record that is not done.
    pub(crate) fn at(&self, now: Moment) -> (Option<Duration>, Option<Duration>) {
        self.known().seen.map_or((None, None), |seen| {
            (seen.lag(now), seen.oldest_undone_age(now))
        })
    }

    /// The lease is not held any more. A gauge cannot be taken back: it is no number from now on.
    pub(crate) fn is_over(&self) {
        let mut known = self.known();
        known.is_over = true;
        known.behind.set(f64::NAN);
        known.undone.set(f64::NAN);
        known.in_call.set(f64::NAN);
        known.failing.iter().for_each(|gauge| gauge.set(f64::NAN));
        known.held.set(0.0);
    }

    fn change(&self, now: Moment, change: impl FnOnce(&mut ReadProgress)) {
        let mut known = self.known();
        if known.is_over {
            return;
        }
        let Some(seen) = &mut known.seen else { return };
        change(seen);
        let seen = *seen;
        if let Some(lag) = seen.lag(now) {
            known.behind.set(lag.as_secs_f64());
        }
        known.undone.set(
            seen.oldest_undone_age(now)
                .unwrap_or_default()
                .as_secs_f64(),
        );
    }

    fn known(&self) -> MutexGuard<'_, LagState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Lag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lag").field(&self.known().seen).finish()
    }
}
