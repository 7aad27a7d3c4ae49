use std::fmt;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum Fault {
    /// A call took long.
    Delay,
    /// A write never came to the table.
    LostRequest,
    /// A write was carried out and nobody heard of it.
    LostAnswer,
    /// A write was carried out after its caller had given up.
    AppliedLate,
    /// A write came twice.
    SentTwice,
    /// The table refused a call for its rate.
    TableThrottled,
    /// A read of the table was not answered.
    LostRead,
    /// A snapshot showed rows as they had been.
    StaleRead,
    /// A worker could not reach the table.
    TableCut,
    /// A worker could not reach the stream.
    StreamCut,
    /// The stream refused a call for its rate.
    StreamThrottled,
    /// A call of the stream failed in passing or was not answered.
    StreamFailed,
    /// A cursor expired.
    CursorExpired,
    /// A page had fewer records than there were.
    ShortPage,
    /// A listing showed shards as they had been.
    StaleListing,
    /// A process stood still.
    Frozen,
    /// A process stood still at a chosen point.
    FrozenAtPoint,
    /// A process was killed.
    Crash,
    /// A process was asked to stop while there were faults.
    Stop,
    /// A process was started again under its former id.
    RestartSameId,
    /// A process was started again under a new id.
    RestartNewId,
    /// Two processes had one id.
    DuplicateId,
    /// A process had a clock that was too fast or too slow.
    ClockDrift,
    /// A batch took long.
    SlowHandler,
    /// A batch took for ever.
    HungHandler,
    /// A call of a handler failed.
    FailedHandler,
    /// A call of a handler panicked.
    PanickedHandler,
    /// Records left the stream before they were read.
    TrimmedUnread,
    /// A worker was told to read a stream no more.
    StreamRemoved,
    /// A subscription ended after its time, or before.
    SubscriptionEnded,
    /// A subscription broke.
    SubscriptionReset,
    /// A subscription was refused.
    SubscriptionRefused,
    /// A subscription was taken over by another one, or lost its consumer.
    SubscriptionTaken,
    /// A subscription gave nothing more, and nobody said so.
    SubscriptionSilent,
    /// An event came late.
    LateEvent,
    /// An event had no records though there were some.
    EmptyEvent,
    /// A consumer was not ready yet.
    ConsumerNotActive,
    /// A consumer was removed while it was in use.
    ConsumerRemoved,
    /// The last event of a shard did not name the shards that follow.
    ChildrenUnnamed,
    /// A call of a process that has lost its way to the stream for long.
    OutOfReach,
    /// An answer said that a shard had ended that had not, or not yet.
    FalseEnd,
    /// A subscription to a shard that had ended did not say so.
    EndWithheld,
    /// A stream was deleted and made again.
    StreamReplaced,
    /// The row of a lease was edited so that it could not be read.
    RowSpoiled,
    /// An operator paused a shard.
    Paused,
    /// An operator set where a shard is read on.
    Sought,
    /// An operator moved a lease to a worker.
    Assigned,
    /// An operator drained a worker.
    Drained,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 48] = [
        Self::Delay,
        Self::LostRequest,
        Self::LostAnswer,
        Self::AppliedLate,
        Self::SentTwice,
        Self::TableThrottled,
        Self::LostRead,
        Self::StaleRead,
        Self::TableCut,
        Self::StreamCut,
        Self::StreamThrottled,
        Self::StreamFailed,
        Self::CursorExpired,
        Self::ShortPage,
        Self::StaleListing,
        Self::Frozen,
        Self::FrozenAtPoint,
        Self::Crash,
        Self::Stop,
        Self::RestartSameId,
        Self::RestartNewId,
        Self::DuplicateId,
        Self::ClockDrift,
        Self::SlowHandler,
        Self::HungHandler,
        Self::FailedHandler,
        Self::PanickedHandler,
        Self::TrimmedUnread,
        Self::StreamRemoved,
        Self::SubscriptionEnded,
        Self::SubscriptionReset,
        Self::SubscriptionRefused,
        Self::SubscriptionTaken,
        Self::SubscriptionSilent,
        Self::LateEvent,
        Self::EmptyEvent,
        Self::ConsumerNotActive,
        Self::ConsumerRemoved,
        Self::ChildrenUnnamed,
        Self::OutOfReach,
        Self::FalseEnd,
        Self::EndWithheld,
        Self::StreamReplaced,
        Self::RowSpoiled,
        Self::Paused,
        Self::Sought,
        Self::Assigned,
        Self::Drained,
    ];
}

/// How often each kind of fault happened.
#[derive(Clone, Debug)]
pub struct Counts([u64; Fault::ALL.len()]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; Fault::ALL.len()])
    }
}

impl Counts {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0[fault as usize] += 1;
    }

    /// How many kinds happened at least so often.
    #[must_use]
    pub fn reached(&self, times: u64) -> usize {
        self.0.iter().filter(|count| **count >= times).count()
    }

    /// Adds the counts of another world.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (sum, count) in self.0.iter_mut().zip(&other.0) {
            *sum += count;
        }
    }
}

/// Those that happened.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for fault in Fault::ALL
            .into_iter()
            .filter(|fault| self.0[*fault as usize] > 0)
        {
            write!(f, "{separator}{fault:?} {}", self.0[fault as usize])?;
            separator = ", ";
        }
        Ok(())
    }
}
