use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tracing::Instrument;

use crate::handler::accepting::{Misuse, accept_whole, claim, drain};
use crate::model::ShardRef;
use crate::processor::{
    Background, Failure, GatheredRecords, ProcessRecordsInput, Records, WorkOwner,
};
use crate::runtime::Tasks;

use super::SharedBufferHandler;
use super::state::MemberId;
use super::work::SharedWork;

const MISUSE: Misuse = Misuse {
    other_shard: "a processor of `shared_buffer` was given records of another shard, or of another acquisition of its shard: \
                  expected is a processor for each acquisition, as `RecordProcessorFactory::processor` makes it",
    two_owners: "the records of a shard were given to two processors that work on them beside its calls, and each would \
                 checkpoint what the other has not done: expected is one, whose handler calls both",
};
/// Memory that the reader has waited for so long does not come by itself: what is gathered is
/// flushed. What handlers of other shards are about to free mostly comes sooner.
const SHORT_OF_MEMORY: Duration = Duration::from_millis(200);

/// The part of one shard in the buffer of its worker. Dropping it ends that part.
///
/// ```text
///   consumer of shard 1 --> SharedMember --\
///   consumer of shard 2 --> SharedMember ----> SharedWork: one buffer, one flush at a time
///   consumer of shard 3 --> SharedMember --/
/// ```
///
/// One member is one acquisition of the lease. A shard that comes back to this worker is another
/// member, so a report about the earlier one cannot be taken for one about the later.
pub(super) struct SharedMember<H: SharedBufferHandler> {
    /// What all members share.
    work: Arc<SharedWork<H>>,
    /// Tells this work from another on the same shard.
    owner: WorkOwner,
    /// Its place in the buffer, from its first batch on.
    joined: Option<(MemberId, Background)>,
    /// Wakes the consumer of this shard when more records may be accepted.
    room: Arc<Notify>,
    /// Wakes a drain of this shard.
    drained: Arc<Notify>,
    /// They watch what only this shard says.
    watchers: Tasks,
}

impl<H: SharedBufferHandler> SharedMember<H> {
    pub(super) fn new(work: Arc<SharedWork<H>>) -> Self {
        Self {
            work,
            owner: WorkOwner::default(),
            joined: None,
            room: Arc::default(),
            drained: Arc::default(),
            watchers: Tasks::new(),
        }
    }

    /// Accepts the records of a batch, as [`accept_whole`] does.
    ///
    /// # Errors
    /// The records of a shard have one owner, and an owner has one shard: see [`WorkOwner`].
    pub(super) async fn take_over(&mut self, input: ProcessRecordsInput) -> Result<(), Failure> {
        let background = input.background;
        let id = self
            .own(&background, &input.shard)
            .map_err(|misuse| background.refuse(misuse))?;
        let (records, room) = (input.records, &self.room);
        accept_whole(&background, records.len(), room, |accepted| {
            self.accept(id, &background, &records, accepted)
        })
        .await
    }

    /// Flushes what is gathered, unless it is to be given back, waits for what is in a flush as long
    /// as it may be, and leaves.
    pub(super) async fn drain(&mut self) {
        if let Some((id, background)) = self.joined.clone() {
            {
                let mut state = self.work.state();
                // A flush now would take what the other shards have gathered too, long before the
                // buffer is full: where each flush writes an object, it would be a small one.
                if self.work.plan.gives_back {
                    state.buffer.give_back(&id);
                    state.tell_gathered(id);
                } else {
                    state.leaving.insert(id);
                }
            }
            self.work.left.notify_waiters();
            self.work.changed.notify_one();
            drain(Some(background), self.is_drained(id)).await;
        }
        self.end().await;
    }

    /// Leaves at once. What is in a flush may go on for the other shards in it; what it does with
    /// the records of this one is not reported any more, and they come again at the next owner.
    ///
    /// Dropped in between, the rest is done by the drop.
    pub(super) async fn end(&mut self) {
        // First: a watcher could otherwise put the id back into a set that the member has left.
        self.watchers.end().await;
        if let Some(mut tasks) = self.leave() {
            tasks.end().await;
        }
        if let Some((_, background)) = &self.joined {
            background.works_since(None, 0);
            background.has_gathered(GatheredRecords::default());
        }
    }

    fn leave(&self) -> Option<Tasks> {
        let (id, _) = self.joined.as_ref()?;
        let tasks = self.work.state().leave(*id);
        self.work.left.notify_waiters();
        self.work.changed.notify_one();
        tasks
    }

    /// The records of this background are gathered here, and no others.
    fn own(&mut self, background: &Background, shard: &ShardRef) -> Result<MemberId, &'static str> {
        let before = self.joined.as_ref().map(|(_, background)| background);
        claim(background, before, &self.owner, &MISUSE)?;
        if let Some((id, _)) = &self.joined {
            return Ok(*id);
        }
        let id = {
            let mut state = self.work.state();
            // Under one lock with the joining: two shards that begin together start one task.
            let is_first = state.members.is_empty();
            let notices = [Arc::clone(&self.room), Arc::clone(&self.drained)];
            let id = state.join(background.clone(), shard.clone(), notices);
            if is_first {
                // Not in the span of this shard: what is logged is of all of them.
                let running = Arc::clone(&self.work).run(Arc::clone(background.clock()));
                state.tasks.start(running);
            }
            id
        };
        self.joined = Some((id, background.clone()));
        self.watch(id, background);
        Ok(id)
    }

    /// Watches two things that are of one shard and that the buffer acts on: that no more of its
    /// records follow, so that what is gathered would wait for its age in vain, and that its reader
    /// waits for memory, which the records of any shard may hold.
    fn watch(&mut self, id: MemberId, background: &Background) {
        let (work, watched) = (Arc::clone(&self.work), background.clone());
        let end = async move {
            watched.is_to_end().await;
            work.state().ending.insert(id);
            work.changed.notify_one();
        };
        self.watchers.start(end.in_current_span());
        let (work, watched) = (Arc::clone(&self.work), background.clone());
        let memory = async move {
            let clock = Arc::clone(watched.clock());
            loop {
                // Repeated while the want lasts: `SharedState::begin` takes it off as soon as the
                // reader has memory.
                watched.memory().lasts(SHORT_OF_MEMORY, &*clock).await;
                work.state().short.insert(id);
                work.changed.notify_one();
            }
        };
        self.watchers.start(memory.in_current_span());
    }

    /// Accepts the next records of a batch while this shard's window has room. What was accepted is
    /// reported at once, so that it is not delivered again.
    fn accept(
        &self,
        id: MemberId,
        background: &Background,
        records: &Records,
        accepted: &mut usize,
    ) -> Option<Failure> {
        let before = *accepted;
        // Room only grows until then: nobody else accepts records of this shard.
        let room = self.work.state().buffer.room(&id);
        let next = &records[before..records.len().min(before + room)];
        let (wanted, failure) = self.work.plan.filter.of(next);
        let now = background.clock().now();
        let mut state = self.work.state();
        let end = before + wanted.len();
        if end > before {
            // Before the first of them is done.
            background.accept(records[end - 1].position.clone());
        }
        for (index, is_wanted) in (before..end).zip(wanted) {
            state.accept(id, (records, index), is_wanted, now);
        }
        *accepted = end;
        state.tell_gathered(id);
        drop(state);
        self.work.changed.notify_one();
        failure
    }

    /// Waits until nothing of this shard is gathered or in a flush. Cancel safe.
    async fn is_drained(&self, id: MemberId) {
        loop {
            let is_over = {
                let state = self.work.state();
                // What was given back while a call is at work may still be done by it.
                state.buffer.is_drained(&id)
            };
            if is_over {
                return;
            }
            self.drained.notified().await;
        }
    }
}

impl<H: SharedBufferHandler> Drop for SharedMember<H> {
    fn drop(&mut self) {
        // The tasks own what owns them.
        drop(self.leave());
    }
}

impl<H: SharedBufferHandler> fmt::Debug for SharedMember<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedMember")
            .field("work", &self.work)
            .field("id", &self.joined.as_ref().map(|(id, _)| id))
            .finish_non_exhaustive()
    }
}
