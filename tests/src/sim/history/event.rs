use std::fmt;

use kcl_core::lease::{Change, Expect, WorkerRow};
use kcl_core::model::{Checkpoint, Lease, LeaseKey, Position, WorkerId};
use kcl_core::processor::LossReason;
use kcl_core::worker::DataGap;

use crate::sim::runtime::At;

/// A process: one run of a worker from its start to its end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LifeId(pub(crate) u32);

impl fmt::Debug for LifeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "life{}", self.0)
    }
}

/// A processor: one for each acquisition of a shard.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ProcessorId(pub(crate) u32);

impl fmt::Debug for ProcessorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "processor{}", self.0)
    }
}

/// A write on a lease as the worker asked for it, whatever a mutant made of it.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    Create(Box<Lease>),
    Update(Expect, Change),
    Delete(Expect),
}

/// A write on a lease that came to the table.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) life: LifeId,
    pub(crate) key: LeaseKey,
    /// The number of the last event when the worker sent it.
    pub(crate) sent: u64,
    pub(crate) sent_at: At,
    /// Nobody waits for the answer any more, or it is the second copy.
    pub(crate) late: bool,
    pub(crate) asked: Asked,
    pub(crate) before: Option<Lease>,
    /// The row after it. The same as before when it was refused.
    pub(crate) after: Option<Lease>,
    pub(crate) accepted: bool,
}

impl Written {
    /// The row before and after, when a change was carried out that moved the checkpoint.
    pub(crate) fn moved_checkpoint(&self) -> Option<(&Lease, &Lease)> {
        let (Asked::Update(..), Some(before), Some(after), true) =
            (&self.asked, &self.before, &self.after, self.accepted)
        else {
            return None;
        };
        (after.checkpoint != before.checkpoint).then_some((before, after))
    }
}

/// A call of a processor.
#[expect(
    dead_code,
    reason = "what no invariant reads is there for the reader of a history"
)]
#[derive(Clone, Debug)]
pub(crate) enum Call {
    Initialize {
        checkpoint: Checkpoint,
        pending: bool,
        fence: u64,
        attempt: u32,
    },
    /// The indices of the user records, as ranges without their ends.
    Process {
        records: Vec<(u32, u32)>,
        attempt: u32,
        at_end: bool,
    },
    Idle,
    LeaseLost(LossReason),
    ShardEnded {
        attempt: u32,
    },
    ShutdownRequested,
}

/// How a call of a processor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Returned {
    Done,
    /// It failed, perhaps at this user record.
    Failed(Option<u32>),
    Panicked,
}

/// Which records of a shard a handler of single records is given in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InOrder {
    All,
    OfAKey,
    None,
    /// All of the shard, several of them together.
    AllTogether,
    /// Those of a key, several of them together.
    KeyTogether,
}

/// How a subscription ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// After its time, or before, in good order.
    Ended,
    /// The shard has ended.
    ShardEnded,
    /// Another one has taken its place, or its consumer is gone.
    Taken,
    /// The shard is not there any more.
    Gone,
    /// It broke.
    Reset,
}

/// What a worker said in its events.
#[expect(
    dead_code,
    reason = "what no invariant reads is there for the reader of a history"
)]
#[derive(Clone, Debug)]
pub(crate) enum Said {
    Gap(LeaseKey, DataGap),
    Skipped(LeaseKey, Position),
    Unreadable(LeaseKey),
    /// An answer said that a shard had ended, and was not believed.
    EndRefused(LeaseKey),
    /// The row of a lease cannot be read.
    Malformed,
    /// A stream, one of several, was made again, and is read anew.
    Replaced,
    /// So many shards are unread because it holds as many leases as it may.
    LeftUnread(usize),
}

/// Something that happened.
#[expect(
    dead_code,
    reason = "what no invariant reads is there for the reader of a history"
)]
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A phase of the world begins.
    Phase(&'static str),
    Started {
        life: LifeId,
        worker: WorkerId,
        /// Its place in the fleet.
        slot: usize,
    },
    /// A worker was told to read this stream of the world, or to read it no more.
    Reads {
        life: LifeId,
        stream: usize,
        on: bool,
    },
    Crashed {
        life: LifeId,
    },
    Frozen {
        life: LifeId,
        point: &'static str,
        millis: u64,
    },
    Thawed {
        life: LifeId,
    },
    StopAsked {
        life: LifeId,
    },
    /// `run` returned: what it said, and the last checkpoints of what it reported as drained.
    Stopped {
        life: LifeId,
        error: Option<String>,
        drained: Vec<(LeaseKey, Checkpoint)>,
    },
    /// A worker cannot reach a service, for so long.
    Cut {
        life: LifeId,
        service: &'static str,
        millis: u64,
    },
    Written(Box<Written>),
    WorkerRow {
        life: LifeId,
        worker: WorkerId,
        row: Option<WorkerRow>,
        accepted: bool,
    },
    Made {
        processor: ProcessorId,
        life: LifeId,
        shard: usize,
        key: LeaseKey,
    },
    Called {
        processor: ProcessorId,
        call: Call,
    },
    Returned {
        processor: ProcessorId,
        returned: Returned,
    },
    /// The work on one user record has begun, beside the calls.
    Began {
        processor: ProcessorId,
        record: u32,
        order: InOrder,
    },
    /// It has ended: whether the record is done, or passed over as the worker was told to.
    Handled {
        processor: ProcessorId,
        record: u32,
        done: bool,
    },
    /// The handler says by a checkpoint that everything up to here (an index without itself) is
    /// done.
    Checkpointing {
        processor: ProcessorId,
        ask: u64,
        up_to: u32,
        prepare: bool,
    },
    /// What it was answered.
    Checkpointed {
        processor: ProcessorId,
        ask: u64,
        up_to: u32,
        prepare: bool,
        error: Option<&'static str>,
    },
    Said {
        life: LifeId,
        said: Said,
    },
    Opened {
        shard: usize,
        parents: Vec<usize>,
    },
    /// The row of a lease cannot be read from now on, or can be read again.
    Spoiled {
        key: LeaseKey,
        on: bool,
    },
    /// An operator has paused a shard, or resumed it.
    Paused {
        key: LeaseKey,
        on: bool,
    },
    /// An operator has set where a shard is read on.
    Sought {
        before: Box<Lease>,
        after: Box<Lease>,
    },
    /// An operator has assigned a lease to a worker, or taken that back.
    Assigned {
        key: LeaseKey,
        to: Option<WorkerId>,
    },
    /// An operator has begun to drain a worker, or ended that.
    Drained {
        worker: WorkerId,
        on: bool,
    },
    /// A stream was deleted and made again under its name.
    Replaced {
        stream: usize,
    },
    Put {
        shard: usize,
        records: u32,
    },
    Trimmed {
        shard: usize,
        up_to: u32,
        left: bool,
    },
    /// A worker asks for a page of all shards of a stream; so many such calls are under way now.
    Listing {
        life: LifeId,
        stream: usize,
        under_way: usize,
    },
    /// A worker asks for a subscription to a shard.
    Subscribing {
        life: LifeId,
        shard: usize,
    },
    /// It has one.
    Subscribed {
        life: LifeId,
        shard: usize,
    },
    /// A subscription is over; `unused`: without having brought a record.
    SubscriptionOver {
        life: LifeId,
        shard: usize,
        how: Over,
        unused: bool,
    },
    /// The last event of a shard was pushed.
    EndPushed {
        life: LifeId,
        shard: usize,
    },
    /// A reader that is subscribed to a shard, or was, has asked by polling and was told that it
    /// has ended.
    EndPolled {
        life: LifeId,
        shard: usize,
    },
    /// A reader was told that a shard has ended that has not, or not yet.
    FalseEnd {
        life: LifeId,
        shard: usize,
    },
    /// A reader came to the end of a shard and found no record in it.
    FoundEmpty {
        life: LifeId,
        shard: usize,
    },
    /// A reader with an open cursor came to a place whose records had gone (user records from, to).
    Overtaken {
        life: LifeId,
        shard: usize,
        from: u32,
        to: u32,
    },
}
