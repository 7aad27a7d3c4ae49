//! What the writer of a held lease does next, and when: it renews the lease, stores what is done,
//! refuses a request that takes too long, or gives the lease up.
//!
//! | in this order | |
//! |---|---|
//! | the lease's own deadline has passed | it is lost |
//! | its consumer makes no progress | it is given up |
//! | its consumer has not agreed to hand it over within the drain limit | the request is refused |
//! | a renewal is due | it is sent, with what is done and not stored yet |
//! | an automatic checkpoint is due | it is stored, which renews too |

use std::time::Duration;

use crate::decide::expiry::Timing;
use crate::model::Moment;

/// What bounds a lease in addition to the failover time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long what is done waits for its automatic checkpoint, at most.
    pub checkpoint_every: Duration,
    /// How long a handler may stay in one call.
    pub handler_budget: Duration,
    /// How long a consumer may go without a turn of its loop when its handler is not called: longer
    /// than a call of the stream.
    pub standstill: Duration,
    /// How long a consumer may take to finish what it has in hand before a request for its lease is
    /// refused.
    pub drain: Duration,
}

/// How the consumer of a lease gets on.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConsumerProgress {
    /// How long its handler has been inside the present call.
    pub in_call: Option<Duration>,
    /// How long the oldest work has gone on that is not waited for by a call.
    pub working: Option<Duration>,
    /// How long its loop has not turned.
    pub still: Duration,
}

/// What the writer does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepStep {
    /// Nothing: it is not time yet.
    Wait,
    /// The lease is lost.
    Lose,
    /// The consumer makes no progress: the lease is freed for others.
    GiveUp,
    /// The hand-over is refused, unless the consumer has just agreed to it.
    RefuseHandOver,
    /// What is done is stored. Whether a renewal was due.
    Checkpoint {
        /// A renewal was due.
        renewal: bool,
    },
    /// The lease is renewed.
    Renew,
}

/// When the writes of a lease were sent, and what it waits for.
#[derive(Clone, Copy, Debug)]
pub struct Keeping {
    /// When the last settled write was sent.
    pub sent: Moment,
    /// The earliest next write after one that was not settled.
    pub retry_at: Moment,
    /// When a checkpoint was stored last.
    pub checkpointed: Option<Moment>,
    /// Until when the consumer may take to agree to a hand-over.
    pub drain_until: Option<Moment>,
    /// The times that follow from the failover time.
    pub timing: Timing,
    /// The other limits.
    pub limits: Limits,
}

impl Keeping {
    /// A lease that was acquired by a write sent then.
    #[must_use]
    pub fn new(sent: Moment, timing: Timing, limits: Limits) -> Self {
        Self {
            sent,
            retry_at: Moment::default(),
            checkpointed: None,
            drain_until: None,
            timing,
            limits,
        }
    }

    /// Until when the lease is held without another settled write.
    #[must_use]
    pub fn deadline(&self) -> Moment {
        self.sent + self.timing.valid_for
    }

    fn renewal_due(&self) -> Moment {
        self.sent + self.timing.renew_every
    }

    /// When what is done is worth a write of its own.
    fn checkpoint_due(&self) -> Moment {
        self.checkpointed
            .map_or_else(Moment::default, |last| last + self.limits.checkpoint_every)
    }

    /// When there is something to do by the clock. `is_ahead`: more is done than is stored.
    #[must_use]
    pub fn next_due(&self, is_ahead: bool) -> Moment {
        let due = if is_ahead {
            self.renewal_due().min(self.checkpoint_due())
        } else {
            self.renewal_due()
        };
        // A request is refused in time, also while the lease is quiet.
        let due = self.drain_until.map_or(due, |until| due.min(until));
        due.max(self.retry_at).min(self.deadline())
    }

    /// What is to be done at `now`.
    #[must_use]
    pub fn step(&self, now: Moment, consumer: ConsumerProgress, is_ahead: bool) -> KeepStep {
        let renewal = now >= self.renewal_due();
        if now >= self.deadline() {
            KeepStep::Lose
        } else if self.is_stuck(consumer) {
            KeepStep::GiveUp
        } else if self.drain_until.is_some_and(|until| now >= until) {
            KeepStep::RefuseHandOver
        } else if is_ahead && (renewal || now >= self.checkpoint_due()) {
            // A renewal takes along what there is: it costs a write anyway.
            KeepStep::Checkpoint { renewal }
        } else if renewal {
            KeepStep::Renew
        } else {
            KeepStep::Wait
        }
    }

    fn is_stuck(&self, consumer: ConsumerProgress) -> bool {
        let budget = self.limits.handler_budget;
        let stands_still = match consumer.in_call {
            Some(span) => span >= budget,
            None => consumer.still >= self.limits.standstill,
        };
        stands_still || consumer.working.is_some_and(|span| span >= budget)
    }
}

#[cfg(test)]
#[path = "keeping_test.rs"]
mod tests;
