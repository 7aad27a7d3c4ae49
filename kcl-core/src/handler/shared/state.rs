use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use tokio::sync::Notify;

use crate::decide::buffers::FlushCause;
use crate::decide::shared_buffer::{BeginningSharedFlush, SharedBounds, SharedBuffer};
use crate::model::{Moment, Position, ShardRef};
use crate::processor::{Background, GatheredRecords, Records};
use crate::runtime::Tasks;

use super::ShardRecord;

/// One acquisition of a shard's lease, among those whose records are gathered together. Never used
/// again.
pub(super) type MemberId = u64;

/// Everything that is known of the records of all shards that are accepted and not done.
pub(super) struct SharedState {
    /// Which records are gathered, and when they are due. One flush at a time.
    pub(super) buffer: SharedBuffer<MemberId>,
    /// The shards that are held now.
    pub(super) members: BTreeMap<MemberId, MemberState>,
    /// Those that are given up, and whose records are flushed once more.
    pub(super) leaving: BTreeSet<MemberId>,
    /// Those of which no more records follow.
    pub(super) ending: BTreeSet<MemberId>,
    /// Those whose readers wait for memory.
    pub(super) short: BTreeSet<MemberId>,
    /// The task that begins flushes, and the one that does one. They end with the last member.
    pub(super) tasks: Tasks,
    /// The id of the next acquisition.
    next: MemberId,
    /// Kept to begin anew with, when the last member has left.
    bounds: SharedBounds,
    /// How often the last member has left: a flush of an earlier time reports nothing.
    pub(super) epoch: u64,
}

/// What is known of one member.
pub(super) struct MemberState {
    /// To whom this shard's ends are reported.
    pub(super) background: Background,
    /// As the handler is told it.
    pub(super) shard: ShardRef,
    /// In the order of the shard, from the first that is not done on.
    records: VecDeque<MemberRecord>,
    /// There is room for more records. One waits for it.
    pub(super) room: Arc<Notify>,
    /// It has nothing gathered, and nothing in a flush. One waits for it.
    pub(super) drained: Arc<Notify>,
}

/// A record of a batch: neither is copied.
struct MemberRecord {
    /// Its batch, which holds its bytes.
    records: Records,
    /// Where it is in the batch.
    index: usize,
}

impl SharedState {
    pub(super) fn new(bounds: SharedBounds) -> Self {
        Self {
            buffer: SharedBuffer::new(bounds),
            members: BTreeMap::new(),
            leaving: BTreeSet::new(),
            ending: BTreeSet::new(),
            short: BTreeSet::new(),
            tasks: Tasks::new(),
            next: 0,
            bounds,
            epoch: 0,
        }
    }

    /// A member without records.
    pub(super) fn join(
        &mut self,
        background: Background,
        shard: ShardRef,
        [room, drained]: [Arc<Notify>; 2],
    ) -> MemberId {
        let id = self.next;
        self.next += 1;
        let member = MemberState {
            background,
            shard,
            records: VecDeque::new(),
            room,
            drained,
        };
        self.members.insert(id, member);
        self.buffer.join(id);
        id
    }

    /// The member and its records are known no more. With the last one, the work of all ends: the
    /// returned tasks are to be ended.
    pub(super) fn leave(&mut self, id: MemberId) -> Option<Tasks> {
        self.buffer.leave(&id);
        for set in [&mut self.leaving, &mut self.ending, &mut self.short] {
            set.remove(&id);
        }
        self.members.remove(&id)?;
        if !self.members.is_empty() {
            return None;
        }
        // A flush that is ended with its task does not report its end, and this buffer would wait
        // for it.
        self.buffer = SharedBuffer::new(self.bounds);
        self.epoch += 1;
        // With what it has begun: the caller waits until no handler runs any more.
        Some(std::mem::take(&mut self.tasks))
    }

    /// Accepts the record at this index of a batch, or passes it if it is not wanted.
    pub(super) fn accept(
        &mut self,
        id: MemberId,
        (records, index): (&Records, usize),
        is_wanted: bool,
        now: Moment,
    ) {
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        member.records.push_back(MemberRecord {
            records: records.clone(),
            index,
        });
        if is_wanted {
            let bytes = records[index].data.len() as u64;
            self.buffer.accept(&id, bytes, now);
        } else {
            let grown = self.buffer.pass(&id);
            self.grown(id, grown);
        }
    }

    /// The record is done.
    pub(super) fn done(&mut self, id: MemberId, number: u64) {
        let grown = self.buffer.done(&id, number);
        self.grown(id, grown);
    }

    /// The finished prefix of this member has grown by so many.
    fn grown(&mut self, id: MemberId, by: usize) {
        let Some(member) = self.members.get_mut(&id) else {
            return;
        };
        if let Some(last) = member.records.drain(..by).next_back() {
            // Under the lock: the ends grow.
            member.background.finish(last.position());
        }
    }

    /// The flush that begins now, with its records.
    pub(super) fn begin(
        &mut self,
        now: Moment,
    ) -> Option<(BeginningSharedFlush<MemberId>, Vec<ShardRecord>)> {
        let members = &self.members;
        // Nothing else takes them off: a reader says when it waits, and not that it has memory
        // again.
        self.short.retain(|id| {
            members
                .get(id)
                .is_some_and(|member| member.background.memory().is_on())
        });
        // In this order, because the first is the cause that the handler is told. A shard that
        // leaves has a deadline, one that ends holds its children up, and memory is wanted by all.
        let waits = |ids: &BTreeSet<MemberId>| ids.iter().any(|id| self.buffer.gathered(id).0 > 0);
        let all = if waits(&self.leaving) {
            Some(FlushCause::Leaving)
        } else if waits(&self.ending) {
            Some(FlushCause::End)
        } else {
            // Whatever they have gathered themselves: others may hold the memory.
            (!self.short.is_empty()).then_some(FlushCause::Room)
        };
        let flush = self.buffer.begin(now, all)?;
        let records = flush.records.iter().filter_map(|(id, number)| {
            let member = self.members.get(id)?;
            let index = usize::try_from(number - self.buffer.first(id)).ok()?;
            let kept = member.records.get(index)?;
            Some(ShardRecord {
                shard: member.shard.clone(),
                record: kept.records[kept.index].clone(),
            })
        });
        Some((flush.clone(), records.collect()))
    }

    /// A flush is to be tried again: not with records of those that are given up, which come again
    /// at their next owners.
    pub(super) fn give_back_leaving(&mut self, flush: &BeginningSharedFlush<MemberId>) {
        let given_back = flush.records.iter().map(|(id, _)| *id);
        let given_back = given_back.filter(|id| !self.buffer.is_live(id));
        let mut over: BTreeSet<MemberId> = given_back.collect();
        over.append(&mut self.leaving);
        for id in over {
            self.buffer.abandon(&id);
            self.tell_gathered(id);
            if let Some(member) = self.members.get(&id) {
                member.drained.notify_one();
            }
        }
    }

    /// A flush is over, of this epoch: the next one may begin.
    pub(super) fn flushed(&mut self, flush: &BeginningSharedFlush<MemberId>, epoch: u64) {
        // What it was about has left with the last member; the buffer is another one since.
        if epoch != self.epoch {
            return;
        }
        self.buffer.flushed(flush);
        let members: BTreeSet<MemberId> = flush.records.iter().map(|(id, _)| *id).collect();
        for id in members {
            if let Some(member) = self.members.get(&id) {
                member.drained.notify_one();
            }
            self.tell_gathered(id);
        }
    }

    /// Tells what is gathered of this member.
    pub(super) fn tell_gathered(&self, id: MemberId) {
        if let Some(member) = self.members.get(&id) {
            let (records, bytes, since) = self.buffer.gathered(&id);
            member.background.has_gathered(GatheredRecords {
                records,
                bytes,
                since,
            });
        }
    }
}

impl MemberRecord {
    /// Where it is in its shard.
    fn position(&self) -> Position {
        self.records[self.index].position.clone()
    }
}
