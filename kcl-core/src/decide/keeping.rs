//! What the writer of a held lease does next, and when: it renews the lease, stores progress,
//! refuses a request that takes too long, or gives up the lease.
//!
//! | in this order | |
//! |---|---|
//! | the lease's deadline has passed | it is lost |
//! | its consumer makes no progress | it is released |
//! | its consumer has not agreed to hand it over within the drain limit | the request is refused |
//! | a renewal is due | it is sent, together with the progress that is not stored yet; none is if heartbeats keep the lease |
//! | an automatic checkpoint is due | it is stored, which also renews the lease |

use std::time::Duration;

use crate::decide::expiry::Timing;
use crate::model::Moment;

/// The limits of a lease besides the failover time.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest time until progress is stored automatically.
    pub checkpoint_every: Duration,
    /// How long one call of the handler may take.
    pub handler_budget: Duration,
    /// How long the loop of a consumer may stand still while its handler is not being called:
    /// longer than a call to the stream takes. A fetch that hangs in a call is then found by the
    /// call's own limit first.
    pub standstill: Duration,
    /// How long a consumer may take to finish the batch in flight before a request for its lease is
    /// refused. The requester waits for longer than that.
    pub drain: Duration,
}

/// The progress of a lease's consumer.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConsumerProgress {
    /// How long the handler's current call has taken.
    pub in_call: Option<Duration>,
    /// How long the oldest work in the background has taken.
    pub working: Option<Duration>,
    /// How long its loop has stood still.
    pub still: Duration,
}

/// What the writer does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepStep {
    /// Nothing is due yet.
    Wait,
    /// The lease is lost. Another worker may take it from now on, so nothing more is delivered.
    Lose,
    /// The consumer makes no progress: the lease is released for other workers. "Leased but not
    /// read" must not last: the lease would be renewed for ever while nobody reads the shard.
    GiveUp,
    /// The hand-over is refused, unless the consumer has just agreed to it. To hand it over now
    /// would mean two owners: the handler is still in a call.
    RefuseHandOver,
    /// Progress is stored.
    Checkpoint {
        /// Whether a renewal was due, too.
        renewal: bool,
    },
    /// The lease is renewed.
    Renew,
    /// Nothing is written: heartbeats keep the lease. What else is done with each renewal is done now.
    Look,
}

/// What keeps a lease while nothing else is written to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeptBy {
    /// Its own renewals.
    #[default]
    Renewals,
    /// The heartbeats of the worker's row. Its counter is moved so often all the same, or never.
    Heartbeats {
        /// How often, if it is.
        bump_every: Option<Duration>,
    },
}

/// When the writes of a lease were sent, and when the next ones are due.
#[derive(Clone, Copy, Debug)]
pub struct Keeping {
    /// What keeps it.
    pub kept_by: KeptBy,
    /// Until when the heartbeats of the worker reach, if its row may say that they hold its leases:
    /// others judge them by it then. `None` if the row says that each lease is renewed.
    pub beats_reach: Option<Moment>,
    /// The lease is to be written now, whatever the clock says: to go over to heartbeats or to
    /// renewals, or because its row is not as it should be.
    pub is_wanted: bool,
    /// When it was last looked after: without renewals too, somebody has to find out that its
    /// consumer makes no progress.
    pub looked: Moment,
    /// When the last settled write was sent. Not when it was answered: observers may have seen the
    /// write just after it was sent.
    pub sent: Moment,
    /// The earliest next write after one that was not settled. A failed renewal is repeated soon
    /// and not at the next regular time, which may be too late.
    pub retry_at: Moment,
    /// When a checkpoint was last stored. `None` before the first: it is due at once.
    pub checkpointed: Option<Moment>,
    /// Until when the consumer has to agree to a pending hand-over. `None` if no request is
    /// pending.
    pub drain_until: Option<Moment>,
    /// The times that follow from the failover time.
    pub timing: Timing,
    /// The other limits.
    pub limits: Limits,
}

impl Keeping {
    /// Creates it for a lease that was acquired by a write sent at this moment.
    #[must_use]
    pub fn new(sent: Moment, timing: Timing, limits: Limits) -> Self {
        Self {
            kept_by: KeptBy::Renewals,
            beats_reach: None,
            is_wanted: false,
            looked: sent,
            sent,
            retry_at: Moment::default(),
            checkpointed: None,
            drain_until: None,
            timing,
            limits,
        }
    }

    /// Until when the lease is held without another settled write or acknowledged heartbeat.
    #[must_use]
    pub fn deadline(&self) -> Moment {
        let by_writes = self.sent + self.timing.valid_for;
        match (self.kept_by, self.beats_reach) {
            (KeptBy::Renewals, None) => by_writes,
            (KeptBy::Renewals, Some(reach)) => by_writes.min(reach),
            (KeptBy::Heartbeats { .. }, reach) => reach.unwrap_or_default(),
        }
    }

    /// By renewals: a third of the failover time after the last write, so that there is time to
    /// repeat one that fails. By heartbeats: when the counter is to be moved, if it is.
    fn renewal_due(&self) -> Option<Moment> {
        match self.kept_by {
            _ if self.is_wanted => Some(self.sent),
            KeptBy::Renewals => Some(self.sent + self.timing.renew_every),
            KeptBy::Heartbeats { bump_every } => bump_every.map(|every| self.sent + every),
        }
    }

    /// When to look after the lease, if no renewal is due before.
    fn look_due(&self) -> Moment {
        self.looked.max(self.sent) + self.timing.renew_every
    }

    /// When progress is stored with a write of its own.
    fn checkpoint_due(&self) -> Moment {
        self.checkpointed
            .map_or_else(Moment::default, |last| last + self.limits.checkpoint_every)
    }

    /// When the next step is due. `is_ahead` says that there is progress that is not stored.
    #[must_use]
    pub fn next_due(&self, is_ahead: bool) -> Moment {
        let due = self.renewal_due();
        let due = due.map_or_else(|| self.look_due(), |due| due.min(self.look_due()));
        let due = if is_ahead {
            due.min(self.checkpoint_due())
        } else {
            due
        };
        // A request is refused in time even if no other write is due.
        let due = self.drain_until.map_or(due, |until| due.min(until));
        due.max(self.retry_at).min(self.deadline())
    }

    /// The next step at `now`.
    #[must_use]
    pub fn step(&self, now: Moment, consumer: ConsumerProgress, is_ahead: bool) -> KeepStep {
        let renewal = self.renewal_due().is_some_and(|due| now >= due);
        if now >= self.deadline() {
            KeepStep::Lose
        } else if self.is_stuck(consumer) {
            KeepStep::GiveUp
        } else if self.drain_until.is_some_and(|until| now >= until) {
            KeepStep::RefuseHandOver
        } else if is_ahead && (renewal || now >= self.checkpoint_due()) {
            // A renewal includes the progress, because it costs a write anyway.
            KeepStep::Checkpoint { renewal }
        } else if renewal {
            KeepStep::Renew
        } else if now >= self.look_due() {
            KeepStep::Look
        } else {
            KeepStep::Wait
        }
    }

    /// A call counts by the handler's budget, everything else by the standstill limit. Work in the
    /// background counts like a call, even while the loop turns.
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
