use std::fmt;

macro_rules! mutants {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// A defect that the harness builds in between the worker and the world: what the
        /// invariants are proved by. The product has none of them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Mutant {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// What is wrong with it.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc),+),)+
                }
            }
        }
    };
}

mutants! {
    /// A checkpoint is stored without a condition.
    CheckpointWithoutCondition,
    /// A checkpoint is stored on condition of the owner's name alone.
    CheckpointByOwner,
    /// A batch is checkpointed before it is processed.
    CheckpointBeforeProcess,
    /// A checkpoint is now and then stored as an earlier one.
    CheckpointGoesBack,
    /// A checkpoint inside an aggregate counts as one behind it.
    SubSequenceIgnored,
    /// A batch that failed counts as done.
    FailedBatchIsDone,
    /// Reading goes on one record too far.
    ResumeOneTooFar,
    /// A page has its last record twice now and then.
    RecordTwice,
    /// A gap that retention has left is not reported.
    GapUnreported,
    /// A child does not wait for its parents.
    ChildWithoutParents,
    /// The child of a merge waits for one of its parents.
    MergeWaitsForOne,
    /// The lease of a child begins at the tip.
    ChildAtLatest,
    /// A closed shard counts as read after the next page, whatever follows.
    EndBeforeLastRecord,
    /// An empty shard never ends.
    EmptyShardNeverEnds,
    /// A shard's end is not stored.
    EndNotStored,
    /// The row of a finished shard goes at once.
    DeletedAtOnce,
    /// Leases of living owners look free now and then.
    LivingLooksFree,
    /// Free leases look taken by somebody who lives.
    FreeLooksTaken,
    /// A lease is taken without a condition.
    TakeWithoutCondition,
    /// A lease that was passed on is begun without a write.
    StartOnSight,
    /// Renewals are not sent and count as answered.
    RenewalNotSent,
    /// A heartbeat is stored whatever the row is by now.
    BeatWithoutCondition,
    /// The row of a worker that seems dead is not killed, and counts as killed, as it was seconds
    /// ago.
    TakeWithoutKill,
    /// A lease is judged by the row of its holder's name, whichever process that row is of.
    EvidenceOfAnother,
    /// The lease of a handler that hangs is kept, and its worker's heartbeats go on.
    BeatWhileHung,
    /// The owner's deadline counts from the answer, not from the request.
    DeadlineFromAnswer,
    /// The clock stands still while the process does.
    ClockStopsWithProcess,
    /// A write without an answer counts as carried out.
    LostAnswerIsSuccess,
    /// A refused write of an owner counts as carried out.
    LoserKeepsGoing,
    /// A refused write counts as carried out if the row has the owner's name and the next counter.
    SettledByCounter,
    /// A tenancy is known by the worker's name.
    OwnById,
    /// The owner does not hear of requests.
    DeafOwner,
    /// Records are handed out after the loss of the lease.
    HandsOutAfterLoss,
    /// Leases look unevenly shared, to each worker in another way.
    PlansOscillate,
    /// The lease of a child counts as made and is not.
    ChildNotMade,
    /// A worker has no bound of leases.
    NoRoomIsRoom,
    /// A worker is not told of a stream that it is to read no more.
    DeafToRemoval,
    /// A lease that is taken begins at the oldest record again.
    ResumeTooEarly,
    /// A call that did not get through to the stream counts as one that was throttled: as progress.
    FailureIsProgress,
    /// An answer that says that a shard has ended is taken at its word, whatever the listing shows.
    EndWithoutListing,
    /// An answer is believed that says of a closed shard that it has ended and names no children,
    /// the first time.
    UnnamedEndBelieved,
    /// A worker does not see that a shard is paused.
    PauseOverlooked,
    /// A lease that an operator has set is read on where it was before.
    SeekOverlooked,
    /// An operator sets a lease whoever holds it, and whatever has become of it.
    SeekWithoutCondition,
    /// A worker does not see that a lease is assigned to a worker.
    MoveOverlooked,
    /// A worker does not see that it, or another one, is drained.
    DrainOverlooked,
    /// All shards are listed once for each lease that is held, at the same time.
    ListingForEachLease,
    /// A table with a row that cannot be read cannot be read at all.
    OneRowIsAll,
    /// What a stream is, is not asked a second time.
    DescriptionKept,
    /// A subscription begins behind the record that it is to begin at.
    SubscribesAfter,
    /// Whether a shard has ended whose subscription does not say so, is asked in vain.
    EndNotAsked,
    /// Of records that are at work at the same time, the greatest that is done is checkpointed.
    CheckpointAtGreatestDone,
    /// The records of one key are at work at the same time.
    KeysOutOfOrder,
    /// A record that is at work beside the calls counts as done when its shard is given up.
    AtWorkIsDone,
    /// A record is passed before its dead letter was taken.
    DeadLetterAfterCheckpoint,
    /// A buffer is flushed after its records were passed.
    FlushAfterCheckpoint,
    /// A filter passes records that are to be worked on.
    FilterDropsWork,
}

impl Mutant {
    /// Whether it shows only where records are pushed.
    pub(crate) const fn is_of_fan_out(self) -> bool {
        matches!(self, Self::SubscribesAfter | Self::EndNotAsked)
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
