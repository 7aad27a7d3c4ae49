use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::decide::checkpoint::{Accepted, commit};
use crate::model::{Checkpoint, Lease, LeaseKey, Moment, Position, WorkerId};
use crate::model::{Fence, LossReason};

use super::held::{Held, HeldState, Leave, Order, OrderError, Reply};
use super::table_client::{FIRST_PAUSE, TableClient, WriteOutcome};
use crate::BoxError;
use crate::decide::expiry::Timing;
use crate::lease::{Error, Write, with_causes};

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

    /// Writes until it is settled or the lease's own deadline has passed. An unsettled write leaves
    /// the lease as it is: whatever follows expects the same counter and settles it.
    async fn write(&mut self, make: impl Fn(&Lease) -> Option<Write>) -> Result<(), TenancyEnd> {
        let until = self.deadline();
        let outcome = self.settler.pursue(&mut self.row, until, make).await;
        match self.take_in(outcome).await {
            Ok(()) => Ok(()),
            Err(Failed::Tenancy(tenancy)) => Err(tenancy),
            Err(Failed::Unsettled(_)) => Ok(()),
        }
    }

    async fn take_in(&mut self, outcome: WriteOutcome) -> Result<(), Failed> {
        match outcome {
            WriteOutcome::Stored {
                row,
                sent,
                acknowledged,
            } => {
                self.row = row;
                // Others may have seen the counter move when an unsettled write landed, long before
                // this one was sent.
                let first = self.unsettled.take().filter(|_| !acknowledged);
                self.renewed(first.map_or(sent, |first| first.min(sent)));
                Ok(())
            }
            WriteOutcome::Superseded => {
                self.shared.set_stored(self.row.checkpoint.clone());
                Ok(())
            }
            WriteOutcome::Edited => {
                tracing::warn!(lease = %self.row.key, checkpoint = %self.row.checkpoint, "the checkpoint was edited from outside: giving up the shard, to resume from the edited checkpoint");
                // Boxed: giving up is a write too, and may find the row edited once more.
                Err(Failed::Tenancy(
                    Box::pin(self.give_up(LossReason::CheckpointEdited)).await,
                ))
            }
            WriteOutcome::Lost(row) => Err(Failed::Tenancy(TenancyEnd::Lost(self.taken(&row)))),
            WriteOutcome::Vanished => self.put_back().await,
            WriteOutcome::Malformed(row) => Err(Failed::Tenancy(TenancyEnd::Lost(
                LossReason::Unreadable(row.to_string().into()),
            ))),
            WriteOutcome::Unsettled { error, sent } => {
                self.unsettled.get_or_insert(sent);
                self.shared.set_unsettled(Some(with_causes(&error).into()));
                self.shared.set_stored(self.row.checkpoint.clone());
                self.retry_at = self.settler.clock.now() + FIRST_PAUSE;
                Err(Failed::Unsettled(error.into()))
            }
            WriteOutcome::Broken(error) => Err(Failed::Tenancy(TenancyEnd::Broken(error))),
        }
    }

    /// The loss of a lease that is somebody else's, as this row shows.
    fn taken(&self, row: &Lease) -> LossReason {
        LossReason::Lost(match row.actual_owner() {
            Some(owner) if *owner == self.me => {
                format!("another process that works as `{owner}` has it").into()
            }
            Some(owner) => format!("`{owner}` has it").into(),
            None => "somebody has freed it".into(),
        })
    }

    fn renewed(&mut self, sent: Moment) {
        self.shared.set_unsettled(None);
        self.sent = sent;
        self.shared.set_stored(self.row.checkpoint.clone());
        self.shared.set_valid_until(self.deadline());
    }

    /// The row has gone under us: it is made again with the last checkpoint that was acknowledged,
    /// never at the initial position.
    ///
    /// Not after the lease's own deadline: somebody may have taken the lease meanwhile, brought it
    /// to its end, and deleted its row.
    async fn put_back(&mut self) -> Result<(), Failed> {
        let sent = self.settler.clock.now();
        if sent >= self.deadline() {
            return Err(Failed::Tenancy(TenancyEnd::Lost(LossReason::Lost(
                "its row was deleted by somebody, and its time is over".into(),
            ))));
        }
        tracing::warn!(lease = %self.row.key, checkpoint = %self.row.checkpoint, "the lease's row was deleted from outside: recreating it");
        // The same tenancy: the rest of this worker knows it by its token.
        let mut row = self.row.clone();
        row.owner = Some(self.me.clone());
        // Above every counter that the lost row had: the fence of a later owner must not fall
        // behind ours.
        row.counter = self.row.counter + 1;
        row.checkpoint_owner = None;
        match self.settler.write(self.settler.table.create(&row)).await {
            Ok(row) => {
                self.row = row;
                self.renewed(sent);
                Ok(())
            }
            Err(Error::Conflict { row: Some(found) }) if found.token == row.token => {
                self.row = *found;
                self.renewed(sent);
                Ok(())
            }
            Err(Error::Conflict { row: Some(found) }) => {
                Err(Failed::Tenancy(TenancyEnd::Lost(self.taken(&found))))
            }
            Err(Error::Conflict { row: None }) => Err(Failed::Tenancy(TenancyEnd::Lost(
                LossReason::Lost("its row was deleted by somebody, again and again".into()),
            ))),
            Err(Error::Malformed(row)) => Err(Failed::Tenancy(TenancyEnd::Lost(
                LossReason::Unreadable(row.to_string().into()),
            ))),
            Err(error) if error.is_transient() => {
                self.shared.set_unsettled(Some(with_causes(&error).into()));
                // If it was made after all, the next write meets a row with this token and counter.
                self.row = row;
                self.retry_at = self.settler.clock.now() + FIRST_PAUSE;
                Err(Failed::Unsettled(error.into()))
            }
            Err(error) => Err(Failed::Tenancy(TenancyEnd::Broken(error))),
        }
    }

    async fn carry_out(&mut self, order: Order) -> Option<TenancyEnd> {
        match order {
            Order::Abandon => Some(self.give_up(LossReason::Released).await),
            Order::Checkpoint { to, answer } => {
                let wanted = Checkpoint::At(to);
                // Whether it is a plain one or a prepared one makes no difference: both end what
                // was prepared.
                if let Ok(Accepted::AlreadyStored) = commit(
                    &self.row.checkpoint,
                    None,
                    self.row.pending.as_ref(),
                    &wanted,
                ) {
                    let _ = answer.send(Ok(()));
                    return None;
                }
                self.progress_write(&wanted, answer, |row| {
                    Write::checkpoint(row, wanted.clone())
                })
                .await
            }
            Order::Prepare { pending, answer } => {
                self.progress_write(&pending.at, answer, |row| {
                    Write::prepare(row, pending.clone())
                })
                .await
            }
            Order::Facts { facts, answer } => {
                let stored = self.row.checkpoint.clone();
                self.progress_write(&stored, answer, |row| Write::facts(row, facts.clone()))
                    .await
            }
            Order::End { children, answer } => {
                let result = self
                    .last_write(move |row| Some(Write::end(row, children.clone())))
                    .await;
                Self::finish(answer, result, TenancyEnd::Ended)
            }
            Order::Leave { how, answer } => {
                let (result, tenancy) = self.leave(how).await;
                Self::finish(answer, result, tenancy)
            }
            Order::Seen(row) => {
                // Requests leave the counter alone. A row of another moment tells nothing that the
                // next write will not.
                if row.token == self.row.token && row.counter == self.row.counter {
                    (self.row.owner, self.row.checkpoint_owner) = (row.owner, row.checkpoint_owner);
                }
                None
            }
            Order::HandOver { to } => {
                if self.requester() == Some(&to) {
                    self.heir = Some(to);
                    // What is given up anyway is not kept because that takes long.
                    self.drain_until =
                        (!self.giving_up).then(|| self.settler.clock.now() + self.limits.drain);
                    self.shared.hand_over.ask();
                }
                None
            }
            Order::GiveUp => {
                (self.giving_up, self.drain_until) = (true, None);
                self.shared.hand_over.ask();
                None
            }
            Order::OutOfReach => {
                (self.giving_up, self.drain_until) = (true, None);
                self.shared.leave_to_others();
                None
            }
            Order::Refuse { asked } => self.refuse(asked).await,
        }
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

    /// The lease stays ours, if it was this worker that asked for it.
    async fn refuse(&mut self, asked: WorkerId) -> Option<TenancyEnd> {
        let me = self.me.clone();
        let pending = |row: &Lease| {
            row.owner.as_ref() == Some(&asked) && row.checkpoint_owner.as_ref() == Some(&me)
        };
        self.write(|row| pending(row).then(|| Write::refuse(row, me.clone(), asked.clone())))
            .await
            .err()
    }

    /// Gives the lease up. An automatic checkpoint that was not due yet goes out in the same write.
    async fn leave(&mut self, how: Leave) -> (Result<(), Failed>, TenancyEnd) {
        let last = self.automatic().map(Checkpoint::At);
        let further = |row: &Lease| last.clone().filter(|last| *last > row.checkpoint);
        if how == Leave::Keep {
            let result = self
                .last_write(|row| further(row).map(|last| Write::checkpoint(row, last)))
                .await;
            return (result, TenancyEnd::Kept);
        }
        let me = self.me.clone();
        let heir = self.heir.take().filter(|_| how == Leave::PassOn);
        let heir_of = |row: &Lease| {
            heir.clone().filter(|heir| {
                row.checkpoint_owner.as_ref() == Some(&me) && row.owner.as_ref() == Some(heir)
            })
        };
        let result = self
            .last_write(|row| {
                Some(match heir_of(row) {
                    Some(heir) => Write::pass_on(row, me.clone(), heir, further(row)),
                    // Nobody asks any more: anybody may have it.
                    None => Write::release(row, further(row)),
                })
            })
            .await;
        let handed_over = result.is_ok() && self.row.owner.is_some();
        (
            result,
            if handed_over {
                TenancyEnd::HandedOver(Box::new(self.row.clone()))
            } else {
                TenancyEnd::Released
            },
        )
    }

    /// A checkpoint or its first half: refused when the stored one has passed it in the meantime.
    async fn progress_write(
        &mut self,
        wanted: &Checkpoint,
        answer: Reply<()>,
        make: impl Fn(&Lease) -> Write,
    ) -> Option<TenancyEnd> {
        let now = self.settler.clock.now();
        if now >= self.deadline() {
            let reason = self.shared.out_of_time();
            let _ = answer.send(Err(OrderError::Lost(Some(reason.clone()))));
            return Some(TenancyEnd::Lost(reason));
        }
        // The caller hears of a busy table well before the lease is in danger.
        let until = self.deadline().min(now + self.timing.call_limit * 2);
        // Asked anew of each row that is adopted: an earlier checkpoint without an answer may have
        // landed further on.
        let make = |row: &Lease| (*wanted >= row.checkpoint).then(|| make(row));
        let mut outcome = self.settler.pursue(&mut self.row, until, make).await;
        while matches!(outcome, WriteOutcome::Vanished) {
            // A row that was put back does not hold what is to be stored.
            outcome = match self.put_back().await {
                Ok(()) => self.settler.pursue(&mut self.row, until, make).await,
                Err(failed) => return self.answer_progress(answer, now, Err(failed)),
            };
        }
        if matches!(outcome, WriteOutcome::Superseded) {
            self.shared.set_stored(self.row.checkpoint.clone());
            let _ = answer.send(Err(OrderError::Behind {
                stored: self.row.checkpoint.clone(),
            }));
            return None;
        }
        let result = self.take_in(outcome).await;
        self.answer_progress(answer, now, result)
    }

    fn answer_progress(
        &mut self,
        answer: Reply<()>,
        sent: Moment,
        result: Result<(), Failed>,
    ) -> Option<TenancyEnd> {
        match result {
            Ok(()) => {
                self.checkpointed = Some(sent);
                let _ = answer.send(Ok(()));
                None
            }
            Err(Failed::Unsettled(error)) => {
                let _ = answer.send(Err(OrderError::Throttled(error)));
                None
            }
            Err(Failed::Tenancy(tenancy)) => {
                Self::finish(answer, Err(Failed::Tenancy(tenancy)), TenancyEnd::Released)
            }
        }
    }

    /// A write that ends the tenancy: pursued to its settlement, or until the lease is not ours by
    /// time.
    async fn last_write(&mut self, make: impl Fn(&Lease) -> Option<Write>) -> Result<(), Failed> {
        loop {
            let until = self.deadline();
            let outcome = self.settler.pursue(&mut self.row, until, &make).await;
            let vanished = matches!(outcome, WriteOutcome::Vanished);
            self.take_in(outcome).await?;
            if !vanished {
                return Ok(());
            }
        }
    }

    fn finish(
        answer: Reply<()>,
        result: Result<(), Failed>,
        done: TenancyEnd,
    ) -> Option<TenancyEnd> {
        let (reply, tenancy) = match result {
            Ok(()) => (Ok(()), done),
            Err(Failed::Unsettled(error)) => {
                let cause = format!(
                    "its last write did not go through: {}",
                    with_causes(&*error)
                );
                (
                    Err(OrderError::Throttled(error)),
                    TenancyEnd::Lost(LossReason::Lost(cause.into())),
                )
            }
            Err(Failed::Tenancy(TenancyEnd::Broken(error))) => (
                Err(OrderError::Broken(with_causes(&error).into())),
                TenancyEnd::Broken(error),
            ),
            Err(Failed::Tenancy(TenancyEnd::Lost(reason))) => (
                Err(OrderError::Lost(Some(reason.clone()))),
                TenancyEnd::Lost(reason),
            ),
            Err(Failed::Tenancy(tenancy)) => (Err(OrderError::Lost(None)), tenancy),
        };
        let _ = answer.send(reply);
        Some(tenancy)
    }

    /// Frees the lease without moving its checkpoint: the consumer makes no progress, or is gone.
    async fn give_up(&mut self, reason: LossReason) -> TenancyEnd {
        // First nothing more may be handed out, then the others may have it.
        self.shared.set_valid_until(Moment::default());
        self.loss.send_replace(Some(reason.clone()));
        match self.last_write(|row| Some(Write::release(row, None))).await {
            Err(Failed::Tenancy(tenancy @ TenancyEnd::Broken(_))) => tenancy,
            _ => TenancyEnd::Lost(reason),
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
