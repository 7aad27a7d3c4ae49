//! What the metrics say of one shard at this moment.
//!
//! `crate::decide::lag` computes the lag; this file remembers what it is computed from and sets the
//! gauges. Two sides report here, at any time and in any order: the fetching side tells of answers,
//! the consumer of records that are done.
//!
//! ```text
//!   fetch      answered ------------------+
//!                                         +--> ReadProgress --> gauges
//!   consumer   has_undone, is_done -------+         ^
//!                                         refresh, with the clock: a lag grows while nothing happens
//! ```

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{Gauge, Label};

use crate::decide::lag::ReadProgress;
use crate::model::Moment;
use crate::tenancy::gathered_records::GatheredRecords;

use super::{figures, with};

/// The lag of a shard, from what the fetching side and the consumer know of it together, and the
/// gauges that show it.
///
/// One mutex covers both, so that no late answer can set a gauge after the lease was given up.
#[derive(Clone)]
pub(crate) struct Lag(Arc<Mutex<LagState>>);

struct LagState {
    /// `None` until the shard is to be read. A child shard may wait for its parent for hours; it
    /// has no lag in that time, and its gauges are not set.
    seen: Option<ReadProgress>,
    /// `kcl_behind_latest_seconds`: the one that alarms watch.
    behind: Gauge,
    /// `kcl_oldest_undone_age_seconds`.
    undone: Gauge,
    /// `kcl_handler_call_seconds`.
    in_call: Gauge,
    /// `kcl_handler_calls_at_work`.
    at_work: Gauge,
    /// `kcl_handler_lanes`.
    lanes: Gauge,
    /// The gauges of buffered records, their bytes and their age.
    gathered: [Gauge; 3],
    /// The gauges of failing handler calls and of failing reads.
    failing: [Gauge; 2],
    /// `kcl_lease_held`: the only one that keeps a value, 0, after the end, so that a sum over the
    /// fleet counts the shards that are held.
    held: Gauge,
    /// Set once, by [`Lag::is_over`]. A prefetched answer or the end of a handler call may still
    /// arrive after the lease was given up; it changes nothing then.
    is_over: bool,
}

impl Lag {
    /// Starts the gauges of a shard whose lease is held from now on.
    pub(super) fn new(labels: &[Label]) -> Self {
        let known = LagState {
            seen: None,
            behind: figures::LAG.gauge(labels),
            undone: figures::UNDONE.gauge(labels),
            in_call: figures::IN_CALL.gauge(labels),
            at_work: figures::AT_WORK.gauge(labels),
            lanes: figures::LANES.gauge(labels),
            gathered: [
                figures::GATHERED,
                figures::GATHERED_BYTES,
                figures::GATHERED_AGE,
            ]
            .map(|figure| figure.gauge(labels)),
            failing: ["handler", "reading"]
                .map(|what| figures::FAILING.gauge(&with(labels, "what", what))),
            held: figures::HELD.gauge(labels),
            is_over: false,
        };
        known.held.set(1.0);
        Self(Arc::new(Mutex::new(known)))
    }

    /// Notes that the shard is read from now on, in a mode where a silence of `usual` is normal.
    /// The first call starts the time from which the lag counts. A later one, for example when
    /// reading goes over from fan-out to polling, changes only `usual`.
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

    /// Notes an answer of the stream, with the milliseconds behind the tip if it said so.
    pub(crate) fn answered(&self, now: Moment, behind: Option<u64>) {
        self.change(now, |seen| {
            // An answer without a lag does not replace the lag of an earlier one.
            let before = seen.answered.and_then(|(_, told)| told);
            seen.answered = Some((now, behind.map(Duration::from_millis).or(before)));
        });
    }

    /// Notes that the oldest record that is not done had this age at the moment `then`. `then` is
    /// when `age` was computed. From there the age grows with the monotonic clock, so a step of the
    /// wall clock does not show in it.
    pub(crate) fn has_undone(&self, now: Moment, age: Duration, then: Moment) {
        self.change(now, |seen| seen.undone = Some((age, then)));
    }

    /// Notes that everything fetched is done.
    pub(crate) fn is_done(&self, now: Moment) {
        self.change(now, |seen| seen.undone = None);
    }

    /// Sets how long the current call of the handler has taken, or `None` if there is none or it is
    /// shorter than `handler_warning`: usual calls would make the gauge noise.
    pub(crate) fn is_in_call(&self, long: Option<Duration>) {
        let known = self.known();
        if !known.is_over {
            known.in_call.set(long.unwrap_or_default().as_secs_f64());
        }
    }

    /// Sets how many handler calls are in progress besides those of the processor, in how many lanes
    /// there are records that are not done, and how much is buffered.
    pub(crate) fn has_at_work(
        &self,
        now: Moment,
        (at_work, lanes): (usize, usize),
        gathered: GatheredRecords,
    ) {
        let known = self.known();
        if !known.is_over {
            known.at_work.set(at_work as f64);
            known.lanes.set(lanes as f64);
            let age = gathered.since.map(|since| now.since(since));
            let age = age.unwrap_or_default().as_secs_f64();
            let values = [gathered.records as f64, gathered.bytes as f64, age];
            for (gauge, value) in known.gathered.iter().zip(values) {
                gauge.set(value);
            }
        }
    }

    /// Sets for how long every read of the shard, and every call of the handler, has failed. Both
    /// are 0 as soon as one call succeeds, so an alarm needs only a threshold and no rate.
    pub(crate) fn fails(&self, reading: Option<Duration>, handler: Option<Duration>) {
        let known = self.known();
        if !known.is_over {
            for (gauge, span) in known.failing.iter().zip([handler, reading]) {
                gauge.set(span.unwrap_or_default().as_secs_f64());
            }
        }
    }

    /// Updates the gauges that grow with time. Nothing else would: while a shard stands still, no
    /// call reports anything.
    pub(crate) fn refresh(&self, now: Moment) {
        self.change(now, |_| {});
    }

    /// The lag, and the age of the oldest record that is not done. The status of the worker shows
    /// the same two values as the gauges.
    pub(crate) fn at(&self, now: Moment) -> (Option<Duration>, Option<Duration>) {
        self.known().seen.map_or((None, None), |seen| {
            (seen.lag(now), seen.oldest_undone_age(now))
        })
    }

    /// Ends the gauges, because the lease is no longer held. A gauge cannot be removed, so they
    /// become NaN. The last value would otherwise stay for as long as the process runs, and an
    /// alarm on the lag would never end although another worker reads the shard.
    pub(crate) fn is_over(&self) {
        let mut known = self.known();
        known.is_over = true;
        known.behind.set(f64::NAN);
        known.undone.set(f64::NAN);
        known.in_call.set(f64::NAN);
        known.at_work.set(f64::NAN);
        known.lanes.set(f64::NAN);
        known.gathered.iter().for_each(|gauge| gauge.set(f64::NAN));
        known.failing.iter().for_each(|gauge| gauge.set(f64::NAN));
        known.held.set(0.0);
    }

    /// Changes what is known and sets the gauges that follow from it, under one lock. It does
    /// nothing before the shard is to be read, and nothing after the end.
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

    /// A poisoned lock is used all the same: the values are replaced as a whole, so a panic
    /// elsewhere cannot leave half of a change.
    fn known(&self) -> MutexGuard<'_, LagState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Lag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lag").field(&self.known().seen).finish()
    }
}
