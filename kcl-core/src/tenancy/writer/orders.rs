//! What the consumer and the coordination ask of a writer, and the last write on the lease.
//!
//! A request of another worker may be withdrawn or changed at any time, also while the last batch is
//! processed. So nothing is remembered of it but the name of the heir, and each write is made of the
//! row as it is then: a lease is handed over only if the row still shows that request, and is
//! released otherwise.

use crate::decide::checkpoint::{Accepted, commit};
use crate::lease::{Write, with_causes};
use crate::model::{Checkpoint, Lease, LossReason, Moment, WorkerId};
use crate::tenancy::orders::{Leave, Order, OrderError, Reply};
use crate::tenancy::table_client::WriteOutcome;

use super::{Failed, TenancyEnd, Writer, along};

impl Writer {
    /// Carries an order out. Returns how the tenancy ended, if it did by that.
    pub(super) async fn carry_out(&mut self, order: Order) -> Option<TenancyEnd> {
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
                self.finish(answer, result, TenancyEnd::Ended)
            }
            Order::Leave { how, answer } => {
                let (result, tenancy) = self.leave(how).await;
                self.finish(answer, result, tenancy)
            }
            Order::Seen(row) => {
                // Requests leave the counter alone. A row of another moment tells nothing that the
                // next write will not.
                if row.token == self.row.token && row.counter == self.row.counter {
                    (self.row.owner, self.row.checkpoint_owner) = (row.owner, row.checkpoint_owner);
                }
                None
            }
            Order::Doubted => {
                self.keeping.is_wanted = true;
                None
            }
            Order::HandOver { to } => {
                if self.requester() == Some(&to) {
                    self.heir = Some(to);
                    // What is given up anyway is not kept because that takes long.
                    self.keeping.drain_until = (!self.giving_up)
                        .then(|| self.client.clock.now() + self.keeping.limits.drain);
                    self.shared.hand_over.ask();
                }
                None
            }
            Order::GiveUp => {
                (self.giving_up, self.keeping.drain_until) = (true, None);
                self.shared.hand_over.ask();
                None
            }
            Order::OutOfReach => {
                (self.giving_up, self.keeping.drain_until) = (true, None);
                self.shared.leave_to_others();
                None
            }
            Order::Refuse { asked } => self.refuse(asked).await,
        }
    }

    /// The lease stays ours, if it was this worker that asked for it.
    pub(super) async fn refuse(&mut self, asked: WorkerId) -> Option<TenancyEnd> {
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
        // Fixed before the write: the consumer has left, so nothing more is finished.
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
        let now = self.client.clock.now();
        if now >= self.deadline() {
            let reason = self.shared.out_of_time();
            self.hand_out_no_more();
            let _ = answer.send(Err(OrderError::Lost(Some(reason.clone()))));
            return Some(TenancyEnd::Lost(reason));
        }
        // The caller hears of a busy table well before the lease is in danger.
        let until = self
            .deadline()
            .min(now + self.keeping.timing.call_limit * 2);
        // Asked anew of each row that is adopted: an earlier checkpoint without an answer may have
        // landed further on.
        let carried = self.carried();
        let make =
            |row: &Lease| (*wanted >= row.checkpoint).then(|| along(make(row), carried, row));
        let mut outcome = self.client.pursue(&mut self.row, until, make).await;
        while matches!(outcome, WriteOutcome::Vanished) {
            // A row that was put back does not hold what is to be stored.
            outcome = match self.put_back().await {
                Ok(()) => self.client.pursue(&mut self.row, until, make).await,
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

    /// Tells the caller what became of its checkpoint. An unsettled one ends nothing: the lease is
    /// kept, and the next write finds out.
    fn answer_progress(
        &mut self,
        answer: Reply<()>,
        sent: Moment,
        result: Result<(), Failed>,
    ) -> Option<TenancyEnd> {
        match result {
            Ok(()) => {
                self.keeping.checkpointed = Some(sent);
                let _ = answer.send(Ok(()));
                None
            }
            Err(Failed::Unsettled(error)) => {
                let _ = answer.send(Err(OrderError::Throttled(error)));
                None
            }
            Err(Failed::Tenancy(tenancy)) => {
                self.finish(answer, Err(Failed::Tenancy(tenancy)), TenancyEnd::Released)
            }
        }
    }

    /// A write that ends the tenancy: pursued to its settlement, or until the lease is not ours by
    /// time.
    async fn last_write(&mut self, make: impl Fn(&Lease) -> Option<Write>) -> Result<(), Failed> {
        let carried = self.carried();
        let make = |row: &Lease| make(row).map(|write| along(write, carried, row));
        loop {
            let until = self.deadline();
            let outcome = self.client.pursue(&mut self.row, until, &make).await;
            let vanished = matches!(outcome, WriteOutcome::Vanished);
            self.take_in(outcome).await?;
            // After a row was put back, the write that was to end the tenancy has not been made
            // yet.
            if !vanished {
                return Ok(());
            }
        }
    }

    /// Answers the order that ends a tenancy. The tenancy is over whatever came of the write: the
    /// consumer has left, so nobody may hold the lease for it any longer.
    fn finish(
        &self,
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
        // Before the answer: whoever reads it must not find the lease still valid.
        self.hand_out_no_more();
        let _ = answer.send(reply);
        Some(tenancy)
    }

    /// The tenancy is over, whatever is told of it and to whom.
    pub(super) fn hand_out_no_more(&self) {
        self.shared.set_valid_until(Moment::default());
    }

    /// Frees the lease without moving its checkpoint: the consumer makes no progress, or is gone.
    pub(super) async fn give_up(&mut self, reason: LossReason) -> TenancyEnd {
        // First nothing more may be handed out, then the others may have it.
        self.hand_out_no_more();
        self.loss.send_replace(Some(reason.clone()));
        match self.last_write(|row| Some(Write::release(row, None))).await {
            Err(Failed::Tenancy(tenancy @ TenancyEnd::Broken(_))) => tenancy,
            _ => TenancyEnd::Lost(reason),
        }
    }
}
