use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::BoxError;
use crate::decide::expiry::Timing;
use crate::lease::{Error, Write, with_causes};
use crate::model::{Checkpoint, Fence, Lease, LeaseKey, LossReason, Moment, Position, WorkerId};

use super::held::{Held, HeldState, Order};
use super::table_client::TableClient;

mod orders;
mod settling;

/// The one writer of a lease: renewals and checkpoints go through here and cannot race each other.
/// A checkpoint renews.
///
/// It runs on the coordination runtime, where no handler can stop it.
#[derive(Debug)]
pub(crate) struct Writer {
    settler: TableClient,
    timing: Timing,
    limits: Limits,
    me: WorkerId,
    /// The row as the table has shown it last.
    row: Lease,
    /// When the last settled write was sent.
    sent: Moment,
    /// When the first write was sent of which nobody knows yet what became.
    unsettled: Option<Moment>,
    /// The earliest next write after one that was not settled.
    retry_at: Moment,
    checkpointed: Option<Moment>,
    /// Who asks for the lease, as the coordination has been told.
    asked: Option<WorkerId>,
    /// Who is to have it.
    heir: Option<WorkerId>,
    /// It is to be given up whoever asks for it.
    giving_up: bool,
    /// Until when the consumer may take to say yes to that.
    drain_until: Option<Moment>,
    notes: mpsc::UnboundedSender<FromWriter>,
    shared: Arc<HeldState>,
    orders: mpsc::UnboundedReceiver<Order>,
    loss: watch::Sender<Option<LossReason>>,
}

/// What bounds a lease beside the failover time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long what is done waits for its automatic checkpoint, at most.
    pub(crate) checkpoint_every: Duration,
    /// How long a handler may stay in one call.
    pub(crate) handler_budget: Duration,
    /// How long a consumer may go without a turn of its loop when its handler is not called: longer
    /// than a call of the stream.
    pub(crate) standstill: Duration,
    /// How long a consumer may take to finish what it has in hand before a request for its lease is
    /// refused.
    pub(crate) drain: Duration,
}

/// What a writer tells the coordination.
#[derive(Debug)]
pub(crate) enum FromWriter {
    /// Another worker asks for the lease. Answered by
    /// [`Orders::hand_over`](super::held::Orders::hand_over) or
    /// [`refuse`](super::held::Orders::refuse).
    Asked { lease: LeaseKey, by: WorkerId },
    /// A request is refused, as the consumer took too long.
    Refused { lease: LeaseKey },
    /// The shard has been out of reach for long: another worker should have the lease, if there is
    /// one. Said with each renewal.
    OutOfReach { lease: LeaseKey },
}

/// How a tenancy ended.
#[derive(Debug)]
pub(crate) enum TenancyEnd {
    /// The shard's end is stored.
    Ended,
    /// The lease is free.
    Released,
    /// It was handed over to this worker.
    HandedOver(Box<Lease>),
    /// It is this worker's still, for the next process under its name.
    Kept,
    /// It is not ours any more.
    Lost(LossReason),
    /// The table cannot be used.
    Broken(Error),
}

impl Writer {
    /// The writer of a lease that was acquired by a write sent at `sent`, and the consumer's side
    /// of it.
    pub(crate) fn new(
        settler: TableClient,
        timing: Timing,
        limits: Limits,
        (row, sent): (Lease, Moment),
        me: WorkerId,
        notes: mpsc::UnboundedSender<FromWriter>,
    ) -> (Self, Held) {
        let (loss, seen) = watch::channel(None);
        let (give, orders) = mpsc::unbounded_channel();
        let now = settler.clock.now();
        let shared = Arc::new(HeldState::new(
            row.key.clone(),
            Fence(row.counter),
            row.checkpoint.clone(),
            now,
        ));
        shared.set_valid_until(sent + timing.valid_for);
        let held = Held::new(Arc::clone(&shared), give, seen);
        (
            Self {
                settler,
                timing,
                limits,
                me,
                row,
                sent,
                unsettled: None,
                retry_at: Moment::default(),
                checkpointed: None,
                asked: None,
                heir: None,
                giving_up: false,
                drain_until: None,
                notes,
                shared,
                orders,
                loss,
            },
            held,
        )
    }

    /// Keeps the lease until it is ended, released or lost.
    pub(crate) async fn run(mut self) -> TenancyEnd {
        let tenancy = self.keep().await;
        let reason = match &tenancy {
            TenancyEnd::Ended
            | TenancyEnd::Released
            | TenancyEnd::HandedOver(_)
            | TenancyEnd::Kept => LossReason::Released,
            TenancyEnd::Lost(reason) => reason.clone(),
            TenancyEnd::Broken(error) => LossReason::Lost(with_causes(error).into()),
        };
        self.shared.set_valid_until(Moment::default());
        self.loss.send_replace(Some(reason));
        tenancy
    }

    async fn keep(&mut self) -> TenancyEnd {
        let clock = Arc::clone(&self.settler.clock);
        loop {
            self.look_at_owners();
            let due = self.next_due();
            // Before the orders: one that writes nothing, given over and over, must not keep the
            // lease from being renewed.
            if clock.now() >= due {
                if let Some(tenancy) = self.on_time().await {
                    return tenancy;
                }
                continue;
            }
            // In this order: what a consumer asks for, the clock, news of progress.
            tokio::select! {
                biased;
                order = self.orders.recv() => match order {
                    Some(order) => if let Some(tenancy) = self.carry_out(order).await {
                        return tenancy;
                    },
                    // Nobody can work on this lease any more.
                    None => return self.give_up(LossReason::Released).await,
                },
                () = clock.sleep_until(due) => {}
                () = self.shared.finished_changed.notified() => {}
            }
        }
    }

    /// When to write next by itself.
    fn next_due(&self) -> Moment {
        // Off before the check, or a position that is finished in between would wake nobody.
        self.shared.timer_armed.store(false, Ordering::SeqCst);
        let progress = self.automatic().is_some();
        self.shared.timer_armed.store(progress, Ordering::SeqCst);
        let due = if progress {
            self.renewal_due().min(self.checkpoint_due())
        } else {
            self.renewal_due()
        };
        // A request is refused in time, also while the lease is quiet.
        let due = self.drain_until.map_or(due, |until| due.min(until));
        due.max(self.retry_at).min(self.deadline())
    }

    fn renewal_due(&self) -> Moment {
        self.sent + self.timing.renew_every
    }

    /// When progress is worth a write of its own.
    fn checkpoint_due(&self) -> Moment {
        self.checkpointed
            .map_or_else(Moment::default, |last| last + self.limits.checkpoint_every)
    }

    /// The position that an automatic checkpoint would store.
    fn automatic(&self) -> Option<Position> {
        self.shared
            .finished()
            .filter(|position| self.row.checkpoint < Checkpoint::At(position.clone()))
    }

    async fn on_time(&mut self) -> Option<TenancyEnd> {
        let now = self.settler.clock.now();
        if now >= self.deadline() {
            return Some(TenancyEnd::Lost(self.shared.out_of_time()));
        }
        let progress = &self.shared.progress;
        let stuck = match progress.in_call_for(now) {
            Some(span) => span >= self.limits.handler_budget,
            None => progress.still_for(now) >= self.limits.standstill,
        } || progress
            .working_for(now)
            .is_some_and(|span| span >= self.limits.handler_budget);
        if stuck {
            return Some(self.give_up(LossReason::NoProgress).await);
        }
        if self.drain_until.take_if(|until| now >= *until).is_some()
            && self.shared.hand_over.take_back()
            && let Some(asked) = self.heir.take()
        {
            let _ = self.notes.send(FromWriter::Refused {
                lease: self.row.key.clone(),
            });
            return self.refuse(asked).await;
        }
        let renewal_due = now >= self.renewal_due();
        if renewal_due && !self.giving_up && self.shared.is_out_of_reach(self.timing.failover) {
            let _ = self.notes.send(FromWriter::OutOfReach {
                lease: self.row.key.clone(),
            });
        }
        // A renewal takes along what there is: it costs a write anyway.
        match self
            .automatic()
            .filter(|_| renewal_due || now >= self.checkpoint_due())
        {
            Some(position) => {
                self.checkpointed = Some(now);
                let to = Checkpoint::At(position);
                self.write(|row| (row.checkpoint < to).then(|| Write::checkpoint(row, to.clone())))
                    .await
                    .err()
            }
            None if renewal_due => self.write(|row| Some(Write::renew(row))).await.err(),
            None => None,
        }
    }

    fn deadline(&self) -> Moment {
        self.sent + self.timing.valid_for
    }

    /// Who asks for this lease, as its row says.
    fn requester(&self) -> Option<&WorkerId> {
        self.row
            .owner
            .as_ref()
            .filter(|_| self.row.checkpoint_owner.as_ref() == Some(&self.me))
    }

    /// Every row that a write returned may tell of a request, or that there is none any more.
    fn look_at_owners(&mut self) {
        if self.requester() == self.asked.as_ref() {
            return;
        }
        self.asked = self.requester().cloned();
        if self.heir != self.asked {
            // Withdrawn. A consumer that has begun to hand over goes on: its lease is freed.
            (self.heir, self.drain_until) = (None, None);
            if !self.giving_up {
                self.shared.hand_over.take_back();
            }
        }
        if let Some(by) = &self.asked {
            let _ = self.notes.send(FromWriter::Asked {
                lease: self.row.key.clone(),
                by: by.clone(),
            });
        }
    }
}

/// Why a write did not go through.
enum Failed {
    Tenancy(TenancyEnd),
    Unsettled(BoxError),
}

#[cfg(test)]
#[path = "writer_test.rs"]
mod tests;
