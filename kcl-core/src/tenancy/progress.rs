use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::model::Moment;

use super::gathered_records::GatheredRecords;
use super::held::lock;

/// The proof that a shard's consumer is at work. A lease is renewed only on such a proof.
#[derive(Debug)]
pub(crate) struct Progress {
    /// When the loop turned last, in microseconds of the clock.
    turned: AtomicU64,
    /// Since when the handler has been inside a call; `IDLE` when it is not.
    call_since: AtomicU64,
    /// Since when the oldest work on a record goes on that is not waited for by a call; `IDLE` when
    /// there is none.
    work_since: AtomicU64,
    /// How much work goes on that is not waited for by a call.
    at_work: AtomicUsize,
    /// How many lanes of such work have records that are not done.
    lanes: AtomicUsize,
    /// What a buffer holds, for the status.
    gathered: Mutex<GatheredRecords>,
}

/// No moment: nothing is going on.
pub(super) const IDLE: u64 = u64::MAX;

impl Progress {
    /// The consumer counts as just turned: it is given its full budget for the first turn.
    pub(super) const fn new(now: Moment) -> Self {
        Self {
            turned: AtomicU64::new(micros(now)),
            call_since: AtomicU64::new(IDLE),
            work_since: AtomicU64::new(IDLE),
            at_work: AtomicUsize::new(0),
            lanes: AtomicUsize::new(0),
            gathered: Mutex::new(GatheredRecords {
                records: 0,
                bytes: 0,
                since: None,
            }),
        }
    }

    /// The loop turned: a fetch was answered or refused, or it waits for something that is not its
    /// own fault.
    pub(crate) fn turned(&self, now: Moment) {
        self.turned.store(micros(now), Ordering::Release);
    }

    /// The handler is being called.
    pub(crate) fn enter_call(&self, now: Moment) {
        self.call_since.store(micros(now), Ordering::Release);
    }

    /// The handler returned.
    pub(crate) fn leave_call(&self, now: Moment) {
        self.call_since.store(IDLE, Ordering::Release);
        self.turned(now);
    }

    /// So much work goes on in the background, of which the oldest began then.
    pub(crate) fn works_since(&self, since: Option<Moment>, at_work: usize) {
        self.work_since
            .store(since.map_or(IDLE, micros), Ordering::Release);
        self.at_work.store(at_work, Ordering::Release);
    }

    /// How much work goes on in the background.
    pub(crate) fn at_work(&self) -> usize {
        self.at_work.load(Ordering::Acquire)
    }

    /// So many lanes of the work in the background have records that are not done.
    pub(crate) fn has_lanes(&self, lanes: usize) {
        self.lanes.store(lanes, Ordering::Release);
    }

    /// How many lanes of the work in the background have records that are not done.
    pub(crate) fn lanes(&self) -> usize {
        self.lanes.load(Ordering::Acquire)
    }

    /// So much is gathered.
    pub(crate) fn has_gathered(&self, gathered: GatheredRecords) {
        *lock(&self.gathered) = gathered;
    }

    /// What is gathered at present.
    pub(crate) fn gathered(&self) -> GatheredRecords {
        *lock(&self.gathered)
    }

    /// How long the oldest work in the background has gone on.
    pub(crate) fn working_for(&self, now: Moment) -> Option<Duration> {
        Some(self.work_since.load(Ordering::Acquire))
            .filter(|since| *since != IDLE)
            .map(|since| now.since(moment(since)))
    }

    /// How long the handler has been inside a call.
    pub(crate) fn in_call_for(&self, now: Moment) -> Option<Duration> {
        match self.call_since.load(Ordering::Acquire) {
            IDLE => None,
            since => Some(now.since(moment(since))),
        }
    }

    /// How long nothing has turned.
    pub(crate) fn still_for(&self, now: Moment) -> Duration {
        now.since(moment(self.turned.load(Ordering::Acquire)))
    }
}

/// A moment as a number, so that it fits into an atomic.
#[expect(
    clippy::cast_possible_truncation,
    reason = "microseconds of 500,000 years"
)]
pub(super) const fn micros(moment: Moment) -> u64 {
    moment.since_origin().as_micros() as u64
}

/// The moment that [`micros`] made a number of.
pub(super) const fn moment(micros: u64) -> Moment {
    Moment::from_origin(Duration::from_micros(micros))
}
