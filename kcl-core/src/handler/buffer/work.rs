use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tracing::Instrument;

use crate::decide::buffers::{BufferBounds, FlushCause};
use crate::handler::Retries;
use crate::handler::accepting::{Misuse, accept_whole, claim, drain};
use crate::handler::filter::RecordFilter;
use crate::model::{Key, Moment, ShardRef};
use crate::processor::{Background, Failure, ProcessRecordsInput, Records, WorkOwner};
use crate::runtime::pause;

use super::BufferHandler;
use super::flush::Flush;
use super::state::{BufferPhase, BufferState, KeptRecord};

const MISUSE: Misuse = Misuse {
    other_shard: "a processor of `buffer` was given records of another shard, or of another acquisition of its shard: \
                  expected is a processor for each acquisition, as `RecordProcessorFactory::processor` makes it",
    two_owners: "the records of a shard were given to two processors that work on them beside its calls, and each would \
                 checkpoint what the other has not done: expected is one, whose handler calls both",
};
/// Memory that the reader has waited for so long does not come by itself: what is gathered is
/// flushed. What handlers of other shards are about to free mostly comes sooner.
const SHORT_OF_MEMORY: Duration = Duration::from_millis(200);

/// How records are gathered.
#[derive(Clone, Debug)]
pub(super) struct BufferPlan {
    /// When a buffer is full, or old enough.
    pub(super) bounds: BufferBounds,
    /// Each key has a buffer of its own.
    pub(super) by_key: bool,
    /// When the shard is given up, what is gathered is not flushed.
    pub(super) gives_back: bool,
    /// What follows a failure, if the application has said so.
    pub(super) retries: Option<Retries>,
    /// Which records are gathered: the others are done.
    pub(super) filter: RecordFilter,
}

/// The buffers of one shard. Dropping it ends all work.
pub(super) struct BufferWork<H: BufferHandler>(Arc<BufferShared<H>>);

pub(super) struct BufferShared<H> {
    /// One for all shards of the worker.
    pub(super) handler: Arc<H>,
    /// The same for every shard.
    pub(super) plan: BufferPlan,
    /// Tells this work from another on the same shard.
    owner: WorkOwner,
    /// Never held while a handler runs or anything is awaited.
    state: Mutex<BufferState>,
    /// There are more records, a flush is over, or the phase is another. One waits for it.
    /// `notify_one` keeps one notice for whoever waits next, so a change between a look and the
    /// wait is not missed; one is enough, as each look sees all changes.
    pub(super) changed: Notify,
    /// There is room for more records. One waits for it.
    pub(super) room: Notify,
    /// The shard is given up: nothing waits any more to be tried again.
    /// All flushes wait for it, so it is told by `notify_waiters`, which keeps no notice: they look
    /// at the phase after they have enabled the wait.
    leaves: Notify,
    /// Nothing is at work, and nothing begins. One waits for it.
    drained: Notify,
}

impl<H: BufferHandler> BufferWork<H> {
    /// The task that flushes begins with the first batch.
    pub(super) fn new(handler: Arc<H>, plan: BufferPlan) -> Self {
        let state = Mutex::new(BufferState::new(plan.bounds));
        Self(Arc::new(BufferShared {
            handler,
            plan,
            owner: WorkOwner::default(),
            state,
            changed: Notify::new(),
            room: Notify::new(),
            leaves: Notify::new(),
            drained: Notify::new(),
        }))
    }

    /// Accepts the records of a batch, as [`accept_whole`] does.
    ///
    /// # Errors
    /// The records of a shard have one owner, and an owner has one shard: see [`WorkOwner`].
    pub(super) async fn take_over(&self, input: ProcessRecordsInput) -> Result<(), Failure> {
        let background = input.background;
        self.own(&background, &input.shard)
            .map_err(|misuse| background.refuse(misuse))?;
        let (records, room) = (input.records, &self.0.room);
        accept_whole(&background, records.len(), room, |accepted| {
            self.0.accept(&background, &records, accepted)
        })
        .await
    }

    /// Flushes what is gathered, unless it is to be given back, waits for what is at work as long as
    /// it may be, and ends what is left.
    pub(super) async fn drain(&self) {
        let background = {
            let mut state = self.0.state();
            state.phase = if self.0.plan.gives_back {
                BufferPhase::Over
            } else {
                BufferPhase::Emptying(FlushCause::Leaving)
            };
            state.background.clone()
        };
        // Pauses between attempts end: what fails when the shard is given up is left to the next
        // owner.
        self.0.leaves.notify_waiters();
        self.0.changed.notify_one();
        // If this is dropped, the consumer is dropped with it: a crash, and the records come again.
        drain(background, self.0.all_ended()).await;
        self.end().await;
    }

    /// Ends what is at work where it stands.
    pub(super) async fn end(&self) {
        let mut tasks = {
            let mut state = self.0.state();
            state.phase = BufferPhase::Over;
            std::mem::take(&mut state.tasks)
        };
        // No handler runs on after this: the lease may be another worker's a moment later.
        tasks.end().await;
        let mut state = self.0.state();
        state.calls(std::collections::BTreeSet::clear);
        state.tell_no_more();
    }

    /// The records of this background are gathered here, and no others.
    fn own(&self, background: &Background, shard: &ShardRef) -> Result<(), &'static str> {
        let mut state = self.0.state();
        let before = state.background.as_ref();
        claim(background, before, &self.0.owner, &MISUSE)?;
        if state.background.is_none() {
            state.background = Some(background.clone());
            let flushing = Arc::clone(&self.0).run(background.clone(), shard.clone());
            state.tasks.start(flushing.in_current_span());
        }
        Ok(())
    }
}

impl<H: BufferHandler> Drop for BufferWork<H> {
    fn drop(&mut self) {
        // The tasks own what owns them.
        let tasks = {
            let mut state = self.0.state();
            state.phase = BufferPhase::Over;
            std::mem::take(&mut state.tasks)
        };
        drop(tasks);
    }
}

impl<H: BufferHandler> BufferShared<H> {
    /// Gathers the next records of a batch while the window has room. What was accepted is reported
    /// at once, so that it is not delivered again.
    fn accept(
        &self,
        background: &Background,
        records: &Records,
        accepted: &mut usize,
    ) -> Option<Failure> {
        let before = *accepted;
        // Room only grows until then: nobody else accepts.
        let room = self.state().buffers.room();
        let next = &records[before..records.len().min(before + room)];
        let (wanted, failure) = self.plan.filter.of(next);
        let now = background.clock().now();
        // The room was asked for under another lock. The filter runs without one: it is the
        // application's code, and may be slow or panic.
        let (mut state, mut passed) = (self.state(), 0);
        for (record, is_wanted) in next.iter().zip(wanted) {
            if is_wanted {
                let key = if self.plan.by_key {
                    record.partition_key.clone()
                } else {
                    Key::from("")
                };
                state.buffers.accept(key, record.data.len() as u64, now);
            } else {
                passed += state.buffers.pass();
            }
            state.records.push_back(KeptRecord {
                records: records.clone(),
                index: *accepted,
            });
            *accepted += 1;
        }
        // Under the lock: a flush that begins now could otherwise finish a record of which the
        // consumer does not know yet.
        if *accepted > before {
            background.accept(records[*accepted - 1].position.clone());
        }
        // The end of the finished prefix, which was drained from the front.
        if let Some(end) = state.grown(passed) {
            background.finish(end);
        }
        state.tell_gathered();
        drop(state);
        self.changed.notify_one();
        failure
    }

    /// Begins flushes when they are due, until the work is ended.
    async fn run(self: Arc<Self>, background: Background, shard: ShardRef) {
        let (mut is_short, mut is_last) = (false, false);
        loop {
            // The want of memory is over as soon as the reader has some: otherwise every later
            // record would be flushed alone.
            is_short &= background.memory().is_on();
            if background.may_begin().is_none() {
                // The time of the lease is over.
                return;
            }
            let wake_at = self.begin(&background, &shard, is_short);
            let may_flush = self.state().buffers.gathered().0 > 0;
            tokio::select! {
                biased;
                () = self.changed.notified() => {}
                // No more records come, so what is gathered would wait for its age in vain.
                () = background.is_to_end(), if !is_last => {
                    is_last = true;
                    let mut state = self.state();
                    if state.phase == BufferPhase::Gathering {
                        state.phase = BufferPhase::Emptying(FlushCause::End);
                    }
                }
                // Each turn begins the span anew. While the reader waits for memory there is hardly
                // a turn: the records that would begin one are those that do not come.
                () = background.memory().lasts(SHORT_OF_MEMORY, &**background.clock()), if may_flush && !is_short => is_short = true,
                () = async {
                    match wake_at {
                        Some(at) => background.clock().sleep_until(at).await,
                        None => std::future::pending().await,
                    }
                } => {}
            }
        }
    }

    /// Begins every flush that is due, and says when the next one is, as far as that is known.
    fn begin(
        self: &Arc<Self>,
        background: &Background,
        shard: &ShardRef,
        is_short: bool,
    ) -> Option<Moment> {
        let mut state = self.state();
        state.tasks.forget_ended();
        loop {
            // With no await before the hand-out; each call asks once more.
            let now = background.clock().now();
            let Some((flush, records)) = state.begin(now, is_short) else {
                break;
            };
            let flush = Flush {
                work: Arc::clone(self),
                background: background.clone(),
                shard: shard.clone(),
                flush,
                records,
            };
            state.tasks.start(flush.run().in_current_span());
        }
        state.tell_gathered();
        self.see_drained(&state);
        match state.phase {
            BufferPhase::Gathering => state.buffers.wake_at(),
            BufferPhase::Emptying(_) | BufferPhase::Over => None,
        }
    }

    /// Tells a drain that nothing is at work, and nothing will begin.
    pub(super) fn see_drained(&self, state: &BufferState) {
        if state.is_drained() {
            self.drained.notify_one();
        }
    }

    /// Waits until nothing is at work, and nothing begins. Cancel safe.
    async fn all_ended(&self) {
        while !self.state().is_drained() {
            self.drained.notified().await;
        }
    }

    /// Waits this long, or until the shard is given up. Cancel safe.
    pub(super) async fn wait(&self, background: &Background, span: Duration) {
        let mut leaves = std::pin::pin!(self.leaves.notified());
        // Before the look, or a change between the two would wake nobody.
        leaves.as_mut().enable();
        if self.is_leaving() {
            return;
        }
        tokio::select! {
            biased;
            () = leaves => {}
            () = pause(&**background.clock(), span) => {}
        }
    }

    /// Whether the shard is given up: nothing is tried again.
    pub(super) fn is_leaving(&self) -> bool {
        matches!(
            self.state().phase,
            BufferPhase::Over | BufferPhase::Emptying(FlushCause::Leaving)
        )
    }
}

impl<H> BufferShared<H> {
    pub(super) fn state(&self) -> MutexGuard<'_, BufferState> {
        // No handler runs under the lock, and every change is whole before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H: BufferHandler> fmt::Debug for BufferWork<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.state();
        f.debug_struct("BufferWork")
            .field("plan", &self.0.plan)
            .field("accepted", &state.records.len())
            .field("gathered", &state.buffers.gathered().0)
            .field("phase", &state.phase)
            .finish_non_exhaustive()
    }
}
