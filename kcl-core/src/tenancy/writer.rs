use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::{mpsc, watch};

use crate::BoxError;
use crate::decide::expiry::Timing;
use crate::decide::keeping::{ConsumerProgress, KeepStep, Keeping, KeptBy};
use crate::decide::load_meter::{LoadMeter, is_worth_a_write};
use crate::lease::{Error, Write, with_causes};
use crate::model::{
    Checkpoint, Fence, Lease, LeaseKey, LossReason, Moment, Position, Throughput, WorkerId,
};

use super::held::{Held, HeldState, Order, lock};
use super::progress::{IDLE, moment};
use super::pulse::{Footing, Leaning, Pulse, UNBOUND};
use super::table_client::TableClient;

mod orders;
mod settling;

pub(crate) use crate::decide::keeping::Limits;

/// The one writer of a lease: renewals and checkpoints go through here and cannot race each other.
/// A checkpoint renews.
///
/// It runs on the coordination runtime, where no handler can stop it.
///
/// ```text
///   orders of the consumer and of the coordination ---+
///   Keeping: renew, checkpoint, refuse, give up, lose -+--> one write at a time --> settled: the row
///   a position that is finished ----------------------+                        --> lost: the tenancy is over
/// ```
#[derive(Debug)]
pub(crate) struct Writer {
    /// Carries each write out until it is known what became of it.
    client: TableClient,
    /// This worker's name: a row that shows it as the previous owner is a request to it.
    me: WorkerId,
    /// The row as the table has shown it last. The next write is made of it, and expects its counter
    /// and token.
    row: Lease,
    /// When its writes were sent, and what follows by the clock.
    keeping: Keeping,
    /// The heartbeats of the worker's row.
    pulse: Arc<Pulse>,
    /// What of it this has followed.
    pulse_followed: u64,
    /// Held while the heartbeats keep this lease.
    leaning: Option<Leaning>,
    /// What the shard carries.
    meter: LoadMeter,
    /// When the first write was sent of which nobody knows yet what became.
    unsettled: Option<Moment>,
    /// Who asks for the lease, as the coordination has been told.
    asked: Option<WorkerId>,
    /// Who is to have it.
    heir: Option<WorkerId>,
    /// It is to be given up whoever asks for it.
    giving_up: bool,
    /// To the coordination, which decides who is to have the lease.
    notes: mpsc::UnboundedSender<FromWriter>,
    /// What the consumer reads without waiting: whether the lease is held, and what is stored.
    shared: Arc<HeldState>,
    /// From the consumer and from the coordination, in one queue: they are carried out in the order
    /// in which they were given.
    orders: mpsc::UnboundedReceiver<Order>,
    /// Tells the consumer once why the lease is gone.
    loss: watch::Sender<Option<LossReason>>,
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
    /// It was handed over to the worker that the row names.
    HandedOver(Box<Lease>),
    /// It is this worker's still, for the next process under its name.
    Kept,
    /// It is not ours any more, or its time is over.
    Lost(LossReason),
    /// The table cannot be used.
    Broken(Error),
}

impl Writer {
    /// The writer of a lease that was acquired by a write sent at `sent`, and the consumer's side
    /// of it.
    pub(crate) fn new(
        client: TableClient,
        timing: Timing,
        limits: Limits,
        (row, sent): (Lease, Moment),
        me: WorkerId,
        notes: mpsc::UnboundedSender<FromWriter>,
    ) -> (Self, Held) {
        let (loss, seen) = watch::channel(None);
        let (give, orders) = mpsc::unbounded_channel();
        let now = client.clock.now();
        let pulse = client.begun.pulse.of(row.token.as_ref());
        let shared = Arc::new(HeldState::new(
            row.key.clone(),
            Fence(row.counter),
            row.checkpoint.clone(),
            now,
            Arc::clone(&pulse),
        ));
        let keeping = Keeping::new(sent, timing, limits);
        shared.set_valid_until(keeping.deadline());
        let held = Held::new(Arc::clone(&shared), give, seen);
        (
            Self {
                client,
                me,
                meter: LoadMeter::new(row.throughput),
                row,
                keeping,
                pulse_followed: 0,
                pulse,
                leaning: None,
                unsettled: None,
                asked: None,
                heir: None,
                giving_up: false,
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
        // First the time, then the word: whoever sees the loss must not find the lease still valid.
        self.hand_out_no_more();
        self.loss.send_replace(Some(reason));
        tenancy
    }

    /// The loop, until the tenancy is over.
    async fn keep(&mut self) -> TenancyEnd {
        let clock = Arc::clone(&self.client.clock);
        loop {
            self.look_at_owners();
            self.follow_pulse();
            let due = self.next_due();
            // Before the orders: one that writes nothing, given over and over, must not keep the
            // lease from being renewed.
            if clock.now() >= due {
                if let Some(tenancy) = self.on_time().await {
                    return tenancy;
                }
                continue;
            }
            let changes = self.pulse.changes().reaches(self.pulse_followed + 1);
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
                () = changes => {}
                () = self.shared.finished_changed.notified() => {}
            }
        }
    }

    /// When to write next by itself.
    fn next_due(&self) -> Moment {
        // Off before the check, or a position that is finished in between would wake nobody.
        self.shared.timer_armed.store(false, Ordering::SeqCst);
        let is_ahead = self.automatic().is_some();
        self.shared.timer_armed.store(is_ahead, Ordering::SeqCst);
        self.keeping.next_due(is_ahead)
    }

    /// Keeps the lease as the heartbeats of the worker allow it. To lean on them, the lease must have
    /// been written after they were acknowledged to hold the leases: who has judged it by its counter
    /// until then sees the counter move. To stop leaning on them, it must have been renewed.
    fn follow_pulse(&mut self) {
        self.pulse_followed = self.pulse.changes().now();
        let bound = self.see_reach();
        match (self.pulse.footing(), self.keeping.kept_by) {
            (Footing::Renewals, KeptBy::Renewals) => {}
            (Footing::Renewals, KeptBy::Heartbeats { .. }) => {
                // Nothing helps a lease whose heartbeats are over.
                self.keeping.is_wanted = bound != 0;
            }
            (Footing::Heartbeats { since, bump_every }, KeptBy::Renewals) => {
                if self.keeping.sent < since {
                    self.keeping.is_wanted = true;
                } else if let Some(leaning) = self.pulse.lean() {
                    self.leaning = Some(leaning);
                    self.keeping.kept_by = KeptBy::Heartbeats { bump_every };
                    self.keeping.looked = self.client.clock.now();
                    self.shared.leans_on_heartbeats();
                }
            }
            (Footing::Heartbeats { bump_every, .. }, KeptBy::Heartbeats { .. }) => {
                self.keeping.kept_by = KeptBy::Heartbeats { bump_every };
            }
        }
    }

    /// Takes in until when the heartbeats reach.
    fn see_reach(&mut self) -> u64 {
        let bound = self.pulse.bound();
        self.keeping.beats_reach = (bound != UNBOUND).then(|| moment(bound));
        bound
    }

    /// Until when the lease is held, by what is known now.
    fn deadline(&mut self) -> Moment {
        self.see_reach();
        self.keeping.deadline()
    }

    /// The position that an automatic checkpoint would store.
    fn automatic(&self) -> Option<Position> {
        self.shared
            .finished()
            .filter(|position| self.row.checkpoint < Checkpoint::At(position.clone()))
    }

    /// The clock says that something is due.
    async fn on_time(&mut self) -> Option<TenancyEnd> {
        let now = self.client.clock.now();
        let mut step = self.step(now);
        if step == KeepStep::RefuseHandOver {
            self.keeping.drain_until = None;
            if self.shared.hand_over.take_back()
                && let Some(asked) = self.heir.take()
            {
                let _ = self.notes.send(FromWriter::Refused {
                    lease: self.row.key.clone(),
                });
                return self.refuse(asked).await;
            }
            step = self.step(now);
        }
        match step {
            KeepStep::Wait | KeepStep::RefuseHandOver => None,
            KeepStep::Lose => Some(TenancyEnd::Lost(self.shared.out_of_time())),
            KeepStep::GiveUp => Some(self.give_up(LossReason::NoProgress).await),
            KeepStep::Look => {
                self.keeping.looked = now;
                self.tell_reach();
                // Others balance by it, and no other write would tell them.
                let carried = self.carried();
                self.keeping.is_wanted |= is_worth_a_write(self.row.throughput, carried);
                None
            }
            KeepStep::Renew => {
                self.keeping.looked = now;
                self.tell_reach();
                self.write(|row| Some(Write::renew(row))).await.err()
            }
            KeepStep::Checkpoint { renewal } => {
                if renewal {
                    self.keeping.looked = now;
                    self.tell_reach();
                }
                // Named before the write and not while it is tried: a later position would be
                // another write, and only one may be under way.
                let to = Checkpoint::At(self.automatic()?);
                self.keeping.checkpointed = Some(now);
                self.write(|row| (row.checkpoint < to).then(|| Write::checkpoint(row, to.clone())))
                    .await
                    .err()
            }
        }
    }

    /// What [`Keeping`] says, by what is known of the consumer now.
    fn step(&self, now: Moment) -> KeepStep {
        let progress = &self.shared.progress;
        let consumer = ConsumerProgress {
            in_call: progress.in_call_for(now),
            working: progress.working_for(now),
            still: progress.still_for(now),
        };
        let is_ahead = self.automatic().is_some();
        self.keeping.step(now, consumer, is_ahead)
    }

    /// Says with each renewal that another worker should have the lease, if that is so.
    fn tell_reach(&self) {
        let failover = self.keeping.timing.failover;
        // With each renewal and not once: the coordination may have no other worker to leave it to
        // now, and have one later.
        if !self.giving_up && self.shared.is_out_of_reach(failover) {
            let _ = self.notes.send(FromWriter::OutOfReach {
                lease: self.row.key.clone(),
            });
        }
    }

    /// What the shard carries now: it goes along with every write.
    fn carried(&mut self) -> Option<Throughput> {
        let is_read = self.shared.answered.load(Ordering::Acquire) != IDLE;
        let intake = *lock(&self.shared.intake);
        let now = self.client.clock.now();
        let in_call = self.shared.progress.in_call_for(now);
        let now = now - in_call.unwrap_or_default();
        self.meter.measure(intake, now, is_read)
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
            (self.heir, self.keeping.drain_until) = (None, None);
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

/// The write with what the shard carries, unless the row says that already: an idle shard costs no
/// more than it did.
fn along(write: Write, carried: Option<Throughput>, row: &Lease) -> Write {
    let news = carried.filter(|_| carried != row.throughput);
    write.with_throughput(news)
}

/// Why a write did not go through.
enum Failed {
    /// The tenancy is over.
    Tenancy(TenancyEnd),
    /// Nobody knows what became of it. The lease is kept as long as its time lasts.
    Unsettled(BoxError),
}

#[cfg(test)]
#[path = "writer_test.rs"]
mod tests;
