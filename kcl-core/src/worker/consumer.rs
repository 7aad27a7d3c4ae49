//! The consumer of one shard. It joins the two paths: batches come from the prefetcher, and leave
//! for the processor only while the lease is held.
//!
//! ```text
//!   Prefetcher    batches, tip, end, gap  --->  +---------------+  --->  RecordProcessor
//!   coordination  parents, children, ends --->  | ShardConsumer |
//!   Held, stop    loss, hand-over, stop   --->  +---------------+  --->  Held: finish, leave, end
//! ```

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use crate::BoxError;
use crate::checkpoint::{CheckpointerShared, Delivered};
use crate::decide::backoff::Backoff;
use crate::decide::consumer::{Command, ConsumerMachine, ConsumerOutcome, Step};
use crate::decide::shards::{FalseEnds, UnnamedEnds};
use crate::fetch::{Batch, FetchItem, Prefetcher};
use crate::meters::{Labels, ShardMeters};
use crate::model::{Checkpoint, ChildShard, Lease, Moment, Position};
use crate::processor::{Background, ErasedProcessor, ShardRef};
use crate::runtime::{Clock, jitter, panic_error, pause};
use crate::stop::WorkerStop;
use crate::tenancy::held::Held;

use super::coordination::{Assignment, AtGate, Coordination};
use super::error::RunError;
use super::event::{Event, HandlerCall};
use super::in_flight::InFlightBatch;
use super::streams::ReadStream;
use super::worker::WorkerInner;

mod background;
mod beginning;
mod completing;
mod ending;
mod idling;
mod leaving;
mod opening;
mod processing;
mod reading;
mod signals;
mod starting_over;
mod telling;

/// The consumer of one shard: carries out the commands of [`crate::decide::consumer`], one at a
/// time.
pub(crate) struct ShardConsumer {
    /// The worker: its settings, its other parts, where it reports to.
    inner: Arc<WorkerInner>,
    /// The stream as it was when the lease was acquired: one that takes its place has leases of its
    /// own.
    stream: Arc<ReadStream>,
    /// For what concerns other leases or the whole stream: child shards, listings, the service's
    /// time.
    coordination: Coordination,
    /// Validity and pauses are measured on it.
    clock: Arc<dyn Clock>,
    /// The shard as applications are told it.
    shard: ShardRef,
    /// The row at the acquisition.
    row: Lease,
    /// The consumer's side of the lease: whether it is valid, and what its writer is asked for.
    held: Arc<Held>,
    /// What the checkpointers of all batches share. They may outlive the consumer.
    tenancy: Arc<CheckpointerShared>,
    labels: Labels,
    /// Counters and gauges of this shard; the feed and the checkpointers have clones.
    meters: ShardMeters,
    /// `None` until the factory has made one, which may fail and is then tried again.
    processor: Option<Box<dyn ErasedProcessor>>,
    /// Decides what is done next; the loop only carries it out.
    machine: ConsumerMachine,
    /// Says when all parents are finished, which the coordination watches.
    parents: mpsc::Receiver<AtGate>,
    /// The stop of the worker, or of this stream.
    stop: WorkerStop,
    /// For a cause that ends the worker: the root must not have to wait for the handler.
    causes: mpsc::UnboundedSender<RunError>,
    /// Reads ahead. `None` before the first record is wanted, and whenever reading begins anew.
    feed: Option<Prefetcher>,
    /// Whether the feed is a subscription.
    subscribed: bool,
    /// The batch that is delivered until it is done; it holds its share of the byte budget.
    in_flight: Option<InFlightBatch>,
    /// The work on records that continues between calls.
    background: Background,
    /// What follows when that work is done.
    after_work: Option<background::AfterWork>,
    /// The greatest position that was delivered, shared with the checkpointers: nothing after it
    /// can be checkpointed.
    delivered: Delivered,
    /// When the processor was last called with records, or because there were none.
    quiet_since: Moment,
    /// How long until what failed is tried again, where that is decided.
    pause_for: Option<Duration>,
    /// The stored checkpoint at which a processor has started over, and how many times in a row.
    started_over: Option<(Checkpoint, u32)>,
    /// Everything up to this position is done, in this tenancy or before it.
    done: Option<Position>,
    /// Where reading begins while nothing is done: at the stored checkpoint, unless the processor
    /// has chosen another start.
    begin: Checkpoint,
    /// The child shards, once the end is confirmed.
    children: Vec<ChildShard>,
    /// An end that was read but that the listing has not confirmed yet.
    ending: Option<ending::PendingEnd>,
    /// The answers since the last record that said that the shard has ended without naming
    /// children, while the listing showed it as closed.
    unnamed_ends: UnnamedEnds,
    /// The child shards, if the end was confirmed before all records were delivered.
    confirmed: Option<Vec<ChildShard>>,
    /// The reported ends that the listing did not confirm: each is followed by a pause.
    refusals: FalseEnds,
    /// How many times the current step has failed since it last succeeded.
    failures: u32,
    /// The processor call that failed last and has not succeeded since, and how many times it
    /// failed.
    failed_call: Option<(HandlerCall, u32)>,
    /// Why this shard has to be given up, if for a reason of its own.
    give_up: Option<GiveUp>,
    /// Whether the machine was told to stop: a signal is told once.
    told_stop: bool,
    /// Whether the shard is being handed over to another worker, which has requested it.
    handing_over: bool,
    /// Whether the machine was told that the lease is lost, or the lease is given up by its own
    /// wish.
    told_loss: bool,
    /// Whether [`Event::CaughtUp`] was reported, once for each acquisition.
    told_caught_up: bool,
    /// The last record before the tip, if the tip was reached while work on earlier records
    /// continued.
    tip: Option<Position>,
}

/// Why a shard is given up, alone or with the whole worker.
enum GiveUp {
    /// The worker has to stop; the root has the cause.
    Worker,
    /// This shard was read up to the bound.
    Read,
    /// This worker cannot read this shard.
    Unreadable(Arc<str>),
}

/// How a shard consumer has ended.
pub(crate) struct Ended {
    /// Finished, given up or lost.
    pub(crate) outcome: ConsumerOutcome,
    /// What is stored, for the report.
    pub(crate) checkpoint: Checkpoint,
    /// Whether the processor was given any record.
    pub(crate) handed_out: bool,
    /// Whether this worker could not read the shard: another one shall try first.
    unreadable: bool,
    /// Whether the shard was read up to the bound.
    pub(crate) read: bool,
}

impl Ended {
    /// Whether the shard should not be taken again immediately.
    pub(crate) const fn cooled_down(&self) -> bool {
        self.unreadable || matches!(self.outcome, ConsumerOutcome::Lost(_))
    }
}

impl ShardConsumer {
    pub(crate) fn new(
        inner: Arc<WorkerInner>,
        coordination: Coordination,
        assignment: Assignment,
        stop: WorkerStop,
        causes: mpsc::UnboundedSender<RunError>,
    ) -> Self {
        let Assignment {
            held,
            row,
            stream,
            parents,
        } = assignment;
        let shard = ShardRef::new(stream.name.clone(), row.key.clone(), row.key.shard.clone());
        let held = Arc::new(held);
        let clock = Arc::clone(&inner.parts.clock);
        let delivered = Delivered::default();
        let arn = stream.arn();
        let labels = Labels::new(&shard, arn.as_deref(), &inner.parts.labels);
        let meters = ShardMeters::new(&labels);
        let prepared = starting_over::prepared(&row);
        let tenancy = CheckpointerShared::new(
            Arc::clone(&held),
            delivered.clone(),
            meters.clone(),
            Arc::clone(&clock),
            prepared,
        );
        let settings = &inner.parts.settings;
        let quiet_since = clock.now();
        let background = background::of_shard(&inner, &shard, &held, &meters, &stop);
        inner.board.begin(
            &held,
            &meters.lag,
            shard.clone(),
            inner.parts.worker.clone(),
            settings.handler_warning,
        );
        Self {
            stream,
            coordination,
            clock,
            done: row.checkpoint.position().cloned(),
            begin: row.checkpoint.clone(),
            row,
            held,
            tenancy: Arc::new(tenancy),
            labels,
            meters,
            processor: None,
            machine: ConsumerMachine::new(),
            parents,
            stop,
            causes,
            feed: None,
            subscribed: false,
            in_flight: None,
            background,
            after_work: None,
            delivered,
            quiet_since,
            pause_for: None,
            started_over: None,
            children: Vec::new(),
            ending: None,
            unnamed_ends: UnnamedEnds::default(),
            confirmed: None,
            refusals: FalseEnds::default(),
            failures: 0,
            failed_call: None,
            give_up: None,
            told_stop: false,
            handing_over: false,
            told_loss: false,
            told_caught_up: false,
            tip: None,
            shard,
            inner,
        }
    }

    /// Processes the shard until it is finished, given up or lost. The order in each turn: signals,
    /// then the pending command, then what is told of its result. Dropping the future is a crash:
    /// the processor is not called again and the lease expires.
    pub(crate) async fn run(mut self) -> Ended {
        loop {
            let command = self.machine.pending().clone();
            if let Command::Finish(outcome) = command {
                return self.ended(outcome);
            }
            // A signal replaces the pending command.
            let step = match self.signal() {
                Some(signal) => signal,
                None => self.carry_out(command).await,
            };
            let is_over = match step {
                // A processor that started over has failed in another call, which is still to come.
                Step::Initialized => {
                    matches!(self.failed_call, Some((HandlerCall::Initialize, _)))
                }
                Step::BatchDone | Step::ShardEnded => true,
                _ => false,
            };
            if is_over {
                self.tell_recovered();
            }
            if !matches!(
                step,
                Step::Failed | Step::StartOver | Step::PauseOver | Step::WokenForNothing
            ) {
                self.failures = 0;
            }
            self.machine.on(step);
            self.tell_state();
        }
    }

    /// Reports the end. It takes the consumer: the processor, what was fetched and the share of the
    /// byte budget are dropped with it.
    fn ended(self, outcome: ConsumerOutcome) -> Ended {
        let unreadable = matches!(self.give_up, Some(GiveUp::Unreadable(_)));
        let read = matches!(
            (&self.give_up, &outcome),
            (Some(GiveUp::Read), ConsumerOutcome::Released)
        );
        let lease = self.row.key.clone();
        match &outcome {
            ConsumerOutcome::ShardEnd => {
                let children = self.children.iter().map(|child| child.id.clone()).collect();
                self.inner.outlet.say(Event::ShardEnded {
                    shard: self.shard.clone(),
                    children,
                });
            }
            ConsumerOutcome::Released => self.inner.outlet.say(Event::LeaseReleased { lease }),
            ConsumerOutcome::Lost(reason) => {
                self.inner.meters.lost.increment(1);
                self.inner.outlet.say(Event::LeaseLost {
                    lease,
                    reason: reason.clone(),
                });
            }
        }
        let checkpoint = self.held.stored();
        Ended {
            outcome,
            checkpoint,
            handed_out: self.delivered.greatest().is_some(),
            unreadable,
            read,
        }
    }

    /// Carries a command out, until it is done or a signal interrupts it. Each of these ends with a
    /// step, and only the machine decides what the step leads to.
    async fn carry_out(&mut self, command: Command) -> Step {
        match command {
            Command::AwaitParents => self.await_parents().await,
            Command::Initialize => self.initialize().await,
            Command::AwaitBatch => self.await_batch().await,
            Command::Process => self.process().await,
            Command::CallIdle => self.call_idle().await,
            Command::Pause => self.pause().await,
            Command::CallShardEnded => self.call_shard_ended().await,
            Command::StoreEnd => self.store_end().await,
            Command::CallShutdownRequested => self.call_shutdown_requested().await,
            Command::Release => self.release().await,
            Command::CallLeaseLost(reason) => self.call_lease_lost(reason).await,
            Command::Finish(_) => unreachable!("the loop returns at Finish"),
        }
    }

    /// A child is read only after its parents: records of one key would otherwise be delivered out
    /// of order. The wait may last for days, and counts as progress, so that the lease is kept.
    async fn await_parents(&mut self) -> Step {
        let turns = self.turns();
        loop {
            let said = tokio::select! {
                biased;
                () = self.signalled() => return self.signal_or_wait(),
                said = turns.while_waiting(self.parents.recv()) => said,
            };
            match said {
                Some(AtGate::Opens) => return Step::ParentsFinished,
                Some(AtGate::Failed(kind, error)) => turns.failed_with(kind, error),
                Some(AtGate::Waits) => turns.answered(),
                // The coordination has ended, and every lease with it.
                None => return self.lose(),
            }
        }
    }

    /// Calls the processor, and turns a panic into an error. The lease's writer observes how long
    /// the call takes.
    async fn call<T>(
        &mut self,
        call: impl for<'a> FnOnce(&'a mut dyn ErasedProcessor) -> BoxFuture<'a, T>,
    ) -> Result<T, BoxError> {
        let Some(processor) = &mut self.processor else {
            return Err("the shard has no processor".into());
        };
        self.held.progress().enter_call(self.clock.now());
        let result = AssertUnwindSafe(call(&mut **processor))
            .catch_unwind()
            .await;
        self.held.progress().leave_call(self.clock.now());
        result.map_err(|panic| panic_error(&*panic))
    }

    /// Waits for what there is to do next. What is found first is done first: failed or unfinished
    /// background work, an end that waits for confirmation, then the feed. Each turn begins from
    /// the fields, so a signal may interrupt it anywhere.
    async fn await_batch(&mut self) -> Step {
        loop {
            if self.background.is_stopped() {
                return self.work_stopped();
            }
            if let Some(step) = self.await_work().await {
                return step;
            }
            if self.ending.is_some() {
                let step = self.await_end().await;
                match self.end_after_work(step) {
                    Some(step) => return step,
                    None => continue,
                }
            }
            if self.feed.is_none() {
                self.confirmed = None;
                match self.open_feed().await {
                    Ok(feed) => self.feed = Some(feed),
                    Err(step) => return step,
                }
            }
            let (signalled, background, tip) =
                (self.signalled(), self.background.clone(), self.tip.clone());
            let quiet = self.is_quiet();
            let Some(feed) = &mut self.feed else { continue };
            let fed = tokio::select! {
                biased;
                () = signalled => return self.signal_or_wait(),
                () = background.stopped() => return self.work_stopped(),
                () = background.finishes(tip.as_ref()), if tip.is_some() => {
                    self.tip = None;
                    self.caught_up();
                    continue;
                }
                fed = feed.next() => fed,
                () = quiet => return Step::WasQuiet,
            };
            let step = match fed {
                Some(FetchItem::Batch(mut batch)) => {
                    self.unnamed_ends = UnnamedEnds::default();
                    if batch.is_last {
                        self.last_batch(&mut batch).await;
                    }
                    self.take_in_hand(batch)
                }
                Some(FetchItem::Gap(gap)) => self.report_gap(gap),
                Some(FetchItem::AtTip) => {
                    self.tip_read();
                    None
                }
                Some(FetchItem::End(end)) => {
                    self.end_read(end);
                    None
                }
                Some(FetchItem::Bound) => {
                    self.after_work = Some(background::AfterWork::Bound);
                    None
                }
                Some(FetchItem::Gone) => {
                    let step = self.look_for_gone().await;
                    self.end_after_work(step)
                }
                Some(FetchItem::Failed(error)) => self.cannot_read(error),
                None => Some(self.stop_worker(RunError::Internal(
                    "the task that fetches records ended unexpectedly".to_owned(),
                ))),
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    /// A batch was read, so the shard is readable, whatever failed before.
    fn take_in_hand(&mut self, batch: Box<Batch>) -> Option<Step> {
        self.inner
            .meters
            .budget
            .set(self.inner.parts.budget.used() as f64);
        self.inner.board.can_read(&self.row.key);
        let records = batch.records.len();
        self.weigh(&batch);
        let at_work = self.background.records();
        self.inner
            .board
            .change(&self.row.key, |status| status.in_flight = at_work + records);
        self.in_flight = Some(InFlightBatch::new(batch));
        self.see_undone();
        Some(Step::BatchReady)
    }

    /// Waits before what failed is tried again. The wait counts as progress: the lease is kept.
    async fn pause(&mut self) -> Step {
        let usual = self.inner.parts.settings.retry();
        let span = self
            .pause_for
            .take()
            .unwrap_or_else(|| usual.at_least_half(self.failures.saturating_sub(1), jitter()));
        let turns = self.held.turns(Arc::clone(&self.clock));
        tokio::select! {
            biased;
            () = self.signalled() => self.signal_or_wait(),
            () = turns.while_waiting(pause(&*self.clock, span)) => Step::PauseOver,
        }
    }
}

impl Drop for ShardConsumer {
    fn drop(&mut self) {
        // Checkpointers may outlive the consumer, but the lease must not.
        self.held.abandon();
        self.background.let_go();
        self.meters.lag.is_over();
    }
}
